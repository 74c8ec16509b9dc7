//! Routing: probabilities of all experts, the chosen ones in brackets, the margin to the first that was not.
//!
//! ```text
//!        E0    E1    E2    E3     margin entropy nats
//!  L5   .02   .01  [.55]  .03       1.90         1.19
//! ▸L3   .01   .02  [.25]  .01     ≈ 0.00         1.13
//! ```
//! Where the experts do not fit beside each other, the best ones by name:
//! ```text
//! ▸L3    1.27 [E5 .61][E2 .25] E7 .07
//! ```

use super::{heatmap, routing_load, routing_map, routing_pairs};
use crate::analysis::entropy;
use crate::analysis::routing::TokenRouting;
use crate::state::text::fit;
use crate::state::{RoutingLens, Spot};
use crate::ui::canvas::{ABSENT, Canvas, prob, quoted, window};
use ratatui::layout::Rect;

/// Cells of one probability: ` [.55]`, `[<.01]`.
const CELL: usize = 6;
/// Cells of a margin: `  ≈ 0.012`.
const MARGIN: usize = 9;
/// Cells of an entropy and its heading.
const ENTROPY: usize = 13;

pub fn draw(c: &mut Canvas, area: Rect) {
    match c.pane.routing {
        RoutingLens::Token => draw_token(c, area),
        RoutingLens::Layer => draw_layer(c, area),
        RoutingLens::Map => routing_map::draw(c, area),
        RoutingLens::Load => routing_load::draw(c, area),
        RoutingLens::Pairs => routing_pairs::draw(c, area),
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
    c.left_out(area, &layers, d.layers);
    let beside = usize::from(inside.width).saturating_sub(5 + MARGIN);
    let (all_fit, has_entropy) = (d.experts * CELL <= beside, d.experts * CELL + ENTROPY <= beside);
    let heading = if has_entropy { "   margin entropy nats" } else { "   margin" };
    if all_fit {
        for expert in 0..d.experts {
            let spot = Spot { expert: Some(expert), ..Spot::default() };
            c.hit_columns(inside, inside.x + 5 + (expert * CELL) as u16, CELL as u16, spot);
        }
        let x = put_names(c, inside, 0..d.experts);
        c.put(inside, x, inside.y, heading, c.theme.dim());
    } else {
        c.put(inside, inside.x + 5, inside.y, "   margin   best experts, [chosen]", c.theme.dim());
    }
    for (y, row) in (inside.y + 1..).zip(layers) {
        let layer = d.layers - 1 - row;
        let chosen = layer == cursor.layer;
        c.hit_lines(inside, y, 1, Spot { layer: Some(layer), ..Spot::default() });
        let label = format!("{}L{layer:<3}", if chosen { "▸" } else { " " });
        let x = c.put(inside, inside.x, y, &label, if chosen { c.theme.accent() } else { c.theme.dim() });
        let Some(routing) = TokenRouting::of(token, layer) else {
            c.put(inside, x, y, ABSENT, c.theme.dim());
            continue;
        };
        if all_fit {
            let x = (0..d.experts).fold(x, |x, expert| put_prob(c, inside, x, y, &routing, expert));
            let x = put_margin(c, inside, x, y, &routing);
            if has_entropy {
                c.put(inside, x, y, &format!("{:>ENTROPY$.2}", entropy(routing.probs)), c.theme.dim());
            }
        } else {
            let x = put_margin(c, inside, x, y, &routing);
            put_best(c, inside, x, y, &routing);
        }
    }
    put_legend(c, inside);
}

/// Experts × tokens of the layer at the cursor; ranks × tokens where the experts do not fit.
fn draw_layer(c: &mut Canvas, area: Rect) {
    let (state, cursor) = (c.state, c.state.cursor);
    let inside = c.panel(area, &format!("routing · layer {} · probability by token", cursor.layer));
    let Some(d) = c.dims().filter(|_| !state.tokens.is_empty()) else { return c.nothing(inside, "no token yet") };
    if state.tokens[0].experts(cursor.layer).is_none() {
        return c.nothing(inside, ABSENT);
    }
    let rows = usize::from(inside.height.saturating_sub(2 + legend_lines(inside)));
    let all_fit = d.experts <= rows;
    let rows = rows.min(d.experts);
    c.left_out(area, &(0..rows), d.experts);
    let cell = if all_fit { CELL } else { named_cell(d.experts) };
    let columns = (usize::from(inside.width.saturating_sub(5)) / cell).max(1);
    let shown = window(cursor.token, state.tokens.len(), columns);
    for (y, row) in (inside.y + 1..).zip(0..rows) {
        if all_fit {
            let style = if row == cursor.expert { c.theme.cursor() } else { c.theme.expert(row) };
            c.put(inside, inside.x + 1, y, &format!("E{row}"), style);
            c.hit_lines(inside, y, 1, Spot { expert: Some(row), ..Spot::default() });
        } else {
            c.put(inside, inside.x, y, &format!("{:>3}.", row + 1), c.theme.dim());
        }
    }
    let below = inside.y + 1 + rows as u16;
    c.put(inside, inside.x, below, "marg", c.theme.dim());
    for (i, pos) in shown.enumerate() {
        let x = inside.x + 5 + (i * cell) as u16;
        c.hit_columns(inside, x, cell as u16, Spot { token: Some(pos), ..Spot::default() });
        let label = fit(c.shown(pos), cell - 1);
        c.put(inside, x, inside.y, &label, if pos == cursor.token { c.theme.cursor() } else { c.theme.dim() });
        let Some(routing) = TokenRouting::of(&state.tokens[pos], cursor.layer) else { continue };
        let experts: Vec<usize> = if all_fit { (0..rows).collect() } else { routing.ranking() };
        for (y, expert) in (inside.y + 1..below).zip(experts) {
            if all_fit {
                put_prob(c, inside, x, y, &routing, expert);
            } else {
                put_named(c, inside, x, y, &routing, expert);
            }
        }
        if let (Some(margin), Some(meta)) = (routing.margin(), state.meta()) {
            let near = margin.is_near_tie(meta.router_dtype());
            let text = format!("{}{:.2}", if near { "≈" } else { "" }, margin.gap);
            let text = format!("{:>1$}", fit(&text, cell - 1), cell - 1);
            c.put(inside, x, below, &text, if near { c.theme.warn() } else { c.theme.dim() });
        }
    }
    put_legend(c, inside);
}

/// `E0    E1   …` above columns of [`CELL`]; returns the column behind them.
fn put_names(c: &mut Canvas, inside: Rect, experts: std::ops::Range<usize>) -> u16 {
    let mut x = inside.x + 5;
    for expert in experts {
        let name = format!("E{expert}");
        let style = if expert == c.state.cursor.expert { c.theme.cursor() } else { c.theme.expert(expert) };
        c.put(inside, x + (CELL - name.len()).min(2) as u16, inside.y, &name, style);
        x += CELL as u16;
    }
    x
}

/// ` [.55]` of a chosen expert, `  .03 ` of another.
fn put_prob(c: &mut Canvas, inside: Rect, x: u16, y: u16, routing: &TokenRouting, expert: usize) -> u16 {
    let p = routing.probs.get(expert).copied().unwrap_or(f32::NAN);
    let chosen = routing.weight_of(expert).is_some();
    let text = if chosen { format!("[{}]", prob(p)) } else { format!("{} ", prob(p)) };
    let style = if chosen { c.theme.heat(p).patch(c.theme.strong()) } else { c.theme.heat(p) };
    c.put(inside, x, y, &format!("{text:>CELL$}"), style);
    x + CELL as u16
}

/// Cells of an expert's name and probability: `[E5 .61]`, `[E12<.01]`.
fn named_cell(experts: usize) -> usize {
    7 + (experts.saturating_sub(1)).to_string().len()
}

fn put_named(c: &mut Canvas, inside: Rect, x: u16, y: u16, routing: &TokenRouting, expert: usize) -> u16 {
    let p = routing.probs.get(expert).copied().unwrap_or(f32::NAN);
    let chosen = routing.weight_of(expert).is_some();
    let (open, close) = if chosen { ("[", "]") } else { (" ", " ") };
    let digits = named_cell(routing.probs.len()) - 7;
    let strong = if chosen { c.theme.strong() } else { ratatui::style::Style::new() };
    let name = if expert == c.state.cursor.expert { c.theme.cursor() } else { c.theme.expert(expert) };
    let (name_text, p_text) = (format!("E{expert:<digits$}"), format!("{:>4}", prob(p)));
    let heat = c.theme.heat(p).patch(strong);
    c.line(inside, x, y, &[(open, strong), (&name_text, name), (&p_text, heat), (close, strong)])
}

/// The best experts as far as there is room, the one at the cursor among them if more than the chosen fit.
fn put_best(c: &mut Canvas, inside: Rect, x: u16, y: u16, routing: &TokenRouting) {
    let cell = named_cell(routing.probs.len());
    let room = usize::from(inside.right().saturating_sub(x));
    let x = x + u16::from(room % cell > 0);
    let mut best = routing.ranking();
    best.truncate((room / cell).max(1));
    if best.len() > routing.chosen.len() && !best.contains(&c.state.cursor.expert) {
        best.pop();
        best.push(c.state.cursor.expert);
    }
    best.into_iter().fold(x, |x, expert| put_named(c, inside, x, y, routing, expert));
}

fn put_margin(c: &mut Canvas, inside: Rect, x: u16, y: u16, routing: &TokenRouting) -> u16 {
    let Some(meta) = c.state.meta() else { return x };
    let (text, style) = match routing.margin() {
        Some(margin) if margin.is_near_tie(meta.router_dtype()) => (format!("  ≈{:>6.3}", margin.gap), c.theme.warn()),
        Some(margin) => (format!("{:>MARGIN$.2}", margin.gap), c.theme.strong()),
        None => ("      all".to_owned(), c.theme.dim()),
    };
    c.put(inside, x, y, &text, style)
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
    let dtype = meta.router_dtype();
    let forms = [
        format!("   [ ] chosen   margin: logit gap to the first not chosen, ≈ within one {dtype} step"),
        format!("  [ ] chosen  margin: logit gap to the next, ≈ within a {dtype} step"),
        "  [ ] chosen  margin in logits  ≈ near-tie".to_owned(),
    ];
    c.put_first_that_fits(inside, x, y, &forms, c.theme.dim());
}
