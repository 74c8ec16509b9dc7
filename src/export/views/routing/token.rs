//! Layers × experts of one token.

use super::{is_near_tie, layer_axis, layers, of, probability_end, probability_legends, upward, write_routing};
use crate::analysis::tables::TokenText;
use crate::analysis::view::{ViewData, ViewSpec};
use crate::export::figure::{Axis, Cells, Figure, Grid, Panel};
use crate::export::views::Files;
use crate::export::views::labels::{record, subtitle, token_name};
use anyhow::Result;

pub const FILES: Files = Files { figure, table };

/// Layers × experts of one token.
fn figure(data: &ViewData, spec: &ViewSpec) -> Result<Figure> {
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
        side.push(routing.margin().map(|margin| format!("{:.3}", margin.gap)).unwrap_or_default());
    }
    let end = probability_end(&values);
    let texts = values.iter().map(|p| format!("{p:.3}")).collect();
    let cells = Cells::Heat { values, range: (0.0, end), texts };
    let mut grid = Grid::new((layers.len(), dims.experts), (46.0, 22.0), cells);
    grid.rows = layer_axis(&layers);
    grid.cols = Axis::numbers("expert", 0..dims.experts);
    (grid.framed, grid.marked, grid.side) = (framed, marked, side);
    grid.side_name = "margin".to_owned();
    let k = dims.top_k;
    Ok(Figure {
        title: format!("Routing of {}: probability of each expert by layer", token_name(token, spec.pos)),
        subtitle: subtitle(trace),
        legends: probability_legends(end),
        panels: vec![Panel::Grid(grid)],
        across: 1,
        notes: vec![format!("margin: router logit of rank {k} minus that of rank {}", k + 1)],
    })
}

/// Rows as in `routing.csv`, of one position.
fn table(data: &ViewData, spec: &ViewSpec, _: TokenText, out: &mut Vec<u8>) -> Result<()> {
    write_routing(data, spec.pos..spec.pos + 1, &layers(&data.trace)?, out)
}
