//! Marks on cells, which no colour of the data is.

use super::pen::{At, Pen, Rgb};

/// The mark of what is out of the ordinary: black with a white edge, which no colour of the data is.
pub const MARK: [Rgb; 2] = [(0xff, 0xff, 0xff), (0, 0, 0)];

/// The mark in the upper right corner of a cell.
pub fn corner(pen: &mut Pen, (x, y): At, side: f64) {
    pen.polygon(&[(x - side - 1.5, y), (x, y), (x, y + side + 1.5)], MARK[0]);
    pen.polygon(&[(x - side, y), (x, y), (x, y + side)], MARK[1]);
}
