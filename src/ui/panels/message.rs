//! Failures and messages, whole.

use crate::protocol::Failure;
use crate::state::text::harmless;
use crate::ui::canvas::Canvas;
use ratatui::layout::Rect;
use ratatui::style::Style;
use unicode_segmentation::UnicodeSegmentation;

/// Cells across of a page.
const WIDEST: u16 = 100;

/// The last message with its causes.
pub fn draw(c: &mut Canvas, area: Rect, first: usize) {
    let Some(message) = &c.state.message else { return };
    let style = if message.is_error { c.theme.error() } else { c.theme.strong() };
    let lines = lines(style, &message.failure, usize::from(area.width.min(WIDEST).saturating_sub(4)));
    page(c, area, "message · esc closes", &lines, first);
}

/// A model that could not be opened: nothing else to show.
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

/// Breaks text into lines of at most `room` cells, at words.
pub fn wrap(text: &str, room: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in harmless(text).split_word_bounds() {
        let cells = crate::state::text::width(word);
        if used + cells > room && used > 0 {
            lines.push(String::new());
            used = 0;
            if word.trim().is_empty() {
                continue;
            }
        }
        used += cells;
        if let Some(line) = lines.last_mut() {
            line.push_str(word);
        }
    }
    lines
}

/// A scrolled page over everything.
pub fn page(c: &mut Canvas, area: Rect, title: &str, lines: &[(String, Style)], first: usize) {
    let w = area.width.min(WIDEST);
    let h = (lines.len() as u16 + 2).min(area.height.saturating_sub(if area.height > 20 { 4 } else { 0 }));
    let place = Rect { x: area.x + (area.width - w) / 2, y: area.y + (area.height - h) / 2, width: w, height: h };
    let inside = c.popup(place, title);
    let overflow = lines.len().saturating_sub(usize::from(inside.height));
    c.drawn.wanted.overflow = Some(overflow);
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
