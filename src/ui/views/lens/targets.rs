//! The layers at one token as curves: probabilities or ranks of the targets, KL, entropy.

use super::{ANSWER, colour, details, glyph, unknown, want, want_targets};
use crate::analysis::Trajectory;
use crate::state::text::{fit, quoted, show_piece, width};
use crate::state::{LensMeasure, Spot, State};
use crate::trace::{Dims, LensCell, LensKey, LensSite};
use crate::ui::canvas::Canvas;
use crate::ui::chrome::title::view_panel;
use crate::ui::theme::Theme;
use crate::ui::views::Panel;
use crate::ui::widgets::number::prob;
use crate::ui::widgets::plot::{self, AXIS, Curve};
use crate::ui::widgets::scale::Scale;
use ratatui::layout::Rect;
use ratatui::style::Style;

pub const PANEL: Panel = Panel { details: Some(details::draw), ..Panel::new(draw) };

/// A curve with its values and its name.
struct Line {
    glyph: char,
    style: Style,
    name: String,
    values: Vec<Option<f32>>,
}

fn draw(c: &mut Canvas, area: Rect) {
    let (state, pane) = (c.state, c.pane);
    let what = match pane.lens.measure {
        LensMeasure::Top => "probability",
        LensMeasure::Rank => "rank",
        LensMeasure::Kl => "KL(final ‖ lens), nats",
        LensMeasure::Entropy => "entropy, nats",
    };
    let scale = if pane.lens.log { "log" } else { "linear" };
    let after = format!("after {} · {what}", quoted(c.shown(state.cursor.token)));
    let inside = view_panel(
        c,
        area,
        [format!("{after} · {scale} scale"), format!("{what} · {scale} scale"), format!("{scale} scale")],
    );
    let Some(d) = c.dims().filter(|_| !state.tokens.is_empty()) else { return c.nothing(inside, "no token yet") };
    want(c, d, std::iter::empty(), &[]);
    want_targets(c);
    let lines = lines(state, pane.lens.measure, c.theme, d);
    let values = || lines.iter().flat_map(|line| line.values.iter().filter_map(|value| *value));
    let scale = match pane.lens.measure {
        LensMeasure::Top => Scale::probabilities(values(), pane.lens.log),
        LensMeasure::Rank => Scale::ranks(values(), pane.lens.log),
        LensMeasure::Kl | LensMeasure::Entropy => Scale::nats(values(), pane.lens.log),
    };
    let legend = legend(c, &lines, usize::from(inside.width.saturating_sub(1)));
    let legend_rows = (legend.len() as u16).min(inside.height / 3).max(1);
    // A small plot has no line below it.
    let axis_rows = if inside.height >= 8 { 2 } else { 1 };
    let body = Rect {
        x: inside.x + AXIS,
        width: inside.width.saturating_sub(AXIS + 2),
        height: inside.height.saturating_sub(legend_rows + axis_rows),
        ..inside
    };
    layers(c, inside, body, axis_rows, d);
    let ticks = scale.ticks(usize::from(body.height));
    let curves: Vec<Curve> = lines
        .iter()
        .map(|line| Curve {
            glyph: line.glyph,
            style: line.style,
            heights: line.values.iter().map(|value| value.map(|value| scale.height(value))).collect(),
        })
        .collect();
    plot::draw(c, body, &curves, &ticks);
    for (row, entries) in legend.iter().take(usize::from(legend_rows)).enumerate() {
        let (y, mut x) = (body.bottom() + axis_rows + row as u16, inside.x + 1);
        for (line, text) in entries {
            x = c.put(inside, x, y, text, lines[*line].style);
        }
    }
}

