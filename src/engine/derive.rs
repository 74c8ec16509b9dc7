//! Views computed from stored activations when they are asked for.

use super::attribution::attribution;
use super::control::Stopped;
use super::run::{Run, need_model};
use super::session::Session;
use crate::model::{Distribution, derive_pattern, derive_row};
use crate::trace::protocol::{Derive, Derived};
use crate::trace::{HeadMap, HeadRow, HookKind, LensCell, LensKey, LensSite, Pattern, TokenRecord};
use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Lens rows that go through the unembedding together; cancellation is seen between such batches.
const BATCH: usize = 16;
/// Tokens kept of every lens cell on the screen.
const LENS_TOP: usize = 10;

/// Derives one view of a run.
///
/// # Errors
/// [`Stopped`] if `cancelled`; if what it is derived from was not captured.
pub fn derive(run: &dyn Run, what: &Derive, cancelled: &dyn Fn() -> bool) -> Result<Derived> {
    Ok(match what {
        Derive::Lens { cells } => Derived::Lens(run.lens_cells(cells, LENS_TOP, cancelled)?),
        Derive::HeadMaps { heads, max_side } => {
            let mut maps = Vec::new();
            for (layer, head) in heads {
                ensure!(!cancelled(), Stopped);
                let pattern = pattern(run, *layer, *head)?;
                maps.push(Arc::new(HeadMap::pool(*layer, *head, &pattern, *max_side)));
            }
            Derived::HeadMaps(maps)
        }
        Derive::Attribution(key) => {
            let layers = key.layer..key.layer.saturating_add(1);
            Derived::Attribution(Arc::new(attribution(need_model(run)?, key.pos, key.target, layers, cancelled)?))
        }
        // A truncation may have come between the frame that wanted it and this.
        Derive::HeadRows { query, .. } if *query >= run.tokens().len() => Derived::HeadRows(Vec::new()),
        Derive::HeadRows { layer, heads, query } => {
            let row = |head: usize| {
                let weights = row(run, *layer, head, *query)?;
                Ok(Arc::new(HeadRow { layer: *layer, head, query: *query, weights }))
            };
            Derived::HeadRows(heads.clone().map(row).collect::<Result<_>>()?)
        }
    })
}

pub(super) fn not_captured() -> String {
    "the activations that this view is derived from were not captured".to_owned()
}

/// The attention probabilities of one head over the whole run.
///
/// # Errors
/// If neither patterns nor queries and keys were captured.
pub fn pattern(run: &dyn Run, layer: usize, head: usize) -> Result<Pattern> {
    let (tokens, dims, round) = (run.tokens(), run.meta().dims, run.precision().module);
    let rows: Option<Vec<&[f32]>> = (0..tokens.len()).map(|query| kept_row(run, layer, head, query)).collect();
    if let Some(rows) = rows {
        return Ok(Pattern { n: tokens.len(), weights: rows.concat() });
    }
    derive_pattern(tokens, layer, head, dims, round).with_context(not_captured)
}

/// One row of [`pattern`]: weights of `query` over keys `0..=query`.
fn row(run: &dyn Run, layer: usize, head: usize, query: usize) -> Result<Vec<f32>> {
    if let Some(row) = kept_row(run, layer, head, query) {
        return Ok(row.to_vec());
    }
    let (dims, round) = (run.meta().dims, run.precision().module);
    derive_row(run.tokens(), layer, head, query, dims, round).with_context(not_captured)
}

/// A head's row of a pattern that was captured whole `[heads, query + 1]`.
fn kept_row(run: &dyn Run, layer: usize, head: usize, query: usize) -> Option<&[f32]> {
    let all = run.tokens().get(query)?.row(HookKind::Pattern, layer)?;
    all.get(head * (query + 1)..(head + 1) * (query + 1))
}

/// The residual that a lens reads `[d_model]`.
pub(super) fn residual(token: &TokenRecord, layer: usize, site: LensSite) -> Option<&[f32]> {
    let kind = match site {
        LensSite::ResidMid => HookKind::ResidMid,
        LensSite::ResidPost => HookKind::ResidPost,
    };
    token.row(kind, layer)
}

/// See [`Run::lens_cells`].
pub(super) fn compute_lens(
    session: &Session,
    cells: &[LensKey],
    top: usize,
    cancelled: &dyn Fn() -> bool,
) -> Result<Vec<(LensKey, Arc<LensCell>)>> {
    let dims = session.meta().dims;
    let model = &session.loaded().model;
    let mut by_pos: BTreeMap<usize, Vec<LensKey>> = BTreeMap::new();
    for cell in cells.iter().filter(|cell| cell.pos < session.tokens().len() && cell.layer < dims.layers) {
        by_pos.entry(cell.pos).or_default().push(*cell);
    }
    let mut found = Vec::with_capacity(cells.len());
    for (pos, keys) in by_pos {
        let token = &session.tokens()[pos];
        let last = residual(token, dims.layers - 1, LensSite::ResidPost).with_context(not_captured)?;
        let final_logits = model.lens(last, session.precision())?;
        let answer = Distribution::of(&final_logits);
        let answer_id = answer.top(1)[0];
        for batch in keys.chunks(BATCH) {
            ensure!(!cancelled(), Stopped);
            let mut rows = Vec::with_capacity(batch.len() * dims.d_model);
            for key in batch {
                rows.extend_from_slice(residual(token, key.layer, key.site).with_context(not_captured)?);
            }
            let logits = model.lens(&rows, session.precision())?;
            for (key, logits) in batch.iter().zip(logits.chunks_exact(dims.vocab)) {
                let lens = Distribution::of(logits);
                let cell = LensCell {
                    top: lens.top(top).into_iter().map(|id| session.candidate(&lens, id)).collect(),
                    final_rank: lens.rank(answer_id),
                    final_prob: lens.prob(answer_id),
                    entropy: lens.entropy(),
                    kl: answer.kl(&lens),
                };
                found.push((*key, Arc::new(cell)));
            }
        }
    }
    Ok(found)
}
