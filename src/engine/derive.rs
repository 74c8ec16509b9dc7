//! Views computed from stored activations when they are asked for.

use super::attribution::attribution;
use super::derive_lens::trajectories;
use super::derive_next::{spell, tempered, what_if};
use super::heads::{HeadCache, head_rows};
use super::run::{Run, need_model};
use super::session::Session;
use crate::analysis::Pattern;
use crate::control::Control;
use crate::model::{Distribution, derive_pattern};
use crate::protocol::{Derive, Derived};
use crate::trace::{HookKind, LensCell, LensKey, LensSite, TokenRecord};
use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Lens rows that go through the unembedding together; cancellation is seen between such batches.
pub(super) const BATCH: usize = 16;
/// Tokens kept of every lens cell on the screen.
const LENS_TOP: usize = 10;

/// Derives one view of a run; what was read of heads before is used again.
///
/// # Errors
/// [`Stopped`](crate::control::Stopped) if `control` says so; if what it is derived from was not captured.
pub fn derive(run: &dyn Run, heads: &mut HeadCache, what: &Derive, control: &Control) -> Result<Derived> {
    Ok(match what {
        Derive::Lens { cells } => {
            let found = run.lens_cells(cells, LENS_TOP, control)?;
            // An answer without them would be asked for again.
            ensure!(!found.is_empty() || run.live().is_some(), "the lens of these layers is not in this trace");
            Derived::Lens(found)
        }
        Derive::Trajectories { pos, targets } => {
            Derived::Trajectories(*pos, trajectories(need_model(run)?, *pos, targets, control)?)
        }
        Derive::Tempered { pos, sampling } => {
            Derived::Tempered(tempered(need_model(run)?, *pos, sampling)?.map(Arc::new))
        }
        Derive::WhatIf { pos, ids } => {
            let mut found = Vec::new();
            for id in ids {
                found.extend(what_if(need_model(run)?, *pos, *id, control)?.map(Arc::new));
            }
            Derived::WhatIf(found)
        }
        Derive::Spell { texts } => Derived::Spelled(spell(need_model(run)?, texts)?),
        Derive::Attribution(key) => {
            let layers = key.layer..key.layer.saturating_add(1);
            Derived::Attribution(Arc::new(attribution(need_model(run)?, key.pos, key.target, layers, control)?))
        }
        Derive::HeadMaps { maps } => Derived::HeadMaps(heads.maps(run, maps, control)?),
        // A truncation may have come between the frame that wanted it and this.
        Derive::HeadRows { query, .. } if *query >= run.tokens().len() => Derived::HeadRows(Vec::new()),
        Derive::HeadRows { layer, query } => Derived::HeadRows(head_rows(run, *layer, *query)?),
        Derive::HeadColumns { layer, pick, key } => {
            let column = heads.column(run, *layer, *pick, *key, control)?;
            Derived::HeadColumns(column.into_iter().map(Arc::new).collect())
        }
        Derive::HeadStats { heads: wanted } => Derived::HeadStats(heads.stats(run, wanted, control)?),
        Derive::HeadScores | Derive::Variant { .. } | Derive::VariantLens { .. } => {
            anyhow::bail!("this is read bit by bit beside the run, not derived at once from it")
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
    let (dims, round) = (run.meta().dims, run.precision().module);
    derive_pattern(run.tokens(), layer, head, dims, round).with_context(not_captured)
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
    control: &Control,
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
            control.check()?;
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
