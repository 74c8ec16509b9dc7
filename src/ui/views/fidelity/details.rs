//! Details of two runs: their differences over the text, and at the token and layer of the cursor.

use super::want_baseline;
use crate::analysis::routing::TokenRouting;
use crate::state::State;
use crate::state::text::{fit, quoted, show_piece, width};
use crate::trace::{LensCell, LensKey, TokenRecord};
use crate::ui::canvas::{ABSENT, Canvas};
use crate::ui::theme::marks::WITHIN_ROUNDING;
use crate::ui::widgets::number::prob;
use crate::ui::widgets::number::signed;
use ratatui::layout::Rect;
use ratatui::style::Style;

/// Candidates of each run.
const CANDIDATES: usize = 5;

pub fn draw(c: &mut Canvas, area: Rect) {
    let cursor = c.state.cursor;
    let inside = c.panel(area, &format!("{}, layer {}", quoted(c.shown(cursor.token)), cursor.layer));
    let Some(_) = want_baseline(c) else { return };
    if !c.is_saved() || c.has_lens(0, c.pane.lens.site()) {
        want_lens(c);
    }
    let room = usize::from(inside.width.saturating_sub(1));
    let lines = lines(c, room);
    c.left_out(area, &(0..usize::from(inside.height)), lines.len());
    for (y, (text, style)) in (inside.y..inside.bottom()).zip(lines) {
        c.put(inside, inside.x + 1, y, &fit(&text, room), style);
    }
}

/// Requests the lens cells of both runs at the cursor.
fn want_lens(c: &mut Canvas) {
    let (state, Some(d)) = (c.state, c.dims()) else { return };
    if state.cursor.token >= state.baseline.tokens().len() {
        return;
    }
    let lacking: Vec<LensKey> = state.compared_cells(d).filter(|key| state.baseline.lens(*key).is_none()).collect();
    if let (false, Some(variant)) = (lacking.is_empty(), state.baseline.variant()) {
        c.wanted.baseline.lens = Some((variant.clone(), lacking));
    }
    let own: Vec<LensKey> = state.compared_cells(d).filter(|key| state.derived.lens(*key).is_none()).collect();
    c.wanted.lens.extend(own);
}

/// The lines; those of a run's experts are divided to fit `room` cells.
fn lines(c: &Canvas, room: usize) -> Vec<(String, Style)> {
    let (state, theme) = (c.state, c.theme);
    let (Some(d), Some(b)) = (c.dims(), state.token()) else { return Vec::new() };
    let mut lines = Vec::new();
    if let Some(found) = state.baseline.diff().filter(|found| found.tokens() > 0) {
        let (flips, near) = found.flips();
        lines.push((format!("over {} tokens:", found.tokens()), theme.strong()));
        if let Some([a, b]) = found.mean_losses() {
            lines.push((format!("mean loss A {a:.4}  B {b:.4}"), theme.dim()));
            lines.push((format!("B − A {} nats", signed(b - a)), theme.dim()));
        }
        lines.push(match found.choices() {
            0 => (format!("routing of A {ABSENT}"), theme.dim()),
            choices => (format!("flips {flips} of {choices} choices, {near} {WITHIN_ROUNDING}"), theme.dim()),
        });
        let by_layer = found.layers().iter().enumerate().rev().filter(|(_, layer)| !layer.flips().is_empty());
        let by_layer: Vec<String> =
            by_layer.map(|(layer, found)| format!("L{layer} {}", found.flips().len())).collect();
        if !by_layer.is_empty() {
            lines.push((by_layer.join("  "), theme.dim()));
        }
        lines.push((String::new(), theme.dim()));
    }
    let Some(a) = state.baseline.tokens().get(state.cursor.token) else { return lines };
    lines.push((format!("token {}:", state.cursor.token), theme.strong()));
    if let (Some(of_a), Some(of_b)) = (a.score, b.score) {
        let by = signed(f64::from(of_b.nll) - f64::from(of_a.nll));
        lines.push((format!("loss A {:.3}  B {:.3}  {by}", of_a.nll, of_b.nll), theme.dim()));
    }
    for (name, token, other) in [("A", &**a, b), ("B", b, &**a)] {
        lines.extend(chosen(name, token, other, state, room).into_iter().map(|line| (line, theme.dim())));
    }
    lines.push((String::new(), theme.dim()));
    lines.extend(candidates(c, a, b));
    lines.push((String::new(), theme.dim()));
    lines.push((pair("by layer", "A", "B"), theme.strong()));
    for key in state.compared_cells(d) {
        let style = if key.layer == state.cursor.layer { theme.strong() } else { theme.dim() };
        let lacking = if c.has_lens(key.layer, key.site) { "…" } else { ABSENT };
        let top = |cell: Option<&LensCell>, lacking: &str| {
            cell.and_then(|cell| cell.top.first()).map_or(lacking.to_owned(), named)
        };
        let of_a = if state.baseline.is_recorded() { "not recorded" } else { lacking };
        let (a, b) = (top(state.baseline.lens(key), of_a), top(state.derived.lens(key), lacking));
        lines.push((pair(&format!("L{}", key.layer), &a, &b), style));
    }
    lines
}

