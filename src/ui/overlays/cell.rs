//! The whole text and value of the cell at the cursor, which views may cut.

use super::page::{WIDEST, page};
use crate::state::text::{quoted, show_piece};
use crate::trace::LensKey;
use crate::ui::canvas::Canvas;
use crate::ui::widgets::wrap::wrap;
use ratatui::layout::Rect;
use ratatui::style::Style;

pub fn draw(c: &mut Canvas, area: Rect, first: usize) {
    let (state, cursor) = (c.state, c.state.cursor);
    let mut parts: Vec<(String, Style)> = Vec::new();
    if let Some(token) = state.token() {
        let text = quoted(c.shown(cursor.token));
        parts.push((format!("token {} {text}", cursor.token), c.theme.strong()));
        parts.push((format!("id {} · {}", token.id, token.source.as_str()), c.theme.dim()));
        parts.push((String::new(), Style::new()));
    }
    parts.push((format!("{}:", state.view()), c.theme.accent()));
    match state.cell_text() {
        Ok(text) => parts.push((text, Style::new())),
        Err(why) => parts.push((why, c.theme.dim())),
    }
    let key = LensKey { pos: cursor.token, layer: cursor.layer, site: c.pane.lens.site() };
    if let Some(cell) = state.derived.lens(key) {
        parts.push((String::new(), Style::new()));
        parts.push((format!("lens after layer {} ({}):", key.layer, key.site), c.theme.accent()));
        let lines = cell.top.iter().map(|top| format!("{} {:.4}", quoted(&show_piece(&top.piece)), top.prob));
        parts.extend(lines.map(|line| (line, Style::new())));
    }
    let room = usize::from(area.width.min(WIDEST).saturating_sub(4));
    let lines: Vec<(String, Style)> = parts
        .into_iter()
        .flat_map(|(text, style)| wrap(&text, room).into_iter().map(move |line| (line, style)))
        .collect();
    page(c, area, "the cell at the cursor · y c copies · esc closes", &lines, first);
}
