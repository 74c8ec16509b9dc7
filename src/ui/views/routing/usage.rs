//! Layers × experts over the run: how often each expert is chosen, and how often choices repeat.
//!
//! ```text
//!        E0    E1    E2    E3   ≈ ties  repeats 1st %  either %  entropy nats
//!  L5  12.5  31.0   4.2     –        3           31.0      62.0          1.19
//! unif 25.0  25.0  25.0  25.0                    25.0      83.3          1.39
//! ```

use super::details;
use crate::analysis::LayerUsage;
use crate::analysis::routing::repeats_at_random;
use crate::state::{Spot, UsageMeasure};
use crate::trace::Dims;
use crate::ui::canvas::Canvas;
use crate::ui::chrome::title::view_panel;
use crate::ui::views::Panel;
use crate::ui::widgets::bar::bar;
use crate::ui::widgets::heatmap;
use crate::ui::widgets::number::prob;
use crate::ui::widgets::window::window;
use ratatui::layout::Rect;

pub const PANEL: Panel = Panel {
    details: Some(details::draw),
    lines: |state, _, _| Some(3 + state.meta()?.dims.layers),
    ..Panel::new(draw)
};

/// Width of the names of layers; values have a blank before them.
const NAMES: usize = 4;

/// Headings of the columns on the right, long and short.
const HEADINGS: [[&str; 4]; 2] =
    [["  ≈ ties", "  repeats 1st %", "  either %", "  entropy nats"], ["   ≈", " 1st %", " either %", "  nats"]];

/// The columns on the right of a layer: near-ties, repeats of the first and of any choice, entropy.
type Columns = [String; 4];

fn draw(c: &mut Canvas, area: Rect) {
    let (state, cursor) = (c.state, c.state.cursor);
    let measure = state.usage_measure(c.pane);
    let (what, short) = match measure {
        UsageMeasure::First => ("share of first choices, %", "first choices, %"),
        UsageMeasure::Chosen => ("share of all choices, %", "all choices, %"),
        UsageMeasure::Weight => ("mean weight when chosen", "mean weight"),
        UsageMeasure::Difference => ("share of all choices, selected − others, points", "selected − others"),
    };
    let usage = state.shown_usage();
    let selected = if state.selected_usage.is_some() { "selected " } else { "" };
    let counted = format!("{} {selected}tokens", usage.tokens());
    let hidden = c.dims().map_or(0, |d| d.experts).saturating_sub(state.expert_order(c.pane).len());
    let sorted = match (c.pane.usage_sorted, hidden) {
        (false, _) => String::new(),
        (true, 0) => format!(" · sorted by layer {}", cursor.layer),
        (true, hidden) => format!(" · sorted by layer {}, {hidden} never chosen hidden", cursor.layer),
    };
    let forms = [format!("{what} · {counted}{sorted}"), format!("{short} · {counted}{sorted}"), short.to_owned()];
    let inside = view_panel(c, area, forms);
    let Some(d) = c.dims().filter(|_| !state.tokens.is_empty()) else { return c.nothing(inside, "no token yet") };
    let uniform = uniform(measure, &d);
    let values = |(layer, usage): (usize, &LayerUsage)| -> Vec<Option<f64>> {
        let of = |expert| match measure {
            UsageMeasure::Difference => state.share_difference(layer, expert),
            _ => value(usage, measure, expert),
        };
        (0..d.experts).map(of).collect()
    };
    let all: Vec<Vec<Option<f64>>> = usage.layers().iter().enumerate().map(values).collect();
    let max = all.iter().flatten().flatten().fold(uniform, |max: f64, value| value.abs().max(max));

    let room = usize::from(inside.width).saturating_sub(NAMES);
    let width = |headings: &[&str; 4]| headings.iter().map(|text| text.chars().count()).sum::<usize>();
    let (cell, headings) = if d.experts * 6 + width(&HEADINGS[0]) <= room {
        (6, &HEADINGS[0])
    } else if d.experts * 6 + width(&HEADINGS[1]) <= room {
        (6, &HEADINGS[1])
    } else {
        (4, &HEADINGS[1])
    };
    // Where there is room, longer bars.
    let spare = room.saturating_sub(width(headings)) / d.experts;
    let cell = if cell == 6 { spare.clamp(6, 12) } else { cell };
    let order = state.expert_order(c.pane);
    let at = order.iter().position(|expert| *expert == cursor.expert).unwrap_or(0);
    // The near-ties keep their column even if experts have to be scrolled.
    let columns = window(at, order.len(), (room.saturating_sub(4) / cell).max(1));
    let experts = &order[columns.clone()];
    let x = inside.x + NAMES as u16;
    let right = x + (experts.len() * cell) as u16;
    put_names(c, inside, experts, cell, (columns.start > 0, columns.end < order.len()));
    put_columns(c, inside, right, inside.y, headings, &headings.map(str::to_owned), c.theme.dim());

    let has_legend = inside.height >= 7;
    let body = usize::from(inside.height).saturating_sub(1 + usize::from(has_legend));
    let lines = (body.saturating_sub(1) / d.layers).clamp(1, 3);
    let has_uniform = body > d.layers * lines && measure != UsageMeasure::Difference;
    let layers = window(d.layers - 1 - cursor.layer, d.layers, (body / lines).max(1));
    c.left_out(area, &layers, d.layers);
    let mut y = inside.y + 1;
    for row in layers {
        let layer = d.layers - 1 - row;
        c.hit_lines(inside, y, lines as u16, Spot { layer: Some(layer), ..Spot::default() });
        let label = format!("{}L{layer}", if layer == cursor.layer { "▸" } else { " " });
        c.put(inside, inside.x, y, &label, if layer == cursor.layer { c.theme.accent() } else { c.theme.dim() });
        if !d.has_router(layer) {
            c.put(inside, x, y, c.no_routing(layer), c.theme.dim());
        }
        for (i, expert) in experts.iter().copied().enumerate().filter(|_| d.has_router(layer)) {
            let value = all.get(layer).and_then(|values| values[expert]);
            let at = layer == cursor.layer && expert == cursor.expert;
            put_value(c, inside, x + (i * cell) as u16, y, value, &Scale { max, cell, at });
            if let (2.., Some(value)) = (lines, value) {
                let share = (value.abs() / max) as f32;
                let style = if value < 0.0 { c.theme.signed(value) } else { c.theme.expert_text(expert) };
                c.put(inside, x + (i * cell) as u16, y + 1, &bar(share, cell - 1), style);
            }
            let count = usage.layer(layer).and_then(|layer| layer.chosen.get(expert)).copied().unwrap_or(0);
            if lines > 2 && count > 0 {
                let text = format!("{:>1$}", format!("{count}×"), cell - 1);
                c.put(inside, x + (i * cell) as u16, y + 2, &text, c.theme.dim());
            }
        }
        if let Some(usage) = usage.layer(layer) {
            let style = if usage.near_ties.is_empty() { c.theme.dim() } else { c.theme.warn() };
            put_columns(c, inside, right, y, headings, &of_layer(usage), style);
        }
        y += lines as u16;
    }
    if has_uniform {
        c.put(inside, inside.x, y, "unif", c.theme.dim());
        for i in 0..experts.len() {
            c.put(inside, x + (i * cell) as u16, y, &text(measure, uniform, cell), c.theme.dim());
        }
        let (first, either) = repeats_at_random(d.experts, d.top_k);
        let entropy = format!("{:.2}", (d.experts as f64).ln());
        let even = [String::new(), percent(f64::from(first)), percent(f64::from(either)), entropy];
        put_columns(c, inside, right, y, headings, &even, c.theme.dim());
    }
    if has_legend {
        put_legend(c, inside, uniform, max);
    }
}

