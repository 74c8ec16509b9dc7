//! A matrix of cells with labelled rows and columns: values as colours, or categories stacked in each cell.

use super::font::{self, fit};
use super::pen::{Align, Pen, Rgb};
use crate::trace::palette::{EXPERTS, luma, viridis};
use anyhow::Result;
use plotters::backend::DrawingBackend;
use std::ops::Range;

/// Size of labels and of text in cells, points.
pub const LABEL: f64 = 11.0;
/// Characters of a label.
pub const LABEL_MAX: usize = 20;
/// Room for the name of an axis, and between things.
const NAME: f64 = 18.0;
const GAP: f64 = 6.0;

/// Labels of rows or columns.
#[derive(Clone, Default)]
pub struct Axis {
    /// What they are; empty = not said.
    pub name: String,
    /// One a row or column, drawable; none = the axis has no labels.
    pub labels: Vec<String>,
    /// How labels of columns lie.
    pub turn: Turn,
}

/// How labels of columns lie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Turn {
    /// On one line.
    #[default]
    Flat,
    /// Cut to the width of their cells, with what follows the last space below.
    Stacked,
    /// Read from the bottom to the top.
    Upward,
}

impl Axis {
    /// Numbers from 0.
    pub fn numbers(name: &str, range: Range<usize>) -> Self {
        Self { name: name.to_owned(), labels: range.map(|i| i.to_string()).collect(), turn: Turn::Flat }
    }

    fn width(&self) -> f64 {
        self.labels.iter().map(|label| font::width(&fit(label, LABEL_MAX)) * LABEL).fold(0.0, f64::max)
    }

    fn height(&self) -> f64 {
        match self.turn {
            Turn::Flat => LABEL,
            Turn::Stacked => 2.4 * LABEL,
            Turn::Upward => self.width(),
        }
    }

    /// Every n-th label is drawn, so that they keep apart.
    fn step(&self, cell: f64, across: bool) -> usize {
        let room = match self.turn {
            Turn::Flat if across => self.width() + LABEL * 0.6,
            Turn::Stacked if across => cell,
            _ => LABEL * 1.1,
        };
        ((room / cell).ceil() as usize).max(1)
    }
}

/// What cells show.
#[derive(Clone)]
pub enum Cells {
    /// `[rows, cols]` values; NaN is blank. Colours span `range`; a text in a cell is drawn where it fits.
    Heat { values: Vec<f32>, range: (f32, f32), texts: Vec<String> },
    /// `[rows, cols]` lists of categories, drawn one above the other, with their digits where they fit.
    Stack(Vec<Vec<u32>>),
}

/// The matrix.
#[derive(Clone)]
pub struct Grid {
    /// Above it; empty = none.
    pub caption: String,
    pub rows: Axis,
    pub cols: Axis,
    /// Numbers of rows and columns.
    pub size: (usize, usize),
    /// Width and height of a cell, points.
    pub cell: (f64, f64),
    pub cells: Cells,
    /// Cells with a frame, by row and column.
    pub framed: Vec<(usize, usize)>,
    /// Cells with a mark in a corner.
    pub marked: Vec<(usize, usize)>,
    /// A text to the right of each row.
    pub side: Vec<String>,
}

impl Grid {
    /// A grid without labels, frames and marks.
    pub fn new(size: (usize, usize), cell: (f64, f64), cells: Cells) -> Self {
        let none = Axis::default;
        let (framed, marked, side) = (Vec::new(), Vec::new(), Vec::new());
        Self { caption: String::new(), rows: none(), cols: none(), size, cell, cells, framed, marked, side }
    }

