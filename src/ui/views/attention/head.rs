//! One head as large as fits, or all heads of its layer combined, with the cursor as a crosshair.
//!
//! ```text
//! ┌ layer 5 head 4 · ‘·seven’ → ‘·blue’ 0.9532 ─┐
//! │▀──────────│────◂ 0 <s>                       │
//! │▀▀▀        │      2 ·apple                    │
//! │▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀◂ 15 ·seven                    │
//! │     ▴          ▴                             │
//! │ 0 ▒▒▒▒ 1   query ↓ key →                     │
//! └──────────────────────────────────────────────┘
//! ```

use super::{details, ready};
use crate::analysis::{HeadMap, HeadStats, Measure, Pick};
use crate::state::text::{fit, quoted, width};
use crate::state::{Side, Spot};
use crate::ui::canvas::{ABSENT, Canvas};
use crate::ui::chrome::title::view_panel;
use crate::ui::views::Panel;
use crate::ui::widgets::heatmap::{self, Matrix};
use crate::ui::widgets::number::prob;
use ratatui::layout::Rect;

pub const PANEL: Panel = Panel { details: Some(details::draw), ..Panel::new(draw) };

/// Greatest width of the name of a token next to its row, with its position.
const NAME: usize = 26;
/// Room for this name, and the width of a panel from which on the room is reserved.
const SHORT_NAME: u16 = 9;
const NAMED_FROM: u16 = 32;
/// Width of a name without its position, and least width of a name.
const BARE_NAME: u16 = 7;
const LEAST_NAME: usize = 4;

/// The parts of the panel.
struct Parts {
    body: Rect,
    /// Lines below the matrix: column marks, exact value, scores, legend.
    below: Rect,
}

/// Draws the head over the whole pane.
fn draw(c: &mut Canvas, area: Rect) {
    if ready(c, area).is_some() {
        draw_head(c, area, true);
    }
}

/// Draws the head at the cursor: as the view of the pane, or next to all heads.
pub(super) fn draw_head(c: &mut Canvas, area: Rect, is_view: bool) {
    let panel = |c: &mut Canvas, forms: [String; 2]| match is_view {
        true => view_panel(c, area, forms),
        false => {
            let fits = width(&forms[0]) + 4 <= usize::from(area.width);
            c.panel(area, &forms[usize::from(!fits)])
        }
    };
    let (state, cursor) = (c.state, c.state.cursor);
    if !c.has_attention(cursor.layer) {
        let name = format!("layer {} {}", cursor.layer, c.pane.heads.pick(c.state.cursor.head));
        let inside = panel(c, [name.clone(), name]);
        return c.nothing(inside, ABSENT);
    }
    let parts = parts(c.inside(area), state.tokens.len());
    let side = heatmap::room(parts.body).max(2);
    let (layer, pick) = (cursor.layer, c.pane.heads.pick(c.state.cursor.head));
    let map = state.derived.map(layer, pick, side);
    if map.is_none_or(|map| map.n != state.tokens.len()) {
        c.wanted.maps.push((layer, pick, side));
    }
    if let Pick::One(head) = pick
        && state.derived.stats(layer, head).is_none_or(|stats| stats.n != state.tokens.len())
    {
        c.wanted.stats.push((layer, head));
    }
    let Some(map) = map else {
        let name = format!("layer {layer} {pick}");
        let inside = panel(c, [name.clone(), name]);
        return c.nothing(inside, "deriving …");
    };
    let (name, exact) = (name(c, map), exact(c));
    let whole = if exact.is_empty() { name.clone() } else { format!("{name} · {exact}") };
    // Next to the layouts and measures there is little room.
    let fits = width(&whole) + 4 <= usize::from(area.width) && !is_view;
    panel(c, if fits { [whole, name] } else { [name.clone(), name] });

    let at = cursor.token / map.block;
    let matrix = Matrix { cells: &map.cells, side: map.side, crosshair: Some((at, at)), log: c.pane.heads.log };
    heatmap::draw(c, parts.body, &matrix);
    let zoom = heatmap::zoom(parts.body, map.side);
    for line in 0..usize::from(parts.body.height).min((map.side * zoom).div_ceil(2)) {
        let pos = line * 2 / zoom * map.block;
        c.hit_lines(parts.body, parts.body.y + line as u16, 1, Spot { token: Some(pos), ..Spot::default() });
    }
    put_names(c, &parts, map, zoom);
    put_below(c, &parts, map, zoom, if fits { "" } else { &exact });
}

fn parts(inside: Rect, tokens: usize) -> Parts {
    let lines = match (inside.height, inside.width) {
        (0..4, _) => 0,
        (4..10, _) => 1,
        (10..16, _) => 3,
        (_, 100..) => 4,
        (_, 60..) => 5,
        _ => 7,
    };
    // The mark of the row is on the right, and names of tokens where the matrix leaves room for them.
    let is_small = 2 * tokens + 2 + usize::from(BARE_NAME) <= usize::from(inside.width);
    let right = match inside.width {
        NAMED_FROM.. => 2 + SHORT_NAME,
        _ if is_small => 2 + BARE_NAME,
        _ => 2,
    };
    let body = Rect { height: inside.height - lines, width: inside.width.saturating_sub(right), ..inside };
    Parts { body, below: Rect { y: body.bottom(), height: lines, ..inside } }
}

