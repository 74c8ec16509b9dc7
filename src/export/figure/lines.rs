//! Lines over labelled positions on an axis, and bars with their values.

use super::font::{self, fit};
use super::grid::{Axis, LABEL, LABEL_MAX};
use super::pen::{Align, Pen};
use crate::analysis::colour_map::EXPERTS;
use anyhow::Result;
use plotters::backend::DrawingBackend;

/// The scale of the values.
#[derive(Clone, Copy)]
pub enum Scale {
    /// Linear, from 0 at the bottom to this value at the top.
    Linear(f64),
    /// Ranks on a logarithmic scale, from 1 at the top to this rank at the bottom.
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
}

const LEFT: f64 = 58.0;
const TOP: f64 = LABEL + 12.0;
const BELOW: f64 = 3.0 * LABEL + 12.0;

impl Lines {
    fn right(&self) -> f64 {
        let label = |series: &Series| font::width(&fit(&series.label, LABEL_MAX)) * LABEL;
        self.series.iter().map(label).fold(0.0, f64::max) + 26.0
    }

    /// Width and height with labels, points.
    pub fn extent(&self) -> (f64, f64) {
        (LEFT + self.plot.0 + self.right(), TOP + self.plot.1 + BELOW)
    }

    /// The place of a value, from 0 at the top of the plot to 1 at the bottom.
    fn height(&self, value: f64) -> f64 {
        let t = match self.scale {
            Scale::Linear(max) => 1.0 - value / max,
            Scale::Ranks(max) => value.max(1.0).ln() / max.max(2.0).ln(),
        };
        t.clamp(0.0, 1.0)
    }

    fn ticks(&self) -> Vec<(f64, String)> {
        match self.scale {
            Scale::Linear(max) => {
                let tick = |i: u32| (max * f64::from(i) / 4.0, trim(max * f64::from(i) / 4.0));
                (0..=4).map(tick).collect()
            }
            Scale::Ranks(max) => {
                let powers = (0..9).map(|i| 10f64.powi(i)).filter(|rank| *rank <= max);
                powers.map(|rank| (rank, trim(rank))).collect()
            }
        }
    }

    /// Draws the plot with its top left corner at `at`.
    ///
    /// # Errors
    /// If the backend fails.
    pub fn draw<B: DrawingBackend>(&self, pen: &mut Pen<B>, at: (f64, f64)) -> Result<()> {
        let skin = pen.skin;
        let (x0, y0) = (at.0 + LEFT, at.1 + TOP);
        let (w, h) = self.plot;
        pen.text((x0, at.1 + LABEL / 2.0), &self.caption, LABEL, Align::Start, skin.ink)?;
        for (value, label) in self.ticks() {
            let y = y0 + self.height(value) * h;
            pen.rect((x0, y - 0.5), (x0 + w, y + 0.5), skin.rule)?;
            pen.text((x0 - 6.0, y), &label, LABEL, Align::End, skin.ink)?;
        }
        pen.upward((at.0 + LABEL / 2.0, y0 + h / 2.0), &self.y, LABEL, Align::Middle, skin.dim)?;
        let steps = self.x.labels.len();
        let x_of = |i: usize| x0 + (i as f64 + 0.5) * w / steps.max(1) as f64;
        let widest = self.x.labels.iter().map(|label| font::width(label) * LABEL).fold(0.0, f64::max);
        let every = (((widest + 6.0) * steps as f64 / w).ceil() as usize).max(1);
        for (i, label) in self.x.labels.iter().enumerate().step_by(every) {
            pen.rect((x_of(i) - 0.5, y0 + h), (x_of(i) + 0.5, y0 + h + 4.0), skin.rule)?;
            pen.text((x_of(i), y0 + h + 6.0 + LABEL / 2.0), label, LABEL, Align::Middle, skin.ink)?;
        }
        let name = (x0 + w / 2.0, y0 + h + 10.0 + 2.0 * LABEL);
        pen.text(name, &self.x.name, LABEL, Align::Middle, skin.dim)?;
        for (i, series) in self.series.iter().enumerate() {
            let colour = EXPERTS[i % EXPERTS.len()];
            let known =
                |(step, value): (usize, &f64)| (!value.is_nan()).then(|| (x_of(step), y0 + self.height(*value) * h));
            let points: Vec<(f64, f64)> = series.points.iter().enumerate().filter_map(known).collect();
            pen.path(&points, 2.0, colour)?;
            for point in points {
                mark(pen, i, point, 3.5)?;
            }
        }
        self.names(pen, (x0 + w, y0))
    }