    /// These columns alone.
    pub fn columns(&self, range: Range<usize>) -> Self {
        let (rows, cols) = self.size;
        let of_row = |row: usize| row * cols + range.start..row * cols + range.end;
        fn cut<T: Clone>(all: &[T], rows: usize, of_row: impl Fn(usize) -> Range<usize>) -> Vec<T> {
            (0..rows).flat_map(|row| all.get(of_row(row)).unwrap_or(&[]).to_vec()).collect()
        }
        let cells = match &self.cells {
            Cells::Heat { values, range, texts } => {
                Cells::Heat { values: cut(values, rows, of_row), range: *range, texts: cut(texts, rows, of_row) }
            }
            Cells::Stack(lists) => Cells::Stack(cut(lists, rows, of_row)),
        };
        let inside = |at: &[(usize, usize)]| {
            let kept = at.iter().filter(|(_, col)| range.contains(col));
            kept.map(|(row, col)| (*row, col - range.start)).collect::<Vec<_>>()
        };
        let labels = self.cols.labels.get(range.clone()).unwrap_or(&[]).to_vec();
        Self {
            cols: Axis { labels, ..self.cols.clone() },
            size: (rows, range.len()),
            cells,
            framed: inside(&self.framed),
            marked: inside(&self.marked),
            ..self.clone()
        }
    }

    /// The grid in bands of at most `max` points each, one below the other.
    pub fn bands(self, max: f64) -> Vec<Self> {
        let (cols, across) = (self.size.1, ((max / self.cell.0) as usize).max(1));
        if cols <= across {
            return vec![self];
        }
        let count = cols.div_ceil(across);
        let across = cols.div_ceil(count);
        let mut bands: Vec<Self> = (0..count).map(|i| self.columns(i * across..((i + 1) * across).min(cols))).collect();
        let last = bands.len() - 1;
        bands[..last].iter_mut().for_each(|band| band.cols.name.clear());
        bands
    }

    /// From the corner of the panel to that of the first cell.
    fn inset(&self) -> (f64, f64) {
        let name = if self.rows.name.is_empty() { 0.0 } else { NAME };
        let labels = if self.rows.labels.is_empty() { 0.0 } else { self.rows.width() + GAP };
        (name + labels, if self.caption.is_empty() { 0.0 } else { LABEL + GAP })
    }

    fn plot(&self) -> (f64, f64) {
        (self.size.1 as f64 * self.cell.0, self.size.0 as f64 * self.cell.1)
    }

    /// Width and height of all of it, points.
    pub fn extent(&self) -> (f64, f64) {
        let (inset, plot) = (self.inset(), self.plot());
        let side = self.side.iter().map(|text| font::width(text) * LABEL + GAP).fold(0.0, f64::max);
        let below = if self.cols.labels.is_empty() { 0.0 } else { self.cols.height() + GAP };
        let name = if self.cols.name.is_empty() { 0.0 } else { NAME };
        let caption = font::width(&self.caption) * LABEL;
        ((inset.0 + plot.0 + side).max(caption), inset.1 + plot.1 + below + name)
    }

    /// Draws it with its top left corner at `at`.
    ///
    /// # Errors
    /// If the backend fails.
    pub fn draw<B: DrawingBackend>(&self, pen: &mut Pen<B>, at: (f64, f64)) -> Result<()> {
        let skin = pen.skin;
        let (inset, plot) = (self.inset(), self.plot());
        let (x0, y0) = (at.0 + inset.0, at.1 + inset.1);
        if !self.caption.is_empty() {
            pen.text((x0, at.1 + LABEL / 2.0), &self.caption, LABEL, Align::Start, skin.ink)?;
        }
        let corner = |row: usize, col: usize| (x0 + col as f64 * self.cell.0, y0 + row as f64 * self.cell.1);
        pen.frame((x0 - 1.0, y0 - 1.0), (x0 + plot.0 + 1.0, y0 + plot.1 + 1.0), 1.0, skin.rule)?;
        match &self.cells {
            Cells::Heat { values, range, texts } => self.heat(pen, &corner, values, *range, texts)?,
            Cells::Stack(lists) => self.stacks(pen, &corner, lists)?,
        }
        self.frames(pen, &corner)?;
        self.labels(pen, (x0, y0), plot)
    }

