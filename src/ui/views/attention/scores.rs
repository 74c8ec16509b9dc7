//! Layers × heads: one score of every head, so that all heads of a large model are on one screen.
//!
//! ```text
//!      H0   H1   H2   H3
//! ▸L5  .03 [.95] .41  .02
//!  L4  .12  .08  .10  .77
//! L5H1 induction .95 · previous token .01 · first token .02 · entropy 0.31
//! ```

use super::grid::{explain, figure, measured_on, want_figures};
use super::{details, ready};
use crate::analysis::{Measure, MeasuredOn};
use crate::state::text::width;
use crate::state::{Ranked, Spot};
use crate::trace::Dims;
use crate::ui::canvas::{ABSENT, Canvas};
use crate::ui::chrome::title::view_panel;
use crate::ui::views::Panel;
use crate::ui::widgets::heatmap;
use crate::ui::widgets::window::window;
use ratatui::layout::Rect;

pub const PANEL: Panel = Panel {
    details: Some(details::draw),
    lines: |state, _, _| Some(4 + state.meta()?.dims.layers),
    ..Panel::new(draw)
};

/// Least and greatest width of a score; the least has one digit.
const CELL: (usize, usize) = (1, 12);
/// The least width of a score as it is written elsewhere.
const WRITTEN: usize = 5;
/// The most lines of a layer.
const LINES: usize = 5;

fn draw(c: &mut Canvas, area: Rect) {
    let Some(d) = ready(c, area) else { return };
    let ranking = ranking(c);
    let (measure, on) = (c.pane.heads.measure, measured_on(c));
    let known = c.state.measured(c.pane.heads.on);
    let more = if c.pane.heads.on == MeasuredOn::Text && known < ranking.len() {
        format!(" · {known} of {} heads", ranking.len())
    } else {
        String::new()
    };
    let inside = view_panel(c, area, [format!("{on}{more}"), on]);
    want_figures(c, &ranking, Vec::new());
    // The layers come first, and sentences in the lines that they leave.
    let below = if usize::from(inside.height) >= d.layers + 4 || inside.height >= 40 { 3 } else { 1 };
    let body = Rect { height: inside.height.saturating_sub(below), ..inside };
    let full = full(c, measure);
    let cell = put_scores(c, area, body, d, &ranking, full);
    let room = Rect { y: body.bottom(), height: inside.bottom() - body.bottom(), ..inside };
    put_sentences(c, room, &ranking, full, cell);
}

/// All heads by place: the last layer first.
fn ranking(c: &Canvas) -> Vec<Ranked> {
    c.state.ranking(&crate::state::Heads { sorted: false, ..c.pane.heads })
}

/// The score that has the strongest colour: of weights 1, of entropies that of a row that is even over the text.
fn full(c: &Canvas, measure: Measure) -> f32 {
    let tokens = match (c.pane.heads.on, c.state.derived.scores()) {
        (MeasuredOn::Repeated, Some(scores)) => scores.stats.first().map_or(2, |stats| stats.n),
        _ => c.state.tokens.len(),
    };
    if measure == Measure::Entropy { (tokens.max(2) as f32).ln() } else { 1.0 }
}

/// Draws the map; returns the width of a score.
fn put_scores(c: &mut Canvas, area: Rect, body: Rect, d: Dims, ranking: &[Ranked], full: f32) -> usize {
    let cursor = c.state.cursor;
    let label = 3 + d.layers.saturating_sub(1).to_string().len();
    let across = usize::from(body.width).saturating_sub(label + 1);
    let rows = usize::from(body.height).saturating_sub(1).max(1);
    let cell = (across / d.heads).clamp(CELL.0, CELL.1);
    let lines = (rows / d.layers).clamp(1, LINES);
    let heads = window(cursor.head, d.heads, (across / cell).max(1));
    let layers = window(d.layers - 1 - cursor.layer, d.layers, rows / lines);
    c.left_out(area, &layers, d.layers);
    let x = |head: usize| body.x + (label + (head - heads.start) * cell) as u16;
    // Where not all numbers fit, every fourth is enough.
    let each = if cell > (d.heads - 1).to_string().len() + 1 { 1 } else { 4 };
    // The cursor's number takes the place of others that it would run into.
    let is_free = |head: usize| head % each == 0 && (each == 1 || head.abs_diff(cursor.head) * cell > 2);
    for head in heads.clone().filter(|head| is_free(*head) || *head == cursor.head) {
        let style = if head == cursor.head { c.theme.cursor() } else { c.theme.dim() };
        let name = if cell > 3 { format!("H{head}") } else { head.to_string() };
        let pad = if cell >= WRITTEN { 1 } else { 0 };
        c.put(body, x(head) + pad, body.y, &name, style);
    }
    let edges = [(heads.start > 0, body.x + label as u16 - 1, "‹"), (heads.end < d.heads, body.right() - 1, "›")];
    for (_, at, sign) in edges.into_iter().filter(|(is_more, ..)| *is_more) {
        c.put(body, at, body.y, sign, c.theme.warn());
    }
    for (i, row) in layers.enumerate() {
        let (layer, y) = (d.layers - 1 - row, body.y + 1 + (i * lines) as u16);
        let is_here = layer == cursor.layer;
        let style = if is_here { c.theme.accent() } else { c.theme.dim() };
        c.put(body, body.x, y, &format!("{}L{layer}", if is_here { "▸" } else { " " }), style);
        c.hit_lines(body, y, lines as u16, Spot { layer: Some(layer), ..Spot::default() });
        if !c.has_attention(layer) {
            c.put(body, x(heads.start), y, ABSENT, c.theme.dim());
            continue;
        }
        for head in heads.clone() {
            let value = ranking.get(row * d.heads + head).and_then(|ranked| ranked.value);
            let place = Rect { x: x(head), y, width: cell as u16, height: lines as u16 }.intersection(body);
            c.hit(place, Spot { layer: Some(layer), head: Some(head), ..Spot::default() });
            put_score(c, place, value, full, is_here && head == cursor.head);
        }
    }
    cell
}

