//! All heads as thumbnails, each with its score; by layer and head, or the best first.
//!
//! ```text
//!      H0    H1    H2          L5H4 .95  L5H2 .93
//! L5   ▀▀▀▄  ▀▀▀▄ [▀▀▀▄]      [▀▀▀▀▀▀▄▄]  ▀▀▀▀▀▀▄▄
//!      .03   .41  [.95]       [▀▀▀▀▀▀▀▀]  ▀▀▀▀▀▀▀▀
//! ```

use super::{details, head, ready};
use crate::analysis::{Measure, MeasuredOn, Pick};
use crate::state::text::fit;
use crate::state::{Ranked, Spot};
use crate::trace::Dims;
use crate::ui::canvas::{ABSENT, Canvas};
use crate::ui::chrome::title::view_panel;
use crate::ui::views::Panel;
use crate::ui::widgets::heatmap::{self, Matrix};
use crate::ui::widgets::number::prob;
use crate::ui::widgets::window::window;
use ratatui::layout::Rect;
use std::collections::HashSet;

pub const PANEL: Panel = Panel { details: Some(details::draw), ..Panel::new(draw) };

/// Least and greatest width of a thumbnail, cells.
const THUMB: (usize, usize) = (4, 32);
/// The same for thumbnails with their names above them.
const NAMED: (usize, usize) = (8, 24);
/// From this width on the head at the cursor is drawn next to the grid.
const BOTH: u16 = 60;
/// From this height on a line explains the measure.
const EXPLAINED: u16 = 8;

/// The number of tokens of a map, and of the tokens of a cell in each direction.
#[derive(Clone, Copy)]
struct Covered {
    n: usize,
    block: usize,
}

/// The heads on the screen.
struct Shown {
    heads: Vec<(usize, usize)>,
    /// The tokens of their maps.
    pooled: Option<Covered>,
    /// The visible rows, and the number of all rows.
    rows: std::ops::Range<usize>,
    all: usize,
}

/// Draws the heads, and the one at the cursor next to them if there is room.
fn draw(c: &mut Canvas, area: Rect) {
    let Some(d) = ready(c, area) else { return };
    let width = if area.width < BOTH { area.width } else { area.width * 3 / 5 };
    let (left, right) = (Rect { width, ..area }, Rect { x: area.x + width, width: area.width - width, ..area });
    if !right.is_empty() {
        head::draw_head(c, right, false);
    }
    draw_all(c, left, d);
}

fn draw_all(c: &mut Canvas, area: Rect, d: Dims) {
    let state = c.state;
    let ranking = state.ranking(&c.pane.heads);
    let inside = c.inside(area);
    let mut room = inside;
    if inside.height >= EXPLAINED {
        room.height -= 1;
        let at = Rect { y: inside.bottom() - 1, height: 1, ..inside };
        c.put_first_that_fits(at, at.x, at.y, &explain(c), c.theme.dim());
    }
    let shown = if c.pane.heads.sorted { draw_sorted(c, room, &ranking) } else { draw_by_place(c, room, d, &ranking) };
    let about = about(c, &ranking, shown.pooled);
    view_panel(c, area, about);
    c.left_out(area, &shown.rows, shown.all);
    want_figures(c, &ranking, shown.heads);
}

/// Draws a row of heads for each layer, the last layer on top.
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
    // A thumbnail, the gap after it, and the score below it.
    let side = across.saturating_sub(1).min(down.saturating_sub(1) * 2).clamp(THUMB.0, THUMB.1) / 2 * 2;
    let (step_x, step_y) = (side + 1, side / 2 + 1);
    let heads = window(cursor.head, d.heads, (usize::from(room.width) / step_x).max(1));
    let layers = window(d.layers - 1 - cursor.layer, d.layers, (usize::from(room.height) / step_y).max(1));
    let (mut shown, mut pooled) = (Vec::new(), None);
    for (j, head) in heads.clone().enumerate() {
        let style = if head == cursor.head { c.theme.cursor() } else { c.theme.dim() };
        c.put(area, room.x + (j * step_x) as u16, area.y, &format!("H{head}"), style);
    }
    if heads.start > 0 {
        c.put(area, room.x - 1, area.y, "‹", c.theme.warn());
    }
    if heads.end < d.heads {
        c.put(area, area.right() - 1, area.y, "›", c.theme.warn());
    }
    for (i, row) in layers.clone().enumerate() {
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
    Shown { heads: shown, pooled, rows: layers, all: d.layers }
}

