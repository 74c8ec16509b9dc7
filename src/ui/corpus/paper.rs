//! The cells that a sweep is drawn on.

use crate::state::text::{fit, width};
use crate::ui::theme::Theme;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::widgets::{Block, Widget};

pub struct Paper<'a> {
    pub theme: &'a Theme,
    pub cells: Buffer,
}

impl Paper<'_> {
    /// Writes `text` at (x, y) within `area`, cut at its right edge; returns the column after it.
    pub fn put(&mut self, area: Rect, x: u16, y: u16, text: &str, style: Style) -> u16 {
        if y < area.top() || y >= area.bottom() || x < area.left() || x >= area.right() {
            return x;
        }
        let room = usize::from(area.right() - x);
        self.cells.set_stringn(x, y, fit(text, room), room, style).0
    }

    /// Writes `text` so that it ends at the right edge of `area`.
    pub fn put_right(&mut self, area: Rect, y: u16, text: &str, style: Style) {
        let x = area.right().saturating_sub(width(text) as u16);
        self.put(area, x.max(area.left()), y, text, style);
    }

    /// Draws a frame with a title; returns the inside.
    pub fn frame(&mut self, area: Rect, title: &str) -> Rect {
        let block = Block::bordered().border_style(self.theme.dim());
        let inside = block.inner(area);
        block.render(area, &mut self.cells);
        let title = fit(&format!(" {title} "), usize::from(area.width.saturating_sub(4)));
        self.put(area, area.x + 2, area.y, &title, self.theme.strong());
        inside
    }

    /// A frame with a sentence instead of numbers.
    pub fn panel(&mut self, area: Rect, title: &str, text: &str) {
        let inside = self.frame(area, title);
        let x = inside.x + inside.width.saturating_sub(width(text) as u16) / 2;
        self.put(inside, x, inside.y + inside.height / 2, text, self.theme.dim());
    }
}
