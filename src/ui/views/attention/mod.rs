//! Attention of heads: query down, key across, future blank.

pub mod details;
pub mod grid;
pub mod head;
pub mod scores;

use crate::state::{Heads, Side};
use crate::trace::Dims;
use crate::ui::canvas::Canvas;
use crate::ui::chrome::title::view_panel;
use ratatui::layout::Rect;

/// The dimensions of the model; `None` if there is no attention to draw, with the reason in the panel.
fn ready(c: &mut Canvas, area: Rect) -> Option<Dims> {
    let Some(d) = c.dims().filter(|_| !c.state.tokens.is_empty()) else {
        let inside = view_panel(c, area, [String::new()]);
        c.nothing(inside, "no token yet");
        return None;
    };
    if !(0..d.layers).any(|layer| c.has_attention(layer)) {
        let inside = view_panel(c, area, [String::new()]);
        c.nothing(inside, "not in this trace: patterns, or rotated queries and keys");
        return None;
    }
    want_side(c, &c.pane.heads);
    Some(d)
}

/// Requests the row from the cursor or the column to it, if it is not derived yet.
pub fn want_side(c: &mut Canvas, heads: &Heads) {
    let (state, cursor) = (c.state, c.state.cursor);
    if !c.has_attention(cursor.layer) {
        return;
    }
    let pick = heads.pick(cursor.head);
    match heads.side {
        Side::Row => {
            if state.derived.row(cursor.layer, pick, cursor.token).is_none() {
                c.wanted.rows = Some((cursor.layer, cursor.token));
            }
        }
        Side::Column => {
            let column = state.derived.column(cursor.layer, pick, cursor.token);
            if column.is_none_or(|column| column.n() != state.tokens.len()) {
                c.wanted.column = Some((cursor.layer, pick, cursor.token));
            }
        }
    }
}