    fn heat<B: DrawingBackend>(
        &self,
        pen: &mut Pen<B>,
        corner: &dyn Fn(usize, usize) -> (f64, f64),
        values: &[f32],
        range: (f32, f32),
        texts: &[String],
    ) -> Result<()> {
        let (rows, cols) = self.size;
        for row in 0..rows {
            let line = &values[row * cols..(row + 1) * cols];
            let mut start = 0;
            while start < cols {
                // Neighbours of one colour are one rectangle: far smaller files where most weights are near zero.
                let colour = ramp(line[start], range);
                let run = line[start..].iter().take_while(|value| ramp(**value, range) == colour).count();
                if let Some(colour) = colour {
                    let to = corner(row + 1, start + run);
                    pen.rect(corner(row, start), to, colour)?;
                }
                start += run;
            }
        }
        let room = ((self.cell.0 - 2.0) / (LABEL * font::ADVANCE)) as usize;
        if texts.is_empty() || self.cell.1 < LABEL + 2.0 || room == 0 {
            return Ok(());
        }
        for (i, (text, value)) in texts.iter().zip(values).enumerate() {
            let Some(paper) = ramp(*value, range) else { continue };
            let ink = if luma(paper) > 110.0 { (0, 0, 0) } else { (0xff, 0xff, 0xff) };
            let (x, y) = corner(i / cols, i % cols);
            let middle = (x + self.cell.0 / 2.0, y + self.cell.1 / 2.0);
            pen.text(middle, &fit(text, room), LABEL, Align::Middle, ink)?;
        }
        Ok(())
    }

    fn stacks<B: DrawingBackend>(
        &self,
        pen: &mut Pen<B>,
        corner: &dyn Fn(usize, usize) -> (f64, f64),
        lists: &[Vec<u32>],
    ) -> Result<()> {
        for (i, list) in lists.iter().enumerate() {
            let (x, y) = corner(i / self.size.1, i % self.size.1);
            let each = self.cell.1 / list.len().max(1) as f64;
            for (k, category) in list.iter().enumerate() {
                let colour = EXPERTS[*category as usize % EXPERTS.len()];
                let top = y + k as f64 * each;
                pen.rect((x, top), (x + self.cell.0, top + each), colour)?;
                let digit = category.to_string();
                let em = (each * 0.95).min(LABEL);
                if em >= 7.0 && font::width(&digit) * em <= self.cell.0 {
                    let middle = (x + self.cell.0 / 2.0, top + each / 2.0);
                    pen.text(middle, &digit, em, Align::Middle, (0, 0, 0))?;
                }
            }
        }
        // The second choices of one row would run into the first choices of the next.
        let rule = pen.skin.paper;
        for row in 1..self.size.0 {
            let (x, y) = corner(row, 0);
            pen.rect((x, y - 1.0), (x + self.plot().0, y), rule)?;
        }
        Ok(())
    }

    fn frames<B: DrawingBackend>(&self, pen: &mut Pen<B>, corner: &dyn Fn(usize, usize) -> (f64, f64)) -> Result<()> {
        let (paper, ink) = ((0xff, 0xff, 0xff), (0, 0, 0));
        for (row, col) in &self.framed {
            let (from, to) = (corner(*row, *col), corner(row + 1, col + 1));
            // Black within white is seen on every colour.
            pen.frame(from, to, 2.0, paper)?;
            pen.frame(from, to, 1.0, ink)?;
        }
        for (row, col) in &self.marked {
            let (x, y) = corner(*row, col + 1);
            let side = (self.cell.0.min(self.cell.1) * 0.45).clamp(3.0, 9.0);
            pen.polygon(&[(x - side - 1.0, y), (x, y), (x, y + side + 1.0)], paper)?;
            pen.polygon(&[(x - side, y), (x, y), (x, y + side)], (0xd0, 0, 0))?;
        }
        Ok(())
    }

