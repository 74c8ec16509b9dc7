//! Horizontal bars on one axis.

use super::Setting;
use super::grid::LABEL;
use super::pen::{Align, At, Pen};
use super::round::{axis, trim};
use crate::analysis::colour_map::EXPERTS;

/// Horizontal bars. Negative values go to the left of the zero that all share, in another colour.
#[derive(Clone)]
pub struct Bars {
    /// (label, value, text after the bar); the characters must be drawable.
    pub rows: Vec<(String, f64, String)>,
    /// Length of the axis, points.
    pub length: f64,
    /// Heading of the labels, and name of the axis with its unit.
    pub heads: (String, String),
}

const BAR: f64 = 17.0;
/// Room for the ticks of the axis and its name.
const AXIS: f64 = 34.0;

impl Bars {
    /// The lowest and highest value of the axis, and the distance of its ticks.
    fn scale(&self) -> (f64, f64, f64) {
        let size = |sign: f64| self.rows.iter().map(|row| sign * row.1).filter(|v| v.is_finite()).fold(0.0, f64::max);
        let (most, least) = (size(1.0), size(-1.0));
        let (_, step) = axis(most.max(least), 4.0);
        let whole = |value: f64| (value / step * (1.0 - 1e-6)).ceil().max(0.0) * step;
        let (low, high) = (-whole(least), whole(most));
        if high > low { (low, high, step) } else { (0.0, 1.0, 0.25) }
    }

    fn left(&self, setting: Setting) -> f64 {
        let labels = self.rows.iter().map(|row| &row.0).chain([&self.heads.0]);
        labels.map(|label| setting.label(label)).fold(0.0, f64::max) + 8.0
    }

    fn notes(&self, setting: Setting) -> f64 {
        let widest = self.rows.iter().map(|row| setting.label(&row.2)).fold(0.0, f64::max);
        if widest > 0.0 { widest + 8.0 } else { 0.0 }
    }

    /// Room below the axis for half of its last label.
    const END: f64 = 14.0;

    /// Width and height with labels, points.
    pub fn extent(&self, setting: Setting) -> (f64, f64) {
        let axis = self.length + self.notes(setting).max(Self::END);
        (self.left(setting) + axis.max(setting.label(&self.heads.1)), (self.rows.len() + 1) as f64 * BAR + AXIS)
    }

    /// The same bars in a width.
    pub fn on_paper(&self, setting: Setting, width: f64) -> Self {
        let length = width - self.left(setting) - self.notes(setting).max(Self::END);
        Self { length: length.clamp(60.0, 420.0), ..self.clone() }
    }

    /// Draws the bars with the top left corner at `at`.
    pub fn draw(&self, pen: &mut Pen, setting: Setting, at: At) {
        let (skin, x0) = (pen.skin, at.0 + self.left(setting));
        let middle = |row: usize| at.1 + (row as f64 + 0.5) * BAR;
        let (low, high, step) = self.scale();
        let x_of = |value: f64| x0 + (value.clamp(low, high) - low) / (high - low) * self.length;
        let (top, bottom) = (at.1 + BAR, at.1 + (self.rows.len() + 1) as f64 * BAR);
        pen.text((x0 - 8.0, middle(0)), &self.heads.0, LABEL, Align::End, skin.dim);
        let count = ((high - low) / step).round() as usize;
        let tick = |i: usize| low + i as f64 * step;
        let widest = (0..=count).map(|i| setting.label(&trim(tick(i)))).fold(0.0, f64::max) + 8.0;
        let every = (widest * count as f64 / self.length).ceil().max(1.0) as usize;
        pen.rect((x0, bottom - 0.4), (x0 + self.length, bottom + 0.4), skin.ink);
        for i in 0..=count {
            let x = x_of(tick(i));
            pen.rect((x - 0.4, bottom), (x + 0.4, bottom + 4.0), skin.ink);
            if i % every == 0 {
                pen.text((x, bottom + 6.0 + LABEL / 2.0), &trim(tick(i)), LABEL, Align::Middle, skin.ink);
            }
        }
        for (row, (label, value, note)) in self.rows.iter().enumerate() {
            let y = middle(row + 1);
            pen.text((x0 - 8.0, y), label, LABEL, Align::End, skin.ink);
            let (zero, end) = (x_of(0.0), x_of(*value));
            let (from, to, colour) = if *value < 0.0 {
                (end.min(zero - 1.0), zero, EXPERTS[0])
            } else {
                (zero, end.max(zero + 1.0), EXPERTS[1])
            };
            pen.rect((from, y - BAR * 0.36), (to, y + BAR * 0.36), colour);
            // Where bars go both ways, numbers stand in a column at the right, clear of all bars.
            let x = if low < 0.0 { x0 + self.length } else { to };
            pen.text((x + 6.0, y), note, LABEL, Align::Start, skin.ink);
        }
        let zero = x_of(0.0);
        pen.rect((zero - 0.4, top), (zero + 0.4, bottom), skin.ink);
        let name = (x0 + self.length / 2.0, bottom + 10.0 + 1.6 * LABEL);
        let half = setting.label(&self.heads.1) / 2.0;
        pen.text((name.0.max(x0 + half), name.1), &self.heads.1, LABEL, Align::Middle, skin.dim);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_of_both_signs_share_an_axis_that_ends_at_round_numbers() {
        let bars = |values: &[f64]| {
            let rows = values.iter().map(|value| (String::new(), *value, String::new())).collect();
            Bars { rows, length: 100.0, heads: (String::new(), String::new()) }
        };
        assert_eq!(bars(&[0.61, 0.2]).scale(), (0.0, 0.8, 0.2));
        assert_eq!(bars(&[1.9, -0.3]).scale(), (-0.5, 2.0, 0.5));
        assert_eq!(bars(&[-3.0]).scale(), (-3.0, 0.0, 1.0));
        assert_eq!(bars(&[0.0]).scale(), (0.0, 1.0, 0.25));
    }
}
