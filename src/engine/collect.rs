//! The numbers that a view's file is made of.

use super::derive::{HeadCache, lens_cells, pattern_of, trajectories};
use super::run::Run;
use crate::analysis::view::{THUMB, View, ViewData, ViewSpec};
use crate::analysis::{HeadMap, HeadStats, LensMeasure, Pick, Trajectory};
use crate::control::Control;
use crate::trace::{LensCell, LensKey, LensSite};
use anyhow::{Context, Result, bail, ensure};
use std::sync::Arc;

/// Tokens kept of every lens cell of a model's run; of a saved run, all that it holds.
const LENS_TOP: usize = 10;
/// Heads that are read together.
const HEADS: usize = 16;

/// Collects the numbers of a view from a live or a saved run.
///
/// # Errors
/// [`Stopped`](crate::control::Stopped) if `control` is cancelled; if the spec lies outside the run, or the run does
/// not hold what the view is made of.
pub fn collect(run: &Run, spec: &ViewSpec, control: &Control) -> Result<ViewData> {
    let (dims, n) = (run.meta().dims, run.tokens().len());
    ensure!(n > 0, "the run has no token yet");
    let top = if run.live().is_some() { LENS_TOP } else { usize::MAX };
    let mut data = ViewData::of(run.records());
    match spec.view {
        View::RoutingToken | View::Next => check("position", spec.pos, n)?,
        View::RoutingLayer | View::RoutingPairs => check("layer", spec.layer, dims.layers)?,
        View::RoutingMap
        | View::RoutingUsage
        | View::FidelityValidated
        | View::FidelityFlips
        | View::FidelityLoss
        | View::FidelityLab
        | View::Compare
        | View::EffectsMap
        | View::EffectsRouting
        | View::EffectsPatching
        | View::EffectsContributions => {}
        View::AttentionHead => {
            check("layer", spec.layer, dims.layers)?;
            if let Pick::One(head) = spec.head {
                check("head", head, dims.heads)?;
            }
            data.pattern = Some(pattern_of(run, spec.layer, spec.head, control)?);
        }
        View::AttentionGrid | View::AttentionScores => data.heads = all_heads(run, control)?,
        View::LensGrid => {
            let sites = spec.sites();
            for pos in 0..n {
                data.lens.extend(lens_cells(run, &keys(pos, dims.layers, &sites), top, control)?);
            }
            let names: Vec<String> = sites.iter().map(LensSite::to_string).collect();
            ensure!(!data.lens.is_empty(), "the lens of {} is not in this trace", names.join(" and "));
        }
        View::LensTargets => {
            check("position", spec.pos, n)?;
            let follows = matches!(spec.lens, LensMeasure::Top | LensMeasure::Rank);
            if !follows || run.live().is_none() {
                data.lens = lens_cells(run, &keys(spec.pos, dims.layers, &LensSite::ALL), top, control)?;
                ensure!(!data.lens.is_empty(), "the lens is not in this trace");
            }
            if follows {
                data.trajectories = target_trajectories(run, spec, &std::mem::take(&mut data.lens), control)?;
            }
        }
    }
    Ok(data)
}

fn check(what: &str, at: usize, count: usize) -> Result<()> {
    ensure!(at < count, "{what} {at} is outside the run, which has {count} (0..{count})");
    Ok(())
}

/// The lens cells of a position, in the order of the forward pass.
fn keys(pos: usize, layers: usize, sites: &[LensSite]) -> Vec<LensKey> {
    let of_layer = |layer| sites.iter().map(move |site| LensKey { pos, layer, site: *site });
    (0..layers).flat_map(of_layer).collect()
}

/// All heads of the layers whose attention the run holds, a few at a time, so that no more than these are in memory
/// before they are pooled.
fn all_heads(run: &Run, control: &Control) -> Result<Vec<(HeadMap, HeadStats)>> {
    let dims = run.meta().dims;
    let layers = (0..dims.layers).filter(|layer| run.meta().has_attention(*layer));
    let heads: Vec<(usize, usize)> = layers.flat_map(|layer| (0..dims.heads).map(move |head| (layer, head))).collect();
    ensure!(!heads.is_empty(), "the attention is not in this trace");
    let mut found = Vec::with_capacity(heads.len());
    for some in heads.chunks(HEADS) {
        let mut cache = HeadCache::default();
        let wanted: Vec<(usize, Pick, usize)> =
            some.iter().map(|(layer, head)| (*layer, Pick::One(*head), THUMB)).collect();
        let maps = cache.maps(run, &wanted, control)?;
        let stats = cache.stats(run, some, control)?;
        let both = maps.into_iter().zip(stats);
        found.extend(both.map(|(map, (_, _, stats))| (Arc::unwrap_or_clone(map), stats)));
    }
    Ok(found)
}

/// The trajectory of each target, in the order of the forward pass. A saved run has only that of the final answer, from
/// its lens cells.
fn target_trajectories(
    run: &Run,
    spec: &ViewSpec,
    cells: &[(LensKey, Arc<LensCell>)],
    control: &Control,
) -> Result<Vec<Arc<Trajectory>>> {
    let answer = run.tokens()[spec.pos].next.top.first().context("the model's answer is not in this trace")?;
    let asked = if spec.targets.is_empty() { &[answer.id][..] } else { &spec.targets };
    if let Some(live) = run.live() {
        let vocab = run.meta().dims.vocab;
        if let Some(id) = asked.iter().find(|id| **id as usize >= vocab) {
            bail!("token id {id} is outside the model's vocabulary of {vocab} tokens");
        }
        return trajectories(live, spec.pos, asked, control);
    }
    if let Some(id) = asked.iter().find(|id| **id != answer.id) {
        bail!("the trace has no trajectory for token {id}, only for the final answer, token {}", answer.id);
    }
    let points = cells.iter().map(|(key, cell)| (key.layer, key.site, cell.final_rank, cell.final_prob)).collect();
    Ok(vec![Arc::new(Trajectory { id: answer.id, piece: answer.piece.clone(), points })])
}