/// `layer 5 head 4 · max of 2×2 · as of 30 tokens`
fn name(c: &Canvas, map: &HeadMap) -> String {
    let pooled = if map.block > 1 { format!(" · max of {0}×{0}", map.block) } else { String::new() };
    let old = if map.n == c.state.tokens.len() { String::new() } else { format!(" · as of {} tokens", map.n) };
    format!("layer {} {}{pooled}{old}", map.layer, map.pick)
}

/// The largest weight at the cursor: query, key and exact value.
fn exact(c: &Canvas) -> String {
    let state = c.state;
    let cursor = state.cursor.token;
    let other = state.strongest_attention(&c.pane.heads).and_then(|strongest| strongest.first().copied());
    let Some((other, weight)) = other.and_then(|pos| Some((pos, state.attention_weight(&c.pane.heads, pos)?))) else {
        return String::new();
    };
    let (query, key) = if c.pane.heads.side == Side::Row { (cursor, other) } else { (other, cursor) };
    let token = |pos: usize| format!("{pos} {}", quoted(&fit(c.shown(pos), 12)));
    format!("{} → {} {weight:.4}", token(query), token(key))
}

/// Writes the names of queries next to their rows, as far as there is room.
fn put_names(c: &mut Canvas, parts: &Parts, map: &HeadMap, zoom: usize) {
    let body = parts.body;
    let x = body.x + (map.side * zoom) as u16 + 2;
    let room = usize::from(parts.below.right().saturating_sub(x)).min(NAME);
    if room < LEAST_NAME {
        return;
    }
    let at = c.state.cursor.token / map.block;
    let area = Rect { width: parts.below.width, ..body };
    for line in 0..usize::from(body.height) {
        let rows = (0..map.side).skip((line * 2).div_ceil(zoom)).take_while(|row| row * zoom / 2 == line);
        let Some(row) = rows.clone().find(|row| *row == at).or_else(|| rows.clone().next()) else { continue };
        let pos = if row == at { c.state.cursor.token } else { row * map.block };
        let text = if room < 8 { c.shown(pos).to_owned() } else { format!("{pos:>4} {}", c.shown(pos)) };
        let style = if row == at { c.theme.strong() } else { c.theme.dim() };
        c.put(area, x, body.y + line as u16, &fit(&text, room), style);
    }
}

fn put_below(c: &mut Canvas, parts: &Parts, map: &HeadMap, zoom: usize, exact: &str) {
    let below = parts.below;
    if below.height == 0 {
        return;
    }
    let (state, cursor) = (c.state, c.state.cursor);
    let y = below.bottom() - 1;
    let x = heatmap::legend_of(c, below, below.x, y, c.pane.heads.log);
    let has_marks = below.height >= 3 && below.width >= 41;
    let words = ["  query ↓ key → ▴ here, most", "  query ↓ key → ▴ here", "  query ↓ key →", ""];
    let words = words.map(str::to_owned);
    c.put_first_that_fits(below, x, y, &words[if has_marks { 0 } else { 2 }..], c.theme.dim());
    if below.height < 3 {
        return;
    }
    // The marks are right below the matrix, which may be smaller than its part.
    let end = parts.body.y + (map.side * zoom).div_ceil(2).min(usize::from(parts.body.height)) as u16;
    let column = |pos: usize| parts.body.x + (pos / map.block * zoom + zoom / 2) as u16;
    let whole = Rect { height: below.bottom() - parts.body.y, ..parts.body };
    c.put(whole, column(cursor.token), end, "▴", c.theme.accent());
    if c.pane.heads.side == Side::Row
        && let Some(key) = state.strongest_attention(&c.pane.heads).and_then(|strongest| strongest.first())
    {
        c.put(whole, column(*key), end, "▴", c.theme.strong());
    }
    let mut lines: Vec<String> = Vec::new();
    if !exact.is_empty() {
        lines.push(fit(exact, usize::from(below.width)));
    }
    lines.extend(wrap(&figures(c), usize::from(below.width)));
    // Lines are never cut.
    let room = usize::from(below.width);
    for (y, line) in (below.y + 1..y).zip(lines.into_iter().filter(|line| width(line) <= room)) {
        c.put(below, below.x, y, &line, c.theme.dim());
    }
}

/// The scores of the head in words.
fn figures(c: &Canvas) -> Vec<String> {
    let state = c.state;
    match c.pane.heads.pick(c.state.cursor.head) {
        Pick::One(head) => state.derived.stats(state.cursor.layer, head).map(figures_of).unwrap_or_default(),
        Pick::Mean => ["mean weight over the heads", "a row sums to 1"].map(str::to_owned).into(),
        Pick::Max => ["largest weight over the heads", "rows may sum to more than 1"].map(str::to_owned).into(),
    }
}

fn figures_of(stats: &HeadStats) -> Vec<String> {
    let mut parts = vec![format!("mean entropy {:.2} nats", stats.entropy)];
    if stats.stride > 1 {
        parts.push(format!("of every {}th row", stats.stride));
    }
    for (measure, name) in [
        (Measure::Previous, "weight on previous token"),
        (Measure::First, "first token"),
        (Measure::Induction, "induction"),
        (Measure::Duplicate, "duplicate token"),
    ] {
        parts.extend(measure.of(stats).map(|weight| format!("{name} {}", prob(weight))));
    }
    parts
}

/// The parts in lines; no part is divided.
fn wrap(parts: &[String], room: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for part in parts {
        match lines.last_mut() {
            Some(line) if width(line) + 2 + width(part) <= room => {
                line.push_str(", ");
                line.push_str(part);
            }
            _ => lines.push(part.clone()),
        }
    }
    lines
}
