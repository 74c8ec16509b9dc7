//! How often experts are chosen over a run.

use super::{layer_axis, layers, upward, usage};
use crate::analysis::LayerUsage;
use crate::analysis::tables::{self, TokenText, write_csv};
use crate::analysis::view::{ViewData, ViewSpec};
use crate::export::figure::{Axis, Cells, Figure, Grid, Legend, Panel};
use crate::export::views::Files;
use crate::export::views::labels::subtitle;
use anyhow::Result;

pub const FILES: Files = Files { figure, table };

/// Name, uniform value and the value of one panel.
type Part = (&'static str, f64, fn(&LayerUsage, usize) -> Option<f64>);

/// Layers × experts over the run, the last layer on top.
fn figure(data: &ViewData, _: &ViewSpec) -> Result<Figure> {
    let (trace, dims) = (&data.trace, data.trace.meta.dims);
    let (layers, usage) = (upward(trace)?, usage(trace));
    let (even, alike) = (1.0 / dims.experts as f64, 1.0 / dims.top_k as f64);
    let parts: [Part; 3] = [
        ("share of first choices", even, LayerUsage::first_share),
        ("share of all choices", even, LayerUsage::chosen_share),
        ("mean weight when chosen", alike, LayerUsage::mean_weight),
    ];
    let (mut legends, mut panels) = (Vec::new(), Vec::new());
    for (name, uniform, value) in parts {
        let of_layer = |layer: &usize| {
            usage.layer(*layer).into_iter().flat_map(|layer| (0..dims.experts).map(|e| value(layer, e)))
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
