//! What was validated, and two runs of the same tokens side by side: A, and B, the run itself.

use super::routing::{layer_axis, upward};
use super::{MANY, band_width, subtitle, token_label, tokens_across};
use crate::analysis::diff::{RunDiff, same_experts};
use crate::analysis::tables::{FlipRow, LossRow, TokenText, findings, write_csv};
use crate::analysis::view::ViewData;
use crate::export::figure::font::drawable;
use crate::export::figure::{Axis, Cells, Figure, Grid, Legend, Lines, Panel, Scale, Series, Turn};
use crate::trace::Records;
use anyhow::{Context, Result, ensure};
use std::io::Write;

/// Width of a token in a plot, points.
const STEP: f64 = 16.0;

/// A and B, as far as both have come, and what they differ in.
fn two(data: &ViewData) -> Result<(Records, &Records, RunDiff)> {
    let (a, b) = (data.beside.as_ref().context("there is no second run to compare with")?, &data.trace);
    let n = b.tokens.len();
    ensure!(a.tokens.len() >= n && a.meta.dims.layers == b.meta.dims.layers, "the two runs are not of the same tokens");
    let a = Records { meta: a.meta.clone(), tokens: a.tokens[..n].to_vec() };
    let dtype = a.meta.router_dtype().coarser(b.meta.router_dtype());
    let mut found = RunDiff::new(b.meta.dims.layers, dtype);
    found.extend(&a.tokens, &b.tokens);
    Ok((a, b, found))
}

/// `A hf bf16, B f32 bf16 (A: another model)`
fn names(a: &Records, b: &Records) -> String {
    let of = |trace: &Records| format!("{} {}", trace.meta.policy, trace.meta.compute_dtype);
    let other = if a.meta.title == b.meta.title { String::new() } else { format!(" of {}", drawable(&a.meta.title)) };
    format!("A {}{other}, B {}", of(a), of(b))
}

fn losses(found: &RunDiff) -> String {
    let means = found.mean_losses().map(|[a, b]| format!("mean loss A {a:.4}, B {b:.4} nats (B − A {:+.4})", b - a));
    means.unwrap_or_else(|| "the losses are not in both runs".to_owned())
}

/// Layers × tokens: how many experts were exchanged.
pub fn flips(data: &ViewData) -> Result<Figure> {
    let (a, b, found) = two(data)?;
    let (n, layers) = (b.tokens.len(), upward(b)?);
    let (mut values, mut texts, mut marked) = (Vec::new(), Vec::new(), Vec::new());
    for (row, layer) in layers.iter().enumerate() {
        for (pos, (of_a, of_b)) in a.tokens.iter().zip(&b.tokens).enumerate() {
            let flip = found.flip(pos, *layer);
            let known = same_experts(of_a, of_b, *layer).is_some();
            values.push(flip.map_or(if known { 0.0 } else { f32::NAN }, |flip| flip.exchanged() as f32));
            texts.push(flip.map_or(String::new(), |flip| flip.exchanged().to_string()));
            if flip.is_some_and(|flip| flip.is_within_rounding()) {
                marked.push((row, pos));
            }
        }
    }
    ensure!(values.iter().any(|value| !value.is_nan()), "the routing is not in both runs");
    let cell = if n <= MANY { (15.0, 16.0) } else { (4.0, 6.0) };
    let most = b.meta.dims.top_k as f32;
    let mut grid = Grid::new((layers.len(), n), cell, Cells::Heat { values, range: (0.0, most), texts });
    grid.rows = layer_axis(&layers);
    grid.cols = tokens_across(b);
    grid.marked = marked;
    let width = band_width(n, cell.0, layers.len() as f64 * cell.1);
    let (flips, near) = found.flips();
    let near_tie = format!("near-tie: a margin within 4 {} steps, which rounding can turn", found.dtype());
    Ok(Figure {
        title: format!("Experts that differ, by layer and token: {}", names(&a, b)),
        subtitle: subtitle(b),
        legends: vec![Legend::Ramp("experts exchanged".to_owned(), 0.0, most), Legend::Corner(near_tie)],
        panels: grid.bands(width).into_iter().map(Panel::Grid).collect(),
        across: 1,
        notes: vec![
            format!("{flips} of {} choices differ, {near} of them at near-ties", found.choices()),
            losses(&found),
        ],
    })
}

