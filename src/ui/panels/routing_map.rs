//! Routing over the whole run: tokens across, layers down, each cell the first chosen expert above the second.

use crate::state::text::fit;
use crate::trace::routing::TokenRouting;
use crate::ui::canvas::{ABSENT, Canvas, window};
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

pub fn draw(c: &mut Canvas, area: Rect) {
    let (state, cursor) = (c.state, c.state.cursor);
    let inside = c.panel(area, "routing · map · first expert above second");
    let Some(d) = c.dims().filter(|_| !state.tokens.is_empty()) else { return c.nothing(inside, "no token yet") };
    let room = usize::from(inside.width.saturating_sub(5));
    // Digits as long as all tokens fit with them; then one half-block column a token.
    let wide = state.tokens.len() * 2 <= room;
    let column = if wide { 2 } else { 1 };
    let shown = window(cursor.token, state.tokens.len(), room / column);
    // Two lines a layer if there is room: first choice above second.
    let has_legend = inside.height >= 7;
    let body = usize::from(inside.height.saturating_sub(1 + u16::from(has_legend)));
    let tall = d.layers * 2 <= body && d.top_k > 1;
    let lines = if tall { 2 } else { 1 };
    let layers = window(d.layers - 1 - cursor.layer, d.layers, (body / lines).max(1));
    for (i, row) in layers.clone().enumerate() {
        let layer = d.layers - 1 - row;
        let y = inside.y + 1 + (i * lines) as u16;
        let chosen = layer == cursor.layer;
        let label = format!("{}L{layer}", if chosen { "▸" } else { " " });
        c.put(inside, inside.x, y, &label, if chosen { c.theme.accent() } else { c.theme.dim() });
        if state.tokens[0].experts(layer).is_none() {
            c.put(inside, inside.x + 5, y, ABSENT, c.theme.dim());
            continue;
        }
        for (i, pos) in shown.clone().enumerate() {
            let x = inside.x + 5 + (i * column) as u16;
            let Some(experts) = state.tokens[pos].experts(layer) else { continue };
            let near = near_tie(c, pos, layer);
            let at = pos == cursor.token && chosen;
            let cell = Cell { experts, wide, tall, near, at, repeats: d.experts > 8 };
            put_cell(c, inside, x, y, &cell);
        }
    }
    for (i, pos) in shown.enumerate().filter(|(_, pos)| *pos == cursor.token) {
        let x = inside.x + 5 + (i * column) as u16;
        let text = format!("▾{}", fit(c.shown(pos), 20));
        let cells = crate::state::text::width(&text) as u16;
        c.put(inside, x.min(inside.right().saturating_sub(cells)), inside.y, &text, c.theme.accent());
    }
    if has_legend {
        put_legend(c, inside);
    }
}

struct Cell<'a> {
    experts: &'a [u32],
    wide: bool,
    tall: bool,
    near: bool,
    at: bool,
    /// More experts than colours: only the digit tells them apart.
    repeats: bool,
}

fn put_cell(c: &mut Canvas, inside: Rect, x: u16, y: u16, cell: &Cell) {
    let first = cell.experts.first().map_or(0, |e| *e as usize);
    let second = cell.experts.get(1).map(|e| *e as usize);
    let mut mark = Style::new();
    if cell.near {
        mark = mark.add_modifier(Modifier::UNDERLINED | Modifier::BOLD);
    }
    let style = |expert: usize| if cell.at { c.theme.cursor() } else { c.theme.expert(expert).patch(mark) };
    let (first_style, second_style) = (style(first), second.map(style));
    if cell.tall {
        let text = |expert: usize| {
            if cell.wide {
                format!("{}{}", digit(expert), if cell.near { "≈" } else { " " })
            } else {
                digit(expert).to_string()
            }
        };
        c.put(inside, x, y, &text(first), first_style);
        if let (Some(second), Some(style)) = (second, second_style) {
            c.put(inside, x, y + 1, &text(second), style);
        }
        return;
    }
    if cell.wide {
        c.put(inside, x, y, &digit(first).to_string(), first_style);
        if let (Some(second), Some(style)) = (second, second_style) {
            c.put(inside, x + 1, y, &digit(second).to_string(), style);
        }
        return;
    }
    match (c.theme.expert_colour(first), second.and_then(|e| c.theme.expert_colour(e))) {
        (Some(upper), Some(lower)) if c.theme.has_ramp() && !cell.at && !cell.repeats => {
            c.put(inside, x, y, "▀", Style::new().fg(upper).bg(lower).patch(mark));
        }
        _ => {
            c.put(inside, x, y, &digit(first).to_string(), first_style);
        }
    }
}

fn near_tie(c: &Canvas, pos: usize, layer: usize) -> bool {
    let (Some(meta), Some(token)) = (c.state.meta(), c.state.tokens.get(pos)) else { return false };
    let margin = TokenRouting::of(token, layer).and_then(|routing| routing.margin());
    margin.is_some_and(|margin| margin.is_near_tie(meta.router_dtype()))
}

/// 0 to 9, then a to z, then `+`.
fn digit(expert: usize) -> char {
    u32::try_from(expert).ok().and_then(|e| char::from_digit(e, 36)).unwrap_or('+')
}

fn put_legend(c: &mut Canvas, inside: Rect) {
    let Some(d) = c.dims() else { return };
    let y = inside.bottom().saturating_sub(1);
    let mut x = c.put(inside, inside.x + 1, y, "expert ", c.theme.dim());
    for expert in 0..d.experts.min(32) {
        x = c.put(inside, x, y, &format!("{} ", digit(expert)), c.theme.expert(expert));
    }
    c.put(inside, x, y, "  ≈ underlined: near-tie", c.theme.dim());
}
