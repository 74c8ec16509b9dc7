//! Attention: all heads as thumbnails, and the chosen one large; query down, key across, the future blank.

use super::heatmap::{self, Matrix};
use crate::state::AttentionLens;
use crate::state::text::fit;
use crate::trace::{Dims, HeadMap};
use crate::ui::canvas::{Canvas, window};
use ratatui::layout::Rect;

/// Smallest and largest thumbnail, cells across.
const THUMB: (usize, usize) = (4, 16);

pub fn draw(c: &mut Canvas, area: Rect) {
    let Some(d) = c.dims().filter(|_| !c.state.tokens.is_empty()) else {
        let inside = c.panel(area, "attention");
        return c.nothing(inside, "no token yet");
    };
    match c.pane.attention {
        AttentionLens::Head => draw_head(c, area, d),
        AttentionLens::Grid if area.width < 60 => draw_grid(c, area, d),
        AttentionLens::Grid => {
            let width = area.width * 3 / 5;
            let (left, right) = (Rect { width, ..area }, Rect { x: area.x + width, width: area.width - width, ..area });
            draw_grid(c, left, d);
            draw_head(c, right, d);
        }
    }
}

/// Layers × heads as thumbnails.
fn draw_grid(c: &mut Canvas, area: Rect, d: Dims) {
    let cursor = c.state.cursor;
    let inside = c.panel(area, "attention · all heads · maximum of each block");
    // The right edge and a line for the head numbers stay free.
    let room = Rect {
        x: inside.x + 4,
        y: inside.y + 1,
        width: inside.width.saturating_sub(5),
        height: inside.height.saturating_sub(1),
    };
    let across = usize::from(room.width) / d.heads;
    let down = usize::from(room.height) / d.layers;
    // A thumbnail and the gap behind it.
    let side = across.saturating_sub(1).min(down * 2).clamp(THUMB.0, THUMB.1) / 2 * 2;
    let (step_x, step_y) = (side + 1, side / 2);
    let heads = window(cursor.head, d.heads, (usize::from(room.width) / step_x).max(1));
    let layers = window(d.layers - 1 - cursor.layer, d.layers, (usize::from(room.height) / step_y).max(1));
    let mut missing = Vec::new();
    for (j, head) in heads.clone().enumerate() {
        let style = if head == cursor.head { c.theme.cursor() } else { c.theme.dim() };
        c.put(inside, room.x + (j * step_x) as u16, inside.y, &format!("H{head}"), style);
    }
    for (i, row) in layers.enumerate() {
        let layer = d.layers - 1 - row;
        let y = room.y + (i * step_y) as u16;
        let style = if layer == cursor.layer { c.theme.cursor() } else { c.theme.dim() };
        c.put(inside, inside.x, y, &format!("L{layer}"), style);
        for (j, head) in heads.clone().enumerate() {
            let x = room.x + (j * step_x) as u16;
            let map = c.state.derived.map(layer, head, side);
            if map.is_none_or(|map| map.n != c.state.tokens.len()) {
                missing.push((layer, head));
            }
            let place = Rect { x, y, width: side as u16, height: step_y as u16 }.intersection(room);
            if let Some(map) = map {
                heatmap::draw(c, place, &Matrix { cells: &map.cells, side: map.side, row: None });
            }
            if (layer, head) == (cursor.layer, cursor.head) {
                for y in y..y + step_y as u16 {
                    c.put(inside, x - 1, y, "[", c.theme.accent());
                    c.put(inside, x + side as u16, y, "]", c.theme.accent());
                }
            }
        }
    }
    if !missing.is_empty() {
        c.drawn.wanted.maps = Some((missing, side));
    }
}

/// One head as large as fits.
fn draw_head(c: &mut Canvas, area: Rect, d: Dims) {
    let (state, cursor) = (c.state, c.state.cursor);
    let body = Rect {
        height: area.height.saturating_sub(if c.framed { 4 } else { 2 }),
        width: area.width.saturating_sub(4),
        ..area
    };
    let side = heatmap::room(body).max(2);
    let map = state.derived.map(cursor.layer, cursor.head, side);
    if map.is_none_or(|map| map.n != state.tokens.len()) && c.drawn.wanted.maps.is_none() {
        c.drawn.wanted.maps = Some((vec![(cursor.layer, cursor.head)], side));
    }
    if state.derived.row(cursor.layer, cursor.head, cursor.token).is_none() {
        c.drawn.wanted.rows = Some((cursor.layer, 0..d.heads, cursor.token));
    }
    let Some(map) = map else {
        let inside = c.panel(area, &format!("layer {} head {}", cursor.layer, cursor.head));
        return c.nothing(inside, "deriving …");
    };
    let inside = c.panel(area, &title(map));
    let body = Rect { height: inside.height.saturating_sub(2), ..inside };
    heatmap::draw(c, body, &Matrix { cells: &map.cells, side: map.side, row: Some(cursor.token / map.block) });
    if inside.height > 3 {
        let x = heatmap::legend(c, inside, inside.x, inside.bottom() - 1);
        c.put(inside, x, inside.bottom() - 1, "  query ↓ key →", c.theme.dim());
        let stats = map.stats;
        let text = format!("mean entropy {:.2} prev {:.2} first {:.2}", stats.entropy, stats.previous, stats.first);
        c.put(inside, inside.x, inside.bottom() - 2, &fit(&text, usize::from(inside.width)), c.theme.dim());
    }
}

fn title(map: &HeadMap) -> String {
    let pooled = if map.block > 1 { format!(" · max of {0}×{0}", map.block) } else { String::new() };
    format!("layer {} head {}{pooled}", map.layer, map.head)
}
