//! How much each value of the clean run restores in the corrupted one.

use super::{found, grid, layers_down, watched};
use crate::analysis::tables::{PatchRow, TokenText, write_csv};
use crate::analysis::view::{ViewData, ViewSpec};
use crate::analysis::{EffectMap, MapMeasure, MapOf, PatchOver};
use crate::export::figure::{Axis, Figure, Legend, Panel};
use crate::export::views::Files;
use crate::export::views::labels::{MANY, beginning, subtitle, tokens_across};
use crate::export::views::routing::layer_axis;
use crate::trace::{Meta, Records};
use anyhow::{Result, bail};
use std::sync::Arc;

pub const FILES: Files = Files { figure, table };

fn over(map: &EffectMap) -> Result<PatchOver> {
    match map.key.of {
        MapOf::Patching(over) => Ok(over),
        _ => bail!("this map is of other places"),
    }
}

fn figure(data: &ViewData, _: &ViewSpec) -> Result<Figure> {
    let map = found(data)?;
    let over = over(map)?;
    let cell = if map.columns <= MANY { (42.0, 16.0) } else { (5.0, 8.0) };
    let (mut grid, full) = grid(map, MapMeasure::Target, 1.0, cell);
    grid.rows = layer_axis(&layers_down(map));
    grid.cols = match over {
        PatchOver::Heads => Axis::numbers("head", 0..map.columns),
        PatchOver::Experts => Axis::numbers("expert", 0..map.columns),
        _ => {
            let tokens = data.trace.tokens[..map.columns.min(data.trace.tokens.len())].to_vec();
            tokens_across(&Records { meta: data.trace.meta.clone(), tokens })
        }
    };
    grid.wraps = over.is_by_position();
    let target = map.key.watch.map(|watch| format!(", {}", watched(data, watch))).unwrap_or_default();
    let mut notes = vec!["recovery = (measure − corrupted) / (clean − corrupted): 1 restores the clean run".to_owned()];
    if let Some(second) = &data.second {
        let text = beginning(second.tokens.iter().map(|token| &token.piece));
        let edits = if data.trace.meta.edits.is_empty() { "" } else { ", without its edits" };
        let columns = if over.is_by_position() { "; columns are the tokens of the clean run" } else { "" };
        notes.push(format!("clean: the run{edits}; corrupted: “{text}”{columns}"));
    }
    if let Some([clean, corrupted]) = map.baselines {
        notes.push(format!("the measure is {clean:.3} on the clean and {corrupted:.3} on the corrupted prompt"));
    }
    Ok(Figure {
        title: format!("Patching {over} of the clean run into the corrupted one: recovery{target}"),
        subtitle: subtitle(&without_edits(&data.trace)),
        legends: vec![Legend::Ramp("recovery".to_owned(), -full, full)],
        panels: vec![Panel::Grid(grid)],
        across: 1,
        notes,
    })
}

/// Both runs of a patching map are read without edits.
fn without_edits(trace: &Records) -> Records {
    Records { meta: Arc::new(Meta { edits: [].into(), ..(*trace.meta).clone() }), tokens: trace.tokens.clone() }
}

/// One row for each value, as in `patch.csv`.
fn table(data: &ViewData, _: &ViewSpec, _: TokenText, out: &mut Vec<u8>) -> Result<()> {
    let map = found(data)?;
    let over = over(map)?;
    write_csv(map.places().filter_map(|(layer, column, found)| PatchRow::of(over, (layer, column), found)), out)
}
