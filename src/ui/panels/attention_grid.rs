//! All heads as thumbnails, each with its figure below it; by layer and head, or the best first.
//!
//! ```text
//!      H0    H1    H2          5.4 .95    5.2 .93
//! L5   ▀▀▀▄  ▀▀▀▄ [▀▀▀▄]      [▀▀▀▀▀▀▄▄]  ▀▀▀▀▀▀▄▄
//!      .03   .41  [.95]       [▀▀▀▀▀▀▀▀]  ▀▀▀▀▀▀▀▀
//! ```

use super::heatmap::{self, Matrix};
use crate::state::text::{fit, width};
use crate::state::{MeasuredOn, Ranked, Spot};
use crate::trace::{Dims, Measure, Pick};
use crate::ui::canvas::{ABSENT, Canvas, prob, window};
use ratatui::layout::Rect;
use std::collections::HashSet;

/// Smallest and largest thumbnail, cells across.
const THUMB: (usize, usize) = (4, 16);
/// The same where a thumbnail has its name above it.
const NAMED: (usize, usize) = (8, 12);
/// From this height on a line says what the measure is.
const EXPLAINED: u16 = 8;

/// Tokens that a map is of, and tokens that a cell of it covers in each direction.
#[derive(Clone, Copy)]
struct Covered {
    n: usize,
    block: usize,
}

/// The heads on the screen, and what their maps cover.
type Shown = (Vec<(usize, usize)>, Option<Covered>);

pub fn draw(c: &mut Canvas, area: Rect, d: Dims) {
    let state = c.state;
    let ranking = state.ranking();
    let inside = c.inside(area);
    let mut room = inside;
    if inside.height >= EXPLAINED {
        room.height -= 1;
        let text = format!("{}: {}", state.heads.measure, explain(c));
        c.put(inside, inside.x, inside.bottom() - 1, &fit(&text, usize::from(inside.width)), c.theme.dim());
    }
    let (shown, pooled) =
        if state.heads.sorted { draw_sorted(c, room, &ranking) } else { draw_by_place(c, room, d, &ranking) };
    c.panel(area, &title(c, &ranking, pooled, usize::from(area.width.saturating_sub(6))));
    want_figures(c, &ranking, shown);
}

/// The heads of each layer in a row of their own, the last layer on top.
fn draw_by_place(c: &mut Canvas, area: Rect, d: Dims, ranking: &[Ranked]) -> Shown {
    let cursor = c.state.cursor;
    // The right edge and a line for the head numbers stay free.
    let label = 2 + d.layers.saturating_sub(1).to_string().len() as u16;
    let room = Rect {
        x: area.x + label + 1,
        y: area.y + 1,
        width: area.width.saturating_sub(label + 2),
        height: area.height.saturating_sub(1),
    };
    let (across, down) = (usize::from(room.width) / d.heads, usize::from(room.height) / d.layers);
    // A thumbnail, the gap behind it, and the figure below it.
    let side = across.saturating_sub(1).min(down.saturating_sub(1) * 2).clamp(THUMB.0, THUMB.1) / 2 * 2;
    let (step_x, step_y) = (side + 1, side / 2 + 1);
    let heads = window(cursor.head, d.heads, (usize::from(room.width) / step_x).max(1));
    let layers = window(d.layers - 1 - cursor.layer, d.layers, (usize::from(room.height) / step_y).max(1));
    let (mut shown, mut pooled) = (Vec::new(), None);
    for (j, head) in heads.clone().enumerate() {
        let style = if head == cursor.head { c.theme.cursor() } else { c.theme.dim() };
        c.put(area, room.x + (j * step_x) as u16, area.y, &format!("H{head}"), style);
    }
    for (i, row) in layers.enumerate() {
        let y = room.y + (i * step_y) as u16;
        let layer = d.layers - 1 - row;
        let style = if layer == cursor.layer { c.theme.cursor() } else { c.theme.dim() };
        c.put(area, area.x, y, &format!("L{layer}"), style);
        if !c.has_attention(layer) {
            c.put(area, room.x, y, ABSENT, c.theme.dim());
            continue;
        }
        for (j, head) in heads.clone().enumerate() {
            let place = Rect { x: room.x + (j * step_x) as u16, y, width: side as u16, height: step_y as u16 - 1 };
            pooled = thumbnail(c, room, place, (layer, head), side).or(pooled);
            let value = ranking.get(row * d.heads + head).and_then(|ranked| ranked.value);
            let style = if (layer, head) == (cursor.layer, cursor.head) { c.theme.strong() } else { c.theme.dim() };
            c.put(room, place.x, place.y + place.height, &fit(&figure(c, value), side), style);
            shown.push((layer, head));
        }
    }
    (shown, pooled)
}

