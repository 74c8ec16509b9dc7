//! How experts share the work over a run, and which are chosen together.

use super::routing::{layer_axis, layers, upward};
use super::subtitle;
use crate::analysis::tables::{self, write_csv};
use crate::analysis::view::{ViewData, ViewSpec};
use crate::analysis::{LayerUsage, MOST_PAIRED, RunUsage};
use crate::export::figure::{Axis, Cells, Figure, Grid, Legend, Panel};
use crate::trace::Records;
use anyhow::{Context, Result, ensure};
use std::io::Write;

fn stats(trace: &Records) -> RunUsage {
    RunUsage::of(&trace.tokens, &trace.meta.dims, trace.meta.router_dtype())
}

/// Name, uniform value and the value of one panel.
type Part = (&'static str, f64, fn(&LayerUsage, usize) -> Option<f64>);

/// Layers × experts over the run, the last layer on top.
pub fn load(data: &ViewData) -> Result<Figure> {
    let (trace, dims) = (&data.trace, data.trace.meta.dims);
    let (layers, stats) = (upward(trace)?, stats(trace));
    let (even, alike) = (1.0 / dims.experts as f64, 1.0 / dims.top_k as f64);
    let parts: [Part; 3] = [
        ("share of first choices", even, LayerUsage::first_share),
        ("share of all choices", even, LayerUsage::chosen_share),
        ("mean weight when chosen", alike, LayerUsage::mean_weight),
    ];
    let (mut legends, mut panels) = (Vec::new(), Vec::new());
    for (name, uniform, value) in parts {
        let of_layer = |layer: &usize| {
            stats.layer(*layer).into_iter().flat_map(|layer| (0..dims.experts).map(|e| value(layer, e)))
        };
        let values: Vec<f32> =
            layers.iter().flat_map(of_layer).map(|value| value.map_or(f32::NAN, |value| value as f32)).collect();
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

/// What the router of the layer did, if it says who was chosen with whom.
fn paired<'a>(trace: &Records, stats: &'a RunUsage, layer: usize) -> Result<&'a LayerUsage> {
    let k = trace.meta.dims.top_k;
    ensure!(k <= MOST_PAIRED, "pairs are counted up to top-{MOST_PAIRED}, this is top-{k}");
    let found = stats.layer(layer).filter(|layer| layer.tokens > 0);
    found.with_context(|| format!("the routing of layer {layer} is not in this run"))
}

/// Experts × experts of one layer.
pub fn pairs(data: &ViewData, spec: &ViewSpec) -> Result<Figure> {
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

/// One row for each layer and expert.
pub fn load_table(data: &ViewData, out: impl Write) -> Result<()> {
    let (layers, stats) = (layers(&data.trace)?, stats(&data.trace));
    let layers = layers.into_iter().filter_map(|layer| Some((layer, stats.layer(layer)?)));
    write_csv(layers.flat_map(|(layer, usage)| tables::usage(layer, usage)), out)
}

/// One row for each expert of the layer and another expert.
pub fn pairs_table(data: &ViewData, spec: &ViewSpec, out: impl Write) -> Result<()> {
    let stats = stats(&data.trace);
    let layer = paired(&data.trace, &stats, spec.layer)?;
    let experts = 0..data.trace.meta.dims.experts;
    write_csv(experts.flat_map(|expert| tables::pairs(spec.layer, layer, expert)), out)
}
