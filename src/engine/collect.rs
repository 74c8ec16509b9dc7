//! The numbers that a view's file is made of.

use super::control::Stopped;
use super::derive::pattern;
use super::run::Run;
use crate::model::Distribution;
use crate::trace::view::{Trajectory, ViewData, ViewKind, ViewSpec};
use crate::trace::{LensCell, LensKey, LensSite, TokenRecord, size};
use anyhow::{Context, Result, bail, ensure};
use std::sync::Arc;

/// Tokens kept of every lens cell.
const LENS_TOP: usize = 10;
/// Patterns of all heads together that are collected at most, bytes.
const MOST_PATTERNS: u64 = 4 << 30;
const SITES: [LensSite; 2] = [LensSite::ResidMid, LensSite::ResidPost];

/// Collects the numbers of a view from a live or a saved run.
///
/// # Errors
/// [`Stopped`] if `cancelled`; if the spec lies outside the run, or the run does not hold what the view is made of.
pub fn collect(run: &dyn Run, spec: &ViewSpec, cancelled: &dyn Fn() -> bool) -> Result<ViewData> {
    let (dims, n) = (run.meta().dims, run.tokens().len());
    ensure!(n > 0, "the run has no token yet");
    let mut data = ViewData { trace: run.trace(), patterns: Vec::new(), lens: Vec::new(), trajectories: Vec::new() };
    match spec.kind {
        ViewKind::RoutingToken | ViewKind::Next => check("position", spec.pos, n)?,
        ViewKind::RoutingLayer | ViewKind::RoutingPairs => check("layer", spec.layer, dims.layers)?,
        ViewKind::RoutingMap | ViewKind::RoutingLoad => {}
        ViewKind::AttentionHead => {
            check("layer", spec.layer, dims.layers)?;
            check("head", spec.head, dims.heads)?;
            data.patterns.push((spec.layer, spec.head, pattern(run, spec.layer, spec.head)?));
        }
        ViewKind::AttentionGrid => {
            let numbers = (dims.layers * dims.heads) as u64 * (n as u64 * (n as u64 + 1) / 2);
            let bytes = numbers.saturating_mul(size_of::<f32>() as u64);
            ensure!(
                bytes <= MOST_PATTERNS,
                "the patterns of all heads over {n} tokens are {}; take them head by head ({})",
                size(bytes),
                ViewKind::AttentionHead
            );
            for (layer, head) in (0..dims.layers).flat_map(|layer| (0..dims.heads).map(move |head| (layer, head))) {
                ensure!(!cancelled(), Stopped);
                data.patterns.push((layer, head, pattern(run, layer, head)?));
            }
        }
        ViewKind::LensGrid => {
            for pos in 0..n {
                let keys: Vec<LensKey> =
                    (0..dims.layers).map(|layer| LensKey { pos, layer, site: spec.site }).collect();
                data.lens.extend(run.lens_cells(&keys, LENS_TOP, cancelled)?);
            }
            ensure!(!data.lens.is_empty(), "the lens of {} is not in this trace", spec.site);
        }
        ViewKind::LensTargets => {
            check("position", spec.pos, n)?;
            let sites = |layer| SITES.map(|site| LensKey { pos: spec.pos, layer, site });
            let keys: Vec<LensKey> = (0..dims.layers).flat_map(sites).collect();
            data.lens = run.lens_cells(&keys, LENS_TOP, cancelled)?;
            ensure!(!data.lens.is_empty(), "the lens is not in this trace");
            data.trajectories = trajectories(run, spec, &data.lens)?;
        }
    }
    Ok(data)
}

fn check(what: &str, at: usize, count: usize) -> Result<()> {
    ensure!(at < count, "{what} {at} is outside the run, which has {count} (0..{count})");
    Ok(())
}

/// The way of each target through the layers, in the order of the forward pass.
fn trajectories(run: &dyn Run, spec: &ViewSpec, cells: &[(LensKey, Arc<LensCell>)]) -> Result<Vec<Trajectory>> {
    let token = &run.tokens()[spec.pos];
    let answer = token.next.top.first().context("what the model answered is not in this trace")?;
    let asked = if spec.targets.is_empty() { &[answer.id][..] } else { &spec.targets };
    let mut found = Vec::with_capacity(asked.len());
    for id in asked {
        let trajectory = match run.live() {
            _ if *id == answer.id => {
                let point =
                    |(key, cell): &(LensKey, Arc<LensCell>)| (key.layer, key.site, cell.final_rank, cell.final_prob);
                Trajectory { id: *id, piece: answer.piece.clone(), points: cells.iter().map(point).collect() }
            }
            Some(session) => {
                let vocab = run.meta().dims.vocab;
                ensure!((*id as usize) < vocab, "token id {id} is outside the model's vocabulary of {vocab} tokens");
                let points = cells.iter().map(|(key, _)| point(session, token, *key, *id)).collect::<Result<_>>()?;
                Trajectory { id: *id, piece: session.piece(*id), points }
            }
            None => bail!(
                "of token {id} the trace holds no way through the layers, only of the final answer, token {}",
                answer.id
            ),
        };
        found.push(trajectory);
    }
    Ok(found)
}

fn point(session: &super::Session, token: &TokenRecord, key: LensKey, id: u32) -> Result<(usize, LensSite, u32, f32)> {
    let residual = super::derive::residual(token, key.layer, key.site).context("residuals were not captured")?;
    let logits = session.loaded().model.lens(residual, session.precision())?;
    let lens = Distribution::of(&logits);
    Ok((key.layer, key.site, lens.rank(id as usize), lens.prob(id as usize)))
}
