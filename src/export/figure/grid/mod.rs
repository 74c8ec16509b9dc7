//! A matrix of cells with labelled rows and columns: values as colours, or categories stacked in each cell.

mod draw;
mod fit;

pub use draw::{ramp, short};

use super::Setting;
use super::font;
use std::ops::Range;

/// Size of labels and of text in cells, points.
pub const LABEL: f64 = 11.0;
/// The most characters of a label, on a screen and on paper.
const LABEL_MAX: [usize; 2] = [20, 16];
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

    /// Width of the widest label, points.
    pub fn width(&self, setting: Setting) -> f64 {
        self.labels.iter().map(|label| setting.label(&cut(label, setting))).fold(0.0, f64::max)
    }

    /// Height of the labels of columns, points.
    pub fn height(&self, setting: Setting) -> f64 {
        match self.turn {
            Turn::Flat => LABEL,
            Turn::Stacked => 2.4 * LABEL,
            Turn::Upward => self.width(setting),
        }
    }

    /// Every n-th label is drawn, so that labels don't touch.
    pub fn step(&self, setting: Setting, cell: f64, across: bool) -> usize {
        let room = match self.turn {
            Turn::Flat if across => self.width(setting) + LABEL * 0.6,
            Turn::Stacked if across => cell,
            _ => LABEL * 1.1,
        };
        ((room / cell).ceil() as usize).max(1)
    }
}

/// A label as it is drawn.
pub fn cut(label: &str, setting: Setting) -> String {
    font::fit(label, LABEL_MAX[usize::from(setting.paper)])
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
    /// What the texts to the right are; empty = none.
    pub side_name: String,
    /// A second line of text in each cell `[rows, cols]`; empty = none.
    pub under: Vec<String>,
    /// Whether the texts of cells may be cut where they don't fit. Numbers may not, and are left out.
    pub cuts: bool,
    /// Whether the columns are a text, which may continue in another band below.
    pub wraps: bool,
    /// Whether cells stay squares.
    pub square: bool,
}

impl Grid {
    /// A grid without labels, frames and marks.
    pub fn new(size: (usize, usize), cell: (f64, f64), cells: Cells) -> Self {
        let none = Axis::default;
        let (framed, marked, side, under) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (caption, side_name, rows, cols) = (String::new(), String::new(), none(), none());
        let (cuts, wraps, square) = (false, false, false);
        Self { caption, rows, cols, size, cell, cells, framed, marked, side, side_name, under, cuts, wraps, square }
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
            under: cut(&self.under, rows, of_row),
            ..self.clone()
        }
    }

    /// The distance from the corner of the panel to that of the first cell.
    fn inset(&self, setting: Setting) -> (f64, f64) {
        let name = if self.rows.name.is_empty() { 0.0 } else { NAME };
        let labels = if self.rows.labels.is_empty() { 0.0 } else { self.rows.width(setting) + GAP };
        let is_bare = self.caption.is_empty() && self.side_name.is_empty();
        (name + labels, if is_bare { 0.0 } else { LABEL + GAP })
    }

    fn plot(&self) -> (f64, f64) {
        (self.size.1 as f64 * self.cell.0, self.size.0 as f64 * self.cell.1)
    }

    /// Room for the texts to the right of the rows.
    fn beside(&self, setting: Setting) -> f64 {
        self.side
            .iter()
            .chain([&self.side_name])
            .map(|text| match text.as_str() {
                "" => 0.0,
                text => setting.label(text) + GAP,
            })
            .fold(0.0, f64::max)
    }

    /// Room for the labels of columns and their name.
    fn below(&self, setting: Setting) -> f64 {
        let labels = if self.cols.labels.is_empty() { 0.0 } else { self.cols.height(setting) + GAP };
        labels + if self.cols.name.is_empty() { 0.0 } else { NAME }
    }

    /// Width and height with labels, points.
    pub fn extent(&self, setting: Setting) -> (f64, f64) {
        let (inset, plot) = (self.inset(setting), self.plot());
        let width = (plot.0 + self.beside(setting)).max(setting.label(&self.caption));
        (inset.0 + width, inset.1 + plot.1 + self.below(setting))
    }
}
