//! Experts × tokens of the layer at the cursor; ranks × tokens where the experts do not fit.

use super::{CELL, details, legend_lines, named_cell, put_legend, put_named, put_prob};
use crate::analysis::routing::TokenRouting;
use crate::state::Spot;
use crate::state::text::fit;
use crate::ui::canvas::{ABSENT, Canvas};
use crate::ui::theme::marks::NEAR_TIE;
use crate::ui::views::Panel;
use crate::ui::widgets::window::window;
use ratatui::layout::Rect;

pub const PANEL: Panel = Panel {
    details: Some(details::draw),
    lines: |state, _, _| Some(3 + state.meta()?.dims.experts),
    ..Panel::new(draw)
};

fn draw(c: &mut Canvas, area: Rect) {
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
            let text = format!("{}{:.2}", if near { NEAR_TIE } else { "" }, margin.gap);
            let text = format!("{:>1$}", fit(&text, cell - 1), cell - 1);
            c.put(inside, x, below, &text, if near { c.theme.warn() } else { c.theme.dim() });
        }
    }
    put_legend(c, inside);
}
