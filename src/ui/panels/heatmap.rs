//! A matrix of values of 0..1: two values a cell with half blocks, one glyph a cell without colour.

use crate::ui::canvas::Canvas;
use ratatui::layout::Rect;
use ratatui::style::Style;

/// A square matrix to be drawn.
pub struct Matrix<'a> {
    /// `[side, side]`, NaN = blank.
    pub cells: &'a [f32],
    /// Rows and columns.
    pub side: usize,
    /// Row to be marked.
    pub row: Option<usize>,
}

/// Screen columns and values a screen row has room for: how large a matrix fits `area`.
pub fn room(area: Rect) -> usize {
    usize::from(area.width).min(usize::from(area.height) * 2)
}

/// Draws the matrix as large as whole multiples allow, at the top left of `area`.
pub fn draw(c: &mut Canvas, area: Rect, matrix: &Matrix) {
    let side = matrix.side;
    if side == 0 || area.is_empty() {
        return;
    }
    let zoom = (room(area) / side).max(1);
    let value = |row: usize, column: usize| {
        let (row, column) = (row / zoom, column / zoom);
        if row < side && column < side { matrix.cells[row * side + column] } else { f32::NAN }
    };
    let pixels = side * zoom;
    for (y, top) in (area.y..area.bottom()).zip((0..pixels).step_by(2)) {
        for (x, column) in (area.x..area.right()).zip(0..pixels) {
            let (upper, lower) = (value(top, column), value(top + 1, column));
            let (glyph, style) = pixel(c, upper, lower);
            c.put(area, x, y, glyph, style);
        }
        // The cursor's row is marked beside the matrix, so that its colours stay readable.
        let marked = matrix.row.is_some_and(|row| row * zoom / 2 <= top / 2 && top / 2 <= ((row + 1) * zoom - 1) / 2);
        if marked {
            c.put(area, area.x + pixels as u16, y, "◂", c.theme.accent());
        }
    }
}

fn pixel(c: &Canvas, upper: f32, lower: f32) -> (&'static str, Style) {
    if !c.theme.has_ramp() {
        let value = upper.max(lower);
        return (
            if value.is_nan() {
                " "
            } else if value <= 0.02 {
                "·"
            } else {
                c.theme.glyph(value)
            },
            Style::new(),
        );
    }
    match (upper.is_nan(), lower.is_nan()) {
        (true, true) => (" ", Style::new()),
        (true, false) => ("▄", Style::new().fg(c.theme.pixel(lower))),
        (false, true) => ("▀", Style::new().fg(c.theme.pixel(upper))),
        (false, false) => ("▀", Style::new().fg(c.theme.pixel(upper)).bg(c.theme.pixel(lower))),
    }
}

/// `0 ░▒▓█ 1`, in the colours of the ramp.
pub fn legend(c: &mut Canvas, area: Rect, x: u16, y: u16) -> u16 {
    legend_to(c, area, x, y, "1")
}

/// As [`legend`], of values up to `max`.
pub fn legend_to(c: &mut Canvas, area: Rect, x: u16, y: u16, max: &str) -> u16 {
    let mut x = c.put(area, x, y, "0 ", c.theme.dim());
    for i in 0..8 {
        let value = i as f32 / 7.0;
        let glyph = if c.theme.has_ramp() { " " } else { c.theme.glyph(value) };
        x = c.put(area, x, y, glyph, c.theme.heat(value));
    }
    c.put(area, x, y, &format!(" {max}"), c.theme.dim())
}