/// The best heads first, line by line.
fn draw_sorted(c: &mut Canvas, area: Rect, ranking: &[Ranked]) -> Shown {
    let cursor = c.state.cursor;
    let names: Vec<String> = ranking.iter().map(|r| format!("{}.{}", r.layer, r.head)).collect();
    let longest = names.iter().map(String::len).max().unwrap_or(0) + 1 + 4;
    // A column of brackets on the left.
    let room = Rect { x: area.x + 1, width: area.width.saturating_sub(1), ..area };
    let side = longest.clamp(NAMED.0, NAMED.1).next_multiple_of(2);
    let (step_x, step_y) = (longest.max(side) + 2, side / 2 + 1);
    let per_line = ((usize::from(room.width) + 1) / step_x).max(1);
    c.drawn.wanted.heads_across = Some(per_line);
    let lines = ranking.len().div_ceil(per_line);
    let at = ranking.iter().position(|r| (r.layer, r.head) == (cursor.layer, cursor.head)).unwrap_or(0);
    let visible = window(at / per_line, lines, (usize::from(room.height) / step_y).max(1));
    let (mut shown, mut pooled) = (Vec::new(), None);
    for (i, line) in visible.enumerate() {
        for (j, index) in (line * per_line..ranking.len().min((line + 1) * per_line)).enumerate() {
            let ranked = ranking[index];
            let place = Rect {
                x: room.x + (j * step_x) as u16,
                y: room.y + (i * step_y) as u16 + 1,
                width: side as u16,
                height: side as u16 / 2,
            };
            let style = if index == at { c.theme.cursor() } else { c.theme.dim() };
            let x = c.put(room, place.x, place.y - 1, &names[index], style);
            c.put(room, x, place.y - 1, &format!(" {}", figure(c, ranked.value)), c.theme.strong());
            pooled = thumbnail(c, room, place, (ranked.layer, ranked.head), side).or(pooled);
            shown.push((ranked.layer, ranked.head));
        }
    }
    (shown, pooled)
}

/// Draws a head's map, if it is there; returns what it covers.
fn thumbnail(c: &mut Canvas, room: Rect, place: Rect, (layer, head): (usize, usize), side: usize) -> Option<Covered> {
    let (state, cursor) = (c.state, c.state.cursor);
    let map = state.derived.map(layer, Pick::One(head), side);
    if map.is_none_or(|map| map.n != state.tokens.len()) && c.has_attention(layer) {
        c.drawn.wanted.maps.push((layer, Pick::One(head), side));
    }
    let spot = Spot { layer: Some(layer), head: Some(head), ..Spot::default() };
    c.hit(Rect { y: place.y.saturating_sub(1), height: place.height + 1, ..place }.intersection(room), spot);
    if let Some(map) = map {
        let matrix = Matrix { cells: &map.cells, side: map.side, crosshair: None, log: state.heads.log };
        heatmap::draw(c, place.intersection(room), &matrix);
    }
    if (layer, head) == (cursor.layer, cursor.head) {
        let around = Rect { x: room.x - 1, width: room.width + 2, ..room };
        for y in place.y..place.bottom() {
            c.put(around, place.x - 1, y, "[", c.theme.accent());
            c.put(around, place.right(), y, "]", c.theme.accent());
        }
    }
    map.map(|map| Covered { n: map.n, block: map.block })
}

