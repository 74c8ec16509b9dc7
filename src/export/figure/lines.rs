//! Lines over labelled positions on an axis.

use super::Setting;
use super::grid::{Axis, LABEL, Turn, cut};
use super::pen::{Align, At, Pen};
use super::round::{axis, trim, up};
use crate::analysis::colour_map::EXPERTS;

/// The scale of the values.
#[derive(Clone, Copy)]
pub enum Scale {
    /// Linear, from 0 at the bottom to a round number at the top, which holds this value.
    Linear(f64),
    /// Ranks on a logarithmic scale, from 1 at the top to a round number at the bottom, which is at least this rank.
    Ranks(f64),
}

/// One line.
#[derive(Clone)]
pub struct Series {
    /// Its label; the characters must be drawable.
    pub label: String,
    /// One value for each label of the axis; NaN is left out.
    pub points: Vec<f64>,
}

/// A plot of lines.
#[derive(Clone)]
pub struct Lines {
    pub caption: String,
    pub x: Axis,
    /// Name of the values.
    pub y: String,
    pub scale: Scale,
    pub series: Vec<Series>,
    /// Width and height of the plot, points.
    pub plot: (f64, f64),
    /// What it shares with plots above and below it.
    pub shared: Shared,
}

/// What a plot shares with others, so that their axes are one below the other.
#[derive(Clone, Copy, Default)]
pub struct Shared {
    /// Room that the names of lines need in one of them, points.
    pub right: f64,
    /// Whether the labels of the positions stand below another one.
    pub bare: bool,
}

const LEFT: f64 = 58.0;
const TOP: f64 = LABEL + 12.0;
/// The lowest plot on paper.
const LOW: f64 = 150.0;
/// Room between the plot and the names of the lines: their marks.
const MARKS: f64 = 21.0;

impl Lines {
    fn right(&self, setting: Setting) -> f64 {
        let label = |series: &Series| setting.label(&cut(&series.label, setting));
        (self.series.iter().map(label).fold(0.0, f64::max) + MARKS + 5.0).max(self.shared.right)
    }

    fn top(&self) -> f64 {
        if self.caption.is_empty() { LABEL / 2.0 } else { TOP }
    }

    fn below(&self, setting: Setting) -> f64 {
        if self.shared.bare {
            return 6.0;
        }
        let labels = if self.x.turn == Turn::Upward { self.x.height(setting) } else { LABEL };
        labels + 2.0 * LABEL + 12.0
    }

    /// Width and height with labels, points.
    pub fn extent(&self, setting: Setting) -> (f64, f64) {
        let width = LEFT + self.plot.0 + self.right(setting);
        (width.max(LEFT + setting.label(&self.caption)), self.top() + self.plot.1 + self.below(setting))
    }

    /// Makes plots of the same positions that follow each other share their axis.
    pub fn share(plots: &mut [&mut Self], setting: Setting) {
        let right = plots.iter().map(|plot| plot.right(setting)).fold(0.0, f64::max);
        let last = plots.len().saturating_sub(1);
        for (i, plot) in plots.iter_mut().enumerate() {
            plot.shared = Shared { right, bare: i < last };
        }
    }

    /// The same lines in a width.
    pub fn on_paper(&self, setting: Setting, width: f64) -> Self {
        let room = (width - LEFT - self.right(setting)).max(60.0);
        let plot = (room, (room * 0.5).clamp(LOW, self.plot.1.max(LOW)));
        // The name of the values stands at the axis already.
        let (caption, y) = match (self.caption.starts_with(&self.y), self.y.starts_with(&self.caption)) {
            (true, _) => (String::new(), self.caption.clone()),
            (_, true) => (String::new(), self.y.clone()),
            _ => (self.caption.clone(), self.y.clone()),
        };
        Self { caption, y, plot, ..self.clone() }
    }

    /// The place of a value, from 0 at the top of the plot to 1 at the bottom.
    fn height(&self, value: f64) -> f64 {
        let t = match self.scale {
            Scale::Linear(max) => 1.0 - value / axis(max, 4.0).0,
            Scale::Ranks(max) => value.max(1.0).ln() / last(max).ln(),
        };
        t.clamp(0.0, 1.0)
    }

    fn ticks(&self) -> Vec<(f64, String)> {
        match self.scale {
            Scale::Linear(max) => {
                let (end, step) = axis(max, 4.0);
                let tick = |i: u32| (f64::from(i) * step, trim(f64::from(i) * step));
                (0..=(end / step).round() as u32).map(tick).collect()
            }
            Scale::Ranks(max) => {
                let end = last(max);
                let powers = (0..9).map(|i| 10f64.powi(i)).filter(|rank| *rank < end * 0.7);
                powers.chain([end]).map(|rank| (rank, trim(rank))).collect()
            }
        }
    }

