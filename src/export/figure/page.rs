//! A finished page: its size, what is on it, and how to make it again. Each file format writes the same page.

use super::about::About;
use super::font::Face;
use super::pen::{Mark, Pen};
use anyhow::{Result, bail, ensure};

/// The longest side of a picture, pixels.
const MAX_SIDE: f64 = 12_000.0;
/// The largest picture, pixels.
const MAX_AREA: f64 = 100e6;

/// The size of a page.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Size {
    /// Width and height, in the points that marks are placed in.
    pub points: (f64, f64),
    /// One such point in 1/72 inch.
    pub unit: f64,
    /// Pixels per point of a PNG.
    pub scale: f64,
    /// Pixels per inch that a PNG says it has.
    pub dpi: Option<u32>,
}

impl Size {
    /// Points of 1/96 inch, which are pixels at scale 1.
    pub fn on_screen(points: (f64, f64), scale: f64) -> Self {
        Self { points, unit: 0.75 * scale, scale, dpi: None }
    }

    /// The size in centimetres.
    pub fn cm(&self) -> (f64, f64) {
        (self.points.0 * self.unit / 72.0 * 2.54, self.points.1 * self.unit / 72.0 * 2.54)
    }

    /// The size of a PNG.
    ///
    /// # Errors
    /// If the scale is not a positive number or the picture would be too large.
    pub fn pixels(&self) -> Result<(u32, u32)> {
        let scale = self.scale;
        ensure!(scale.is_finite() && scale > 0.0, "the scale {scale} is not a number above 0");
        // What is a whole number of pixels must not get one more because of rounding.
        let whole = |points: f64| (points * scale - 1e-6).ceil().max(1.0);
        let (w, h) = (whole(self.points.0), whole(self.points.1));
        if w.max(h) > MAX_SIDE || w * h > MAX_AREA {
            let (x, y) = self.points;
            let largest = (MAX_SIDE / x.max(y)).min((MAX_AREA / x / y).sqrt());
            let what = match self.dpi {
                Some(dpi) => {
                    format!("resolution can be at most {:.0} dpi", (f64::from(dpi) * largest / scale + 1e-6).floor())
                }
                None => format!("scale can be at most {}", (largest * 100.0).floor() / 100.0),
            };
            bail!("a picture of {w} × {h} pixels is too large; the {what} for it");
        }
        Ok((w as u32, h as u32))
    }
}

/// A page.
pub struct Page {
    pub size: Size,
    pub face: Face,
    pub marks: Vec<Mark>,
    pub about: About,
}

impl Page {
    /// What the pen drew, as a page.
    ///
    /// # Errors
    /// If it would be too large.
    pub fn new(pen: Pen, size: Size, about: About) -> Result<Self> {
        size.pixels()?;
        Ok(Self { size, face: pen.face, marks: pen.marks, about })
    }
}
