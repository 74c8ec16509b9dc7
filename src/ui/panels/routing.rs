//! Routing: probabilities of all experts, the chosen ones in brackets, the margin to the first that was not.
//!
//! ```text
//!        E0    E1    E2    E3     margin entropy
//!  L5   .02   .01  [.55]  .03       1.90    1.19
//! ▸L3   .01   .02  [.25]  .01     ≈ 0.00    1.13
//! ```

use super::{heatmap, routing_map};
use crate::state::RoutingLens;
use crate::state::text::fit;
use crate::trace::routing::{TokenRouting, entropy};
use crate::ui::canvas::{Canvas, prob, quoted, window};
use ratatui::layout::Rect;

/// Cells of one probability: ` [.55]`.
const CELL: usize = 6;

pub fn draw(c: &mut Canvas, area: Rect) {
    match c.pane.routing {
        RoutingLens::Token => draw_token(c, area),
        RoutingLens::Layer => draw_layer(c, area),
        RoutingLens::Map => routing_map::draw(c, area),
    }
}

/// Layers × experts for the token at the cursor.
fn draw_token(c: &mut Canvas, area: Rect) {
    let (state, cursor) = (c.state, c.state.cursor);
    let title = format!("routing · token {} {} · probability", cursor.token, quoted(c.shown(cursor.token)));
    let inside = c.panel(area, &title);
    let (Some(d), Some(token)) = (c.dims(), state.token()) else { return c.nothing(inside, "no token yet") };
    let rows = usize::from(inside.height.saturating_sub(1 + legend_lines(inside)));
    let layers = window(d.layers - 1 - cursor.layer, d.layers, rows);
    let (heading, other) = if is_narrow(inside) { ("   margin", 9) } else { ("   margin entropy", 17) };
    let experts = experts_window(c, inside, 5 + other);
    let mut x = inside.x + 5;
    for expert in experts.clone() {
        let style = if expert == cursor.expert { c.theme.cursor() } else { c.theme.expert(expert) };
        c.put(inside, x + 2, inside.y, &format!("E{expert}"), style);
        x += CELL as u16;
    }
    c.put(inside, x, inside.y, heading, c.theme.dim());
    if experts.start > 0 {
        c.put(inside, inside.x + 4, inside.y, "‹", c.theme.warn());
    }
    if experts.end < d.experts {
        c.put(inside, x, inside.y, "›", c.theme.warn());
    }
    for (y, row) in (inside.y + 1..).zip(layers) {
        let layer = d.layers - 1 - row;
        let chosen = layer == cursor.layer;
        let label = format!("{}L{layer:<3}", if chosen { "▸" } else { " " });
        let x = c.put(inside, inside.x, y, &label, if chosen { c.theme.accent() } else { c.theme.dim() });
        let Some(routing) = TokenRouting::of(token, layer) else {
            c.put(inside, x, y, "not captured", c.theme.dim());
            continue;
        };
        let x = put_probs(c, inside, x.max(inside.x + 5), y, &routing, experts.clone());
        put_margin(c, inside, x, y, &routing);
    }
    put_legend(c, inside);
}

