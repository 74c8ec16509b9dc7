//! Routing of tokens to experts.

pub mod layer;
pub mod map;
pub mod pairs;
pub mod token;
pub mod usage;

use crate::analysis::RunUsage;
use crate::analysis::routing::TokenRouting;
use crate::analysis::tables::{self, CsvWriter, RoutingRow, Row};
use crate::analysis::view::ViewData;
use crate::export::figure::{Axis, Legend, Turn, round};
use crate::export::views::labels::record;
use crate::trace::{Records, TokenRecord};
use anyhow::{Context, Result, ensure};
use std::ops::Range;

pub const NEAR_TIE: &str = "near-tie: one ulp could have chosen another expert";

/// The end of a scale of probabilities: 1, or a round number if all of them are in its lower half, as with many experts.
fn probability_end(values: &[f32]) -> f32 {
    let most = values.iter().copied().fold(0.0, f32::max);
    if most > 0.5 { 1.0 } else { round::up(f64::from(most)) as f32 }
}

/// The legends of probabilities up to `end` with chosen experts and near-ties marked.
fn probability_legends(end: f32) -> Vec<Legend> {
    vec![
        Legend::Ramp("router probability".to_owned(), 0.0, end),
        Legend::Frame("chosen".to_owned()),
        Legend::Corner(NEAR_TIE.to_owned()),
    ]
}

/// The routing of a token in a layer.
///
/// # Errors
/// If the run does not hold the routing.
fn of(token: &TokenRecord, layer: usize, pos: usize) -> Result<TokenRouting<'_>> {
    let missing = || format!("the routing of layer {layer} at position {pos} is not in this run");
    TokenRouting::of(token, layer).with_context(missing)
}

/// The layers whose routing is in the run.
fn layers(trace: &Records) -> Result<Vec<usize>> {
    let first = trace.tokens.first();
    let there = |layer: &usize| first.is_some_and(|token| TokenRouting::of(token, *layer).is_some());
    let layers: Vec<usize> = (0..trace.meta.dims.layers).filter(there).collect();
    ensure!(!layers.is_empty(), "no layer's routing is in this run");
    Ok(layers)
}

/// The same layers as rows of a picture, the last on top.
pub(super) fn upward(trace: &Records) -> Result<Vec<usize>> {
    let mut layers = layers(trace)?;
    layers.reverse();
    Ok(layers)
}

/// The axis of rows that are layers.
pub(super) fn layer_axis(layers: &[usize]) -> Axis {
    Axis { name: "layer".to_owned(), labels: layers.iter().map(usize::to_string).collect(), turn: Turn::Flat }
}

fn is_near_tie(trace: &Records, routing: &TokenRouting) -> bool {
    routing.margin().is_some_and(|margin| margin.is_near_tie(trace.meta.router_dtype()))
}

/// The usage of experts over the run.
fn usage(trace: &Records) -> RunUsage {
    RunUsage::of(&trace.tokens, &trace.meta.dims, trace.meta.router_dtype())
}

/// Writes the routing of these positions in these layers.
fn write_routing(data: &ViewData, positions: Range<usize>, layers: &[usize], out: &mut Vec<u8>) -> Result<()> {
    let mut rows = CsvWriter::new(RoutingRow::TABLE, out)?;
    for pos in positions {
        let token = record(data, pos)?;
        layers.iter().try_for_each(|layer| rows.extend(tables::routing(token, pos, *layer)?))?;
    }
    rows.finish()?;
    Ok(())
}
