//! The logit lens: what the model would say if it stopped at each layer; probability as shade.
//!
//! ```text
//!      ·had    ·a       ·red     ·ball
//! out  ·a .91  ·red .33 ·ball .72 ·bounced .42
//! L5   ·a .90  ·big .29 ·ball .70 ·bounced .40
//! ```

use super::heatmap;
use crate::state::text::{fit, show_piece, width};
use crate::trace::{LensKey, LensSite};
use crate::ui::canvas::{Canvas, prob, window};
use ratatui::layout::Rect;

/// Cells of one column: a token and its probability.
const COLUMN: usize = 13;

pub fn draw(c: &mut Canvas, area: Rect) {
    let (state, cursor) = (c.state, c.state.cursor);
    let inside = c.panel(area, &format!("lens · {} · top token after each layer", c.pane.lens_site));
    let Some(d) = c.dims().filter(|_| !state.tokens.is_empty()) else { return c.nothing(inside, "no token yet") };
    let columns = (usize::from(inside.width.saturating_sub(5)) / COLUMN).max(1);
    let shown = window(cursor.token, state.tokens.len(), columns);
    let has_legend = inside.height >= 7;
    let body = usize::from(inside.height.saturating_sub(2 + u16::from(has_legend))).max(1);
    let layers = window(d.layers - 1 - cursor.layer, d.layers, body);
    let mut missing: Vec<LensKey> = Vec::new();
    for (i, row) in layers.clone().enumerate() {
        let layer = d.layers - 1 - row;
        let chosen = layer == cursor.layer;
        let label = format!("{}L{layer}", if chosen { "▸" } else { " " });
        c.put(inside, inside.x, inside.y + 2 + i as u16, &label, if chosen { c.theme.accent() } else { c.theme.dim() });
    }
    c.put(inside, inside.x, inside.y + 1, " out", c.theme.dim());
    for (i, pos) in shown.enumerate() {
        let x = inside.x + 5 + (i * COLUMN) as u16;
        let head = fit(c.shown(pos), COLUMN - 1);
        c.put(inside, x, inside.y, &head, if pos == cursor.token { c.theme.cursor() } else { c.theme.strong() });
        if let Some(best) = state.tokens[pos].next.top.first() {
            put_token(c, inside, x, inside.y + 1, &best.piece, best.prob, false);
        }
        for (j, row) in layers.clone().enumerate() {
            let layer = d.layers - 1 - row;
            let key = LensKey { pos, layer, site: c.pane.lens_site };
            let at = pos == cursor.token && layer == cursor.layer;
            match state.derived.lens(key).and_then(|cell| cell.top.first()) {
                Some(best) => put_token(c, inside, x, inside.y + 2 + j as u16, &best.piece, best.prob, at),
                None => missing.push(key),
            }
        }
    }
    // The details beside the view need every layer at the cursor.
    for layer in 0..d.layers {
        for site in [LensSite::ResidMid, LensSite::ResidPost] {
            let key = LensKey { pos: cursor.token, layer, site };
            if state.derived.lens(key).is_none() && !missing.contains(&key) {
                missing.push(key);
            }
        }
    }
    missing.sort_by_key(|key| (key.pos.abs_diff(cursor.token), key.pos));
    c.drawn.wanted.lens = missing;
    if has_legend {
        let y = inside.bottom() - 1;
        let x = heatmap::legend(c, inside, inside.x + 1, y);
        c.put(inside, x, y, "  probability of the next token · out = the model's own", c.theme.dim());
    }
}

fn put_token(c: &mut Canvas, inside: Rect, x: u16, y: u16, piece: &str, p: f32, at: bool) {
    let p_text = prob(p);
    let text = fit(&show_piece(piece), COLUMN - 2 - p_text.len());
    let gap = COLUMN - 1 - width(&text) - p_text.len();
    let style = if at { c.theme.cursor() } else { c.theme.heat(p) };
    c.put(inside, x, y, &format!("{text}{}{p_text}", " ".repeat(gap)), style);
}
