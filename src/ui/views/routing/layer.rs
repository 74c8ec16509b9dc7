//! Experts × tokens of the layer at the cursor; ranks × tokens where the experts do not fit.

use super::{CELL, Size, WIDE_CELL, details, legend_lines, lines_each, named_cell, put_cell, put_legend, put_named};
use crate::analysis::routing::TokenRouting;
use crate::state::Spot;
use crate::state::text::fit;
use crate::ui::canvas::Canvas;
use crate::ui::chrome::title::view_panel;
use crate::ui::theme::marks::NEAR_TIE;
use crate::ui::views::Panel;
use crate::ui::widgets::window::window;
use ratatui::layout::Rect;
use std::ops::Range;

pub const PANEL: Panel = Panel {
    details: Some(details::draw),
    lines: |state, _, _| Some(3 + state.meta()?.dims.experts),
    ..Panel::new(draw)
};

fn draw(c: &mut Canvas, area: Rect) {
    let (state, cursor) = (c.state, c.state.cursor);
    let layer = format!("layer {}", cursor.layer);
    let inside = view_panel(c, area, [format!("{layer} · probability by token"), layer]);
    let Some(d) = c.dims().filter(|_| !state.tokens.is_empty()) else { return c.nothing(inside, "no token yet") };
    if state.tokens[0].experts(cursor.layer).is_none() {
        return c.nothing(inside, c.no_routing(cursor.layer));
    }
    let plan = Plan::new(inside, d.experts, state.tokens.len());
    c.left_out(area, &(0..plan.rows), d.experts);
    let bands = window(cursor.token / plan.tokens, state.tokens.len().div_ceil(plan.tokens), plan.bands);
    for (i, band) in bands.enumerate() {
        let tokens = band * plan.tokens..((band + 1) * plan.tokens).min(state.tokens.len());
        // One band follows the cursor token by token.
        let tokens = if plan.bands == 1 { window(cursor.token, state.tokens.len(), plan.tokens) } else { tokens };
        draw_band(c, inside, inside.y + (i * plan.height()) as u16, &plan, tokens);
    }
    put_legend(c, inside);
}

/// The drawing of the cells, and the resulting numbers of tokens and bands.
struct Plan {
    size: Size,
    /// Experts, or ranks if the experts do not fit.
    rows: usize,
    all_fit: bool,
    /// Tokens of a band, and bands.
    tokens: usize,
    bands: usize,
}

impl Plan {
    fn new(inside: Rect, experts: usize, tokens: usize) -> Self {
        let down = usize::from(inside.height.saturating_sub(legend_lines(inside)));
        let room = down.saturating_sub(2);
        let all_fit = experts <= room;
        let rows = room.min(experts);
        let narrow = if all_fit { CELL } else { named_cell(experts) };
        let across = usize::from(inside.width.saturating_sub(5));
        let columns = (across / narrow).max(1);
        let bands = (down / (rows + 2)).clamp(1, tokens.div_ceil(columns).max(1));
        // A text that fits one band has larger cells.
        let lines = if bands == 1 && all_fit { lines_each(room, rows) } else { 1 };
        let width = if bands == 1 { (across / tokens.max(1)).clamp(narrow, narrow.max(WIDE_CELL)) } else { narrow };
        Self { size: Size { width, lines }, rows, all_fit, tokens: (across / width).max(1), bands }
    }

    /// Lines of a band: the names, the experts and the margins.
    fn height(&self) -> usize {
        self.rows * self.size.lines + 2
    }
}

fn draw_band(c: &mut Canvas, inside: Rect, top: u16, plan: &Plan, tokens: Range<usize>) {
    let (state, cursor) = (c.state, c.state.cursor);
    let (cell, lines) = (plan.size.width, plan.size.lines);
    let place = Rect { y: top, height: plan.height() as u16, ..inside }.intersection(inside);
    for (y, row) in (top + 1..).step_by(lines).zip(0..plan.rows) {
        if plan.all_fit {
            let style = if row == cursor.expert { c.theme.cursor() } else { c.theme.expert(row) };
            c.put(inside, inside.x + 1, y, &format!("E{row}"), style);
            c.hit_lines(inside, y, lines as u16, Spot { expert: Some(row), ..Spot::default() });
        } else {
            c.put(inside, inside.x, y, &format!("{:>3}.", row + 1), c.theme.dim());
        }
    }
    let below = top + 1 + (plan.rows * lines) as u16;
    c.put(inside, inside.x, below, "marg", c.theme.dim());
    for (i, pos) in tokens.enumerate() {
        let x = inside.x + 5 + (i * cell) as u16;
        c.hit_columns(place, x, cell as u16, Spot { token: Some(pos), ..Spot::default() });
        let label = fit(c.shown(pos), cell - 1);
        c.put(inside, x, top, &label, if pos == cursor.token { c.theme.cursor() } else { c.theme.dim() });
        let Some(routing) = TokenRouting::of(&state.tokens[pos], cursor.layer) else { continue };
        let experts: Vec<usize> = if plan.all_fit { (0..plan.rows).collect() } else { routing.ranking() };
        for (y, expert) in (top + 1..below).step_by(lines).zip(experts) {
            if plan.all_fit {
                put_cell(c, inside, (x, y), plan.size, &routing, expert);
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_wrap_into_bands_and_short_ones_grow() {
        let plan = |tokens, height| {
            let plan = Plan::new(Rect::new(0, 0, 65, height), 8, tokens);
            (plan.tokens, plan.bands, plan.size.width, plan.size.lines)
        };
        assert_eq!(plan(10, 31), (10, 1, 6, 3), "one band: tall cells");
        assert_eq!(plan(5, 31), (5, 1, 12, 3), "and wide ones");
        assert_eq!(plan(25, 31), (10, 3, 6, 1));
        assert_eq!(plan(4000, 31), (10, 3, 6, 1));
        assert_eq!(plan(4000, 12), (10, 1, 6, 1));
    }
}