/// Draws the heads line by line, the best first.
fn draw_sorted(c: &mut Canvas, area: Rect, ranking: &[Ranked]) -> Shown {
    let cursor = c.state.cursor;
    let names: Vec<String> = ranking.iter().map(|r| format!("L{}H{}", r.layer, r.head)).collect();
    let longest = names.iter().map(String::len).max().unwrap_or(0) + 1 + 4;
    // A column of brackets on the left.
    let room = Rect { x: area.x + 1, width: area.width.saturating_sub(1), ..area };
    // The largest maps of which all fit; if not even the smallest ones do, these.
    let (across, down) = (usize::from(room.width) + 1, usize::from(room.height));
    let fits = |side: &usize| (across / (longest.max(*side) + 2)) * (down / (side / 2 + 1)) >= ranking.len();
    let least = longest.clamp(NAMED.0, 12).next_multiple_of(2);
    let mut sides = (least..NAMED.1 + 1).step_by(2).rev();
    let side = sides.find(fits).unwrap_or(least);
    let (step_x, step_y) = (longest.max(side) + 2, side / 2 + 1);
    let per_line = ((usize::from(room.width) + 1) / step_x).max(1);
    c.pane_geometry().heads_across = u16::try_from(per_line).ok();
    let lines = ranking.len().div_ceil(per_line);
    let at = ranking.iter().position(|r| (r.layer, r.head) == (cursor.layer, cursor.head)).unwrap_or(0);
    let visible = window(at / per_line, lines, (usize::from(room.height) / step_y).max(1));
    let (mut shown, mut pooled) = (Vec::new(), None);
    for (i, line) in visible.clone().enumerate() {
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
    Shown { heads: shown, pooled, rows: visible, all: lines }
}

/// Draws the map of a head, if it is derived; returns the tokens of the map.
fn thumbnail(c: &mut Canvas, room: Rect, place: Rect, (layer, head): (usize, usize), side: usize) -> Option<Covered> {
    let (state, cursor) = (c.state, c.state.cursor);
    let map = state.derived.map(layer, Pick::One(head), side);
    if map.is_none_or(|map| map.n != state.tokens.len()) && c.has_attention(layer) {
        c.wanted.maps.push((layer, Pick::One(head), side));
    }
    let spot = Spot { layer: Some(layer), head: Some(head), ..Spot::default() };
    c.hit(Rect { y: place.y.saturating_sub(1), height: place.height + 1, ..place }.intersection(room), spot);
    if let Some(map) = map {
        let matrix = Matrix { cells: &map.cells, side: map.side, crosshair: None, log: c.pane.heads.log };
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

/// Requests the scores of the heads on the screen, and of all others while the engine does no work on the run.
pub(super) fn want_figures(c: &mut Canvas, ranking: &[Ranked], shown: Vec<(usize, usize)>) {
    let state = c.state;
    if c.pane.heads.on == MeasuredOn::Repeated {
        c.wanted.scores = state.derived.scores().is_none() && !state.derived.scores_failed();
        return;
    }
    let missing = |(layer, head): &(usize, usize)| {
        state.derived.stats(*layer, *head).is_none_or(|stats| stats.n != state.tokens.len())
            && state.meta().is_none_or(|meta| meta.has_attention(*layer))
    };
    let others = ranking.iter().map(|ranked| (ranked.layer, ranked.head));
    let others = others.filter(|_| !state.is_busy());
    // The head drawn large may be among them already.
    let mut seen: HashSet<(usize, usize)> = c.wanted.stats.iter().copied().collect();
    let more: Vec<(usize, usize)> =
        shown.into_iter().chain(others).filter(missing).filter(|head| seen.insert(*head)).collect();
    c.wanted.stats.extend(more);
}

/// A score in four cells.
pub(super) fn figure(c: &Canvas, value: Option<f32>) -> String {
    match (value, c.pane.heads.measure) {
        (Some(nats), Measure::Entropy) => format!("{nats:.2}"),
        (Some(weight), _) => prob(weight),
        (None, _) => "-".to_owned(),
    }
}

/// Explanations of the measure, from the longest to the shortest.
pub(super) fn explain(c: &Canvas) -> Vec<String> {
    let state = c.state;
    let (measure, stats) =
        (c.pane.heads.measure, state.head_stats(&c.pane.heads, state.cursor.layer, state.cursor.head));
    let what = measure.explain();
    let sample = match stats {
        Some(stats) if stats.stride > 1 => format!(" · of every {}th query", stats.stride),
        _ => String::new(),
    };
    let mut forms = vec![format!("{measure}: {what}{sample}"), format!("{measure}: {what}"), what.to_owned()];
    if let Some(None) = stats.map(|stats| measure.of(stats)) {
        let none = "no token occurs twice: R measures on repeated ones";
        let more = [format!("{} · {none}", forms[0]), none.to_owned(), "no token occurs twice: R".to_owned()];
        forms.splice(..0, more);
    }
    if c.pane.heads.on == MeasuredOn::Repeated {
        let on = measured_on(c);
        let more: Vec<String> = forms.iter().map(|form| format!("{on} · {form}")).collect();
        forms.splice(..0, more.into_iter().chain([on]));
    }
    forms.extend([what.split(';').next().unwrap_or_default().to_owned(), measure.to_string(), String::new()]);
    forms
}

/// The text on which heads are measured, or how far that is.
pub(super) fn measured_on(c: &Canvas) -> String {
    let state = c.state;
    match (c.pane.heads.on, state.derived.scores()) {
        (MeasuredOn::Text, _) => c.pane.heads.on.about().to_owned(),
        (MeasuredOn::Repeated, Some(scores)) => format!("on {} random tokens twice", scores.repeated),
        (MeasuredOn::Repeated, None) if state.derived.scores_failed() => "could not be measured".to_owned(),
        (MeasuredOn::Repeated, None) => {
            let (done, total) = state.derived.scores_progress().unwrap_or((0, 0));
            format!("reading random tokens {done} of {total}")
        }
    }
}

/// What is shown: the text, the progress and the pooling of the maps, from the longest form to the shortest.
fn about(c: &Canvas, ranking: &[Ranked], pooled: Option<Covered>) -> [String; 3] {
    let state = c.state;
    let on = measured_on(c);
    let measured = state.measured(c.pane.heads.on);
    let mut more = Vec::new();
    match pooled {
        Some(Covered { n, .. }) if n != state.tokens.len() => more.push(format!("maps of {n} tokens")),
        _ => {}
    }
    match pooled {
        Some(Covered { block, .. }) if block > 1 => more.push(format!("max of {block}×{block}")),
        _ => {}
    }
    if c.pane.heads.on == MeasuredOn::Text && measured < ranking.len() {
        more.push(format!("{measured} of {} heads", ranking.len()));
    }
    if c.pane.heads.sorted {
        more.push("best first".to_owned());
    }
    let joined =
        |first: &str| [first].into_iter().chain(more.iter().map(String::as_str)).collect::<Vec<_>>().join(" · ");
    let short = if c.pane.heads.on == MeasuredOn::Text { more.join(" · ") } else { joined(&on) };
    [joined(&on), short, on]
}
