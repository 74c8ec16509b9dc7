//! A matrix of values of 0..1: two values per cell with half blocks, one glyph per cell without colour.

use crate::ui::canvas::Canvas;
use ratatui::layout::Rect;
use ratatui::style::Style;

/// A square matrix.
pub struct Matrix<'a> {
    /// `[side, side]`, NaN = blank.
    pub cells: &'a [f32],
    /// Number of rows and of columns.
    pub side: usize,
    /// Row and column that are marked.
    pub crosshair: Option<(usize, usize)>,
    /// Whether values are shown on a logarithmic scale.
    pub log: bool,
}

/// Powers of ten that the logarithmic scale spans.
const DECADES: f32 = 4.0;

/// The brightness of a value: itself, or its place between 1e-4 and 1 on a logarithmic scale.
pub fn scaled(value: f32, log: bool) -> f32 {
    if !log || value.is_nan() { value } else { (1.0 + value.log10() / DECADES).clamp(0.0, 1.0) }
}

/// Half-block pixels of a value in each direction, for a `side × side` matrix in `area`.
pub fn zoom(area: Rect, side: usize) -> usize {
    (room(area) / side.max(1)).max(1)
}

/// The side of the largest matrix that fits `area`.
pub fn room(area: Rect) -> usize {
    usize::from(area.width).min(usize::from(area.height) * 2)
}

/// Draws the matrix at the top left of `area`, with the largest whole number of pixels for each value.
pub fn draw(c: &mut Canvas, area: Rect, matrix: &Matrix) {
    let side = matrix.side;
    if side == 0 || area.is_empty() {
        return;
    }
    let zoom = zoom(area, side);
    let value = |row: usize, column: usize| {
        let (row, column) = (row / zoom, column / zoom);
        if row < side && column < side { matrix.cells[row * side + column] } else { f32::NAN }
    };
    let pixels = side * zoom;
    for (y, top) in (area.y..area.bottom()).zip((0..pixels).step_by(2)) {
        for (x, column) in (area.x..area.right()).zip(0..pixels) {
            let (upper, lower) = (value(top, column), value(top + 1, column));
            let (upper, lower) = (scaled(upper, matrix.log), scaled(lower, matrix.log));
            let (glyph, style) = match guide(matrix, zoom, top, column) {
                Some(guide) if upper.is_nan() && lower.is_nan() => (guide, c.theme.dim()),
                _ => pixel(c, upper, lower),
            };
            c.put(area, x, y, glyph, style);
        }
        // The crosshair is next to the matrix and in its blank half, so that colours stay readable.
        if matrix.crosshair.is_some_and(|(row, _)| is_in_line(row, zoom, top)) {
            c.put(area, area.x + pixels as u16, y, "◂", c.theme.accent());
        }
    }
}

/// Whether a row of the matrix is on the screen line whose upper pixel is `top`.
fn is_in_line(row: usize, zoom: usize, top: usize) -> bool {
    row * zoom / 2 <= top / 2 && top / 2 <= ((row + 1) * zoom - 1) / 2
}

/// The crosshair in the blank half of the matrix.
fn guide(matrix: &Matrix, zoom: usize, top: usize, column: usize) -> Option<&'static str> {
    let (row, key) = matrix.crosshair?;
    match (is_in_line(row, zoom, top), column == key * zoom + zoom / 2) {
        (true, _) => Some("─"),
        (_, true) => Some("│"),
        _ => None,
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
    put_legend(c, area, x, y, ("0 ", " 1"))
}

/// The legend of values up to `max`.
pub fn legend_to(c: &mut Canvas, area: Rect, x: u16, y: u16, max: &str) -> u16 {
    put_legend(c, area, x, y, ("0 ", &format!(" {max}")))
}

/// The legend of a linear or logarithmic scale.
pub fn legend_of(c: &mut Canvas, area: Rect, x: u16, y: u16, log: bool) -> u16 {
    put_legend(c, area, x, y, if log { ("≤1e-4 ", " 1 log") } else { ("0 ", " 1") })
}

fn put_legend(c: &mut Canvas, area: Rect, x: u16, y: u16, (low, high): (&str, &str)) -> u16 {
    let mut x = c.put(area, x, y, low, c.theme.dim());
    for i in 0..8 {
        let value = i as f32 / 7.0;
        let glyph = if c.theme.has_ramp() { " " } else { c.theme.glyph(value) };
        x = c.put(area, x, y, glyph, c.theme.heat(value));
    }
    c.put(area, x, y, high, c.theme.dim())
}
