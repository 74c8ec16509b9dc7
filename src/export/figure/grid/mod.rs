//! A matrix of cells with labelled rows and columns: values as colours, or categories stacked in each cell.

mod draw;

pub use draw::{ramp, short};

use super::font::{self, fit};
use std::ops::Range;

/// Size of labels and of text in cells, points.
pub const LABEL: f64 = 11.0;
/// The most characters of a label.
pub const LABEL_MAX: usize = 20;
/// Room for the name of an axis; gap between elements.
const NAME: f64 = 18.0;
const GAP: f64 = 6.0;

/// Labels of rows or columns.
#[derive(Clone, Default)]
pub struct Axis {
    /// The name of the axis; empty = none.
    pub name: String,
    /// One label for each row or column, of drawable characters; empty = no labels.
    pub labels: Vec<String>,
    /// The direction of the labels of columns.
    pub turn: Turn,
}

/// The direction of the labels of columns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Turn {
    /// On one line.
    #[default]
    Flat,
    /// Cut to the width of their cells, with the part after the last space on a second line.
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

    /// Every n-th label is drawn, so that labels don't touch.
    fn step(&self, cell: f64, across: bool) -> usize {
        let room = match self.turn {
            Turn::Flat if across => self.width() + LABEL * 0.6,
            Turn::Stacked if across => cell,
            _ => LABEL * 1.1,
        };
        ((room / cell).ceil() as usize).max(1)
    }
}

/// The content of the cells.
#[derive(Clone)]
pub enum Cells {
    /// `[rows, cols]` values; NaN is blank. Colours span `range`. The text of a cell is drawn where it fits.
    Heat { values: Vec<f32>, range: (f32, f32), texts: Vec<String> },
    /// `[rows, cols]` lists of categories, drawn one above the other, with their digits where they fit.
    Stack(Vec<Vec<u32>>),
}

/// The matrix.
#[derive(Clone)]
pub struct Grid {
    /// The caption above the grid; empty = none.
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

    /// The grid with these columns only.
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

    /// The grid cut into bands of at most `max` points each, one below the other.
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

    /// The distance from the corner of the panel to that of the first cell.
    fn inset(&self) -> (f64, f64) {
        let name = if self.rows.name.is_empty() { 0.0 } else { NAME };
        let labels = if self.rows.labels.is_empty() { 0.0 } else { self.rows.width() + GAP };
        (name + labels, if self.caption.is_empty() { 0.0 } else { LABEL + GAP })
    }

    fn plot(&self) -> (f64, f64) {
        (self.size.1 as f64 * self.cell.0, self.size.0 as f64 * self.cell.1)
    }

    /// Width and height with labels, points.
    pub fn extent(&self) -> (f64, f64) {
        let (inset, plot) = (self.inset(), self.plot());
        let side = self.side.iter().map(|text| font::width(text) * LABEL + GAP).fold(0.0, f64::max);
        let below = if self.cols.labels.is_empty() { 0.0 } else { self.cols.height() + GAP };
        let name = if self.cols.name.is_empty() { 0.0 } else { NAME };
        let caption = font::width(&self.caption) * LABEL;
        (inset.0 + (plot.0 + side).max(caption), inset.1 + plot.1 + below + name)
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
}
