//! Small matrices next to each other, all with the same colours.

use super::Setting;
use super::grid::{LABEL, ramp};
use super::pen::{Align, At, Pen, Rgb};

/// One matrix.
#[derive(Clone)]
pub struct Thumb {
    /// Its score; empty = none.
    pub score: String,
    /// Cells from edge to edge.
    pub side: usize,
    /// `[side, side]`, 0 to 1; NaN is blank.
    pub values: Vec<f32>,
    /// Its row and column: layer and head.
    pub place: [String; 2],
}

/// Matrices in rows.
#[derive(Clone)]
pub struct Thumbs {
    pub thumbs: Vec<Thumb>,
    /// Matrices in a row.
    pub across: usize,
    /// Whether rows and columns have a meaning: layers and heads.
    pub by_place: bool,
    /// Side of a matrix, points.
    pub side: f64,
    /// Whether names and scores are drawn above the matrices.
    pub captions: bool,
    /// How many more there are that did not fit.
    pub more: usize,
}

const GAP: f64 = 16.0;
/// Gap between matrices without captions.
const CLOSE: f64 = 2.0;
/// Room for the names of layers and heads, if there are no captions.
const NAMES: f64 = 36.0;
/// The smallest matrix with its score in its corner, and the size of the score, points.
const ROOMY: f64 = 36.0;
const SCORE: f64 = 9.5;
/// The narrowest matrix with a caption, points, on paper.
const NARROW: f64 = 34.0;

impl Thumb {
    /// `L5H4 .50`
    fn caption(&self) -> String {
        let [layer, head] = &self.place;
        format!("L{layer}H{head} {}", self.score).trim_end().to_owned()
    }
}

impl Thumbs {
    /// Matrices of this side with captions, as many next to each other as a layer has.
    pub fn new(thumbs: Vec<Thumb>, across: usize, by_place: bool, side: f64) -> Self {
        Self { thumbs, across: across.max(1), by_place, side, captions: true, more: 0 }
    }

    /// Width of the widest caption.
    fn widest(&self, setting: Setting) -> f64 {
        self.thumbs.iter().map(|thumb| setting.label(&thumb.caption())).fold(0.0, f64::max)
    }

    fn rows(&self) -> usize {
        self.thumbs.len().div_ceil(self.across)
    }

    /// Distance of the corners of neighbours, and the place of the first.
    fn pitch(&self, setting: Setting) -> (f64, f64, At) {
        if self.captions {
            let widest = self.widest(setting).max(self.side);
            let gap = if setting.paper { GAP / 2.0 } else { GAP };
            return (widest + gap, self.side + LABEL + 6.0 + gap, (0.0, LABEL + 6.0));
        }
        (self.side + CLOSE, self.side + CLOSE, (NAMES, 0.0))
    }

    /// Width and height, points.
    pub fn extent(&self, setting: Setting) -> (f64, f64) {
        let (dx, dy, _) = self.pitch(setting);
        let (columns, rows) = (self.across.min(self.thumbs.len()) as f64, self.rows() as f64);
        if self.captions {
            let gap = if setting.paper { GAP / 2.0 } else { GAP };
            let more = if self.more > 0 { LABEL * 2.0 } else { 0.0 };
            return (columns * dx - gap, rows * dy - gap + more);
        }
        (NAMES + columns * dx - CLOSE, rows * dy - CLOSE + NAMES)
    }