/// Figures of the heads on the screen, and of all others while the run stands still.
fn want_figures(c: &mut Canvas, ranking: &[Ranked], shown: Vec<(usize, usize)>) {
    let state = c.state;
    if state.heads.on == MeasuredOn::Repeated {
        c.drawn.wanted.scores = state.derived.scores().is_none() && !state.derived.scores_failed();
        return;
    }
    let missing = |(layer, head): &(usize, usize)| {
        state.derived.stats(*layer, *head).is_none_or(|stats| stats.n != state.tokens.len())
            && state.meta().is_none_or(|meta| meta.has_attention(*layer))
    };
    let others = ranking.iter().map(|ranked| (ranked.layer, ranked.head));
    let others = others.filter(|_| !state.is_busy());
    // The head drawn large may be among them already.
    let mut seen: HashSet<(usize, usize)> = c.drawn.wanted.stats.iter().copied().collect();
    let more: Vec<(usize, usize)> =
        shown.into_iter().chain(others).filter(missing).filter(|head| seen.insert(*head)).collect();
    c.drawn.wanted.stats.extend(more);
}

/// A figure in four cells; empty where there is none.
fn figure(c: &Canvas, value: Option<f32>) -> String {
    match (value, c.state.heads.measure) {
        (Some(nats), Measure::Entropy) => format!("{nats:.2}"),
        (Some(weight), _) => prob(weight),
        (None, _) => "-".to_owned(),
    }
}

fn explain(c: &Canvas) -> String {
    let state = c.state;
    let stats = state.head_stats(state.cursor.layer, state.cursor.head);
    let sample = match stats {
        Some(stats) if stats.stride > 1 => format!(" · of every {}th query", stats.stride),
        _ => String::new(),
    };
    let none = match stats.map(|stats| state.heads.measure.of(stats)) {
        Some(None) => " · no token occurs twice: R measures on repeated ones",
        _ => "",
    };
    format!("{}{sample}{none}", state.heads.measure.explain())
}

/// What is measured, on what, how far that is, and how the maps are pooled; as much of it as there is `room` for.
fn title(c: &Canvas, ranking: &[Ranked], pooled: Option<Covered>, room: usize) -> String {
    let state = c.state;
    let on = match (state.heads.on, state.derived.scores()) {
        (MeasuredOn::Text, _) => state.heads.on.name().to_owned(),
        (MeasuredOn::Repeated, Some(scores)) => format!("on {} random tokens twice", scores.repeated),
        (MeasuredOn::Repeated, None) if state.derived.scores_failed() => "could not be measured".to_owned(),
        (MeasuredOn::Repeated, None) => {
            let (done, total) = state.derived.scores_progress().unwrap_or((0, 0));
            format!("reading random tokens {done} of {total}")
        }
    };
    let measured = state.measured();
    let what = format!("{} {on}", state.heads.measure);
    let short = match state.heads.on {
        MeasuredOn::Text => state.heads.measure.to_string(),
        MeasuredOn::Repeated => what.clone(),
    };
    let forms = [format!("attention · all heads · {what}"), format!("attention · all heads · {short}"), short];
    let fitting = forms.iter().find(|form| width(form) <= room);
    let mut title = fitting.unwrap_or(&forms[2]).clone();
    let mut add = |part: String| {
        if width(&title) + 3 + width(&part) <= room {
            title = format!("{title} · {part}");
        }
    };
    match pooled {
        Some(Covered { n, .. }) if n != state.tokens.len() => add(format!("maps of {n} tokens")),
        _ => {}
    }
    match pooled {
        Some(Covered { block, .. }) if block > 1 => add(format!("max of {block}×{block}")),
        _ => {}
    }
    if state.heads.on == MeasuredOn::Text && measured < ranking.len() {
        add(format!("{measured} of {} heads", ranking.len()));
    }
    if state.heads.sorted {
        add("best first".to_owned());
    }
    title
}