fn value(usage: &LayerUsage, measure: UsageMeasure, expert: usize) -> Option<f64> {
    // An expert that was never chosen has no value, not even a share of 0.
    match measure {
        _ if usage.chosen.get(expert).is_none_or(|count| *count == 0) => None,
        UsageMeasure::First => usage.first_share(expert),
        UsageMeasure::Chosen => usage.chosen_share(expert),
        UsageMeasure::Weight => usage.mean_weight(expert),
        // It is of two usages.
        UsageMeasure::Difference => None,
    }
}

/// The value of the measure if experts were chosen uniformly.
fn uniform(measure: UsageMeasure, d: &Dims) -> f64 {
    1.0 / (if measure == UsageMeasure::Weight { d.top_k } else { d.experts }).max(1) as f64
}

fn percent(share: f64) -> String {
    format!("{:.1}", share * 100.0)
}

fn of_layer(usage: &LayerUsage) -> Columns {
    let repeats = usage.repeats();
    let share = |share: f32| if repeats.pairs > 0 { percent(f64::from(share)) } else { "–".to_owned() };
    let entropy = usage.entropy().map_or_else(|| "–".to_owned(), |nats| format!("{nats:.2}"));
    let near = if usage.margins > 0 { usage.near_ties.len().to_string() } else { "–".to_owned() };
    [near, share(repeats.first), share(repeats.either), entropy]
}

fn put_names(c: &mut Canvas, inside: Rect, experts: &[usize], cell: usize, (before, after): (bool, bool)) {
    for (i, expert) in experts.iter().copied().enumerate() {
        let name = format!("E{expert}");
        let style = if expert == c.state.cursor.expert { c.theme.cursor() } else { c.theme.expert(expert) };
        let pad = (cell - 1).saturating_sub(name.len());
        c.put(inside, inside.x + (NAMES + i * cell + pad) as u16, inside.y, &name, style);
        let spot = Spot { expert: Some(expert), ..Spot::default() };
        c.hit_columns(inside, inside.x + (NAMES + i * cell) as u16, cell as u16, spot);
    }
    if before {
        c.put(inside, inside.x + 3, inside.y, "‹", c.theme.warn());
    }
    if after {
        c.put(inside, inside.x + (NAMES + experts.len() * cell) as u16, inside.y, "›", c.theme.warn());
    }
}

