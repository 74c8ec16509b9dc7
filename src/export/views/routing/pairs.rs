//! Which experts of a layer are chosen together.

use super::stats;
use crate::analysis::view::{ViewData, ViewSpec};
use crate::analysis::{LayerUsage, MOST_PAIRED, RunUsage};
use crate::export::csv::{self, Text};
use crate::export::figure::{Axis, Cells, Figure, Grid, Legend, Panel};
use crate::export::views::Files;
use crate::export::views::labels::subtitle;
use crate::trace::Records;
use anyhow::{Context, Result, ensure};

pub const FILES: Files = Files { figure, table };

/// What the router of the layer did, if it says who was chosen with whom.
fn paired<'a>(trace: &Records, stats: &'a RunUsage, layer: usize) -> Result<&'a LayerUsage> {
    let k = trace.meta.dims.top_k;
    ensure!(k <= MOST_PAIRED, "pairs are counted up to top-{MOST_PAIRED}, this is top-{k}");
    let found = stats.layer(layer).filter(|layer| layer.tokens > 0);
    found.with_context(|| format!("the routing of layer {layer} is not in this run"))
}

/// Experts × experts of one layer.
fn figure(data: &ViewData, spec: &ViewSpec) -> Result<Figure> {
    let (trace, experts) = (&data.trace, data.trace.meta.dims.experts);
    let stats = stats(trace);
    let layer = paired(trace, &stats, spec.layer)?;
    let value = |i: usize| match (i / experts, i % experts) {
        (a, b) if a == b => f32::NAN,
        (a, b) => layer.also(a, b).map_or(f32::NAN, |share| share as f32),
    };
    let values: Vec<f32> = (0..experts * experts).map(value).collect();
    let texts = values.iter().map(|value| format!("{value:.3}")).collect();
    let mut grid = Grid::new((experts, experts), (46.0, 26.0), Cells::Heat { values, range: (0.0, 1.0), texts });
    grid.rows = Axis::numbers("chosen expert i", 0..experts);
    grid.cols = Axis::numbers("together with expert j", 0..experts);
    grid.side = (0..experts).map(|i| format!("N = {}", layer.together(i, i))).collect();
    Ok(Figure {
        title: format!("Routing in layer {}: experts chosen together, N(i, j) / N(i)", spec.layer),
        subtitle: subtitle(trace),
        legends: vec![Legend::Ramp("share of the tokens of expert i".to_owned(), 0.0, 1.0)],
        panels: vec![Panel::Grid(grid)],
        across: 1,
        notes: vec!["N: tokens that chose expert i; blank: the expert itself, or no token chose it".to_owned()],
    })
}

/// `layer,expert,with,together,share`; `share` is empty where no token chose `expert`.
fn table(data: &ViewData, spec: &ViewSpec, _: Text, out: &mut Vec<u8>) -> Result<()> {
    let experts = data.trace.meta.dims.experts;
    let stats = stats(&data.trace);
    let layer = paired(&data.trace, &stats, spec.layer)?;
    let mut writer = csv::table(out, &["layer", "expert", "with", "together", "share"])?;
    for (a, b) in (0..experts).flat_map(|a| (0..experts).map(move |b| (a, b))).filter(|(a, b)| a != b) {
        writer.serialize((spec.layer, a, b, layer.together(a, b), layer.also(a, b)))?;
    }
    Ok(writer.flush()?)
}
