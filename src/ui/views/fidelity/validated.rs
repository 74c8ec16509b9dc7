//! What was validated when the model was opened, the precision policy, and how narrow routing is on this run.

use crate::analysis::LayerUsage;
use crate::state::text::harmless;
use crate::trace::{Dtype, Level, Meta, Policy, Recording};
use crate::ui::canvas::{ABSENT, Canvas};
use crate::ui::chrome::title::view_panel;
use crate::ui::views::Panel;
use crate::ui::widgets::wrap::wrap;
use ratatui::layout::Rect;
use ratatui::style::Style;

pub const PANEL: Panel = Panel::new(draw);

fn draw(c: &mut Canvas, area: Rect) {
    let state = c.state;
    let inside = view_panel(c, area, ["what was validated, and how it is computed".to_owned(), String::new()]);
    let Some(meta) = state.meta() else { return };
    let mut lines: Vec<(String, Style)> =
        vec![(format!("policy {}: {}", meta.policy, explain(meta)), c.theme.strong())];
    lines.push(match &meta.recording {
        Some(saved) => (recorded(saved), c.theme.dim()),
        None => (
            "p runs the same tokens under the next policy, P lists them; v compares both runs".to_owned(),
            c.theme.dim(),
        ),
    });
    if meta.recording.is_some() && state.tokens.get(1).is_some_and(|token| token.score.is_none()) {
        lines.push((format!("mean loss of this run: {ABSENT}"), c.theme.strong()));
        lines.push((near_ties(c, meta), c.theme.dim()));
    }
    if let Some(loss) = state.usage.mean_loss() {
        lines.push((
            format!("mean loss of this run {loss:.4} nats over {} tokens", state.tokens.len() - 1),
            c.theme.strong(),
        ));
        lines.push((near_ties(c, meta), c.theme.dim()));
    }
    lines.push((String::new(), c.theme.dim()));
    let validated = match meta.recording {
        Some(_) => "validated when the run was made, and what its trace holds",
        None => "validated when the model was opened",
    };
    lines.push((validated.to_owned(), c.theme.strong()));
    for finding in &meta.report.findings {
        let (mark, style) = match finding.level {
            Level::Ok => ("✓", c.theme.good()),
            Level::Note => ("·", c.theme.dim()),
            Level::Warn => ("!", c.theme.warn()),
            Level::Refuse => ("✗", c.theme.error()),
        };
        lines.push((format!("{mark} {}", harmless(&finding.to_string())), style));
    }
    let room = usize::from(inside.width.saturating_sub(2));
    let broken = |(text, style): (String, Style)| wrap(&text, room).into_iter().map(move |line| (line, style));
    let lines: Vec<(String, Style)> = lines.into_iter().flat_map(broken).collect();
    let room = usize::from(inside.height);
    let overflow = lines.len().saturating_sub(room);
    c.pane_geometry().overflow = Some(overflow);
    let first = c.pane.scroll.min(overflow);
    for (y, (text, style)) in (inside.y..inside.bottom()).zip(&lines[first..]) {
        c.put(inside, inside.x + 1, y, text, *style);
    }
}

/// The origin of a saved run.
fn recorded(saved: &Recording) -> String {
    let model = if saved.model.is_empty() { "a model without a name" } else { &saved.model };
    harmless(&format!("a saved run of {model}, made by {}; no model is open: o opens one", saved.made_by))
}

fn explain(meta: &Meta) -> String {
    match meta.policy {
        Policy::Hf | Policy::F32Router if meta.compute_dtype == Dtype::F32 => {
            format!("{} weights computed in f32, so nothing is rounded", meta.weights_dtype)
        }
        Policy::Hf => format!("rounded to {} where transformers rounds, router softmax in f32", meta.compute_dtype),
        Policy::F32 => "everything in f32, rounded nowhere".to_owned(),
        Policy::Ggml => Policy::Ggml.about().to_owned(),
        Policy::F32Router => format!("as hf in {}, but the router's matrix product stays f32", meta.compute_dtype),
        other => format!("{} ({})", other.about(), meta.compute_dtype),
    }
}

fn near_ties(c: &Canvas, meta: &Meta) -> String {
    let dtype = meta.router_dtype();
    let layers = c.state.usage.layers().iter().enumerate();
    let share = |(layer, stats): (usize, &LayerUsage)| match stats.margins {
        0 => format!("L{layer} –"),
        all => format!("L{layer} {}/{all}", stats.near_ties.len()),
    };
    let shares: Vec<String> = layers.map(share).collect();
    format!("near-ties, choices that one {dtype} ulp could flip: {}", shares.join("  "))
}
