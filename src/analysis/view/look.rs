//! The look of a picture: style, size, and what these options may be.

use anyhow::{Result, anyhow, bail, ensure};
use std::fmt;
use std::str::FromStr;

/// The look of a picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Look {
    /// What the picture is for.
    pub style: Style,
    /// Pixels per point in the style `screen`: 1 for a screen, 2 or more for a slide.
    pub scale: f64,
    /// Light text on a dark ground.
    pub dark: bool,
}

impl Default for Look {
    fn default() -> Self {
        Self { style: Style::Screen, scale: 1.0, dark: false }
    }
}

/// What a picture is for.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Style {
    /// To look at: a title, the run, notes, a monospaced font, and as large as its cells need.
    #[default]
    Screen,
    /// To print: a proportional font, no title, and this width. The caption is in the metadata.
    Paper {
        /// Width of the page.
        width: Width,
        /// Pixels per inch of a PNG.
        dpi: u32,
    },
}

/// Pixels per inch of a PNG for paper, if nothing else is requested.
pub const DPI: u32 = 300;
/// The pixels per inch that can be requested.
pub const DPI_RANGE: std::ops::RangeInclusive<u32> = 50..=1200;

/// Below this nothing is left of a cell.
const LEAST_SCALE: f64 = 0.05;

/// Width of a picture for paper.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Width {
    /// Centimetres.
    cm: f64,
}

/// Narrowest and widest picture, cm.
const WIDTHS: (f64, f64) = (4.0, 60.0);

impl Width {
    /// One column of a page of two columns.
    pub const COLUMN: Self = Self { cm: 8.5 };
    /// Both columns.
    pub const PAGE: Self = Self { cm: 17.5 };

    /// The width in centimetres.
    pub fn cm(self) -> f64 {
        self.cm
    }
}

impl FromStr for Width {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || anyhow!("expected column, page, or a length such as 8.5cm, 85mm or 3.35in, found `{text}`");
        let text = text.trim();
        match text {
            "column" => return Ok(Self::COLUMN),
            "page" => return Ok(Self::PAGE),
            _ => {}
        }
        let units = [("cm", 1.0), ("mm", 0.1), ("in", 2.54)];
        let of = |(unit, cm): (&str, f64)| text.strip_suffix(unit)?.trim().parse::<f64>().ok().map(|n| n * cm);
        let cm = units.into_iter().find_map(of).filter(|cm| cm.is_finite()).ok_or_else(wrong)?;
        let (least, most) = WIDTHS;
        ensure!((least..=most).contains(&cm), "expected a width from {least} to {most} cm, found `{text}`");
        Ok(Self { cm })
    }
}

impl fmt::Display for Width {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::COLUMN => f.pad("column"),
            Self::PAGE => f.pad("page"),
            Self { cm } => write!(f, "{cm}cm"),
        }
    }
}

/// The options of a look as they are requested, by the names that the command line and the palette share.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LookOptions<'a> {
    /// `screen` or `paper`.
    pub style: Option<&'a str>,
    /// A [`Width`]; of paper only.
    pub width: Option<&'a str>,
    /// Of paper only.
    pub dpi: Option<u32>,
    /// Of the style `screen` only.
    pub scale: Option<f64>,
    /// Light text on a dark ground.
    pub dark: bool,
}

impl LookOptions<'_> {
    /// The look.
    ///
    /// # Errors
    /// Names the first option that has no such value, or that does not apply to the style: `width: expected …`.
    pub fn look(&self) -> Result<Look> {
        let is_paper = match self.style {
            None | Some("screen") => false,
            Some("paper") => true,
            Some(other) => bail!("style: expected screen or paper, found `{other}`"),
        };
        let scale = self.scale.unwrap_or(1.0);
        ensure!(scale.is_finite() && scale > 0.0, "scale: expected a number above 0, found {scale}");
        ensure!(scale >= LEAST_SCALE, "scale: expected at least {LEAST_SCALE}, found {scale}");
        if is_paper {
            ensure!(self.scale.is_none(), "scale: it applies to the style screen; paper has width and dpi");
            let width = self.width.map(|width| width.parse().map_err(|error| anyhow!("width: {error}")));
            let dpi = self.dpi.unwrap_or(DPI);
            let (least, most) = (DPI_RANGE.start(), DPI_RANGE.end());
            ensure!(DPI_RANGE.contains(&dpi), "dpi: expected a whole number from {least} to {most}, found {dpi}");
            let style = Style::Paper { width: width.transpose()?.unwrap_or(Width::COLUMN), dpi };
            return Ok(Look { style, scale: 1.0, dark: self.dark });
        }
        for (name, is_given) in [("width", self.width.is_some()), ("dpi", self.dpi.is_some())] {
            ensure!(!is_given, "{name}: it applies to the style paper; screen has scale");
        }
        Ok(Look { style: Style::Screen, scale, dark: self.dark })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_have_names_and_units() {
        let cm = |text: &str| text.parse::<Width>().unwrap().cm();
        assert_eq!((cm("column"), cm("page"), cm("12.5cm"), cm("85mm")), (8.5, 17.5, 12.5, 8.5));
        assert!((cm("3.35 in") - 8.509).abs() < 1e-9);
        for wrong in ["8.5", "cm", "nancm", "8.5pt", "", "-1cm", "3cm", "100cm", "infin"] {
            assert!(wrong.parse::<Width>().is_err(), "{wrong}");
        }
        assert_eq!(
            ["column", "page", "9cm"].map(|text| text.parse::<Width>().unwrap().to_string()),
            ["column", "page", "9cm"]
        );
    }

    #[test]
    fn options_apply_to_their_style() {
        let error = |options: LookOptions| options.look().unwrap_err().to_string();
        let paper = LookOptions { style: Some("paper"), ..LookOptions::default() };
        assert_eq!(paper.look().unwrap().style, Style::Paper { width: Width::COLUMN, dpi: 300 });
        assert!(error(LookOptions { scale: Some(2.0), ..paper }).starts_with("scale: it applies to the style screen"));
        assert!(
            error(LookOptions { dpi: Some(20), ..paper }).starts_with("dpi: expected a whole number from 50 to 1200")
        );
        assert!(error(LookOptions { width: Some("wide"), ..paper }).starts_with("width: expected column, page"));
        assert!(error(LookOptions { width: Some("page"), ..LookOptions::default() }).contains("the style paper"));
        assert!(error(LookOptions { style: Some("poster"), ..paper }).contains("found `poster`"));
        assert_eq!(LookOptions::default().look().unwrap(), Look::default());
    }
}