    /// Draws the plot with its top left corner at `at`.
    pub fn draw(&self, pen: &mut Pen, setting: Setting, at: At) {
        let skin = pen.skin;
        let (x0, y0) = (at.0 + LEFT, at.1 + self.top());
        let (w, h) = self.plot;
        pen.text((x0, at.1 + LABEL / 2.0), &self.caption, LABEL, Align::Start, skin.ink);
        for (value, label) in self.ticks() {
            let y = y0 + self.height(value) * h;
            let thin = if setting.paper { 0.3 } else { 0.5 };
            pen.rect((x0, y - thin), (x0 + w, y + thin), skin.rule);
            pen.text((x0 - 6.0, y), &label, LABEL, Align::End, skin.ink);
        }
        pen.upward((at.0 + LABEL / 2.0, y0 + h / 2.0), &self.y, LABEL, Align::Middle, skin.dim);
        self.positions(pen, setting, (x0, y0 + h));
        let steps = self.x.labels.len();
        let x_of = |i: usize| x0 + (i as f64 + 0.5) * w / steps.max(1) as f64;
        // Where points are close, marks would hide the lines. The first line is the last one drawn and the thinnest, so that
        // lines on the same points are all seen.
        let radius = if w / steps.max(1) as f64 >= 7.0 { 2.8 } else { 1.4 };
        for (i, series) in self.series.iter().enumerate().rev() {
            let more = 1.0 + 0.45 * i.min(3) as f64;
            let colour = EXPERTS[LINES[i % LINES.len()]];
            let known =
                |(step, value): (usize, &f64)| (!value.is_nan()).then(|| (x_of(step), y0 + self.height(*value) * h));
            let points: Vec<At> = series.points.iter().enumerate().filter_map(known).collect();
            pen.path(&points, 1.3 * more, colour);
            points.into_iter().for_each(|point| mark(pen, i, point, radius * more));
        }
        self.names(pen, setting, (x0 + w, y0));
    }

    /// The labels below the plot.
    fn positions(&self, pen: &mut Pen, setting: Setting, (x0, y): At) {
        if self.shared.bare {
            return;
        }
        let (skin, w, steps) = (pen.skin, self.plot.0, self.x.labels.len());
        let each = w / steps.max(1) as f64;
        let every = self.x.step(setting, each, true);
        for (i, label) in self.x.labels.iter().enumerate().step_by(every) {
            let x = x0 + (i as f64 + 0.5) * each;
            pen.rect((x - 0.5, y), (x + 0.5, y + 4.0), skin.rule);
            let label = cut(label, setting);
            match self.x.turn {
                Turn::Upward => pen.upward((x, y + 6.0), &label, LABEL, Align::End, skin.ink),
                _ => pen.text((x, y + 6.0 + LABEL / 2.0), &label, LABEL, Align::Middle, skin.ink),
            }
        }
        let name = (x0 + w / 2.0, y + self.below(setting) - 2.0 - LABEL);
        pen.text(name, &self.x.name, LABEL, Align::Middle, skin.dim);
    }

    /// The name of each line where it ends, with a distance between names.
    fn names(&self, pen: &mut Pen, setting: Setting, (x, y0): At) {
        let end = |series: &Series| series.points.iter().rev().find(|value| !value.is_nan()).copied();
        let ends = self.series.iter().enumerate().filter_map(|(i, series)| Some((i, self.height(end(series)?))));
        let mut ends: Vec<(usize, f64)> = ends.collect();
        ends.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
        let line = LABEL * 1.25;
        let all = ends.len().saturating_sub(1) as f64 * line;
        let mut free = f64::NEG_INFINITY;
        for (k, (i, height)) in ends.iter().enumerate() {
            // High enough to leave room for the names below it.
            let lowest = self.plot.1.max(all) - (ends.len() - 1 - k) as f64 * line;
            let y = (height * self.plot.1).max(free).min(lowest);
            free = y + line;
            mark(pen, *i, (x + 12.0, y0 + y), 4.5);
            let label = cut(&self.series[*i].label, setting);
            pen.text((x + MARKS, y0 + y), &label, LABEL, Align::Start, pen.skin.ink);
        }
    }
}

/// The rank at the end of a scale that holds ranks up to `max`.
fn last(max: f64) -> f64 {
    up(max.max(2.0))
}

/// The order of the colours of lines: the first two are the farthest apart for every kind of colour vision, and the pale
/// ones, which are hard to see as lines on white, come last.
const LINES: [usize; 8] = [4, 5, 2, 6, 0, 1, 7, 3];

/// The mark of the `i`-th line: four shapes, so that lines differ by more than their colours.
fn mark(pen: &mut Pen, i: usize, (x, y): At, r: f64) {
    let colour = EXPERTS[LINES[i % LINES.len()]];
    match i % 4 {
        0 => pen.disc((x, y), r, colour),
        1 => pen.rect((x - r, y - r), (x + r, y + r), colour),
        2 => pen.polygon(&[(x, y - 1.4 * r), (x + 1.4 * r, y), (x, y + 1.4 * r), (x - 1.4 * r, y)], colour),
        _ => pen.polygon(&[(x, y - 1.3 * r), (x + 1.3 * r, y + r), (x - 1.3 * r, y + r)], colour),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_fall_from_one_at_the_top() {
        let lines = |scale| Lines {
            caption: String::new(),
            x: Axis::default(),
            y: String::new(),
            scale,
            series: Vec::new(),
            plot: (100.0, 100.0),
            shared: Shared::default(),
        };
        let ranks = lines(Scale::Ranks(1000.0));
        assert_eq!((ranks.height(1.0), ranks.height(1000.0)), (0.0, 1.0));
        assert!((ranks.height(10.0) - 1.0 / 3.0).abs() < 1e-9);
        let labels: Vec<String> = ranks.ticks().into_iter().map(|tick| tick.1).collect();
        assert_eq!(labels, ["1", "10", "100", "1000"]);
        // A round number that holds the value, and values beyond it at the edge.
        let linear = lines(Scale::Linear(0.93));
        assert_eq!((linear.height(1.0), linear.height(0.0), linear.height(9.0)), (0.0, 1.0, 0.0));
        let ends = |max: f64| lines(Scale::Ranks(max)).ticks().pop();
        assert_eq!(ends(77.0), Some((80.0, "80".to_owned())));
    }
}
