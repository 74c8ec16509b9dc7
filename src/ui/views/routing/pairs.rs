//! Experts × experts of one layer: the share of the row's tokens that chose the expert of the column as well.
//!
//! ```text
//!        E0    E1    E2    E3
//!  E0     ·   .12   .88   .00
//! ▸E2   .61   .21     · [ .18]
//! E2 chosen 12 times, with E0 7 (.58), E3 3 (.25)
//! ```

use super::details;
use crate::analysis::routing::together_at_random;
use crate::analysis::{LayerUsage, MOST_PAIRED};
use crate::state::Spot;
use crate::state::text::fit;
use crate::ui::canvas::Canvas;
use crate::ui::chrome::title::view_panel;
use crate::ui::theme::marks::NEAR_TIE;
use crate::ui::views::Panel;
use crate::ui::widgets::bar::bar;
use crate::ui::widgets::heatmap;
use crate::ui::widgets::number::prob;
use crate::ui::widgets::window::window;
use ratatui::layout::Rect;

pub const PANEL: Panel = Panel {
    details: Some(details::draw),
    lines: |state, _, _| Some(4 + state.meta()?.dims.experts),
    ..Panel::new(draw)
};

/// Least and greatest width of a share, as ` [.55`; the first cell of the next share closes it.
const CELL: (usize, usize) = (5, 9);

fn draw(c: &mut Canvas, area: Rect) {
    let (state, cursor) = (c.state, c.state.cursor);
    let layer = cursor.layer;
    let of = state.selected().map_or(String::new(), |range| format!(" · {} selected tokens", range.len()));
    let order = state.expert_order(c.pane);
    let hidden = c.dims().map_or(0, |d| d.experts).saturating_sub(order.len());
    let sorted = match (c.pane.usage_sorted, hidden) {
        (false, _) => String::new(),
        (true, 0) => " · sorted".to_owned(),
        (true, hidden) => format!(" · sorted, {hidden} never chosen hidden"),
    };
    let what = format!("layer {layer}{of}{sorted}");
    let inside = view_panel(c, area, [format!("{what} · share of the row's tokens with both"), what]);
    let Some(d) = c.dims().filter(|_| !state.tokens.is_empty()) else { return c.nothing(inside, "no token yet") };
    let Some(stats) = state.shown_usage().layer(layer) else { return };
    if d.top_k < 2 {
        return c.nothing(inside, "this model chooses one expert per token: there are no pairs");
    }
    if d.top_k > MOST_PAIRED {
        return c.nothing(inside, &format!("pairs are counted up to top-{MOST_PAIRED}, this is top-{}", d.top_k));
    }
    let below = if inside.height >= 9 { 3 } else { 1 };
    let rows = usize::from(inside.height).saturating_sub(1 + below).max(1);
    let across = usize::from(inside.width).saturating_sub(5);
    let shown = order.len().max(1);
    let (cell, lines) = ((across / shown).clamp(CELL.0, CELL.1), if rows >= 2 * shown { 2 } else { 1 });
    let (rows, columns) = (rows / lines, (across / cell).max(1));
    let at = order.iter().position(|expert| *expert == cursor.expert).unwrap_or(0);
    let (rows, columns) = (window(at, order.len(), rows), window(at, order.len(), columns));
    c.left_out(area, &rows, order.len());
    put_names(c, inside, (&order[columns.clone()], cell), (columns.start > 0, columns.end < order.len()));
    let (rows, columns) = (&order[rows], &order[columns]);
    let share = |i: usize, j: usize| if i == j { None } else { stats.also(i, j) };
    let random = f64::from(together_at_random(d.experts, d.top_k));
    // The scale covers the whole layer, whatever part is visible.
    let max = stats.most_also().max(random);
    let chosen = state.token().and_then(|token| token.experts(layer)).unwrap_or_default();
    let is_chosen = |expert: usize| chosen.contains(&(expert as u32));
    for (y, i) in (inside.y + 1..).step_by(lines).zip(rows.iter().copied()) {
        c.hit_lines(inside, y, lines as u16, Spot { expert: Some(i), ..Spot::default() });
        let label = format!("{}E{i}", if i == cursor.expert { "▸" } else { " " });
        c.put(inside, inside.x, y, &label, if i == cursor.expert { c.theme.accent() } else { c.theme.dim() });
        let mut x = inside.x + 4;
        let mut close = false;
        for j in columns.iter().copied() {
            let framed = i != j && is_chosen(i) && is_chosen(j);
            let (text, style) = match share(i, j) {
                _ if i == j => ("·".to_owned(), c.theme.dim()),
                None => ("–".to_owned(), c.theme.dim()),
                Some(share) if framed => {
                    (format!("[{}", prob(share as f32)), c.theme.heat((share / max) as f32).patch(c.theme.strong()))
                }
                Some(share) => (prob(share as f32), c.theme.heat((share / max) as f32)),
            };
            c.put(inside, x, y, &format!("{text:>cell$}"), style);
            if let (2, Some(share)) = (lines, share(i, j)) {
                c.put(inside, x + 1, y + 1, &bar((share / max) as f32, cell - 1), c.theme.dim());
            }
            if close && text.chars().count() < cell {
                c.put(inside, x, y, "]", style);
            }
            close = framed;
            x += cell as u16;
        }
        if close {
            c.put(inside, x, y, "]", c.theme.strong());
        }
    }
    put_sentences(c, inside, inside.y + 1 + (rows.len() * lines) as u16, stats, (random, max));
}

