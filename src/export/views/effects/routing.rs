//! Layers × tokens: what if the next expert had won?

use super::{found, grid, layers_down};
use crate::analysis::routing::TokenRouting;
use crate::analysis::tables::{RerouteRow, TokenText, write_csv};
use crate::analysis::view::{ViewData, ViewSpec};
use crate::analysis::{Found, MapMeasure};
use crate::export::figure::{Figure, Legend, Panel};
use crate::export::views::Files;
use crate::export::views::labels::{MANY, subtitle, tokens_across};
use crate::export::views::routing::{NEAR_TIE, layer_axis};
use anyhow::Result;

pub const FILES: Files = Files { figure, table };

fn figure(data: &ViewData, spec: &ViewSpec) -> Result<Figure> {
    let map = found(data)?;
    let measure = if spec.effect == MapMeasure::Difference { MapMeasure::Loss } else { spec.effect };
    let cell = if map.columns <= MANY { (42.0, 16.0) } else { (5.0, 8.0) };
    let (mut grid, full) = grid(map, measure, 0.0, cell);
    let layers = layers_down(map);
    let dtype = data.trace.meta.router_dtype();
    let is_near = |layer: usize, pos: usize| {
        let choice = data.trace.tokens.get(pos).and_then(|token| TokenRouting::choice(token, layer));
        choice.and_then(|choice| choice.margin()).is_some_and(|margin| margin.is_near_tie(dtype))
    };
    for (row, layer) in layers.iter().enumerate() {
        grid.marked.extend((0..map.columns).filter(|pos| is_near(*layer, *pos)).map(|pos| (row, pos)));
    }
    grid.rows = layer_axis(&layers);
    grid.cols = tokens_across(&data.trace);
    grid.wraps = true;
    let name = match measure {
        MapMeasure::Target => "change of the log-probability of the token that came, nats",
        MapMeasure::Loss => "change of the loss of the token that came, nats",
        other => other.about(),
    };
    Ok(Figure {
        title: "What if the next expert had won over the last chosen one".to_owned(),
        subtitle: subtitle(&data.trace),
        legends: vec![
            Legend::Ramp(name.to_owned(), if measure.is_size() { 0.0 } else { -full }, full),
            Legend::Corner(NEAR_TIE.to_owned()),
        ],
        panels: vec![Panel::Grid(grid)],
        across: 1,
        notes: vec!["each cell: the token read again with this one choice exchanged".to_owned()],
    })
}

/// One row for each token and layer.
fn table(data: &ViewData, _: &ViewSpec, text: TokenText, out: &mut Vec<u8>) -> Result<()> {
    let map = found(data)?;
    let rows = map.places().filter_map(|(layer, pos, found)| {
        let Found::Effect(found) = found else { return None };
        RerouteRow::of(&data.trace.tokens, (layer, pos), (found, &data.trace.meta.edits), text)
    });
    write_csv(rows, out)
}
