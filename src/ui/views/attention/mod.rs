//! Attention: all heads as thumbnails, and the chosen one large; query down, key across, the future blank.

pub mod details;
pub mod grid;
pub mod head;

use crate::state::{Side, State};
use crate::trace::Dims;
use crate::ui::canvas::Canvas;
use ratatui::layout::Rect;

/// The sizes of the model, if there is attention to draw; else the panel says why there is none.
fn ready(c: &mut Canvas, area: Rect) -> Option<Dims> {
    let Some(d) = c.dims().filter(|_| !c.state.tokens.is_empty()) else {
        let inside = c.panel(area, "attention");
        c.nothing(inside, "no token yet");
        return None;
    };
    if !(0..d.layers).any(|layer| c.has_attention(layer)) {
        let inside = c.panel(area, "attention");
        c.nothing(inside, "not in this trace: patterns, or rotated queries and keys");
        return None;
    }
    want_side(c);
    Some(d)
}

/// Asks for the row from the cursor or the column to it, if it is not there yet.
pub fn want_side(c: &mut Canvas) {
    let (state, cursor) = (c.state, c.state.cursor);
    if !c.has_attention(cursor.layer) {
        return;
    }
    match state.heads.side {
        Side::Row => {
            if state.derived.row(cursor.layer, state.pick(), cursor.token).is_none() {
                c.drawn.wanted.rows = Some((cursor.layer, cursor.token));
            }
        }
        Side::Column => {
            let column = state.derived.column(cursor.layer, state.pick(), cursor.token);
            if column.is_none_or(|column| column.n() != state.tokens.len()) {
                c.drawn.wanted.column = Some((cursor.layer, state.pick(), cursor.token));
            }
        }
    }
}

/// The weight between the cursor and `pos`: from the cursor, or to it.
pub fn weight_at(state: &State, pos: usize) -> Option<f32> {
    let cursor = state.cursor;
    match state.heads.side {
        Side::Row => state.derived.row(cursor.layer, state.pick(), cursor.token)?.weights.get(pos).copied(),
        Side::Column => state.derived.column(cursor.layer, state.pick(), cursor.token)?.weight(pos),
    }
}

/// The other ends of the largest weights at the cursor, largest first, if they are there.
pub fn strongest(state: &State) -> Option<&[usize]> {
    let cursor = state.cursor;
    Some(match state.heads.side {
        Side::Row => &state.derived.row(cursor.layer, state.pick(), cursor.token)?.strongest,
        Side::Column => &state.derived.column(cursor.layer, state.pick(), cursor.token)?.strongest,
    })
}
