//! Layers × heads: one score of every head.

use super::grid::measured;
use super::{about_scores, queries};
use crate::analysis::tables::{TokenText, head_scores, write_csv};
use crate::analysis::view::{ViewData, ViewSpec};
use crate::analysis::{Measure, Pick};
use crate::export::figure::{Axis, Cells, Figure, Grid, Legend, Panel, round, short};
use crate::export::views::Files;
use crate::export::views::labels::subtitle;
use crate::export::views::routing::layer_axis;
use anyhow::Result;

pub const FILES: Files = Files { figure, table };

fn figure(data: &ViewData, spec: &ViewSpec) -> Result<Figure> {
    let (dims, measure) = (data.trace.meta.dims, spec.measure);
    let found = measured(data, spec)?;
    let mut layers: Vec<usize> = found.iter().map(|(layer, ..)| *layer).collect();
    layers.sort_unstable_by(|a, b| b.cmp(a));
    layers.dedup();
    let mut values = vec![f32::NAN; layers.len() * dims.heads];
    for (layer, head, stats) in &found {
        if let (Some(row), Some(value)) = (layers.iter().position(|one| one == layer), measure.of(stats)) {
            values[row * dims.heads + head] = value;
        }
    }
    let is_entropy = measure == Measure::Entropy;
    let text = |value: &f32| match () {
        () if value.is_nan() => String::new(),
        () if is_entropy => format!("{value:.2}"),
        () => short(*value),
    };
    let texts = values.iter().map(text).collect();
    let without = found.iter().filter(|(.., stats)| measure.of(stats).is_none()).count();
    let most = values.iter().copied().fold(0.0, f32::max);
    let full = if is_entropy { round::up(f64::from(most)) as f32 } else { 1.0 };
    // An entropy has a digit more than a weight.
    let width = if is_entropy { 34.0 } else { 26.0 };
    let mut grid =
        Grid::new((layers.len(), dims.heads), (width, 18.0), Cells::Heat { values, range: (0.0, full), texts });
    grid.rows = layer_axis(&layers);
    grid.cols = Axis::numbers("head", 0..dims.heads);
    let stride = found.first().map_or(1, |(.., stats)| stats.stride);
    let sample = if stride == 1 { String::new() } else { format!(" (of {})", queries(stride)) };
    let mut notes = vec![format!("{measure}: {}{sample}", measure.explain())];
    notes.extend(about_scores(data, spec, without));
    let unit = if is_entropy { "entropy, nats" } else { "mean attention weight" };
    Ok(Figure {
        title: format!("Attention heads by {measure}, {}", spec.on.about()),
        subtitle: subtitle(&data.trace),
        legends: vec![Legend::Ramp(unit.to_owned(), 0.0, full)],
        panels: vec![Panel::Grid(grid)],
        across: 1,
        notes,
    })
}

/// One row for each head, by layer and head.
fn table(data: &ViewData, spec: &ViewSpec, _: TokenText, out: &mut Vec<u8>) -> Result<()> {
    let rows = measured(data, spec)?;
    write_csv(rows.into_iter().map(|(layer, head, stats)| head_scores(layer, Pick::One(head), stats)), out)
}
