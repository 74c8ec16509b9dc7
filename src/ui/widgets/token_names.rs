//! The names of tokens above narrow columns.

use crate::state::text::{fit, width};
use crate::ui::canvas::Canvas;
use ratatui::layout::Rect;

/// Width of the names of layers, cells.
pub const NAMES: usize = 5;

/// Writes the name of the token at the cursor above a band, and as many other names as fit. A tick marks the column of
/// each.
pub fn put_token_names(c: &mut Canvas, inside: Rect, y: u16, column: usize, tokens: std::ops::Range<usize>) {
    let cursor = c.state.cursor.token;
    let room = Rect { x: inside.x + NAMES as u16, width: inside.width.saturating_sub(NAMES as u16), ..inside };
    c.put(inside, inside.x, y, &format!("{:>4}", tokens.start), c.theme.dim());
    let texts: Vec<&str> = tokens.clone().map(|pos| c.shown(pos)).collect();
    let at = tokens.contains(&cursor).then(|| cursor - tokens.start);
    let labels = labels(&texts, at, column, usize::from(room.width));
    for Label { index, start, text } in labels {
        let style = if Some(index) == at { c.theme.accent() } else { c.theme.dim() };
        c.put(room, room.x + start as u16, y, &text, style);
    }
}

/// A token's name above its column.
#[derive(Debug, PartialEq)]
struct Label {
    index: usize,
    start: usize,
    text: String,
}

/// The names that fit `room` cells, with their places: the name of token `at` first, then those that touch no other
/// name, from left to right.
fn labels(texts: &[&str], at: Option<usize>, column: usize, room: usize) -> Vec<Label> {
    let mut labels = Vec::new();
    let mut taken = room..room;
    if let Some(at) = at.filter(|at| at * column < room) {
        let (tick, name) = (at * column, fit(texts[at], 20));
        let cells = width(&name);
        // At the right edge the name comes before its tick.
        let (start, text) = if tick + 1 + cells <= room {
            (tick, format!("▾{name}"))
        } else {
            (tick.saturating_sub(cells), format!("{}▾", fit(&name, tick)))
        };
        taken = start..start + width(&text);
        labels.push(Label { index: at, start, text });
    }
    let mut free = 0;
    for (index, name) in texts.iter().enumerate() {
        let (start, end) = (index * column, index * column + 1 + width(name));
        let is_clear = end <= taken.start || start >= taken.end;
        if Some(index) != at && start >= free && end <= room && is_clear {
            labels.push(Label { index, start, text: format!("▏{name}") });
            free = end;
        }
    }
    labels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_whole_and_never_touch() {
        let texts = ["<s>", "·The", "·capital", "·of", "·France", "·is", "·P"];
        let shown = |at, column, room| -> Vec<(usize, usize, String)> {
            labels(&texts, at, column, room).into_iter().map(|label| (label.index, label.start, label.text)).collect()
        };
        let label = |index, start, text: &str| (index, start, text.to_owned());
        assert_eq!(
            shown(Some(4), 2, 40),
            [label(4, 8, "▾·France"), label(0, 0, "▏<s>")],
            "·capital would touch ·France, ·is and ·P begin within it"
        );
        assert_eq!(shown(Some(6), 2, 14)[0], label(6, 10, "·P▾"), "at the edge the name comes before its tick");
        assert_eq!(shown(None, 9, 40).len(), 4, "all names that begin and end within the room");
    }
}
