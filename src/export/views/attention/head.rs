//! One head, or all heads of a layer combined: query × key.

use super::{pooled, queries};
use crate::analysis::tables::{TokenText, attention, write_csv};
use crate::analysis::view::{ViewData, ViewSpec};
use crate::analysis::{HeadMap, HeadStats, Pattern, Pick};
use crate::export::figure::{Axis, Cells, Figure, Grid, Legend, Panel, Turn, short};
use crate::export::views::Files;
use crate::export::views::labels::{subtitle, token_label};
use crate::trace::Records;
use anyhow::{Context, Result};

pub const FILES: Files = Files { figure, table };

/// Largest side of a head's matrix, cells; longer runs are pooled.
const CELLS: usize = 1024;

fn pattern<'a>(data: &'a ViewData, spec: &ViewSpec) -> Result<&'a Pattern> {
    let missing = || format!("the pattern of layer {} {} is not in this run", spec.layer, spec.head);
    data.pattern.as_ref().with_context(missing)
}

fn figure(data: &ViewData, spec: &ViewSpec) -> Result<Figure> {
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
    grid.square = true;
    let mut notes = pooled(map.block);
    // Only the weights of a single head have scores.
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

fn ids(trace: &Records) -> Vec<u32> {
    trace.tokens.iter().map(|token| token.id).collect()
}

/// Rows as in `attention.csv`; the head is `mean` or `max` for several heads combined.
fn table(data: &ViewData, spec: &ViewSpec, _: TokenText, out: &mut Vec<u8>) -> Result<()> {
    write_csv(attention(spec.layer, spec.head, pattern(data, spec)?), out)
}
