//! Drawing in points, on any backend of plotters.

use super::font::{self, FAMILY, HALF_CAP};
use anyhow::{Result, anyhow};
use plotters::backend::DrawingBackend;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{
    Color, FontDesc, FontFamily, FontStyle, FontTransform, RGBAColor, RGBColor, ShapeStyle, TextStyle,
};

/// Red, green, blue.
pub type Rgb = (u8, u8, u8);

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

/// Where text becomes glyphs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Letters {
    /// In the pen, from the bundled font.
    Drawn,
    /// In the viewer of the file, from one of the viewer's fonts.
    Named,
}

/// The place of a text relative to the point that it is drawn at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Align {
    Start,
    Middle,
    End,
}

/// Draws in points (1/96 inch at scale 1) from the top left corner.
pub struct Pen<'a, B> {
    backend: &'a mut B,
    scale: f64,
    letters: Letters,
    pub skin: Skin,
}

impl<'a, B: DrawingBackend> Pen<'a, B> {
    pub fn new(backend: &'a mut B, scale: f64, letters: Letters, skin: Skin) -> Self {
        Self { backend, scale, letters, skin }
    }

    /// Whether text is left to the viewer of the file.
    pub fn names(&self) -> bool {
        self.letters == Letters::Named
    }

    fn px(&self, at: f64) -> i32 {
        (at * self.scale).round() as i32
    }

    /// A filled rectangle from one corner to the other. Neighbours share an edge and leave no gap at any scale.
    pub fn rect(&mut self, from: (f64, f64), to: (f64, f64), colour: Rgb) -> Result<()> {
        let (from, to) = ((self.px(from.0), self.px(from.1)), (self.px(to.0), self.px(to.1)));
        if from.0 >= to.0 || from.1 >= to.1 {
            return Ok(());
        }
        self.backend.draw_rect(from, to, &rgb(colour), true).map_err(|error| anyhow!("{error}"))
    }

    /// The inside edge of a rectangle.
    pub fn frame(&mut self, from: (f64, f64), to: (f64, f64), width: f64, colour: Rgb) -> Result<()> {
        self.rect(from, (to.0, from.1 + width), colour)?;
        self.rect((from.0, to.1 - width), to, colour)?;
        self.rect(from, (from.0 + width, to.1), colour)?;
        self.rect((to.0 - width, from.1), to, colour)
    }

    /// A filled polygon.
    pub fn polygon(&mut self, corners: &[(f64, f64)], colour: Rgb) -> Result<()> {
        let corners: Vec<(i32, i32)> = corners.iter().map(|(x, y)| (self.px(*x), self.px(*y))).collect();
        self.backend.fill_polygon(corners, &rgb(colour)).map_err(|error| anyhow!("{error}"))
    }

    /// A line through points.
    pub fn path(&mut self, points: &[(f64, f64)], width: f64, colour: Rgb) -> Result<()> {
        let points: Vec<(i32, i32)> = points.iter().map(|(x, y)| (self.px(*x), self.px(*y))).collect();
        let color = RGBAColor(colour.0, colour.1, colour.2, 1.0);
        let style = ShapeStyle { color, filled: false, stroke_width: self.px(width).max(1) as u32 };
        self.backend.draw_path(points, &style).map_err(|error| anyhow!("{error}"))
    }

    /// A filled disc.
    pub fn disc(&mut self, centre: (f64, f64), radius: f64, colour: Rgb) -> Result<()> {
        let at = (self.px(centre.0), self.px(centre.1));
        let radius = self.px(radius).max(1) as u32;
        self.backend.draw_circle(at, radius, &rgb(colour), true).map_err(|error| anyhow!("{error}"))
    }

    /// A line of text whose middle is at height `at.1`. The characters must be drawable.
    pub fn text(&mut self, at: (f64, f64), text: &str, em: f64, align: Align, colour: Rgb) -> Result<()> {
        self.letters(at, text, em, align, colour, false)
    }

    /// As [`Pen::text`], read from the bottom to the top.
    pub fn upward(&mut self, at: (f64, f64), text: &str, em: f64, align: Align, colour: Rgb) -> Result<()> {
        self.letters(at, text, em, align, colour, true)
    }

    fn letters(
        &mut self,
        (x, y): (f64, f64),
        text: &str,
        em: f64,
        align: Align,
        colour: Rgb,
        upward: bool,
    ) -> Result<()> {
        if self.letters == Letters::Named {
            // The backend puts the baseline 0.76 em below the point.
            let below = em * (HALF_CAP - 0.76);
            let at = if upward { (x + below, y) } else { (x, y + below) };
            let turn = if upward { FontTransform::Rotate270 } else { FontTransform::None };
            let h = match align {
                Align::Start => HPos::Left,
                Align::Middle => HPos::Center,
                Align::End => HPos::Right,
            };
            let font = FontDesc::new(FontFamily::Name(FAMILY), em * self.scale * 1.24, FontStyle::Normal);
            let ink = rgb(colour);
            let style = TextStyle::from(font.transform(turn)).color(&ink).pos(Pos::new(h, VPos::Top));
            let at = (self.px(at.0), self.px(at.1));
            return self.backend.draw_text(text, &style, at).map_err(|error| anyhow!("{error}"));
        }
        let before = match align {
            Align::Start => 0.0,
            Align::Middle => font::width(text) / 2.0,
            Align::End => font::width(text),
        };
        let (along, below) = (-before * em, HALF_CAP * em);
        let start = if upward { (x + below, y - along) } else { (x + along, y + below) };
        let start = (self.px(start.0), self.px(start.1));
        let backend = &mut *self.backend;
        font::draw(text, em * self.scale, |dx, dy, cover| {
            let (dx, dy) = if upward { (dy, -dx) } else { (dx, dy) };
            let color = RGBAColor(colour.0, colour.1, colour.2, f64::from(cover)).to_backend_color();
            backend.draw_pixel((start.0 + dx, start.1 + dy), color).map_err(|error| anyhow!("{error}"))
        })
    }
}

fn rgb((r, g, b): Rgb) -> RGBColor {
    RGBColor(r, g, b)
}
