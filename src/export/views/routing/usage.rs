//! How often experts are chosen over a run.

use super::{layer_axis, layers, upward, usage};
use crate::analysis::UsageMeasure;
use crate::analysis::tables::{self, TokenText, write_csv};
use crate::analysis::view::{ViewData, ViewSpec};
use crate::export::figure::{Axis, Cells, Figure, Grid, Legend, Panel, round};
use crate::export::views::Files;
use crate::export::views::labels::subtitle;
use anyhow::Result;

pub const FILES: Files = Files { figure, table };

/// What the colours of panels mean. With few experts a token both shares have the first scale, or else each its own.
const SCALES: [&str; 4] = ["share", "share of first choices", "share of all choices", "mean weight"];
/// Up to this top-k both shares have one scale: all choices are spread over more experts than first ones.
const ALIKE: usize = 2;

/// Layers × experts over the run, the last layer on top.
fn figure(data: &ViewData, spec: &ViewSpec) -> Result<Figure> {
    let (trace, dims) = (&data.trace, data.trace.meta.dims);
    let (layers, usage) = (upward(trace)?, usage(trace));
    let mut highest = [0.0f32; SCALES.len()];
    let shares = if dims.top_k <= ALIKE { [0, 0] } else { [1, 2] };
    let mut found = Vec::new();
    for measure in UsageMeasure::OF_RUNS.into_iter().filter(|measure| spec.usage.is_none_or(|only| only == *measure)) {
        let of_layer = |layer: &usize| {
            usage.layer(*layer).into_iter().flat_map(|layer| (0..dims.experts).map(|e| measure.of(layer, e)))
        };
        let values: Vec<f32> =
            layers.iter().flat_map(of_layer).map(|value| value.map_or(f32::NAN, |value| value as f32)).collect();
        let (scale, uniform) = match measure {
            UsageMeasure::First => (shares[0], 1.0 / dims.experts as f64),
            UsageMeasure::Chosen => (shares[1], 1.0 / dims.experts as f64),
            UsageMeasure::Weight | UsageMeasure::Difference => (3, 1.0 / dims.top_k as f64),
        };
        highest[scale] = values.iter().copied().fold(highest[scale], f32::max);
        found.push((format!("{} (uniform: {uniform:.3})", measure.quantity()), scale, values));
    }
    let ends = highest.map(|high| round::up(f64::from(high)) as f32);
    let is_used = |scale: usize| found.iter().any(|(_, of, _)| *of == scale);
    let used = (0..SCALES.len()).filter(|scale| is_used(*scale));
    let legends = used.map(|scale| Legend::Ramp(SCALES[scale].to_owned(), 0.0, ends[scale])).collect();
    let mut panels = Vec::new();
    for (caption, scale, values) in found {
        let texts = values.iter().map(|value| format!("{value:.3}")).collect();
        let cells = Cells::Heat { values, range: (0.0, ends[scale]), texts };
        let mut grid = Grid::new((layers.len(), dims.experts), (42.0, 20.0), cells);
        grid.caption = caption;
        grid.rows = layer_axis(&layers);
        grid.cols = Axis::numbers("expert", 0..dims.experts);
        panels.push(Panel::Grid(grid));
    }
    Ok(Figure {
        title: "Routing: usage of the experts over the run".to_owned(),
        subtitle: subtitle(trace),
        legends,
        panels,
        across: if dims.experts > 16 { 1 } else { 3 },
        notes: vec!["blank: no token chose it".to_owned()],
    })
}

/// One row for each layer and expert.
fn table(data: &ViewData, _: &ViewSpec, _: TokenText, out: &mut Vec<u8>) -> Result<()> {
    let (layers, usage) = (layers(&data.trace)?, usage(&data.trace));
    let layers = layers.into_iter().filter_map(|layer| Some((layer, usage.layer(layer)?)));
    write_csv(layers.flat_map(|(layer, usage)| tables::usage(layer, usage)), out)
}
