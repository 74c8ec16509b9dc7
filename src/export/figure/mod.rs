//! Charts of plain data: a title, legends, panels, notes. A figure becomes a page, and a page one of three file formats.
//!
//! ```text
//! title                                                     only in the style `screen`
//! model · policy · tokens · start of the prompt             only in the style `screen`
//! value 0 ▒▒▓▓██ 1    ▢ chosen    ◥ near-tie
//! ┌panel────┐ ┌panel────┐
//! │         │ │         │
//! └─────────┘ └─────────┘
//! notes                                                     only in the style `screen`
//! ```

mod about;
mod bars;
pub mod font;
mod grid;
mod layout;
mod legend;
mod lines;
mod marks;
mod page;
mod pdf;
pub mod pen;
mod raster;
pub mod round;
mod svg;
mod thumbs;

pub use crate::analysis::view::{DPI, Look, Style, Width};
pub use about::About;
pub use bars::Bars;
pub use grid::{Axis, Cells, Grid, LABEL, Turn, short};
pub use legend::Legend;
pub use lines::{Lines, Scale, Series, Shared};
pub use page::{Page, Size};
pub use pdf::pdf;
pub use raster::png;
pub use svg::svg;
pub use thumbs::{Thumb, Thumbs};

use font::Face;
use pen::{At, Pen};

const PAD: f64 = 18.0;
const GAP: f64 = 16.0;
const TITLE: f64 = 15.0;
const TEXT: f64 = 11.0;
/// The smallest width on a screen, so that narrow charts have room for their titles.
const MIN_WIDTH: f64 = 640.0;
const LINE: f64 = 1.4;
/// Margin of a page of paper: journals cut pictures themselves.
const MARGIN: f64 = 2.0;
/// Height of the labels on paper, in 1/72 inch. They are [`LABEL`] points high, so that this is the size of a point.
const PRINTED: f64 = 7.0;
/// Panels on paper are made smaller until they are at most this high, points: somewhat less than a page.
const HIGHEST: f64 = 960.0;

/// What panels have to know of the page that they are drawn on.
#[derive(Clone, Copy)]
pub struct Setting {
    /// What text is set in.
    pub face: Face,
    /// Whether the page is for paper.
    pub paper: bool,
}

impl Setting {
    fn of(look: &Look) -> Self {
        match look.style {
            Style::Screen => Self { face: Face::Mono, paper: false },
            Style::Paper { .. } => Self { face: Face::Sans, paper: true },
        }
    }

    /// Width of a label, points.
    pub fn label(&self, text: &str) -> f64 {
        self.face.width(text) * LABEL
    }
}

/// One chart.
#[derive(Clone)]
pub enum Panel {
    Grid(Grid),
    Lines(Lines),
    Bars(Bars),
    Thumbs(Thumbs),
}

impl Panel {
    fn extent(&self, setting: Setting) -> (f64, f64) {
        match self {
            Self::Grid(grid) => grid.extent(setting),
            Self::Lines(lines) => lines.extent(setting),
            Self::Bars(bars) => bars.extent(setting),
            Self::Thumbs(thumbs) => thumbs.extent(setting),
        }
    }

    fn draw(&self, pen: &mut Pen, setting: Setting, at: At) {
        match self {
            Self::Grid(grid) => grid.draw(pen, setting, at),
            Self::Lines(lines) => lines.draw(pen, setting, at),
            Self::Bars(bars) => bars.draw(pen, setting, at),
            Self::Thumbs(thumbs) => thumbs.draw(pen, setting, at),
        }
    }
}

/// A page of charts.
pub struct Figure {
    /// What the page shows.
    pub title: String,
    /// The run that it shows.
    pub subtitle: String,
    pub legends: Vec<Legend>,
    pub panels: Vec<Panel>,
    /// Panels next to each other, if there is room.
    pub across: usize,
    /// Notes for the reader, e.g. how values were pooled.
    pub notes: Vec<String>,
}

impl Figure {
    /// What a caption has to say: the title, the run, and what is not drawn on paper.
    pub fn caption(&self) -> String {
        let legends = self.legends.iter().filter_map(|legend| match legend {
            Legend::Text(text) => Some(text),
            _ => None,
        });
        // The notes of a page without a chart are its content.
        let notes = self.notes.iter().filter(|_| !self.panels.is_empty());
        let sentence = |part: &String| {
            let part = part.trim().trim_end_matches('.');
            let mut chars = part.chars();
            chars.next().map(|first| first.to_uppercase().chain(chars).collect::<String>() + ".")
        };
        // The name of a model stays as it is.
        let run = Some(format!("{}.", self.subtitle)).filter(|run| run.len() > 1);
        let after = legends.chain(notes).filter_map(sentence);
        sentence(&self.title).into_iter().chain(run).chain(after).collect::<Vec<_>>().join(" ")
    }
}
