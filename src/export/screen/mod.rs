//! A screen of character cells as a picture: PNG, SVG, or text with ANSI colours.

mod ansi;
mod paint;

pub use ansi::screen_ansi;
pub use paint::{screen_png, screen_svg};

/// One character cell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    /// Its symbol; not drawn if the symbol before it is two cells wide.
    pub symbol: String,
    /// Colour of the text; `None` = the terminal's own.
    pub fg: Option<(u8, u8, u8)>,
    /// Colour of the background; `None` = the terminal's own.
    pub bg: Option<(u8, u8, u8)>,
    /// Whether it is bold.
    pub bold: bool,
    /// Whether it is dim.
    pub dim: bool,
    /// Whether it is underlined.
    pub underline: bool,
    /// Whether both colours are exchanged.
    pub reversed: bool,
}

/// A screen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Screen {
    /// Cells of a row.
    pub width: usize,
    /// Row after row.
    pub cells: Vec<Cell>,
    /// What it shows and how to make it again, as names and values, for the metadata.
    pub recipe: Vec<(&'static str, String)>,
}

impl Screen {
    fn rows(&self) -> impl Iterator<Item = &[Cell]> {
        self.cells.chunks(self.width.max(1))
    }

    fn height(&self) -> usize {
        self.cells.len().div_ceil(self.width.max(1))
    }
}