    /// The name of each line where it ends, with a distance between names.
    fn names<B: DrawingBackend>(&self, pen: &mut Pen<B>, (x, y0): (f64, f64)) -> Result<()> {
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
            mark(pen, *i, (x + 12.0, y0 + y), 4.5)?;
            let label = fit(&self.series[*i].label, LABEL_MAX);
            pen.text((x + 21.0, y0 + y), &label, LABEL, Align::Start, pen.skin.ink)?;
        }
        Ok(())
    }
}

/// The mark of the `i`-th line: four shapes, so that lines differ by more than their colours.
fn mark<B: DrawingBackend>(pen: &mut Pen<B>, i: usize, (x, y): (f64, f64), r: f64) -> Result<()> {
    let colour = EXPERTS[i % EXPERTS.len()];
    match i % 4 {
        0 => pen.disc((x, y), r, colour),
        1 => pen.rect((x - r, y - r), (x + r, y + r), colour),
        2 => pen.polygon(&[(x, y - 1.4 * r), (x + 1.4 * r, y), (x, y + 1.4 * r), (x - 1.4 * r, y)], colour),
        _ => pen.polygon(&[(x, y - 1.3 * r), (x + 1.3 * r, y + r), (x - 1.3 * r, y + r)], colour),
    }
}

/// A number without trailing zeros.
pub fn trim(value: f64) -> String {
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Horizontal bars.
#[derive(Clone)]
pub struct Bars {
    /// (label, value, text after the bar); the characters must be drawable. Negative values have another colour.
    pub rows: Vec<(String, f64, String)>,
    /// Value of the longest bar that fits, and its length in points.
    pub max: f64,
    pub length: f64,
    /// Headings of the labels and of the bars.
    pub heads: (String, String),
}

const BAR: f64 = 17.0;

impl Bars {
    fn left(&self) -> f64 {
        let labels = self.rows.iter().map(|row| &row.0).chain([&self.heads.0]);
        labels.map(|label| font::width(label) * LABEL).fold(0.0, f64::max) + 8.0
    }

    /// Width and height with labels, points.
    pub fn extent(&self) -> (f64, f64) {
        let notes = self.rows.iter().map(|row| font::width(&row.2) * LABEL).fold(0.0, f64::max);
        let head = font::width(&self.heads.1) * LABEL;
        (self.left() + (self.length + 8.0 + notes).max(head), (self.rows.len() + 1) as f64 * BAR)
    }

    /// Draws the bars with the top left corner at `at`.
    ///
    /// # Errors
    /// If the backend fails.
    pub fn draw<B: DrawingBackend>(&self, pen: &mut Pen<B>, at: (f64, f64)) -> Result<()> {
        let (skin, x0) = (pen.skin, at.0 + self.left());
        let middle = |row: usize| at.1 + (row as f64 + 0.5) * BAR;
        pen.text((x0 - 8.0, middle(0)), &self.heads.0, LABEL, Align::End, skin.dim)?;
        pen.text((x0, middle(0)), &self.heads.1, LABEL, Align::Start, skin.dim)?;
        for (row, (label, value, note)) in self.rows.iter().enumerate() {
            let y = middle(row + 1);
            pen.text((x0 - 8.0, y), label, LABEL, Align::End, skin.ink)?;
            let end = x0 + (value.abs() / self.max).clamp(0.0, 1.0) * self.length;
            let colour = EXPERTS[if *value < 0.0 { 0 } else { 1 }];
            pen.rect((x0, y - BAR * 0.38), (end.max(x0 + 1.0), y + BAR * 0.38), colour)?;
            pen.text((end + 6.0, y), note, LABEL, Align::Start, skin.ink)?;
        }
        Ok(())
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
        };
        let ranks = lines(Scale::Ranks(1000.0));
        assert_eq!((ranks.height(1.0), ranks.height(1000.0)), (0.0, 1.0));
        assert!((ranks.height(10.0) - 1.0 / 3.0).abs() < 1e-9);
        let labels: Vec<String> = ranks.ticks().into_iter().map(|tick| tick.1).collect();
        assert_eq!(labels, ["1", "10", "100", "1000"]);
        let linear = lines(Scale::Linear(0.5));
        assert_eq!((linear.height(0.5), linear.height(0.0), linear.height(9.0)), (0.0, 1.0, 0.0));
    }
}