/// `A  E4 .98  E6 .02   margin 0.2207`: the choices of a run in the layer of the cursor, with `!` for flips.
/// Parts that do not fit into `room` cells follow on more lines.
fn chosen(name: &str, token: &TokenRecord, other: &TokenRecord, state: &State, room: usize) -> Vec<String> {
    let layer = state.cursor.layer;
    let Some(routing) = TokenRouting::of(token, layer) else { return vec![format!("{name}  {ABSENT}")] };
    let others = other.experts(layer).unwrap_or_default();
    let experts = routing.chosen.iter().zip(routing.weights).map(|(expert, weight)| {
        let mark = if others.contains(expert) { "" } else { "!" };
        format!("E{expert}{mark} {}", prob(*weight))
    });
    let margin = routing.margin().map(|margin| format!(" margin {:.4}", margin.gap));
    divided(name, experts.chain(margin), room)
}

/// The parts after a name, on as many lines of `room` cells as they need.
fn divided(name: &str, parts: impl Iterator<Item = String>, room: usize) -> Vec<String> {
    let mut lines = vec![name.to_owned()];
    for part in parts {
        let last = lines.len() - 1;
        if lines[last].len() > 1 && width(&lines[last]) + 2 + width(&part) > room {
            lines.push(format!("   {}", part.trim_start()));
        } else {
            lines[last] += &format!("  {part}");
        }
    }
    lines
}

fn candidates(c: &Canvas, a: &TokenRecord, b: &TokenRecord) -> Vec<(String, Style)> {
    let mut lines = vec![(pair("next", "A", "B"), c.theme.strong())];
    for k in 0..CANDIDATES.min(a.next.top.len().max(b.next.top.len())) {
        let of = |token: &TokenRecord| match token.next.top.get(k) {
            None if token.next.is_absent() => "not recorded".to_owned(),
            found => found.map_or(String::new(), named),
        };
        lines.push((pair(&format!("{}", k + 1), &of(a), &of(b)), c.theme.dim()));
    }
    lines
}

fn named(candidate: &crate::trace::Candidate) -> String {
    format!("{} {}", fit(&show_piece(&candidate.piece), 10), prob(candidate.prob))
}

/// Two columns after a name.
fn pair(name: &str, a: &str, b: &str) -> String {
    const ROOM: usize = 16;
    let a = fit(a, ROOM);
    format!("{name:<9}{a}{} {b}", " ".repeat(ROOM.saturating_sub(width(&a))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_margin_follows_any_number_of_experts() {
        let lines = |experts: usize, room| {
            let experts = (0..experts).map(|expert| format!("E{expert} .16"));
            divided("A", experts.chain([" margin 0.2207".to_owned()]), room)
        };
        assert_eq!(lines(2, 35), ["A  E0 .16  E1 .16   margin 0.2207"]);
        assert_eq!(lines(6, 35), ["A  E0 .16  E1 .16  E2 .16  E3 .16", "   E4 .16  E5 .16   margin 0.2207"]);
        assert_eq!(lines(1, 8), ["A  E0 .16", "   margin 0.2207"], "too narrow for anything");
    }
}
