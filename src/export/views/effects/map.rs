//! Layers × parts: what each expert, head or block does to the target.

use super::{found, grid, layers_down, watched};
use crate::analysis::tables::{AblationRow, TokenText, write_csv};
use crate::analysis::view::{ViewData, ViewSpec};
use crate::analysis::{EffectMap, Found, How, MapMeasure, MapOf, MapOver, Watch};
use crate::export::figure::font::drawable;
use crate::export::figure::{Axis, Figure, Legend, Panel, Turn};
use crate::export::views::Files;
use crate::export::views::labels::subtitle;
use crate::export::views::routing::layer_axis;
use anyhow::{Result, bail, ensure};

pub const FILES: Files = Files { figure, table };

fn parts(map: &EffectMap) -> Result<(MapOver, How)> {
    match map.key.of {
        MapOf::Parts(over, how) => Ok((over, how)),
        _ => bail!("this map is of other places"),
    }
}

fn figure(data: &ViewData, spec: &ViewSpec) -> Result<Figure> {
    let map = found(data)?;
    let (over, how) = parts(map)?;
    let measure = spec.effect;
    ensure!(map.largest(measure).is_finite(), "the effects are not finite");
    let (mut grid, full) = grid(map, measure, 0.0, (46.0, 18.0));
    grid.rows = layer_axis(&layers_down(map));
    grid.cols = match over {
        MapOver::Experts => Axis::numbers("expert", 0..map.columns),
        MapOver::Heads => Axis::numbers("head", 0..map.columns),
        MapOver::Blocks => {
            Axis { name: "block".to_owned(), labels: vec!["attn".to_owned(), "mlp".to_owned()], turn: Turn::Flat }
        }
    };
    let target = map.key.watch.map(|watch| match measure {
        MapMeasure::Difference => format!("; {}", watched(data, watch)),
        _ => format!("; target {}", watched(data, Watch { foil: None, ..watch })),
    });
    let target = target.unwrap_or_default();
    let what = match how {
        How::Zero => "output zero",
        How::Ban => "banned",
        How::Mean => "output set to its mean",
    };
    let mut notes = vec!["each cell: the run again with this one part changed, minus the run as it is".to_owned()];
    if let (done, all) = map.progress()
        && done < all
    {
        notes.push(format!("{done} of {all} places are computed; the others are blank"));
    }
    if let Some(why) = &map.refused {
        notes.push(drawable(&format!("not possible at some places, which are blank: {why}")));
    }
    if measure == MapMeasure::Loss {
        notes.push("a positive change of the loss is worse".to_owned());
    }
    Ok(Figure {
        title: format!("What each of the {over} does ({what}){target}"),
        subtitle: subtitle(&data.trace),
        legends: vec![Legend::Ramp(measure.about().to_owned(), if measure.is_size() { 0.0 } else { -full }, full)],
        panels: vec![Panel::Grid(grid)],
        across: 1,
        notes,
    })
}

/// One row for each part, as in `ablate.csv`.
fn table(data: &ViewData, _: &ViewSpec, _: TokenText, out: &mut Vec<u8>) -> Result<()> {
    let map = found(data)?;
    let (over, how) = parts(map)?;
    let rows = map.places().filter_map(|(layer, column, found)| {
        let Found::Effect(found) = found else { return None };
        let (part, index) = over.part(column);
        Some(AblationRow::new((layer, part, index), how.name(), found))
    });
    write_csv(rows, out)
}
