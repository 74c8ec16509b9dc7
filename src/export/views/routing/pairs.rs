//! Which experts of a layer are chosen together.

use super::usage;
use crate::analysis::tables::{self, TokenText, write_csv};
use crate::analysis::view::{ViewData, ViewSpec};
use crate::analysis::{LayerUsage, MOST_PAIRED, RunUsage};
use crate::export::figure::{Axis, Cells, Figure, Grid, Legend, Panel};
use crate::export::views::Files;
use crate::export::views::labels::subtitle;
use crate::trace::Records;
use anyhow::{Context, Result, ensure};

pub const FILES: Files = Files { figure, table };

/// The usage of the layer, if its pairs were counted.
fn paired<'a>(trace: &Records, usage: &'a RunUsage, layer: usize) -> Result<&'a LayerUsage> {
    let k = trace.meta.dims.top_k;
    ensure!(k <= MOST_PAIRED, "pairs are counted up to top-{MOST_PAIRED}, this is top-{k}");
    let found = usage.layer(layer).filter(|layer| layer.tokens > 0);
    found.with_context(|| format!("the routing of layer {layer} is not in this run"))
}

/// Experts × experts of one layer.
fn figure(data: &ViewData, spec: &ViewSpec) -> Result<Figure> {
    let (trace, experts) = (&data.trace, data.trace.meta.dims.experts);
    let usage = usage(trace);
    let layer = paired(trace, &usage, spec.layer)?;
    let value = |i: usize| match (i / experts, i % experts) {
        (a, b) if a == b => f32::NAN,
        (a, b) => layer.also(a, b).map_or(f32::NAN, |share| share as f32),
    };
    let values: Vec<f32> = (0..experts * experts).map(value).collect();
    let texts = values.iter().map(|value| format!("{value:.3}")).collect();
    let mut grid = Grid::new((experts, experts), (46.0, 26.0), Cells::Heat { values, range: (0.0, 1.0), texts });
    grid.rows = Axis::numbers("chosen expert i", 0..experts);
    grid.cols = Axis::numbers("together with expert j", 0..experts);
    grid.side = (0..experts).map(|i| layer.together(i, i).to_string()).collect();
    // Without numbers in them, the cells of many experts are squares.
    grid.square = experts > 16;
    grid.side_name = "N".to_owned();
    Ok(Figure {
        title: format!("Routing in layer {}: experts chosen together, N(i, j) / N(i)", spec.layer),
        subtitle: subtitle(trace),
        legends: vec![Legend::Ramp("share of the tokens of expert i".to_owned(), 0.0, 1.0)],
        panels: vec![Panel::Grid(grid)],
        across: 1,
        notes: vec!["N: tokens that chose expert i; blank: the expert itself, or no token chose it".to_owned()],
    })
}

/// One row for each pair of different experts of the layer, in both orders.
fn table(data: &ViewData, spec: &ViewSpec, _: TokenText, out: &mut Vec<u8>) -> Result<()> {
    let usage = usage(&data.trace);
    let layer = paired(&data.trace, &usage, spec.layer)?;
    let experts = 0..data.trace.meta.dims.experts;
    write_csv(experts.flat_map(|expert| tables::pairs(spec.layer, layer, expert)), out)
}
