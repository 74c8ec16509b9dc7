//! Whole messages, and the screen of a model that could not be opened.

use super::page::{WIDEST, page};
use crate::protocol::Failure;
use crate::ui::canvas::Canvas;
use crate::ui::widgets::wrap::wrap;
use ratatui::layout::Rect;
use ratatui::style::Style;

/// Draws the last message with its causes.
pub fn draw(c: &mut Canvas, area: Rect, first: usize) {
    let Some(message) = c.state.last_message() else { return };
    let style = if message.is_error { c.theme.error() } else { c.theme.strong() };
    let lines = lines(style, &message.failure, usize::from(area.width.min(WIDEST).saturating_sub(4)));
    page(c, area, "message · esc closes", &lines, first);
}

/// Draws the failure of a model that could not be opened.
pub fn draw_failure(c: &mut Canvas, area: Rect, failure: &Failure) {
    let mut lines = lines(c.theme.error(), failure, usize::from(area.width.saturating_sub(4)));
    lines.push((String::new(), Style::new()));
    lines.push(("o opens another model · q quits".to_owned(), c.theme.dim()));
    for (y, (text, style)) in (area.y + 1..area.bottom()).zip(&lines) {
        c.put(area, area.x + 2, y, text, *style);
    }
}

fn lines(style: Style, failure: &Failure, room: usize) -> Vec<(String, Style)> {
    let mut lines = Vec::new();
    let summary = failure.summary.lines().flat_map(|line| wrap(line, room));
    lines.extend(summary.map(|line| (line, style)));
    for cause in &failure.causes {
        lines.push((String::new(), Style::new()));
        lines.extend(cause.lines().flat_map(|line| wrap(line, room)).map(|line| (line, Style::new())));
    }
    lines
}