/// Writes the names of the columns; `more`: whether some are hidden before and after them.
fn put_names(c: &mut Canvas, inside: Rect, (columns, cell): (&[usize], usize), more: (bool, bool)) {
    for (i, expert) in columns.iter().copied().enumerate() {
        let name = format!("E{expert}");
        let style = if expert == c.state.cursor.expert { c.theme.cursor() } else { c.theme.expert(expert) };
        let pad = cell.saturating_sub(name.len());
        c.put(inside, inside.x + 4 + (i * cell + pad) as u16, inside.y, &name, style);
    }
    if more.0 {
        c.put(inside, inside.x + 3, inside.y, "‹", c.theme.warn());
    }
    if more.1 {
        c.put(inside, inside.right().saturating_sub(1), inside.y, "›", c.theme.warn());
    }
}

/// Writes the counts of the row at the cursor, the near-ties of the layer, and the scale.
fn put_sentences(c: &mut Canvas, inside: Rect, y: u16, stats: &LayerUsage, (random, max): (f64, f64)) {
    let expert = c.state.cursor.expert;
    let room = usize::from(inside.width.saturating_sub(1));
    let mut partners: Vec<(u32, usize)> = (0..stats.chosen.len())
        .filter(|other| *other != expert)
        .map(|other| (stats.together(expert, other), other))
        .filter(|(count, _)| *count > 0)
        .collect();
    partners.sort_by_key(|(count, other)| (std::cmp::Reverse(*count), *other));
    let named: Vec<String> = partners
        .iter()
        .map(|(count, other)| format!("E{other} {count} ({})", prob(stats.also(expert, *other).unwrap_or(0.0) as f32)))
        .collect();
    let count = stats.together(expert, expert);
    let text = match count {
        0 => format!("E{expert} was never chosen in {} tokens", stats.tokens),
        _ => format!("E{expert} chosen {count} of {} times: with {}", stats.tokens, named.join(", ")),
    };
    c.put(inside, inside.x + 1, y, &fit(&text, room), c.theme.strong());
    if y + 2 >= inside.bottom() {
        return;
    }
    let near = stats.near_ties.len();
    let text = format!("{NEAR_TIE} {near} near-ties of {} tokens in this layer", stats.margins);
    c.put(inside, inside.x + 1, y + 1, &fit(&text, room), if near > 0 { c.theme.warn() } else { c.theme.dim() });
    let x = heatmap::legend_to(c, inside, inside.x + 1, y + 2, &prob(max as f32));
    let random = prob(random as f32);
    let forms = [
        format!(
            "   at random {random} = (k − 1) / (experts − 1)   [ ] chosen by the token at the cursor   – never chosen"
        ),
        format!("   at random {random} = (k − 1) / (experts − 1)   [ ] the token at the cursor"),
        format!("  at random {random}  [ ] this token"),
    ];
    c.put_first_that_fits(inside, x, y + 2, &forms, c.theme.dim());
}