/// Experts × tokens of the layer at the cursor.
fn draw_layer(c: &mut Canvas, area: Rect) {
    let (state, cursor) = (c.state, c.state.cursor);
    let inside = c.panel(area, &format!("routing · layer {} · probability by token", cursor.layer));
    let Some(d) = c.dims().filter(|_| !state.tokens.is_empty()) else { return c.nothing(inside, "no token yet") };
    let columns = usize::from(inside.width.saturating_sub(5)) / CELL;
    let shown = window(cursor.token, state.tokens.len(), columns);
    let rows = window(cursor.expert, d.experts, usize::from(inside.height.saturating_sub(2 + legend_lines(inside))));
    for (y, expert) in (inside.y + 1..).zip(rows.clone()) {
        let style = if expert == cursor.expert { c.theme.cursor() } else { c.theme.expert(expert) };
        c.put(inside, inside.x + 1, y, &format!("E{expert}"), style);
    }
    let below = inside.y + 1 + rows.len() as u16;
    c.put(inside, inside.x, below, "marg", c.theme.dim());
    for (i, pos) in shown.enumerate() {
        let x = inside.x + 5 + (i * CELL) as u16;
        let label = fit(c.shown(pos), CELL - 1).to_owned();
        c.put(inside, x, inside.y, &label, if pos == cursor.token { c.theme.cursor() } else { c.theme.dim() });
        let Some(routing) = TokenRouting::of(&state.tokens[pos], cursor.layer) else { continue };
        for (y, expert) in (inside.y + 1..).zip(rows.clone()) {
            put_probs(c, inside, x, y, &routing, expert..expert + 1);
        }
        if let (Some(margin), Some(meta)) = (routing.margin(), state.meta()) {
            let near = margin.is_near_tie(meta.router_dtype());
            let text = format!("{}{:.2}", if near { "≈" } else { "" }, margin.gap);
            c.put(inside, x, below, &fit(&text, CELL - 1), if near { c.theme.warn() } else { c.theme.dim() });
        }
    }
    put_legend(c, inside);
}

/// As many experts as fit beside `other` cells, the cursor's among them.
fn experts_window(c: &Canvas, inside: Rect, other: usize) -> std::ops::Range<usize> {
    let experts = c.dims().map_or(0, |d| d.experts);
    window(c.state.cursor.expert, experts, (usize::from(inside.width).saturating_sub(other) / CELL).max(1))
}

fn put_probs(
    c: &mut Canvas,
    inside: Rect,
    x: u16,
    y: u16,
    routing: &TokenRouting,
    experts: std::ops::Range<usize>,
) -> u16 {
    let mut x = x;
    for expert in experts {
        let p = routing.probs[expert];
        let chosen = routing.weight_of(expert).is_some();
        let text = if chosen { format!("[{}]", prob(p)) } else { format!(" {} ", prob(p)) };
        let style = if chosen { c.theme.heat(p).patch(c.theme.strong()) } else { c.theme.heat(p) };
        c.put(inside, x, y, &format!("{text:<5}"), style);
        x += CELL as u16;
    }
    x
}

fn put_margin(c: &mut Canvas, inside: Rect, x: u16, y: u16, routing: &TokenRouting) {
    let Some(meta) = c.state.meta() else { return };
    let mut x = x;
    match routing.margin() {
        Some(margin) if margin.is_near_tie(meta.router_dtype()) => {
            x = c.put(inside, x, y, &format!("  ≈{:>6.3}", margin.gap), c.theme.warn());
        }
        Some(margin) => x = c.put(inside, x, y, &format!("{:>9.2}", margin.gap), c.theme.strong()),
        None => x = c.put(inside, x, y, "      all", c.theme.dim()),
    }
    if !is_narrow(inside) {
        c.put(inside, x, y, &format!("{:>8.2}", entropy(routing.probs)), c.theme.dim());
    }
}

/// Whether only the margin has room beside the experts.
fn is_narrow(inside: Rect) -> bool {
    inside.width < 60
}

/// Lines that the legend takes: none where they are few.
fn legend_lines(inside: Rect) -> u16 {
    u16::from(inside.height >= 7)
}

fn put_legend(c: &mut Canvas, inside: Rect) {
    let Some(meta) = c.state.meta() else { return };
    if legend_lines(inside) == 0 {
        return;
    }
    let y = inside.bottom() - 1;
    let x = heatmap::legend(c, inside, inside.x + 1, y);
    let text =
        format!("   [ ] chosen   margin: logit gap to the first not chosen, ≈ within one {} step", meta.router_dtype());
    let room = usize::from(inside.right().saturating_sub(x));
    c.put(inside, x, y, &fit(&text, room), c.theme.dim());
}