    /// The same matrices in a width and height.
    pub fn on_paper(&self, setting: Setting, (width, height): (f64, f64)) -> Self {
        let widest = self.widest(setting).max(NARROW);
        let room = |across: usize| width / across as f64 - GAP / 2.0;
        let fits = |across: usize| {
            let rows = self.thumbs.len().div_ceil(across) as f64;
            room(across) >= widest && rows * (room(across).min(self.side) + LABEL + 6.0 + GAP / 2.0) <= height * 1.3
        };
        if self.by_place && !fits(self.across) {
            // The names of rows and columns say which head it is.
            let rows = self.rows() as f64;
            let side = ((width - NAMES) / self.across as f64).min((height - NAMES) / rows) - CLOSE;
            return Self { side: side.max(2.0), captions: false, ..self.clone() };
        }
        let most = self.across.max(1);
        let found =
            if self.by_place { Some(self.across) } else { (1..=most).rev().find(|across| room(*across) >= widest) };
        let across = found.unwrap_or(1);
        let side = room(across).min(self.side * 1.5);
        // The best ones that fit on a page; the table has all.
        let rows = ((height - LABEL * 2.0) / (side + LABEL + 6.0 + GAP / 2.0)).floor().max(1.0) as usize;
        let shown = (rows * across).min(self.thumbs.len());
        let more = self.thumbs.len() - shown;
        Self { thumbs: self.thumbs[..shown].to_vec(), across, side, more, ..self.clone() }
    }

    /// Draws the matrices with the top left corner at `at`.
    pub fn draw(&self, pen: &mut Pen, setting: Setting, at: At) {
        let skin = pen.skin;
        let (dx, dy, first) = self.pitch(setting);
        for (i, thumb) in self.thumbs.iter().enumerate() {
            let (x, y) =
                (at.0 + first.0 + (i % self.across) as f64 * dx, at.1 + first.1 + (i / self.across) as f64 * dy);
            if self.captions {
                pen.text((x, y - 6.0 - LABEL / 2.0), &thumb.caption(), LABEL, Align::Start, skin.ink);
                pen.frame((x - 1.0, y - 1.0), (x + self.side + 1.0, y + self.side + 1.0), 1.0, skin.rule);
            }
            let cells: Vec<Rgb> =
                thumb.values.iter().map(|value| ramp(*value, (0.0, 1.0)).unwrap_or(skin.paper)).collect();
            pen.pixels((x, y), (x + self.side, y + self.side), thumb.side, cells);
            // The keys after the query are blank, which leaves room for a score.
            if !self.captions && self.side >= ROOMY {
                let at = (x + self.side - 1.0, y + SCORE * 0.7);
                pen.text(at, &thumb.score, SCORE, Align::End, skin.ink);
            }
        }
        if self.more > 0 {
            let text = format!("… and {} more", self.more);
            let y = at.1 + self.extent(setting).1 - LABEL / 2.0;
            pen.text((at.0, y), &text, LABEL, Align::Start, skin.dim);
        }
        if !self.captions {
            self.names(pen, at, (dx, dy));
        }
    }

    /// Layers at the left, heads below.
    fn names(&self, pen: &mut Pen, at: At, (dx, dy): (f64, f64)) {
        let skin = pen.skin;
        let every = |room: f64, step: f64| ((room / step).ceil() as usize).max(1);
        let rows: Vec<&Thumb> = self.thumbs.iter().step_by(self.across).collect();
        for (row, thumb) in rows.iter().enumerate().step_by(every(LABEL * 1.1, dy)) {
            let y = at.1 + (row as f64 + 0.5) * dy - CLOSE / 2.0;
            pen.text((at.0 + NAMES - 5.0, y), &thumb.place[0], LABEL, Align::End, skin.ink);
        }
        let below = at.1 + rows.len() as f64 * dy;
        for (col, thumb) in self.thumbs.iter().take(self.across).enumerate().step_by(every(LABEL * 1.6, dx)) {
            let x = at.0 + NAMES + (col as f64 + 0.5) * dx - CLOSE / 2.0;
            pen.text((x, below + 3.0 + LABEL / 2.0), &thumb.place[1], LABEL, Align::Middle, skin.ink);
        }
        let across = self.across.min(self.thumbs.len()) as f64 * dx;
        pen.text(
            (at.0 + NAMES + across / 2.0, below + NAMES - LABEL / 2.0 - 2.0),
            "head",
            LABEL,
            Align::Middle,
            skin.dim,
        );
        pen.upward((at.0 + LABEL / 2.0, (at.1 + below) / 2.0), "layer", LABEL, Align::Middle, skin.dim);
    }
}
