//! Attention: all heads as thumbnails, and the chosen one large; query down, key across, the future blank.

use super::{attention_grid, attention_head};
use crate::state::{AttentionLens, Side, State};
use crate::ui::canvas::Canvas;
use ratatui::layout::Rect;

pub fn draw(c: &mut Canvas, area: Rect) {
    let Some(d) = c.dims().filter(|_| !c.state.tokens.is_empty()) else {
        let inside = c.panel(area, "attention");
        return c.nothing(inside, "no token yet");
    };
    if !(0..d.layers).any(|layer| c.has_attention(layer)) {
        let inside = c.panel(area, "attention");
        return c.nothing(inside, "not in this trace: patterns, or rotated queries and keys");
    }
    want_side(c);
    match c.pane.attention {
        AttentionLens::Head => attention_head::draw(c, area),
        AttentionLens::Grid if area.width < 60 => attention_grid::draw(c, area, d),
        AttentionLens::Grid => {
            let width = area.width * 3 / 5;
            let (left, right) = (Rect { width, ..area }, Rect { x: area.x + width, width: area.width - width, ..area });
            attention_head::draw(c, right);
            attention_grid::draw(c, left, d);
        }
    }
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