    fn labels<B: DrawingBackend>(&self, pen: &mut Pen<B>, (x0, y0): (f64, f64), plot: (f64, f64)) -> Result<()> {
        let skin = pen.skin;
        let middle = |i: usize, cell: f64| (i as f64 + 0.5) * cell;
        let step = self.rows.step(self.cell.1, false);
        for (row, label) in self.rows.labels.iter().enumerate().step_by(step) {
            let at = (x0 - GAP, y0 + middle(row, self.cell.1));
            pen.text(at, &fit(label, LABEL_MAX), LABEL, Align::End, skin.ink)?;
        }
        let step = self.cols.step(self.cell.0, true);
        let mut below = y0 + plot.1 + GAP;
        for (col, label) in self.cols.labels.iter().enumerate().step_by(step) {
            let (x, first) = (x0 + middle(col, self.cell.0), below + LABEL / 2.0 - 1.0);
            match (self.cols.turn, label.rsplit_once(' ')) {
                (Turn::Upward, _) => pen.upward((x, below), &fit(label, LABEL_MAX), LABEL, Align::End, skin.ink)?,
                (Turn::Stacked, Some((label, under))) => {
                    let label = fit(label, (self.cell.0 / (LABEL * font::ADVANCE)) as usize);
                    pen.text((x, first), &label, LABEL, Align::Middle, skin.ink)?;
                    pen.text((x, first + 1.2 * LABEL), under, LABEL, Align::Middle, skin.dim)?;
                }
                _ => pen.text((x, first), &fit(label, LABEL_MAX), LABEL, Align::Middle, skin.ink)?,
            }
        }
        if !self.cols.labels.is_empty() {
            below += self.cols.height();
        }
        for (row, text) in self.side.iter().enumerate() {
            let at = (x0 + plot.0 + GAP, y0 + middle(row, self.cell.1));
            pen.text(at, text, LABEL, Align::Start, skin.ink)?;
        }
        if !self.cols.name.is_empty() {
            let at = (x0 + plot.0 / 2.0, below + NAME / 2.0);
            pen.text(at, &self.cols.name, LABEL, Align::Middle, skin.dim)?;
        }
        if !self.rows.name.is_empty() {
            let at = (x0 - self.inset().0 + LABEL / 2.0, y0 + plot.1 / 2.0);
            pen.upward(at, &self.rows.name, LABEL, Align::Middle, skin.dim)?;
        }
        Ok(())
    }
}

/// The colour of a value in 256 steps; `None` for NaN.
pub fn ramp(value: f32, (low, high): (f32, f32)) -> Option<Rgb> {
    if value.is_nan() {
        return None;
    }
    let t = if high > low { (value - low) / (high - low) } else { 0.0 };
    Some(viridis((t.clamp(0.0, 1.0) * 255.0).round() / 255.0))
}

/// A value of 0..1 in three characters: `.42`, `1.0`.
pub fn short(value: f32) -> String {
    match format!("{value:.2}") {
        text if text.starts_with("0.") => text[1..].to_owned(),
        text if text.len() > 3 => text[..text.len() - 1].to_owned(),
        text => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bands_keep_every_column_with_its_frames() {
        let values: Vec<f32> = (0..20).map(|i| i as f32).collect();
        let cells = Cells::Heat { values, range: (0.0, 20.0), texts: Vec::new() };
        let mut grid = Grid::new((2, 10), (10.0, 10.0), cells);
        grid.cols =
            Axis { name: "token".into(), labels: (0..10).map(|i| format!("t{i}")).collect(), turn: Turn::Upward };
        grid.framed = vec![(1, 0), (0, 5), (1, 9)];
        let bands = grid.bands(40.0);
        assert_eq!(bands.iter().map(|band| band.size).collect::<Vec<_>>(), [(2, 4), (2, 4), (2, 2)]);
        let Cells::Heat { values, .. } = &bands[1].cells else { panic!("not a heat map") };
        assert_eq!(values, &[4.0, 5.0, 6.0, 7.0, 14.0, 15.0, 16.0, 17.0]);
        assert_eq!(bands[1].cols.labels, ["t4", "t5", "t6", "t7"]);
        assert_eq!(
            (&bands[0].framed, &bands[1].framed, &bands[2].framed),
            (&vec![(1, 0)], &vec![(0, 1)], &vec![(1, 1)])
        );
        assert_eq!(bands.iter().map(|band| band.cols.name.as_str()).collect::<Vec<_>>(), ["", "", "token"]);
    }

    #[test]
    fn values_become_palette_colours_and_short_texts() {
        assert_eq!(ramp(0.0, (0.0, 1.0)), Some(viridis(0.0)));
        assert_eq!(ramp(2.0, (0.0, 1.0)), Some(viridis(1.0)));
        assert_eq!(ramp(f32::NAN, (0.0, 1.0)), None);
        assert_eq!([0.0, 0.424, 0.999, 1.0].map(short), [".00", ".42", "1.0", "1.0"]);
    }
}
