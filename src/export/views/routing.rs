//! Which experts read which tokens.

use super::{MANY, band_width, record, subtitle, token_label, tokens_across};
use crate::export::csv::{RoutingTable, table};
use crate::export::figure::{Axis, Cells, Figure, Grid, Legend, Panel, Turn, short};
use crate::trace::routing::TokenRouting;
use crate::trace::view::{ViewData, ViewKind, ViewSpec};
use crate::trace::{TokenRecord, Trace};
use anyhow::{Context, Result, ensure};
use std::io::Write;

const NEAR_TIE: &str = "near-tie: one rounding step could have chosen another expert";
const CHOSEN: &str = "chosen";

fn of(token: &TokenRecord, layer: usize, pos: usize) -> Result<TokenRouting<'_>> {
    let missing = || format!("the routing of layer {layer} at position {pos} is not in this run");
    TokenRouting::of(token, layer).with_context(missing)
}

/// The layers whose routing is in the run.
fn layers(trace: &Trace) -> Result<Vec<usize>> {
    let first = trace.tokens.first();
    let there = |layer: &usize| first.is_some_and(|token| TokenRouting::of(token, *layer).is_some());
    let layers: Vec<usize> = (0..trace.meta.dims.layers).filter(there).collect();
    ensure!(!layers.is_empty(), "no layer's routing is in this run");
    Ok(layers)
}

fn layer_axis(layers: &[usize]) -> Axis {
    Axis { name: "layer".to_owned(), labels: layers.iter().map(usize::to_string).collect(), turn: Turn::Flat }
}

fn is_near_tie(trace: &Trace, routing: &TokenRouting) -> bool {
    routing.margin().is_some_and(|margin| margin.is_near_tie(trace.meta.router_dtype()))
}

/// Layers × experts of one token.
pub fn token(data: &ViewData, spec: &ViewSpec) -> Result<Figure> {
    let (trace, dims) = (&data.trace, data.trace.meta.dims);
    let (token, layers) = (record(data, spec.pos)?, layers(trace)?);
    let (mut values, mut framed, mut marked, mut side) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (row, layer) in layers.iter().enumerate() {
        let routing = of(token, *layer, spec.pos)?;
        values.extend_from_slice(routing.probs);
        framed.extend(routing.chosen.iter().map(|expert| (row, *expert as usize)));
        let tie = is_near_tie(trace, &routing);
        if let (true, Some(last)) = (tie, routing.chosen.last()) {
            marked.push((row, *last as usize));
        }
        let gap = routing.margin().map(|margin| format!("margin {:.3}", margin.gap)).unwrap_or_default();
        side.push(if tie { format!("{gap} near-tie") } else { gap });
    }
    let texts = values.iter().map(|p| format!("{p:.3}")).collect();
    let cells = Cells::Heat { values, range: (0.0, 1.0), texts };
    let mut grid = Grid::new((layers.len(), dims.experts), (46.0, 22.0), cells);
    grid.rows = layer_axis(&layers);
    grid.cols = Axis::numbers("expert", 0..dims.experts);
    (grid.framed, grid.marked, grid.side) = (framed, marked, side);
    let k = dims.top_k;
    Ok(Figure {
        title: format!("Routing of token {}: probability of each expert by layer", token_label(token, spec.pos)),
        subtitle: subtitle(trace),
        legends: vec![
            Legend::Ramp("router probability".to_owned(), 0.0, 1.0),
            Legend::Frame(CHOSEN.to_owned()),
            Legend::Corner(NEAR_TIE.to_owned()),
        ],
        panels: vec![Panel::Grid(grid)],
        across: 1,
        notes: vec![format!("margin: router logit of rank {k} minus that of rank {}", k + 1)],
    })
}

