//! Where heads look.

use super::{subtitle, token_label};
use crate::export::csv::{AttentionTable, table};
use crate::export::figure::{Axis, Cells, Figure, Grid, Legend, Panel, Turn, short};
use crate::trace::view::{ViewData, ViewSpec};
use crate::trace::{HeadMap, HeadStats, Pattern, Pick, Trace};
use anyhow::{Context, Result, ensure};
use std::io::Write;

/// Largest side of a head's matrix, cells; longer runs are pooled.
const CELLS: usize = 1024;
/// Side of a thumbnail, cells and points.
const THUMB: usize = 72;

fn pattern(data: &ViewData, layer: usize, head: usize) -> Result<&Pattern> {
    let found = data.patterns.iter().find(|(l, h, _)| (*l, *h) == (layer, head));
    Ok(&found.with_context(|| format!("the pattern of layer {layer} head {head} is not in this run"))?.2)
}

fn pooled(block: usize) -> Vec<String> {
    if block == 1 {
        return Vec::new();
    }
    vec![format!("pooled: each cell is the largest weight of {block} × {block} query-key pairs")]
}

/// One head: query × key.
pub fn head(data: &ViewData, spec: &ViewSpec) -> Result<Figure> {
    let (trace, pattern) = (&data.trace, pattern(data, spec.layer, spec.head)?);
    let map = HeadMap::pool(spec.layer, Pick::One(spec.head), pattern, CELLS);
    let side = map.side;
    let cell = match side {
        0..=36 => 26.0,
        37..=100 => 14.0,
        101..=256 => (1100 / side).max(5) as f64,
        257..=512 => 3.0,
        _ => 2.0,
    };
    let texts = if side <= 36 { map.cells.iter().map(|weight| short(*weight)).collect() } else { Vec::new() };
    let labels: Vec<String> =
        (0..side).filter_map(|i| Some(token_label(trace.tokens.get(i * map.block)?, i * map.block))).collect();
    let mut grid = Grid::new((side, side), (cell, cell), Cells::Heat { values: map.cells, range: (0.0, 1.0), texts });
    grid.rows = Axis { name: "query (looks from)".to_owned(), labels: labels.clone(), turn: Turn::Flat };
    grid.cols = Axis { name: "key (looks at)".to_owned(), labels, turn: Turn::Upward };
    let HeadStats { entropy, previous, first, stride, .. } = HeadStats::of(pattern, &ids(trace));
    let mut notes = pooled(map.block);
    let queries = if stride == 1 { "queries".to_owned() } else { format!("every {stride}th query") };
    let mut means = format!("means over {queries}: entropy {entropy:.3} nats");
    if let (Some(previous), Some(first)) = (previous, first) {
        means += &format!(", weight on the token before {previous:.3}, on the first token {first:.3}");
    }
    notes.push(means);
    Ok(Figure {
        title: format!("Attention of layer {} head {}", spec.layer, spec.head),
        subtitle: subtitle(trace),
        legends: vec![
            Legend::Ramp("attention weight".to_owned(), 0.0, 1.0),
            Legend::Text("blank: keys after the query".to_owned()),
        ],
        panels: vec![Panel::Grid(grid)],
        across: 1,
        notes,
    })
}

/// All heads of all layers as thumbnails, a layer a row.
pub fn grid(data: &ViewData) -> Result<Figure> {
    ensure!(!data.patterns.is_empty(), "no attention pattern is in this run");
    let heads = data.patterns.iter().map(|(_, head, _)| head + 1).max().unwrap_or(1);
    let mut panels = Vec::with_capacity(data.patterns.len());
    let mut block = 1;
    for (layer, head, pattern) in &data.patterns {
        let map = HeadMap::pool(*layer, Pick::One(*head), pattern, THUMB);
        block = map.block;
        let cell = (THUMB as f64 / map.side as f64).floor().max(1.0);
        let cells = Cells::Heat { values: map.cells, range: (0.0, 1.0), texts: Vec::new() };
        let mut thumb = Grid::new((map.side, map.side), (cell, cell), cells);
        thumb.caption = format!("{layer}.{head}");
        panels.push(Panel::Grid(thumb));
    }
    let mut notes = pooled(block);
    notes.push("above each: layer.head; queries go down, keys across, both from the first token".to_owned());
    Ok(Figure {
        title: "Attention of all heads".to_owned(),
        subtitle: subtitle(&data.trace),
        legends: vec![Legend::Ramp("attention weight".to_owned(), 0.0, 1.0)],
        panels,
        across: heads,
        notes,
    })
}

/// Rows as in `attention.csv`.
pub fn head_table(data: &ViewData, spec: &ViewSpec, out: impl Write) -> Result<()> {
    let mut table = AttentionTable::new(out)?;
    table.head(spec.layer, spec.head, pattern(data, spec.layer, spec.head)?)?;
    table.finish()
}

fn ids(trace: &Trace) -> Vec<u32> {
    trace.tokens.iter().map(|token| token.id).collect()
}

/// `layer,head,entropy,previous,first,induction,duplicate`; previous and first are empty for one token,
/// the last two if no token occurs twice.
pub fn grid_table(data: &ViewData, out: impl Write) -> Result<()> {
    let ids = ids(&data.trace);
    let mut writer = table(out, &["layer", "head", "entropy", "previous", "first", "induction", "duplicate"])?;
    for (layer, head, pattern) in &data.patterns {
        let stats = HeadStats::of(pattern, &ids);
        let HeadStats { entropy, previous, first, induction, duplicate, .. } = stats;
        writer.serialize((layer, head, entropy, previous, first, induction, duplicate))?;
    }
    Ok(writer.flush()?)
}
