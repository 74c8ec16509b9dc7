//! Contributions to the logit of a candidate: experts and heads of the layer at the cursor, then all layers.
//!
//! ```text
//! mlp of layer 3 +1.643
//!        p   w ‖w·out‖  cos   share          bars to ±1.83
//! E5   .61 .71    3.20  .92  +1.830         │███████
//! E2   .25 .29    1.10 −.31  −0.197       ▐█│
//! rounding +0.010
//! attn of layer 3 +0.811 · bars to ±0.930
//! H4    +0.930         │███████
//! rounding +0.001
//! layer    attn             mlp
//! L5     +0.412     │█   −0.310    ▐█│
//! embed  +0.102     │▏   bars to ±1.64
//! embed + attn + mlp = 12.340
//! remainder +0.010 (rounding), logit 12.350
//! ```
//! With fewer lines, each section has one at least:
//! ```text
//! attn of layer 3 +0.811 · H4 +0.930, H1 −0.214, the 6 others +0.095
//! 6 layers: attn +3.402, mlp +8.836 · embed +0.102
//! ```

mod sections;
mod share_out;

use share_out::Lines;

use crate::state::State;
use crate::state::text::{fit, harmless, quoted, show_piece};
use crate::trace::{Dims, HookKind, TokenRecord};
use crate::ui::canvas::Canvas;
use ratatui::layout::Rect;
use sections::Page;

/// Draws the panel; `hides_view` if it takes the place of the view.
pub fn draw(c: &mut Canvas, area: Rect, hides_view: bool) {
    let (state, cursor) = (c.state, c.state.cursor);
    let target = state.contribution_target().map_or_else(String::new, |target| fit(&show_piece(&target.piece), 16));
    let title = if hides_view {
        format!("D: the view · contributions to {}", quoted(&target))
    } else {
        format!("contributions to {} after {}", quoted(&target), quoted(&fit(c.shown(cursor.token), 16)))
    };
    let inside = c.panel(area, &title);
    let (Some(token), Some(key)) = (state.token(), state.contribution_key()) else {
        return c.nothing(inside, "no token yet");
    };
    if c.is_saved() {
        let lines = ["contributions are computed from the weights:", "this is a saved run, o opens its model"];
        return put_lines(c, inside, &lines.map(str::to_owned));
    }
    match state.derived.attribution(key) {
        Some(Ok(found)) => match found.layer(key.layer) {
            Some(shares) => Page::new(inside, found, shares).draw(c, token),
            None => c.nothing(inside, "this layer was not attributed"),
        },
        Some(Err(reason)) => {
            put_lines(c, inside, &["contributions can't be derived:".to_owned(), harmless(reason)]);
        }
        None => match c.dims().and_then(|d| missing(token, key.layer, d)) {
            Some(what) => put_lines(c, inside, &[format!("this run does not hold {what},"), NEEDED.to_owned()]),
            None => {
                c.wanted.attribution = Some(key);
                c.nothing(inside, "deriving …");
            }
        },
    }
}

/// The number of lines of the whole panel without a frame.
pub fn lines(state: &State) -> Option<usize> {
    let d = state.meta()?.dims;
    // The sums take up to two lines.
    Some(Lines::whole(d.top_k, d.heads, d.layers).sum() + 2)
}

const NEEDED: &str = "which contributions are derived from";

fn put_lines(c: &mut Canvas, inside: Rect, lines: &[String]) {
    let room = usize::from(inside.width.saturating_sub(1));
    for (y, line) in (inside.y..).zip(lines) {
        c.put(inside, inside.x + 1, y, &fit(line, room), c.theme.dim());
    }
}

/// The missing part of a record.
fn missing(token: &TokenRecord, layer: usize, d: Dims) -> Option<&'static str> {
    let all = |kind: HookKind| (0..d.layers).all(|layer| token.row(kind, layer).is_some());
    if !all(HookKind::ResidMid) || !all(HookKind::ResidPost) {
        Some("the residuals")
    } else if token.row(HookKind::RotQ, layer).is_none() || token.row(HookKind::RotK, layer).is_none() {
        Some("queries and keys")
    } else if !d.has_router(layer) {
        None
    } else if token.experts(layer).is_none() || token.row(HookKind::MixingWeights, layer).is_none() {
        Some("the routing")
    } else {
        None
    }
}