/// Experts × tokens of one layer.
pub fn layer(data: &ViewData, spec: &ViewSpec) -> Result<Figure> {
    let (trace, dims) = (&data.trace, data.trace.meta.dims);
    let n = trace.tokens.len();
    let (mut values, mut framed, mut marked) = (vec![f32::NAN; dims.experts * n], Vec::new(), Vec::new());
    for (pos, token) in trace.tokens.iter().enumerate() {
        let routing = of(token, spec.layer, pos)?;
        for (expert, prob) in routing.probs.iter().enumerate() {
            values[expert * n + pos] = *prob;
        }
        framed.extend(routing.chosen.iter().map(|expert| (*expert as usize, pos)));
        if let (true, Some(last)) = (is_near_tie(trace, &routing), routing.chosen.last()) {
            marked.push((*last as usize, pos));
        }
    }
    let cell = match n {
        0..=48 => (25.0, 20.0),
        49..=MANY => (14.0, 16.0),
        _ => (5.0, 6.0),
    };
    let texts = if n <= 48 { values.iter().map(|p| short(*p)).collect() } else { Vec::new() };
    let mut grid = Grid::new((dims.experts, n), cell, Cells::Heat { values, range: (0.0, 1.0), texts });
    grid.rows = Axis::numbers("expert", 0..dims.experts);
    grid.cols = tokens_across(trace);
    (grid.framed, grid.marked) = (framed, marked);
    let width = band_width(n, cell.0, dims.experts as f64 * cell.1);
    Ok(Figure {
        title: format!("Routing in layer {}: probability of each expert by token", spec.layer),
        subtitle: subtitle(trace),
        legends: vec![
            Legend::Ramp("router probability".to_owned(), 0.0, 1.0),
            Legend::Frame(CHOSEN.to_owned()),
            Legend::Corner(NEAR_TIE.to_owned()),
        ],
        panels: grid.bands(width).into_iter().map(Panel::Grid).collect(),
        across: 1,
        notes: Vec::new(),
    })
}

/// Layers × tokens: the chosen experts.
pub fn map(data: &ViewData) -> Result<Figure> {
    let (trace, dims) = (&data.trace, data.trace.meta.dims);
    let (n, layers) = (trace.tokens.len(), layers(trace)?);
    let (mut lists, mut marked) = (Vec::with_capacity(layers.len() * n), Vec::new());
    for (row, layer) in layers.iter().enumerate() {
        for (pos, token) in trace.tokens.iter().enumerate() {
            let routing = of(token, *layer, pos)?;
            lists.push(routing.chosen.to_vec());
            if is_near_tie(trace, &routing) {
                marked.push((row, pos));
            }
        }
    }
    let (width, each) = if n <= MANY { (15.0, 11.0) } else { (4.0, 3.0) };
    let cell = (width, each * dims.top_k as f64 + 1.0);
    let mut grid = Grid::new((layers.len(), n), cell, Cells::Stack(lists));
    grid.rows = layer_axis(&layers);
    grid.cols = tokens_across(trace);
    grid.marked = marked;
    let width = band_width(n, cell.0, layers.len() as f64 * cell.1);
    let order = match dims.top_k {
        1 => "the expert chosen".to_owned(),
        k => format!("the {k} experts chosen, first choice on top"),
    };
    Ok(Figure {
        title: format!("Routing: {order}, by layer and token"),
        subtitle: subtitle(trace),
        legends: vec![Legend::Categories("expert".to_owned(), dims.experts), Legend::Corner(NEAR_TIE.to_owned())],
        panels: grid.bands(width).into_iter().map(Panel::Grid).collect(),
        across: 1,
        notes: Vec::new(),
    })
}

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

/// Layers × experts over the run.
pub fn load(data: &ViewData) -> Result<Figure> {
    let (trace, dims) = (&data.trace, data.trace.meta.dims);
    let layers = layers(trace)?;
    let loads = loads(trace, &layers)?;
    let (even, alike) = (1.0 / dims.experts as f64, 1.0 / dims.top_k as f64);
    let parts: [(&str, f64, fn(&Load) -> f64); 3] = [
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

/// Rows as in `routing.csv`.
pub fn rows(data: &ViewData, spec: &ViewSpec, out: impl Write) -> Result<()> {
    let (trace, layers) = (&data.trace, layers(&data.trace)?);
    let mut table = RoutingTable::new(out)?;
    match spec.kind {
        ViewKind::RoutingToken => {
            let token = record(data, spec.pos)?;
            layers.iter().try_for_each(|layer| table.token(token, spec.pos, *layer))?;
        }
        ViewKind::RoutingLayer => {
            for (pos, token) in trace.tokens.iter().enumerate() {
                table.token(token, pos, spec.layer)?;
            }
        }
        _ => {
            for (pos, token) in trace.tokens.iter().enumerate() {
                layers.iter().try_for_each(|layer| table.token(token, pos, *layer))?;
            }
        }
    }
    table.finish()
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
