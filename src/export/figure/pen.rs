//! Drawing in points: what is drawn is collected, and each file format writes it in its own way.

use super::font::Face;

/// Red, green, blue.
pub type Rgb = (u8, u8, u8);
/// A place on the page, points from the top left corner.
pub type At = (f64, f64);

/// The colours of everything that is not data.
#[derive(Clone, Copy)]
pub struct Skin {
    pub paper: Rgb,
    pub ink: Rgb,
    /// Text that matters less.
    pub dim: Rgb,
    /// Frames and rules.
    pub rule: Rgb,
}

impl Skin {
    pub fn new(dark: bool) -> Self {
        if dark {
            let (paper, ink) = ((0x16, 0x18, 0x1d), (0xe4, 0xe4, 0xe4));
            Self { paper, ink, dim: (0xa2, 0xa4, 0xaa), rule: (0x50, 0x54, 0x5c) }
        } else {
            let (paper, ink) = ((0xff, 0xff, 0xff), (0x14, 0x14, 0x14));
            Self { paper, ink, dim: (0x5c, 0x5c, 0x5c), rule: (0xb4, 0xb4, 0xb4) }
        }
    }
}

/// The place of a text relative to the point that it is drawn at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    Start,
    Middle,
    End,
}

/// A line of text.
#[derive(Clone, Debug)]
pub struct Text {
    /// Where its baseline begins.
    pub at: At,
    pub text: String,
    /// Height of the font, points.
    pub em: f64,
    pub colour: Rgb,
    /// Whether it is read from the bottom to the top.
    pub upward: bool,
}

/// One thing on the page.
#[derive(Clone, Debug)]
pub enum Mark {
    /// A filled rectangle from one corner to the other. A `cell` has neighbours to its right and below, drawn after it.
    Rect {
        from: At,
        to: At,
        colour: Rgb,
        cell: bool,
    },
    /// A filled polygon.
    Polygon {
        corners: Vec<At>,
        colour: Rgb,
    },
    /// A line through points, with round ends.
    Path {
        points: Vec<At>,
        width: f64,
        colour: Rgb,
    },
    /// A filled disc.
    Disc {
        centre: At,
        radius: f64,
        colour: Rgb,
    },
    Text(Text),
    /// Equal cells between two corners, row by row.
    Pixels {
        from: At,
        to: At,
        columns: usize,
        cells: Vec<Rgb>,
    },
}

/// Draws in points from the top left corner.
pub struct Pen {
    pub skin: Skin,
    pub face: Face,
    pub marks: Vec<Mark>,
}

impl Pen {
    pub fn new(face: Face, skin: Skin) -> Self {
        Self { skin, face, marks: Vec::new() }
    }

    /// A filled rectangle from one corner to the other.
    pub fn rect(&mut self, from: At, to: At, colour: Rgb) {
        if from.0 < to.0 && from.1 < to.1 {
            self.marks.push(Mark::Rect { from, to, colour, cell: false });
        }
    }

    /// A rectangle of a surface without gaps. Its neighbours to the right and below have to be drawn after it.
    pub fn cell(&mut self, from: At, to: At, colour: Rgb) {
        if from.0 < to.0 && from.1 < to.1 {
            self.marks.push(Mark::Rect { from, to, colour, cell: true });
        }
    }

    /// Equal cells `[rows, columns]` between two corners.
    pub fn pixels(&mut self, from: At, to: At, columns: usize, cells: Vec<Rgb>) {
        if columns > 0 && !cells.is_empty() {
            self.marks.push(Mark::Pixels { from, to, columns, cells });
        }
    }

    /// The inside edge of a rectangle.
    pub fn frame(&mut self, from: At, to: At, width: f64, colour: Rgb) {
        self.rect(from, (to.0, from.1 + width), colour);
        self.rect((from.0, to.1 - width), to, colour);
        self.rect(from, (from.0 + width, to.1), colour);
        self.rect((to.0 - width, from.1), to, colour);
    }

    /// A filled polygon.
    pub fn polygon(&mut self, corners: &[At], colour: Rgb) {
        self.marks.push(Mark::Polygon { corners: corners.to_vec(), colour });
    }

    /// A line through points.
    pub fn path(&mut self, points: &[At], width: f64, colour: Rgb) {
        if !points.is_empty() {
            self.marks.push(Mark::Path { points: points.to_vec(), width, colour });
        }
    }

    /// A filled disc.
    pub fn disc(&mut self, centre: At, radius: f64, colour: Rgb) {
        self.marks.push(Mark::Disc { centre, radius, colour });
    }

    /// A line of text whose middle is at height `at.1`. The characters must be drawable.
    pub fn text(&mut self, at: At, text: &str, em: f64, align: Align, colour: Rgb) {
        self.letters(at, text, em, align, colour, false);
    }

    /// As [`Pen::text`], read from the bottom to the top.
    pub fn upward(&mut self, at: At, text: &str, em: f64, align: Align, colour: Rgb) {
        self.letters(at, text, em, align, colour, true);
    }

    fn letters(&mut self, (x, y): At, text: &str, em: f64, align: Align, colour: Rgb, upward: bool) {
        if text.trim().is_empty() {
            return;
        }
        let before = match align {
            Align::Start => 0.0,
            Align::Middle => self.face.width(text) / 2.0,
            Align::End => self.face.width(text),
        };
        let (back, below) = (before * em, self.face.half_cap() * em);
        let at = if upward { (x + below, y + back) } else { (x - back, y + below) };
        self.marks.push(Mark::Text(Text { at, text: text.to_owned(), em, colour, upward }));
    }
}