/// What each token costs both runs, and the difference.
pub fn loss(data: &ViewData) -> Result<Figure> {
    let (a, b, found) = two(data)?;
    let of = |trace: &Records| -> Vec<f64> {
        trace.tokens.iter().map(|token| token.score.map_or(f64::NAN, |score| f64::from(score.nll))).collect()
    };
    let (of_a, of_b) = (of(&a), of(b));
    let more =
        |x: &[f64], y: &[f64]| -> Vec<f64> { x.iter().zip(y).map(|(x, y)| if x < y { 0.0 } else { x - y }).collect() };
    let (b_more, a_more) = (more(&of_b, &of_a), more(&of_a, &of_b));
    let top = |values: &[&Vec<f64>]| values.iter().flat_map(|values| values.iter()).copied().fold(0.0, f64::max);
    ensure!(of_a.iter().zip(&of_b).any(|(a, b)| !a.is_nan() && !b.is_nan()), "the losses are not in both runs");
    let labels: Vec<String> = b.tokens.iter().enumerate().map(|(pos, token)| token_label(token, pos)).collect();
    let plot = ((b.tokens.len() as f64 * STEP).clamp(420.0, 1600.0), 220.0);
    let panel = |caption: &str, high: f64, series: Vec<(&str, Vec<f64>)>| {
        Panel::Lines(Lines {
            caption: caption.to_owned(),
            x: Axis { name: "token, position".to_owned(), labels: labels.clone(), turn: Turn::Flat },
            y: "nats".to_owned(),
            scale: Scale::Linear(high),
            series: series.into_iter().map(|(label, points)| Series { label: label.to_owned(), points }).collect(),
            plot,
        })
    };
    let high = top(&[&of_a, &of_b]).ceil().max(1.0);
    let apart = round_up(top(&[&b_more, &a_more]));
    let panels = vec![
        panel("loss of each token", high, vec![("A", of_a), ("B", of_b)]),
        panel("difference of the two", apart, vec![("A loses more", a_more), ("B loses more", b_more)]),
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

/// To the next of 1, 2 or 5 of a power of ten.
fn round_up(value: f64) -> f64 {
    if value <= 0.0 {
        return 1.0;
    }
    let power = 10f64.powf(value.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|step| step * power).find(|step| *step >= value).unwrap_or(value)
}

/// One row for each token and layer.
pub fn flips_table(data: &ViewData, text: TokenText, out: impl Write) -> Result<()> {
    let (a, b, found) = two(data)?;
    let places = (0..b.tokens.len()).flat_map(|pos| (0..b.meta.dims.layers).map(move |layer| (pos, layer)));
    let row = |(pos, layer): (usize, usize)| {
        let policies = [a.meta.policy, b.meta.policy];
        FlipRow::of(policies, (pos, layer), [&a.tokens[pos], &b.tokens[pos]], found.dtype(), text)
    };
    write_csv(places.filter_map(row), out)
}

/// One row for each token.
pub fn loss_table(data: &ViewData, text: TokenText, out: impl Write) -> Result<()> {
    let (a, b, _) = two(data)?;
    let (policies, layers) = ([a.meta.policy, b.meta.policy], b.meta.dims.layers);
    let row = |pos: usize| LossRow::of(policies, pos, [&a.tokens[pos], &b.tokens[pos]], layers, text);
    write_csv((0..b.tokens.len()).map(row), out)
}

/// What was validated, as text.
pub fn validated(data: &ViewData) -> Result<Figure> {
    let meta = &data.trace.meta;
    ensure!(!meta.report.findings.is_empty(), "what was validated is not in this trace");
    let line = |finding: &crate::trace::Finding| drawable(&format!("{:<6} {finding}", finding.level.name()));
    Ok(Figure {
        title: "What was validated when the model was opened".to_owned(),
        subtitle: subtitle(&data.trace),
        legends: Vec::new(),
        panels: Vec::new(),
        across: 1,
        notes: meta.report.findings.iter().map(line).collect(),
    })
}

/// One row for each finding.
pub fn validated_table(data: &ViewData, out: impl Write) -> Result<()> {
    write_csv(findings(&data.trace.meta.report), out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_end_at_round_numbers() {
        assert_eq!([0.0, 0.03, 0.5, 1.2, 7.0].map(round_up), [1.0, 0.05, 0.5, 2.0, 10.0]);
    }
}
