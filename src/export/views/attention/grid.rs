//! All heads of all layers as thumbnails with their scores: one layer per row, the last on top, or the best first.

use super::{about_scores, pooled, queries};
use crate::analysis::tables::{TokenText, head_scores, write_csv};
use crate::analysis::view::{THUMB, ViewData, ViewSpec};
use crate::analysis::{HeadMap, HeadStats, Measure, MeasuredOn, Pick};
use crate::export::figure::{Figure, Legend, Panel, Thumb, Thumbs, short};
use crate::export::views::Files;
use crate::export::views::labels::subtitle;
use anyhow::{Context, Result, bail, ensure};

pub const FILES: Files = Files { figure, table };

/// Layer, head and scores.
type Measured<'a> = (usize, usize, &'a HeadStats);

/// All heads by layer and head, with their scores on the text that was requested.
///
/// # Errors
/// If these are not in `data`.
pub(super) fn measured<'a>(data: &'a ViewData, spec: &ViewSpec) -> Result<Vec<Measured<'a>>> {
    let on_random = match spec.on {
        MeasuredOn::Text => None,
        MeasuredOn::Repeated => Some(data.scores.as_deref().context("the heads were not measured on random tokens")?),
    };
    let of = |(map, stats): &'a (HeadMap, HeadStats)| {
        let Pick::One(head) = map.pick else { bail!("layer {} has no single heads here", map.layer) };
        let stats = match on_random {
            None => stats,
            Some(scores) => {
                scores.get(map.layer, head).with_context(|| format!("L{}H{head} was not measured", map.layer))?
            }
        };
        Ok((map.layer, head, stats))
    };
    ensure!(!data.heads.is_empty(), "no attention pattern is in this run");
    data.heads.iter().map(of).collect()
}

/// The heads with their maps in the order of the screen: the last layer first, or the best first.
fn in_order<'a>(data: &'a ViewData, spec: &ViewSpec) -> Result<Vec<(&'a HeadMap, Measured<'a>)>> {
    let mut heads: Vec<_> = data.heads.iter().map(|(map, _)| map).zip(measured(data, spec)?).collect();
    heads.sort_by(|(a, _), (b, _)| b.layer.cmp(&a.layer).then(a.pick.cmp(&b.pick)));
    if spec.sorted {
        spec.measure.sort(&mut heads, |(_, (.., stats))| spec.measure.of(stats));
    }
    Ok(heads)
}

fn figure(data: &ViewData, spec: &ViewSpec) -> Result<Figure> {
    let heads = in_order(data, spec)?;
    let (mut block, mut stride, mut without, mut side) = (1, 1, 0, 1.0);
    let mut thumbs = Vec::with_capacity(heads.len());
    for (map, (.., stats)) in heads {
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
    notes.extend(about_scores(data, spec, without));
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
    let heads = if spec.sorted {
        in_order(data, spec)?.into_iter().map(|(_, measured)| measured).collect()
    } else {
        measured(data, spec)?
    };
    write_csv(heads.into_iter().map(|(layer, head, stats)| head_scores(layer, Pick::One(head), stats)), out)
}
