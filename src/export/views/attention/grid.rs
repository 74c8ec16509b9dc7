//! All heads of all layers as thumbnails with their scores: one layer per row, the last on top, or the best first.

use super::{pooled, queries};
use crate::analysis::tables::{TokenText, head_scores, write_csv};
use crate::analysis::view::{THUMB, ViewData, ViewSpec};
use crate::analysis::{HeadMap, HeadStats, Measure};
use crate::export::figure::{Figure, Legend, Panel, Thumb, Thumbs, short};
use crate::export::views::Files;
use crate::export::views::labels::subtitle;
use anyhow::{Result, ensure};

pub const FILES: Files = Files { figure, table };

/// The heads in the order of the screen: the last layer first, or the best first.
fn in_order<'a>(data: &'a ViewData, spec: &ViewSpec) -> Vec<&'a (HeadMap, HeadStats)> {
    let mut heads: Vec<&(HeadMap, HeadStats)> = data.heads.iter().collect();
    heads.sort_by(|(a, _), (b, _)| b.layer.cmp(&a.layer).then(a.pick.cmp(&b.pick)));
    if spec.sorted {
        spec.measure.sort(&mut heads, |(_, stats)| spec.measure.of(stats));
    }
    heads
}

fn figure(data: &ViewData, spec: &ViewSpec) -> Result<Figure> {
    ensure!(!data.heads.is_empty(), "no attention pattern is in this run");
    let heads = in_order(data, spec);
    let (mut block, mut stride, mut without, mut side) = (1, 1, 0, 1.0);
    let mut thumbs = Vec::with_capacity(heads.len());
    for (map, stats) in heads {
        (block, stride) = (map.block, stats.stride);
        side = (THUMB as f64 / map.side as f64).floor().max(1.0) * map.side as f64;
        let value = match (spec.measure.of(stats), spec.measure) {
            (Some(nats), Measure::Entropy) => format!("{nats:.2}"),
            (Some(weight), _) => short(weight),
            (None, _) => "-".to_owned(),
        };
        without += usize::from(value == "-");
        let (layer, head) = (map.layer, map.pick.name());
        thumbs.push(Thumb {
            score: value,
            side: map.side,
            values: map.cells.clone(),
            place: [layer.to_string(), head],
        });
    }
    let mut notes = pooled(block);
    let (measure, explain) = (spec.measure, spec.measure.explain());
    let sample = if stride == 1 { String::new() } else { format!(" (of {})", queries(stride)) };
    notes.push(format!("the number at each head, where there is room, is its {measure}: {explain}{sample}"));
    if without > 0 {
        notes.push(format!("-: this text has no query that {measure} could be measured on"));
    }
    notes.push("queries go down, keys across, both from the first token".to_owned());
    let order = if spec.sorted { ", best first" } else { "" };
    Ok(Figure {
        title: format!("Attention of all heads by {measure}{order}"),
        subtitle: subtitle(&data.trace),
        legends: vec![Legend::Ramp("attention weight".to_owned(), 0.0, 1.0)],
        panels: vec![Panel::Thumbs(Thumbs::new(thumbs, data.trace.meta.dims.heads, !spec.sorted, side))],
        across: 1,
        notes,
    })
}

/// One row for each head, by layer and head, or the best first.
fn table(data: &ViewData, spec: &ViewSpec, _: TokenText, out: &mut Vec<u8>) -> Result<()> {
    let heads = if spec.sorted { in_order(data, spec) } else { data.heads.iter().collect() };
    write_csv(heads.into_iter().map(|(map, stats)| head_scores(map.layer, map.pick, stats)), out)
}
