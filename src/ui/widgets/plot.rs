//! Curves over a row of places, as lines in braille. Glyphs mark the places, so that curves differ without colour.

use crate::ui::canvas::Canvas;
use ratatui::layout::Rect;
use ratatui::style::Style;

/// One curve.
pub struct Curve {
    /// The glyph of its places.
    pub glyph: char,
    /// Its colour.
    pub style: Style,
    /// Height at each place, 0 at the bottom to 1 at the top; `None` if it is not known.
    pub heights: Vec<Option<f32>>,
}

/// Width of the numbers of the vertical axis, cells.
pub const AXIS: u16 = 8;

/// Bits of the dots of a braille cell: `[column][row]`.
const DOTS: [[u8; 4]; 2] = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]];

/// The column of place `i` of `n` in an area of `width` cells, in dots of half a cell.
fn dot_x(i: usize, n: usize, width: u16) -> usize {
    let most = (usize::from(width) * 2).saturating_sub(1);
    if n < 2 { most / 2 } else { i * most / (n - 1) }
}

/// The column of place `i` of `n` in `area`.
pub fn column(area: Rect, i: usize, n: usize) -> u16 {
    area.x + (dot_x(i, n, area.width) / 2) as u16
}

/// Draws the curves into `area`, the first on top, and the vertical axis with its numbers (height, text) to its left.
pub fn draw(c: &mut Canvas, area: Rect, curves: &[Curve], ticks: &[(f32, String)]) {
    if area.is_empty() {
        return;
    }
    // Dots, marks and numbers are rounded alike, so that they coincide.
    let dots = usize::from(area.height) * 4 - 1;
    let dot_y = |height: f32| ((1.0 - height.clamp(0.0, 1.0)) * dots as f32).round() as usize;
    let row = |height: f32| area.y + (dot_y(height) / 4) as u16;
    let outer = Rect { x: area.x.saturating_sub(AXIS), width: area.width + AXIS, ..area };
    for y in area.y..area.bottom() {
        c.put(outer, area.x.saturating_sub(1), y, "│", c.theme.dim());
    }
    let mut last = None;
    for (height, text) in ticks {
        let y = row(*height);
        if last != Some(y) {
            let label = Rect { width: AXIS - 1, ..outer };
            c.put_right(label, y, text, c.theme.dim());
            c.put(outer, area.x.saturating_sub(1), y, "┤", c.theme.dim());
            last = Some(y);
        }
    }
    let (w, h) = (usize::from(area.width), usize::from(area.height));
    let mut cells = vec![(0u8, Style::new()); w * h];
    for curve in curves.iter().rev() {
        let n = curve.heights.len();
        let dot = |i: usize| Some((dot_x(i, n, area.width), dot_y(curve.heights[i]?)));
        for i in 1..n {
            let (Some(from), Some(to)) = (dot(i - 1), dot(i)) else { continue };
            let steps = (to.0 - from.0).max(to.1.abs_diff(from.1)).max(1);
            for step in 0..=steps {
                let along = step as f32 / steps as f32;
                let at = |a: usize, b: usize| (a as f32 + (b as f32 - a as f32) * along).round() as usize;
                let (x, y) = (at(from.0, to.0), at(from.1, to.1));
                let cell = &mut cells[y / 4 * w + x / 2];
                *cell = (cell.0 | DOTS[x % 2][y % 4], curve.style);
            }
        }
    }
    for (i, (bits, style)) in cells.into_iter().enumerate().filter(|(_, (bits, _))| *bits > 0) {
        let glyph = char::from_u32(0x2800 + u32::from(bits)).unwrap_or(' ');
        c.put(area, area.x + (i % w) as u16, area.y + (i / w) as u16, glyph.encode_utf8(&mut [0; 4]), style);
    }
    let mut marked = std::collections::HashSet::new();
    for curve in curves {
        let n = curve.heights.len();
        // If places are close together, only some of them are marked.
        let every = (n * 3).div_ceil(w.max(1)).max(1);
        for (i, height) in curve.heights.iter().enumerate().filter(|(i, _)| i % every == 0 || i + 1 == n) {
            let Some(height) = height else { continue };
            let (x, y) = (column(area, i, n), row(*height));
            // A mark that would hide another one is drawn next to it.
            let places = [x, x + 1, x.saturating_sub(1)];
            if let Some(x) =
                places.into_iter().find(|x| (area.x..area.right()).contains(x) && !marked.contains(&(*x, y)))
            {
                marked.insert((x, y));
                c.put(area, x, y, curve.glyph.encode_utf8(&mut [0; 4]), curve.style);
            }
        }
    }
}
