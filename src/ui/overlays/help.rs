//! The page of keys, from the table that dispatches them.

use super::page::page;
use crate::state::input::Scope;
use crate::ui::canvas::Canvas;
use ratatui::layout::Rect;
use ratatui::style::Style;

pub fn draw(c: &mut Canvas, area: Rect, first: usize) {
    let mut lines: Vec<(String, Style)> = Vec::new();
    for scope in Scope::ALL {
        if !lines.is_empty() {
            lines.push((String::new(), Style::new()));
        }
        lines.push((scope.title().to_owned(), c.theme.accent()));
        for entry in c.state.keymap.of(scope) {
            let keys: Vec<String> = entry.keys.iter().map(ToString::to_string).collect();
            lines.push((format!("  {:<22} {}", keys.join("  "), entry.help), Style::new()));
        }
    }
    page(c, area, "keys · ↑↓ scroll · esc closes", &lines, first);
}
