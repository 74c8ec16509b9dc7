//! Which experts read which tokens.

use super::{MANY, band_width, record, subtitle, token_name, tokens_across};
use crate::analysis::routing::TokenRouting;
use crate::analysis::tables::{self, CsvWriter, RoutingRow, Row};
use crate::analysis::view::{ViewData, ViewKind, ViewSpec};
use crate::export::figure::{Axis, Cells, Figure, Grid, Legend, Panel, Turn, short};
use crate::trace::{Records, TokenRecord};
use anyhow::{Context, Result, ensure};
use std::io::Write;

const NEAR_TIE: &str = "near-tie: one rounding step could have chosen another expert";
const CHOSEN: &str = "chosen";

fn of(token: &TokenRecord, layer: usize, pos: usize) -> Result<TokenRouting<'_>> {
    let missing = || format!("the routing of layer {layer} at position {pos} is not in this run");
    TokenRouting::of(token, layer).with_context(missing)
}

/// The layers whose routing is in the run.
pub fn layers(trace: &Records) -> Result<Vec<usize>> {
    let first = trace.tokens.first();
    let there = |layer: &usize| first.is_some_and(|token| TokenRouting::of(token, *layer).is_some());
    let layers: Vec<usize> = (0..trace.meta.dims.layers).filter(there).collect();
    ensure!(!layers.is_empty(), "no layer's routing is in this run");
    Ok(layers)
}

/// The same as rows of a picture, the last on top.
pub fn upward(trace: &Records) -> Result<Vec<usize>> {
    let mut layers = layers(trace)?;
    layers.reverse();
    Ok(layers)
}

pub fn layer_axis(layers: &[usize]) -> Axis {
    Axis { name: "layer".to_owned(), labels: layers.iter().map(usize::to_string).collect(), turn: Turn::Flat }
}

fn is_near_tie(trace: &Records, routing: &TokenRouting) -> bool {
    routing.margin().is_some_and(|margin| margin.is_near_tie(trace.meta.router_dtype()))
}

/// Layers × experts of one token.
pub fn token(data: &ViewData, spec: &ViewSpec) -> Result<Figure> {
    let (trace, dims) = (&data.trace, data.trace.meta.dims);
    let (token, layers) = (record(data, spec.pos)?, upward(trace)?);
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
        title: format!("Routing of {}: probability of each expert by layer", token_name(token, spec.pos)),
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
    let (n, layers) = (trace.tokens.len(), upward(trace)?);
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

/// Rows as in `routing.csv`.
pub fn rows(data: &ViewData, spec: &ViewSpec, out: impl Write) -> Result<()> {
    let (trace, mut layers) = (&data.trace, layers(&data.trace)?);
    let positions = match spec.kind {
        ViewKind::RoutingToken => spec.pos..spec.pos + 1,
        _ => 0..trace.tokens.len(),
    };
    if spec.kind == ViewKind::RoutingLayer {
        layers = vec![spec.layer];
    }
    let mut rows = CsvWriter::new(RoutingRow::TABLE, out)?;
    for pos in positions {
        let token = record(data, pos)?;
        layers.iter().try_for_each(|layer| rows.extend(tables::routing(token, pos, *layer)?))?;
    }
    rows.finish()?;
    Ok(())
}
