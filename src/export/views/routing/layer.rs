//! Experts × tokens of one layer.

use super::{is_near_tie, layers, of, probability_end, probability_legends, write_routing};
use crate::analysis::tables::TokenText;
use crate::analysis::view::{ViewData, ViewSpec};
use crate::export::figure::{Axis, Cells, Figure, Grid, Panel, short};
use crate::export::views::Files;
use crate::export::views::labels::{MANY, subtitle, tokens_across};
use anyhow::Result;

pub const FILES: Files = Files { figure, table };

/// Experts × tokens of one layer.
fn figure(data: &ViewData, spec: &ViewSpec) -> Result<Figure> {
    let (trace, dims) = (&data.trace, data.trace.meta.dims);
    let n = trace.tokens.len();
    let (mut values, mut framed, mut marked) = (vec![f32::NAN; dims.experts * n], Vec::new(), Vec::new());
    for (pos, token) in trace.tokens.iter().enumerate() {
        let routing = of(token, spec.layer, pos)?;
        for (expert, prob) in routing.probs.iter().enumerate() {
            values[expert * n + pos] = *prob;
        }
        framed.extend(routing.chosen.iter().map(|expert| (*expert as usize, pos)));
        if let (true, Some(last)) = (is_near_tie(trace, &routing), routing.chosen.last()) {
            marked.push((*last as usize, pos));
        }
    }
    let cell = match n {
        0..=48 => (25.0, 20.0),
        49..=MANY => (14.0, 16.0),
        _ => (5.0, 6.0),
    };
    let end = probability_end(&values);
    let texts = if n <= 48 { values.iter().map(|p| short(*p)).collect() } else { Vec::new() };
    let mut grid = Grid::new((dims.experts, n), cell, Cells::Heat { values, range: (0.0, end), texts });
    grid.rows = Axis::numbers("expert", 0..dims.experts);
    grid.cols = tokens_across(trace);
    (grid.framed, grid.marked) = (framed, marked);
    grid.wraps = true;
    Ok(Figure {
        title: format!("Routing in layer {}: probability of each expert by token", spec.layer),
        subtitle: subtitle(trace),
        legends: probability_legends(end),
        panels: vec![Panel::Grid(grid)],
        across: 1,
        notes: Vec::new(),
    })
}

/// Rows as in `routing.csv`, of one layer.
fn table(data: &ViewData, spec: &ViewSpec, _: TokenText, out: &mut Vec<u8>) -> Result<()> {
    layers(&data.trace)?;
    write_routing(data, 0..data.trace.tokens.len(), &[spec.layer], out)
}
