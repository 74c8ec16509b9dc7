//! The loss of each token in both runs, and the difference.

use super::{losses, names, two};
use crate::analysis::tables::{LossRow, TokenText, write_csv};
use crate::analysis::view::{ViewData, ViewSpec};
use crate::export::figure::{Axis, Figure, Lines, Panel, Scale, Series, Shared, Turn};
use crate::export::views::Files;
use crate::export::views::labels::{TOKENS, subtitle, token_label};
use crate::trace::Records;
use anyhow::{Result, ensure};

pub const FILES: Files = Files { figure, table };

/// Width of a token in a plot, points.
const STEP: f64 = 16.0;

/// The loss of each token in both runs, and the difference.
fn figure(data: &ViewData, _: &ViewSpec) -> Result<Figure> {
    let (a, b, found) = two(data)?;
    let of = |trace: &Records| -> Vec<f64> {
        trace.tokens.iter().map(|token| token.score.map_or(f64::NAN, |score| f64::from(score.nll))).collect()
    };
    let (of_a, of_b) = (of(&a), of(b));
    let more =
        |x: &[f64], y: &[f64]| -> Vec<f64> { x.iter().zip(y).map(|(x, y)| if x < y { 0.0 } else { x - y }).collect() };
    let (b_more, a_more) = (more(&of_b, &of_a), more(&of_a, &of_b));
    // A recorder that masks logits may have infinite losses, which no axis reaches.
    let top = |values: &[&Vec<f64>]| {
        let finite = values.iter().flat_map(|values| values.iter()).copied().filter(|value| value.is_finite());
        finite.fold(0.0, f64::max)
    };
    ensure!(of_a.iter().zip(&of_b).any(|(a, b)| !a.is_nan() && !b.is_nan()), "the losses are not in both runs");
    let labels: Vec<String> = b.tokens.iter().enumerate().map(|(pos, token)| token_label(token, pos)).collect();
    let plot = ((b.tokens.len() as f64 * STEP).clamp(420.0, 1600.0), 220.0);
    let panel = |caption: &str, y: &str, high: f64, series: Vec<(&str, Vec<f64>)>| {
        Panel::Lines(Lines {
            caption: caption.to_owned(),
            x: Axis { name: TOKENS.to_owned(), labels: labels.clone(), turn: Turn::Upward },
            y: y.to_owned(),
            scale: Scale::Linear(high),
            series: series.into_iter().map(|(label, points)| Series { label: label.to_owned(), points }).collect(),
            plot,
            shared: Shared::default(),
        })
    };
    let high = top(&[&of_a, &of_b]);
    let apart = top(&[&b_more, &a_more]);
    let panels = vec![
        panel("loss of each token, nats", "loss of each token, nats", high, vec![("A", of_a), ("B", of_b)]),
        panel("difference, nats", "difference, nats", apart, vec![("A loses more", a_more), ("B loses more", b_more)]),
    ];
    Ok(Figure {
        title: format!("Loss by token: {}", names(&a, b)),
        subtitle: subtitle(b),
        legends: Vec::new(),
        panels,
        across: 1,
        notes: vec![losses(&found)],
    })
}

/// One row for each token.
fn table(data: &ViewData, _: &ViewSpec, text: TokenText, out: &mut Vec<u8>) -> Result<()> {
    let (a, b, _) = two(data)?;
    let (policies, layers) = ([a.meta.policy, b.meta.policy], b.meta.dims.layers);
    let row = |pos: usize| LossRow::of(policies, pos, [&a.tokens[pos], &b.tokens[pos]], layers, text);
    write_csv((0..b.tokens.len()).map(row), out)
}
