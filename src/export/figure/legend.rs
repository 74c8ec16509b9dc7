//! Legends: the meaning of colours and marks.

use super::font;
use super::grid::ramp;
use super::lines::trim;
use super::pen::{Align, Pen};
use crate::analysis::colour_map::EXPERTS;
use anyhow::Result;
use plotters::backend::DrawingBackend;

/// Height of a legend, points.
pub const HEIGHT: f64 = 20.0;
const TEXT: f64 = 11.0;
const BAR: f64 = 128.0;
const SWATCH: f64 = 14.0;

/// One entry of the row of legends.
pub enum Legend {
    /// Colours of values: name, lowest, highest.
    Ramp(String, f32, f32),
    /// Colours of this many categories: name, number.
    Categories(String, usize),
    /// The meaning of a frame around a cell.
    Frame(String),
    /// The meaning of a mark in the corner of a cell.
    Corner(String),
    /// A sentence.
    Text(String),
}

impl Legend {
    fn ends(low: f32, high: f32) -> (String, String) {
        (trim(f64::from(low)), trim(f64::from(high)))
    }

    /// Width in points.
    pub fn width(&self) -> f64 {
        let text = |text: &str| font::width(text) * TEXT;
        match self {
            Self::Ramp(name, low, high) => {
                let (low, high) = Self::ends(*low, *high);
                text(name) + text(&low) + text(&high) + BAR + 22.0
            }
            Self::Categories(name, count) => text(name) + 8.0 + *count as f64 * (SWATCH + 3.0),
            Self::Frame(name) | Self::Corner(name) => text(name) + SWATCH + 8.0,
            Self::Text(name) => text(name),
        }
    }

    /// Draws the legend with its top left corner at `at`.
    ///
    /// # Errors
    /// If the backend fails.
    pub fn draw<B: DrawingBackend>(&self, pen: &mut Pen<B>, at: (f64, f64)) -> Result<()> {
        let (skin, y) = (pen.skin, at.1 + HEIGHT / 2.0);
        let (top, bottom) = (y - SWATCH / 2.0, y + SWATCH / 2.0);
        let mut x = at.0;
        let say = |pen: &mut Pen<B>, x: &mut f64, text: &str| {
            pen.text((*x, y), text, TEXT, Align::Start, skin.ink)?;
            *x += font::width(text) * TEXT;
            anyhow::Ok(())
        };
        match self {
            Self::Ramp(name, low, high) => {
                let (from, to) = (*low, *high);
                let (low, high) = Self::ends(*low, *high);
                say(pen, &mut x, name)?;
                x += 10.0;
                say(pen, &mut x, &low)?;
                x += 6.0;
                for i in 0..128 {
                    let share = i as f32 / 127.0;
                    // A scale whose lowest value is the best has its colours the other way round already.
                    let is_signed = from < 0.0 && to > 0.0;
                    let (value, range) =
                        if is_signed { (from + share * (to - from), (from, to)) } else { (share, (0.0, 1.0)) };
                    let colour = ramp(value, range).unwrap_or(skin.paper);
                    let step = BAR / 128.0;
                    pen.rect((x + f64::from(i) * step, top), (x + f64::from(i + 1) * step, bottom), colour)?;
                }
                x += BAR + 6.0;
                say(pen, &mut x, &high)
            }
            Self::Categories(name, count) => {
                say(pen, &mut x, name)?;
                x += 8.0;
                for i in 0..*count {
                    pen.rect((x, top), (x + SWATCH, bottom), EXPERTS[i % EXPERTS.len()])?;
                    pen.text((x + SWATCH / 2.0, y), &i.to_string(), TEXT, Align::Middle, (0, 0, 0))?;
                    x += SWATCH + 3.0;
                }
                Ok(())
            }
            Self::Frame(name) => {
                pen.rect((x, top), (x + SWATCH, bottom), EXPERTS[2])?;
                pen.frame((x, top), (x + SWATCH, bottom), 2.0, (0xff, 0xff, 0xff))?;
                pen.frame((x, top), (x + SWATCH, bottom), 1.0, (0, 0, 0))?;
                x += SWATCH + 8.0;
                say(pen, &mut x, name)
            }
            Self::Corner(name) => {
                pen.rect((x, top), (x + SWATCH, bottom), EXPERTS[7])?;
                let right = x + SWATCH;
                pen.polygon(&[(right - 8.0, top), (right, top), (right, top + 8.0)], (0xd0, 0, 0))?;
                x += SWATCH + 8.0;
                say(pen, &mut x, name)
            }
            Self::Text(name) => say(pen, &mut x, name),
        }
    }
}