/// Writes the columns that fit.
fn put_columns(
    c: &mut Canvas,
    inside: Rect,
    x: u16,
    y: u16,
    headings: &[&str; 4],
    texts: &Columns,
    style: ratatui::style::Style,
) {
    let mut x = x;
    for (i, (heading, text)) in headings.iter().zip(texts).enumerate() {
        let cells = heading.chars().count();
        if usize::from(inside.right().saturating_sub(x)) < cells {
            return;
        }
        let style = if i == 0 { style } else { c.theme.dim() };
        c.put(inside, x, y, &format!("{text:>cells$}"), style);
        x += cells as u16;
    }
}

struct Scale {
    max: f64,
    cell: usize,
    at: bool,
}

fn put_value(c: &mut Canvas, inside: Rect, x: u16, y: u16, value: Option<f64>, scale: &Scale) {
    let Some(value) = value else {
        let style = if scale.at { c.theme.cursor() } else { c.theme.dim() };
        c.put(inside, x, y, &format!("{:>1$} ", "–", scale.cell - 1), style);
        return;
    };
    let part = (value / scale.max) as f32;
    let measure = c.state.usage_measure(c.pane);
    let text = text(measure, value, scale.cell);
    let is_difference = measure == UsageMeasure::Difference;
    let style = match scale.at {
        true => c.theme.cursor(),
        false if is_difference => c.theme.diverging(value / scale.max),
        false => c.theme.heat(part),
    };
    let x = c.put(inside, x, y, &text, style);
    if !c.theme.has_ramp() && !is_difference && text.ends_with(' ') {
        c.put(inside, x - 1, y, column(part), style);
    }
}

/// The value, with a blank after it if there is room.
fn text(measure: UsageMeasure, value: f64, cell: usize) -> String {
    let number = match (measure, cell) {
        (UsageMeasure::Weight, _) => prob(value as f32),
        (UsageMeasure::Difference, 6..) => signed(value * 100.0, 1),
        (UsageMeasure::Difference, _) => signed(value * 100.0, 0),
        (_, 6..) => percent(value),
        _ if value > 0.0 && value < 0.005 => "<1".to_owned(),
        _ => format!("{:.0}", value * 100.0),
    };
    let room = cell - usize::from(number.chars().count() < cell);
    format!("{:<cell$}", format!("{number:>room$}"))
}

/// A number with its sign.
fn signed(value: f64, digits: usize) -> String {
    format!("{value:+.digits$}").replace('-', "−")
}

/// A column glyph in eighths.
fn column(part: f32) -> &'static str {
    const EIGHTHS: [&str; 9] = [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];
    EIGHTHS[(part.clamp(0.0, 1.0) * 8.0).round() as usize]
}

fn put_legend(c: &mut Canvas, inside: Rect, uniform: f64, max: f64) {
    let measure = c.state.usage_measure(c.pane);
    if measure == UsageMeasure::Difference {
        let y = inside.bottom() - 1;
        let most = percent(max);
        let low = c.put(inside, inside.x + 1, y, &format!("−{most} "), c.theme.diverging(-1.0));
        let x = c.put(inside, low, y, " 0 ", c.theme.diverging(0.0));
        let x = c.put(inside, x, y, &format!(" +{most}"), c.theme.diverging(1.0));
        let forms = ["   points: share among the selected tokens − share among all others   – never in one of them"];
        let short = ["  points, selected − others"];
        let forms: Vec<String> = forms.iter().chain(&short).map(|text| (*text).to_owned()).collect();
        c.put_first_that_fits(inside, x, y, &forms, c.theme.dim());
        return;
    }
    let named = |value: f64| match measure {
        UsageMeasure::Weight => prob(value as f32),
        _ => format!("{} %", percent(value)),
    };
    let (max, uniform) = (named(max), named(uniform));
    let lacks =
        |usage: &LayerUsage| (0..usage.chosen.len()).any(|e| usage.chosen[e] > 0 && usage.mean_weight(e).is_none());
    let is_weight = measure == UsageMeasure::Weight;
    let none = if is_weight && c.state.usage.layers().iter().any(lacks) { "no weight captured" } else { "never used" };
    let y = inside.bottom() - 1;
    let x = heatmap::legend_to(c, inside, inside.x + 1, y, &max);
    let forms = [
        format!("   uniform {uniform}   – {none}   repeats: from one token to the next   ≈ near-ties"),
        format!("  uniform {uniform}  – {none}  1st, either: repeats"),
        format!("  uniform {uniform}  – {none}"),
    ];
    c.put_first_that_fits(inside, x, y, &forms, c.theme.dim());
}
