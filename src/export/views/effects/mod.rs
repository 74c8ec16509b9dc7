//! What parts of the model matter, as pictures and tables.

pub mod contributions;
pub mod map;
pub mod patching;
pub mod routing;

use crate::analysis::view::ViewData;
use crate::analysis::{EffectMap, MapMeasure, Watch};
use crate::export::figure::font::{drawable, label};
use crate::export::figure::{Cells, Grid, round};
use anyhow::{Context, Result};

/// The map of a view.
fn found(data: &ViewData) -> Result<&EffectMap> {
    data.effects.as_deref().context("the map has not been computed")
}

/// The map as a grid of signed values, the last layer on top, and the value with the full colour: a round number.
fn grid(map: &EffectMap, measure: MapMeasure, least: f64, cell: (f64, f64)) -> (Grid, f32) {
    let full = round::up(map.largest(measure).max(least)) as f32;
    let places = (0..map.layers()).rev().flat_map(|layer| (0..map.columns).map(move |column| (layer, column)));
    let values: Vec<f32> = places
        .map(|(layer, column)| map.value(layer, column, measure).map_or(f32::NAN, |value| value as f32))
        .collect();
    let texts = values.iter().map(|value| number(*value)).collect();
    let texts =
        if measure == MapMeasure::Flips { values.iter().map(|value| format!("{value:.0}")).collect() } else { texts };
    let low = if measure.is_size() { 0.0 } else { -full };
    let cells = Cells::Heat { values, range: (low, full), texts };
    (Grid::new((map.layers(), map.columns), cell, cells), full)
}

/// A value with its sign; one too small for three digits has no digit after the point, and only an exact 0 has no sign.
fn number(value: f32) -> String {
    match value {
        value if value.is_nan() => String::new(),
        0.0 => "0".to_owned(),
        value if value.abs() < 0.0005 => format!("{}0", if value > 0.0 { "+" } else { "−" }),
        value if value.abs() >= 9.9995 => format!("{value:+.2}").replace('-', "−"),
        value => format!("{value:+.3}").replace('-', "−"),
    }
}

/// The layers of a map from the last to the first.
fn layers_down(map: &EffectMap) -> Vec<usize> {
    (0..map.layers()).rev().collect()
}

/// The target and the foil in words: `‘ Paris’ − ‘ Rome’ after 12`.
fn watched(data: &ViewData, watch: Watch) -> String {
    let named = |id: u32| {
        let of = |records: &crate::trace::Records| {
            let record = records.tokens.get(watch.position)?;
            record.next.top.iter().find(|found| found.id == id).map(|found| label(&found.piece))
        };
        let piece = of(&data.trace).or_else(|| data.second.as_ref().and_then(of));
        piece.map_or_else(|| format!("token {id}"), |piece| format!("‘{piece}’"))
    };
    let foil = watch.foil.map(|foil| format!(" − {}", named(foil))).unwrap_or_default();
    drawable(&format!("{}{foil} after {}", named(watch.token), watch.position))
}