/// A score on its colour, which fills the lines of the layer.
fn put_score(c: &mut Canvas, place: Rect, value: Option<f32>, full: f32, is_here: bool) {
    let cell = usize::from(place.width);
    let text = if cell >= WRITTEN { figure(c, value) } else { digits(c, value, full, cell) };
    let heat = value.map_or(c.theme.dim(), |value| c.theme.heat((value / full).clamp(0.0, 1.0)));
    let style = if is_here { heat.patch(c.theme.cursor()) } else { heat };
    // A blank keeps numbers apart that would run into each other.
    let room = if cell > 3 { cell - 1 } else { cell };
    for y in place.y..place.bottom() {
        let line = if y == place.y { text.as_str() } else { "" };
        let written = if is_here && cell > 5 && y == place.y { format!("[{line}]") } else { format!(" {line}") };
        let written = if cell >= WRITTEN { written } else { line.to_owned() };
        let pad = " ".repeat(room.saturating_sub(width(&written)));
        c.put(place, place.x, y, &format!("{written}{pad}"), style);
    }
}

/// A score in two digits: hundredths of a weight, tenths of a nat. In one digit: tenths of the scale.
fn digits(c: &Canvas, value: Option<f32>, full: f32, cell: usize) -> String {
    let Some(value) = value else { return format!("{:>1$}", "–", cell.min(2)) };
    if cell == 1 {
        return format!("{:.0}", (value / full * 10.0).floor().clamp(0.0, 9.0));
    }
    let per = if c.pane.heads.measure == Measure::Entropy { 10.0 } else { 100.0 };
    format!("{:02.0}", (value * per).clamp(0.0, 99.0))
}

/// What the digits of a narrow score are.
fn unit(measure: Measure, cell: usize) -> &'static str {
    match (cell, measure) {
        (WRITTEN.., _) => "",
        (1, _) => "digit: tenths of the scale · ",
        (_, Measure::Entropy) => "digits: tenths of a nat · ",
        _ => "digits: hundredths · ",
    }
}

/// The scores of the head at the cursor, the best heads, and the scale.
fn put_sentences(c: &mut Canvas, room: Rect, ranking: &[Ranked], full: f32, cell: usize) {
    let (state, cursor, heads) = (c.state, c.state.cursor, c.pane.heads);
    if room.height > 1 {
        let here = match state.head_stats(&heads, cursor.layer, cursor.head) {
            None => "not measured yet".to_owned(),
            Some(stats) => {
                let first = [heads.measure].into_iter();
                let order = first.chain(Measure::ALL.into_iter().filter(|measure| *measure != heads.measure));
                let scores = order.filter_map(|measure| Some(format!("{measure} {:.2}", measure.of(stats)?)));
                scores.collect::<Vec<_>>().join(" · ")
            }
        };
        c.put(room, room.x + 1, room.y, &format!("L{}H{}  {here}", cursor.layer, cursor.head), c.theme.strong());
        let mut best: Vec<Ranked> = ranking.iter().copied().filter(|ranked| ranked.value.is_some()).collect();
        heads.measure.sort(&mut best, |ranked| ranked.value);
        let named: Vec<String> =
            best.iter().take(8).map(|r| format!("L{}H{} {}", r.layer, r.head, figure(c, r.value))).collect();
        let forms = (1..=named.len()).rev().map(|count| format!("best: {}", named[..count].join("  ")));
        c.put_first_that_fits(room, room.x + 1, room.y + 1, &forms.collect::<Vec<_>>(), c.theme.dim());
    }
    let y = room.bottom().saturating_sub(1);
    let x = heatmap::legend_to(c, room, room.x + 1, y, format!("{full:.2}").trim_end_matches(".00"));
    let unit = unit(heads.measure, cell);
    let forms = explain(c).into_iter();
    let forms: Vec<String> = forms.map(|form| format!("  {unit}{form}")).chain([format!("  {unit}")]).collect();
    c.put_first_that_fits(room, x, y, &forms, c.theme.dim());
}
