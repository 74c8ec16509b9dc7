//! Where heads look.

use super::{subtitle, token_label};
use crate::analysis::tables::{attention, head_scores, write_csv};
use crate::analysis::view::{THUMB, ViewData, ViewSpec};
use crate::analysis::{HeadMap, HeadStats, Measure, Pattern, Pick};
use crate::export::figure::{Axis, Cells, Figure, Grid, Legend, Panel, Turn, short};
use crate::trace::Records;
use anyhow::{Context, Result, ensure};
use std::io::Write;

/// Largest side of a head's matrix, cells; longer runs are pooled.
const CELLS: usize = 1024;

fn pattern<'a>(data: &'a ViewData, spec: &ViewSpec) -> Result<&'a Pattern> {
    let missing = || format!("the pattern of layer {} {} is not in this run", spec.layer, spec.head);
    data.pattern.as_ref().with_context(missing)
}

fn pooled(block: usize) -> Vec<String> {
    if block == 1 {
        return Vec::new();
    }
    vec![format!("pooled: each cell is the largest weight of {block} × {block} query-key pairs")]
}

/// One head, or all heads of a layer together: query × key.
pub fn head(data: &ViewData, spec: &ViewSpec) -> Result<Figure> {
    let (trace, pattern) = (&data.trace, pattern(data, spec)?);
    let map = HeadMap::pool(spec.layer, spec.head, pattern, CELLS);
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
    let mut notes = pooled(map.block);
    // Only the weights of one head have the measures of a head.
    if let Pick::One(_) = spec.head {
        notes.push(means(&HeadStats::of(pattern, &ids(trace))));
    }
    let heads = trace.meta.dims.heads;
    let title = match spec.head {
        Pick::One(head) => format!("Attention of layer {} head {head}", spec.layer),
        Pick::Mean => format!("Attention of layer {}: mean over its {heads} heads", spec.layer),
        Pick::Max => format!("Attention of layer {}: maximum over its {heads} heads", spec.layer),
    };
    Ok(Figure {
        title,
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

fn means(stats: &HeadStats) -> String {
    let HeadStats { entropy, previous, first, stride, .. } = stats;
    let mut means = format!("means over {}: entropy {entropy:.3} nats", queries(*stride));
    if let (Some(previous), Some(first)) = (previous, first) {
        means += &format!(", weight on the token before {previous:.3}, on the first token {first:.3}");
    }
    means
}

fn queries(stride: usize) -> String {
    if stride == 1 { "queries".to_owned() } else { format!("every {stride}th query") }
}

/// Heads as the screen has them: the last layer first, or the best first.
fn in_order<'a>(data: &'a ViewData, spec: &ViewSpec) -> Vec<&'a (HeadMap, HeadStats)> {
    let mut heads: Vec<&(HeadMap, HeadStats)> = data.heads.iter().collect();
    heads.sort_by(|(a, _), (b, _)| b.layer.cmp(&a.layer).then(a.pick.cmp(&b.pick)));
    if spec.sorted {
        spec.measure.sort(&mut heads, |(_, stats)| spec.measure.of(stats));
    }
    heads
}

/// All heads of all layers as thumbnails, each with its figure: a layer a row, the last on top, or the best first.
pub fn grid(data: &ViewData, spec: &ViewSpec) -> Result<Figure> {
    ensure!(!data.heads.is_empty(), "no attention pattern is in this run");
    let heads = in_order(data, spec);
    let (mut block, mut stride, mut without) = (1, 1, 0);
    let mut panels = Vec::with_capacity(heads.len());
    for (map, stats) in heads {
        (block, stride) = (map.block, stats.stride);
        let cell = (THUMB as f64 / map.side as f64).floor().max(1.0);
        let cells = Cells::Heat { values: map.cells.clone(), range: (0.0, 1.0), texts: Vec::new() };
        let mut thumb = Grid::new((map.side, map.side), (cell, cell), cells);
        let value = match (spec.measure.of(stats), spec.measure) {
            (Some(nats), Measure::Entropy) => format!("{nats:.2}"),
            (Some(weight), _) => short(weight),
            (None, _) => "-".to_owned(),
        };
        without += usize::from(value == "-");
        thumb.caption = format!("{}.{} {value}", map.layer, map.pick.name());
        panels.push(Panel::Grid(thumb));
    }
    let mut notes = pooled(block);
    let (measure, explain) = (spec.measure, spec.measure.explain());
    let sample = if stride == 1 { String::new() } else { format!(" (of {})", queries(stride)) };
    notes.push(format!("above each: layer.head and its {measure}: {explain}{sample}"));
    if without > 0 {
        notes.push(format!("-: this text has no query that {measure} could be measured on"));
    }
    notes.push("queries go down, keys across, both from the first token".to_owned());
    let order = if spec.sorted { ", best first" } else { "" };
    Ok(Figure {
        title: format!("Attention of all heads by {measure}{order}"),
        subtitle: subtitle(&data.trace),
        legends: vec![Legend::Ramp("attention weight".to_owned(), 0.0, 1.0)],
        panels,
        across: data.trace.meta.dims.heads,
        notes,
    })
}

/// Rows as in `attention.csv`; the head of several together is `mean` or `max`.
pub fn head_table(data: &ViewData, spec: &ViewSpec, out: impl Write) -> Result<()> {
    write_csv(attention(spec.layer, spec.head, pattern(data, spec)?), out)
}

fn ids(trace: &Records) -> Vec<u32> {
    trace.tokens.iter().map(|token| token.id).collect()
}

/// By layer and head, or the best first.
pub fn grid_table(data: &ViewData, spec: &ViewSpec, out: impl Write) -> Result<()> {
    let heads = if spec.sorted { in_order(data, spec) } else { data.heads.iter().collect() };
    write_csv(heads.into_iter().map(|(map, stats)| head_scores(map.layer, map.pick, stats)), out)
}
