//! Layers × tokens: the chosen experts.

use super::{NEAR_TIE, is_near_tie, layer_axis, layers, of, upward, write_routing};
use crate::analysis::tables::TokenText;
use crate::analysis::view::{ViewData, ViewSpec};
use crate::export::figure::{Cells, Figure, Grid, Legend, Panel};
use crate::export::views::Files;
use crate::export::views::labels::{MANY, subtitle, tokens_across};
use anyhow::Result;

pub const FILES: Files = Files { figure, table };

/// Layers × tokens: the chosen experts.
fn figure(data: &ViewData, _: &ViewSpec) -> Result<Figure> {
    let (trace, dims) = (&data.trace, data.trace.meta.dims);
    let (n, layers) = (trace.tokens.len(), upward(trace)?);
    let (mut lists, mut marked, mut edited) = (Vec::with_capacity(layers.len() * n), Vec::new(), Vec::new());
    for (row, layer) in layers.iter().enumerate() {
        for (pos, token) in trace.tokens.iter().enumerate() {
            let routing = of(token, *layer, pos)?;
            lists.push(routing.chosen.to_vec());
            if is_near_tie(trace, &routing) {
                marked.push((row, pos));
            }
            if token.sites.iter().any(|site| usize::from(site.layer) == *layer) {
                edited.push((row, pos));
            }
        }
    }
    let (width, each) = if n <= MANY { (15.0, 11.0) } else { (4.0, 3.0) };
    let cell = (width, each * dims.top_k as f64 + 1.0);
    let mut grid = Grid::new((layers.len(), n), cell, Cells::Stack(lists));
    grid.rows = layer_axis(&layers);
    grid.cols = tokens_across(trace);
    let has_edits = !edited.is_empty();
    (grid.marked, grid.framed) = (marked, edited);
    grid.wraps = true;
    let order = match dims.top_k {
        1 => "the expert chosen".to_owned(),
        k => format!("the {k} experts chosen, first choice on top"),
    };
    let mut legends = vec![Legend::Categories("expert".to_owned(), dims.experts), Legend::Corner(NEAR_TIE.to_owned())];
    if has_edits {
        legends.push(Legend::Frame("changed by an edit".to_owned()));
    }
    Ok(Figure {
        title: format!("Routing: {order}, by layer and token"),
        subtitle: subtitle(trace),
        legends,
        panels: vec![Panel::Grid(grid)],
        across: 1,
        notes: Vec::new(),
    })
}

/// Rows as in `routing.csv`, of the whole run.
fn table(data: &ViewData, _: &ViewSpec, _: TokenText, out: &mut Vec<u8>) -> Result<()> {
    write_routing(data, 0..data.trace.tokens.len(), &layers(&data.trace)?, out)
}
