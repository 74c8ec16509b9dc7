//! A scrolled page on top of everything.

use crate::ui::canvas::Canvas;
use ratatui::layout::Rect;
use ratatui::style::Style;

/// Greatest width of a page, cells.
pub const WIDEST: u16 = 100;

/// Draws `lines` from line `first` on.
pub fn page(c: &mut Canvas, area: Rect, title: &str, lines: &[(String, Style)], first: usize) {
    let w = area.width.min(WIDEST);
    let h = (lines.len() as u16 + 2).min(area.height.saturating_sub(if area.height > 20 { 4 } else { 0 }));
    let place = Rect { x: area.x + (area.width - w) / 2, y: area.y + (area.height - h) / 2, width: w, height: h };
    let inside = c.popup(place, title);
    let overflow = lines.len().saturating_sub(usize::from(inside.height));
    c.geometry.page_overflow = Some(overflow);
    for (y, (text, style)) in (inside.y..inside.bottom()).zip(&lines[first.min(overflow)..]) {
        c.put(inside, inside.x + 1, y, text, *style);
    }
    if first < overflow {
        c.put_right(
            Rect { y: place.bottom() - 1, height: 1, width: place.width - 2, ..place },
            place.bottom() - 1,
            " ↓ more ",
            c.theme.accent(),
        );
    }
}
