//! How experts share the work over a run, and which are chosen together.

use super::routing::{layer_axis, layers, of};
use super::subtitle;
use crate::export::csv::table;
use crate::export::figure::{Axis, Cells, Figure, Grid, Legend, Panel};
use crate::trace::Trace;
use crate::trace::view::{ViewData, ViewSpec};
use anyhow::{Context, Result};
use std::io::Write;

/// Of one expert in one layer: share of the tokens' first choices, share of all choices, and its mean weight over the
/// tokens that chose it, if any did.
#[derive(Clone, Copy, Default)]
struct Load {
    first: f64,
    share: f64,
    weight: Option<f64>,
}

/// `[layers, experts]`.
fn loads(trace: &Trace, layers: &[usize]) -> Result<Vec<Load>> {
    let dims = trace.meta.dims;
    let mut loads = Vec::with_capacity(layers.len() * dims.experts);
    for layer in layers {
        // First choices, choices, and the sum of their weights.
        let mut counts = vec![(0u32, 0u32, 0f64); dims.experts];
        for (pos, token) in trace.tokens.iter().enumerate() {
            let routing = of(token, *layer, pos)?;
            for (rank, (expert, weight)) in routing.chosen.iter().zip(routing.weights).enumerate() {
                let count = counts.get_mut(*expert as usize).context("a chosen expert is outside the model")?;
                count.0 += u32::from(rank == 0);
                count.1 += 1;
                count.2 += f64::from(*weight);
            }
        }
        let (tokens, choices) = counts.iter().fold((0, 0), |sum, count| (sum.0 + count.0, sum.1 + count.1));
        let part = |count: u32, all: u32| f64::from(count) / f64::from(all.max(1));
        loads.extend(counts.iter().map(|(first, all, weight)| Load {
            first: part(*first, tokens),
            share: part(*all, choices),
            weight: (*all > 0).then(|| weight / f64::from(*all)),
        }));
    }
    Ok(loads)
}

/// Name, uniform value and the value of one panel.
type Part = (&'static str, f64, fn(&Load) -> f64);

/// Layers × experts over the run.
pub fn load(data: &ViewData) -> Result<Figure> {
    let (trace, dims) = (&data.trace, data.trace.meta.dims);
    let layers = layers(trace)?;
    let loads = loads(trace, &layers)?;
    let (even, alike) = (1.0 / dims.experts as f64, 1.0 / dims.top_k as f64);
    let parts: [Part; 3] = [
        ("share of first choices", even, |load| load.first),
        ("share of all choices", even, |load| load.share),
        ("mean weight when chosen", alike, |load| load.weight.unwrap_or(f64::NAN)),
    ];
    let (mut legends, mut panels) = (Vec::new(), Vec::new());
    for (name, uniform, value) in parts {
        let values: Vec<f32> = loads.iter().map(|load| value(load) as f32).collect();
        let high = values.iter().copied().fold(0.0, f32::max);
        let texts = values.iter().map(|value| format!("{value:.3}")).collect();
        let cells = Cells::Heat { values, range: (0.0, high), texts };
        let mut grid = Grid::new((layers.len(), dims.experts), (42.0, 20.0), cells);
        grid.caption = format!("{name} (uniform: {uniform:.3})");
        grid.rows = layer_axis(&layers);
        grid.cols = Axis::numbers("expert", 0..dims.experts);
        legends.push(Legend::Ramp(name.to_owned(), 0.0, high));
        panels.push(Panel::Grid(grid));
    }
    Ok(Figure {
        title: "Routing: load of the experts over the run".to_owned(),
        subtitle: subtitle(trace),
        legends,
        panels,
        across: if dims.experts > 16 { 1 } else { 3 },
        notes: vec!["blank: no token chose it".to_owned()],
    })
}

/// `[experts, experts]`: tokens of the run that chose both in `layer`; on the diagonal those that chose the one.
fn together(trace: &Trace, layer: usize) -> Result<Vec<u32>> {
    let experts = trace.meta.dims.experts;
    let mut counts = vec![0; experts * experts];
    for (pos, token) in trace.tokens.iter().enumerate() {
        let chosen = of(token, layer, pos)?.chosen;
        for (a, b) in chosen.iter().flat_map(|a| chosen.iter().map(move |b| (*a as usize, *b as usize))) {
            *counts.get_mut(a * experts + b).context("a chosen expert is outside the model")? += 1;
        }
    }
    Ok(counts)
}

fn share(counts: &[u32], experts: usize, a: usize, b: usize) -> Option<f64> {
    let alone = counts[a * experts + a];
    (alone > 0).then(|| f64::from(counts[a * experts + b]) / f64::from(alone))
}

/// Experts × experts of one layer.
pub fn pairs(data: &ViewData, spec: &ViewSpec) -> Result<Figure> {
    let (trace, experts) = (&data.trace, data.trace.meta.dims.experts);
    let counts = together(trace, spec.layer)?;
    let value = |i: usize| match (i / experts, i % experts) {
        (a, b) if a == b => f32::NAN,
        (a, b) => share(&counts, experts, a, b).map_or(f32::NAN, |share| share as f32),
    };
    let values: Vec<f32> = (0..experts * experts).map(value).collect();
    let texts = values.iter().map(|value| format!("{value:.3}")).collect();
    let mut grid = Grid::new((experts, experts), (46.0, 26.0), Cells::Heat { values, range: (0.0, 1.0), texts });
    grid.rows = Axis::numbers("chosen expert i", 0..experts);
    grid.cols = Axis::numbers("together with expert j", 0..experts);
    grid.side = (0..experts).map(|i| format!("N = {}", counts[i * experts + i])).collect();
    Ok(Figure {
        title: format!("Routing in layer {}: experts chosen together, N(i, j) / N(i)", spec.layer),
        subtitle: subtitle(trace),
        legends: vec![Legend::Ramp("share of the tokens of expert i".to_owned(), 0.0, 1.0)],
        panels: vec![Panel::Grid(grid)],
        across: 1,
        notes: vec!["N: tokens that chose expert i; blank: the expert itself, or no token chose it".to_owned()],
    })
}

/// `layer,expert,first_share,share,mean_weight`; the last is empty where no token chose the expert.
pub fn load_table(data: &ViewData, out: impl Write) -> Result<()> {
    let experts = data.trace.meta.dims.experts;
    let mut writer = table(out, &["layer", "expert", "first_share", "share", "mean_weight"])?;
    let layers = layers(&data.trace)?;
    for (i, load) in loads(&data.trace, &layers)?.iter().enumerate() {
        writer.serialize((layers[i / experts], i % experts, load.first, load.share, load.weight))?;
    }
    Ok(writer.flush()?)
}

/// `layer,expert,with,together,share`; `share` is empty where no token chose `expert`.
pub fn pairs_table(data: &ViewData, spec: &ViewSpec, out: impl Write) -> Result<()> {
    let experts = data.trace.meta.dims.experts;
    let counts = together(&data.trace, spec.layer)?;
    let mut writer = table(out, &["layer", "expert", "with", "together", "share"])?;
    for (a, b) in (0..experts).flat_map(|a| (0..experts).map(move |b| (a, b))).filter(|(a, b)| a != b) {
        writer.serialize((spec.layer, a, b, counts[a * experts + b], share(&counts, experts, a, b)))?;
    }
    Ok(writer.flush()?)
}