/// All curves, the top one first.
fn lines(state: &State, measure: LensMeasure, theme: &Theme, d: Dims) -> Vec<Line> {
    let pos = state.cursor.token;
    let places = || (0..d.layers).flat_map(|layer| [(layer, LensSite::ResidMid), (layer, LensSite::ResidPost)]);
    let of_cells = |value: fn(&LensCell) -> f32| {
        places().map(|(layer, site)| state.derived.lens(LensKey { pos, layer, site }).map(value)).collect::<Vec<_>>()
    };
    let answer = state.token().and_then(|token| token.next.top.first());
    let name = answer.map_or_else(String::new, |answer| show_piece(&answer.piece));
    let line = |name: String, values| Line { glyph: ANSWER, style: theme.strong(), name, values };
    let is_rank = match measure {
        LensMeasure::Kl => return vec![line("KL".to_owned(), of_cells(|cell| cell.kl))],
        LensMeasure::Entropy => return vec![line("entropy".to_owned(), of_cells(|cell| cell.entropy))],
        LensMeasure::Top => false,
        LensMeasure::Rank => true,
    };
    let of_cell = if is_rank { |cell: &LensCell| cell.final_rank as f32 } else { |cell: &LensCell| cell.final_prob };
    let of_point = |rank: u32, prob: f32| if is_rank { rank as f32 } else { prob };
    let mut lines = vec![line(name, of_cells(of_cell))];
    let others =
        state.targets.iter().enumerate().filter(|(_, target)| answer.is_none_or(|answer| answer.id != target.id));
    lines.extend(others.map(|(i, target)| {
        let values =
            |found: &Trajectory| found.points.iter().map(|(_, _, rank, p)| Some(of_point(*rank, *p))).collect();
        Line {
            glyph: glyph(i),
            style: colour(theme, i),
            name: show_piece(&target.piece),
            values: state.derived.trajectory(pos, target.id).map_or_else(|| vec![None; d.layers * 2], values),
        }
    }));
    lines
}

/// The rows of the legend as (curve, text): mark, name, and value at the layer of the cursor.
fn legend(c: &Canvas, lines: &[Line], room: usize) -> Vec<Vec<(usize, String)>> {
    let mut rows = vec![vec![]];
    let mut used = 0;
    let at = c.state.cursor.layer * 2 + 1;
    for (i, line) in lines.iter().enumerate() {
        let value = line.values.get(at).copied().flatten();
        let value = value.map_or_else(
            || unknown(c).to_owned(),
            |value| match c.pane.lens.measure {
                LensMeasure::Top => prob(value),
                LensMeasure::Rank => format!("{value}"),
                LensMeasure::Kl | LensMeasure::Entropy => format!("{value:.2}"),
            },
        );
        let answer = if i == 0 && lines.len() > 1 { " (final answer)" } else { "" };
        let text = format!("{} {}{answer} {value}   ", line.glyph, fit(&line.name, 16));
        if used > 0 && used + width(&text) > room {
            rows.push(vec![]);
            used = 0;
        }
        used += width(&text);
        if let Some(row) = rows.last_mut() {
            row.push((i, text));
        }
    }
    let text = format!("at L{} {}", c.state.cursor.layer, LensSite::ResidPost);
    if used + width(&text) <= room
        && let Some(row) = rows.last_mut()
    {
        row.push((0, text));
    }
    rows
}

/// Draws the horizontal axis with two places per layer, and a line at the layer of the cursor.
fn layers(c: &mut Canvas, inside: Rect, body: Rect, rows: u16, d: Dims) {
    let n = d.layers * 2;
    let y = body.bottom() + rows - 1;
    for x in (body.x.saturating_sub(1)..body.right()).filter(|_| rows > 1) {
        let glyph = if x < body.x { "└" } else { "─" };
        c.put(inside, x, body.bottom(), glyph, c.theme.dim());
    }
    let at = c.state.cursor.layer;
    let cursor_x = plot::column(body, at * 2 + 1, n);
    for y in body.y..body.bottom() {
        c.put(inside, cursor_x, y, "┊", c.theme.dim());
    }
    let mut names = vec![(at, c.theme.cursor())];
    names.extend((0..d.layers).filter(|layer| *layer != at).map(|layer| (layer, c.theme.dim())));
    let mut taken: Vec<(u16, u16)> = Vec::new();
    for (layer, style) in names {
        let name = format!("L{layer}");
        let (from, to) = (plot::column(body, layer * 2, n), plot::column(body, layer * 2 + 1, n));
        let room = Rect { x: from, y: body.y, width: to + 1 - from, height: body.height + rows };
        c.hit(room, Spot { layer: Some(layer), ..Spot::default() });
        let x = (from + to).div_ceil(2).saturating_sub(width(&name) as u16 / 2);
        let end = x + width(&name) as u16;
        if end <= inside.right() && taken.iter().all(|(a, b)| end < *a || *b < x) {
            c.put(inside, x, y, &name, style);
            taken.push((x, end));
        }
    }
    if taken.iter().all(|(from, _)| *from > inside.x + AXIS) {
        c.put(inside, inside.x, y, "mid·post", c.theme.dim());
    }
}
