//! Layers × experts of the token at the cursor: probabilities, the chosen experts in brackets, and the margin.
//!
//! ```text
//!        E0    E1    E2    E3     margin entropy nats
//!  L5   .02   .01  [.55]  .03       1.90         1.19
//! ▸L3   .01   .02  [.25]  .01     ≈ 0.00         1.13
//! ```
//! If the experts do not fit next to each other, the best ones by name:
//! ```text
//! ▸L3    1.27 [E5 .61][E2 .25] E7 .07
//! ```

use super::{CELL, Size, WIDE_CELL, details, legend_lines, lines_each, named_cell, put_cell, put_legend, put_named};
use crate::analysis::entropy;
use crate::analysis::routing::TokenRouting;
use crate::state::Spot;
use crate::state::text::quoted;
use crate::ui::canvas::Canvas;
use crate::ui::chrome::title::view_panel;
use crate::ui::theme::marks::NEAR_TIE;
use crate::ui::views::Panel;
use crate::ui::widgets::window::window;
use ratatui::layout::Rect;

pub const PANEL: Panel = Panel {
    details: Some(details::draw),
    lines: |state, _, _| Some(2 + state.meta()?.dims.layers),
    ..Panel::new(draw)
};

/// Width of a margin, as `  ≈ 0.012`.
const MARGIN: usize = 9;
/// Width of an entropy and its heading.
const ENTROPY: usize = 13;

fn draw(c: &mut Canvas, area: Rect) {
    let (state, cursor) = (c.state, c.state.cursor);
    let token = format!("token {} {}", cursor.token, quoted(c.shown(cursor.token)));
    let inside = view_panel(c, area, [format!("{token} · probability"), token]);
    let (Some(d), Some(token)) = (c.dims(), state.token()) else { return c.nothing(inside, "no token yet") };
    let rows = usize::from(inside.height.saturating_sub(1 + legend_lines(inside)));
    let lines = lines_each(rows, d.layers);
    let layers = window(d.layers - 1 - cursor.layer, d.layers, rows / lines);
    c.left_out(area, &layers, d.layers);
    let room = usize::from(inside.width).saturating_sub(5 + MARGIN);
    let (all_fit, has_entropy) = (d.experts * CELL <= room, d.experts * CELL + ENTROPY <= room);
    let heading = if has_entropy { "   margin entropy nats" } else { "   margin" };
    let left = room.saturating_sub(if has_entropy { ENTROPY } else { 0 });
    let cell = (left / d.experts).clamp(CELL, WIDE_CELL);
    let size = Size { width: cell, lines };
    if all_fit {
        for expert in 0..d.experts {
            let spot = Spot { expert: Some(expert), ..Spot::default() };
            c.hit_columns(inside, inside.x + 5 + (expert * cell) as u16, cell as u16, spot);
        }
        let x = put_names(c, inside, 0..d.experts, cell);
        c.put(inside, x, inside.y, heading, c.theme.dim());
    } else {
        c.put(inside, inside.x + 5, inside.y, "   margin   best experts, [chosen]", c.theme.dim());
    }
    for (y, row) in (inside.y + 1..).step_by(lines).zip(layers) {
        let layer = d.layers - 1 - row;
        let chosen = layer == cursor.layer;
        c.hit_lines(inside, y, lines as u16, Spot { layer: Some(layer), ..Spot::default() });
        let label = format!("{}L{layer:<3}", if chosen { "▸" } else { " " });
        let x = c.put(inside, inside.x, y, &label, if chosen { c.theme.accent() } else { c.theme.dim() });
        let Some(routing) = TokenRouting::of(token, layer) else {
            c.put(inside, x, y, c.no_routing(layer), c.theme.dim());
            continue;
        };
        if all_fit {
            let x = (0..d.experts).fold(x, |x, expert| put_cell(c, inside, (x, y), size, &routing, expert));
            let x = put_margin(c, inside, x, y, &routing);
            if has_entropy {
                c.put(inside, x, y, &format!("{:>ENTROPY$.2}", entropy(routing.probs)), c.theme.dim());
            }
        } else {
            let x = put_margin(c, inside, x, y, &routing);
            put_best(c, inside, (x, y), lines, &routing);
        }
    }
    put_legend(c, inside);
}

/// Writes `E0    E1   …` above columns of `cell` cells; returns the column after them.
fn put_names(c: &mut Canvas, inside: Rect, experts: std::ops::Range<usize>, cell: usize) -> u16 {
    let mut x = inside.x + 5;
    for expert in experts {
        let name = format!("E{expert}");
        let style = if expert == c.state.cursor.expert { c.theme.cursor() } else { c.theme.expert(expert) };
        // Above the digits of the probability.
        let before = (cell - CELL) + (CELL - name.len().min(CELL)).min(2);
        c.put(inside, x + before as u16, inside.y, &name, style);
        x += cell as u16;
    }
    x
}

/// Writes the best experts that fit `lines` lines; if more than the chosen ones fit, the expert at the cursor is among
/// them.
fn put_best(c: &mut Canvas, inside: Rect, (x, y): (u16, u16), lines: usize, routing: &TokenRouting) {
    let cell = named_cell(routing.probs.len());
    let room = usize::from(inside.right().saturating_sub(x));
    let x = x + u16::from(room % cell > 0);
    let mut best = routing.ranking();
    let across = (room / cell).max(1);
    best.truncate(across * lines);
    if best.len() > routing.chosen.len() && !best.contains(&c.state.cursor.expert) {
        best.pop();
        best.push(c.state.cursor.expert);
    }
    for (y, line) in (y..).zip(best.chunks(across)) {
        line.iter().fold(x, |x, expert| put_named(c, inside, x, y, routing, *expert));
    }
}

fn put_margin(c: &mut Canvas, inside: Rect, x: u16, y: u16, routing: &TokenRouting) -> u16 {
    let Some(meta) = c.state.meta() else { return x };
    let (text, style) = match routing.margin() {
        Some(margin) if margin.is_near_tie(meta.router_dtype()) => {
            (format!("  {NEAR_TIE}{:>6.3}", margin.gap), c.theme.warn())
        }
        Some(margin) => (format!("{:>MARGIN$.2}", margin.gap), c.theme.strong()),
        None => ("      all".to_owned(), c.theme.dim()),
    };
    c.put(inside, x, y, &text, style)
}
