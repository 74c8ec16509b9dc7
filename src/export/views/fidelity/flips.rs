//! Layers × tokens: how many experts were exchanged.

use super::{losses, names, two};
use crate::analysis::diff::same_experts;
use crate::analysis::tables::{FlipRow, TokenText, write_csv};
use crate::analysis::view::{ViewData, ViewSpec};
use crate::export::figure::{Cells, Figure, Grid, Legend, Panel};
use crate::export::views::Files;
use crate::export::views::labels::{MANY, subtitle, tokens_across};
use crate::export::views::routing::{layer_axis, upward};
use anyhow::{Result, ensure};

pub const FILES: Files = Files { figure, table };

/// Layers × tokens: how many experts were exchanged.
fn figure(data: &ViewData, _: &ViewSpec) -> Result<Figure> {
    let (a, b, found) = two(data)?;
    let (n, layers) = (b.tokens.len(), upward(b)?);
    let (mut values, mut texts, mut marked) = (Vec::new(), Vec::new(), Vec::new());
    for (row, layer) in layers.iter().enumerate() {
        for (pos, (of_a, of_b)) in a.tokens.iter().zip(&b.tokens).enumerate() {
            let flip = found.flip(pos, *layer);
            let known = same_experts(of_a, of_b, *layer).is_some();
            values.push(flip.map_or(if known { 0.0 } else { f32::NAN }, |flip| flip.exchanged() as f32));
            texts.push(flip.map_or(String::new(), |flip| flip.exchanged().to_string()));
            if flip.is_some_and(|flip| flip.is_within_rounding()) {
                marked.push((row, pos));
            }
        }
    }
    ensure!(values.iter().any(|value| !value.is_nan()), "the routing is not in both runs");
    let cell = if n <= MANY { (15.0, 16.0) } else { (4.0, 6.0) };
    let most = b.meta.dims.top_k as f32;
    let mut grid = Grid::new((layers.len(), n), cell, Cells::Heat { values, range: (0.0, most), texts });
    grid.rows = layer_axis(&layers);
    grid.cols = tokens_across(b);
    grid.marked = marked;
    grid.wraps = true;
    let (flips, near) = found.flips();
    let within = format!("within rounding: a margin of at most 4 {} ulp", found.dtype());
    Ok(Figure {
        title: format!("Experts that differ, by layer and token: {}", names(&a, b)),
        subtitle: subtitle(b),
        legends: vec![Legend::Ramp("experts exchanged".to_owned(), 0.0, most), Legend::Corner(within)],
        panels: vec![Panel::Grid(grid)],
        across: 1,
        notes: vec![
            format!("{flips} of {} choices differ, {near} of them within rounding", found.choices()),
            losses(&found),
        ],
    })
}

/// One row for each token and layer.
fn table(data: &ViewData, _: &ViewSpec, text: TokenText, out: &mut Vec<u8>) -> Result<()> {
    let (a, b, found) = two(data)?;
    let places = (0..b.tokens.len()).flat_map(|pos| (0..b.meta.dims.layers).map(move |layer| (pos, layer)));
    let row = |(pos, layer): (usize, usize)| {
        let policies = [a.meta.policy, b.meta.policy];
        FlipRow::of(policies, (pos, layer), [&a.tokens[pos], &b.tokens[pos]], found.dtype(), text)
    };
    write_csv(places.filter_map(row), out)
}
