//! What was validated when the model was opened, the precision policy, and how narrow routing is on this run.

use super::message::wrap;
use crate::state::text::harmless;
use crate::trace::routing::TokenRouting;
use crate::trace::{Dtype, Level, Meta, Policy};
use crate::ui::canvas::Canvas;
use ratatui::layout::Rect;
use ratatui::style::Style;

pub fn draw(c: &mut Canvas, area: Rect) {
    let state = c.state;
    let inside = c.panel(area, "fidelity · what was validated, and how it is computed");
    let Some(meta) = state.meta() else { return };
    let mut lines: Vec<(String, Style)> = vec![
        (format!("policy {}: {}", meta.policy, explain(meta)), c.theme.strong()),
        ("p runs the same tokens under the next policy (hf, f32, f32-router)".to_owned(), c.theme.dim()),
    ];
    if let Some(loss) = mean_loss(c) {
        lines.push((
            format!("mean loss of this run {loss:.4} nats over {} tokens", state.tokens.len() - 1),
            c.theme.strong(),
        ));
        lines.push((near_ties(c, meta), c.theme.dim()));
    }
    lines.push((String::new(), c.theme.dim()));
    lines.push(("validated when the model was opened".to_owned(), c.theme.strong()));
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
    c.drawn.wanted.overflow = Some(overflow);
    let first = state.scroll.min(overflow);
    for (y, (text, style)) in (inside.y..inside.bottom()).zip(&lines[first..]) {
        c.put(inside, inside.x + 1, y, text, *style);
    }
}

fn explain(meta: &Meta) -> String {
    match meta.policy {
        Policy::Hf | Policy::F32Router if meta.compute_dtype == Dtype::F32 => {
            format!("{} weights computed in f32, so nothing is rounded", meta.weights_dtype)
        }
        Policy::Hf => format!("rounded to {} where transformers rounds, router softmax in f32", meta.compute_dtype),
        Policy::F32 => "everything in f32, rounded nowhere".to_owned(),
        Policy::F32Router => format!("as hf in {}, but the router's matrix product stays f32", meta.compute_dtype),
    }
}

fn mean_loss(c: &Canvas) -> Option<f64> {
    crate::trace::mean_loss(&c.state.tokens)
}

fn near_ties(c: &Canvas, meta: &Meta) -> String {
    let dtype = meta.router_dtype();
    let shares: Vec<String> = (0..meta.dims.layers)
        .map(|layer| {
            let margins = c.state.tokens.iter().filter_map(|token| TokenRouting::of(token, layer)?.margin());
            let (near, all) =
                margins.fold((0, 0), |(near, all), m| (near + usize::from(m.is_near_tie(dtype)), all + 1));
            format!("L{layer} {near}/{all}")
        })
        .collect();
    format!("near-ties, choices that one {dtype} step could flip: {}", shares.join("  "))
}
