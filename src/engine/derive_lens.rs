//! The way of chosen tokens through the layers.

use super::derive::{BATCH, not_captured, residual};
use super::session::Session;
use crate::analysis::Trajectory;
use crate::control::Control;
use crate::model::Distribution;
use crate::trace::LensSite;
use anyhow::{Context, Result};
use std::sync::Arc;

/// Rank and probability of each of `targets` after every residual of position `pos`: one unembedding of a residual
/// serves all of them. Ids outside the vocabulary are left out; nothing comes of a position behind the end of the run.
///
/// # Errors
/// [`Stopped`](crate::control::Stopped) if `control` says so; if residuals were not captured.
pub fn trajectories(session: &Session, pos: usize, targets: &[u32], control: &Control) -> Result<Vec<Arc<Trajectory>>> {
    let dims = session.meta().dims;
    let model = &session.loaded().model;
    let Some(token) = session.tokens().get(pos) else { return Ok(Vec::new()) };
    let targets = targets.iter().filter(|id| (**id as usize) < dims.vocab);
    let mut found: Vec<Trajectory> =
        targets.map(|id| Trajectory { id: *id, piece: session.piece(*id), points: Vec::new() }).collect();
    let sites = |layer| [(layer, LensSite::ResidMid), (layer, LensSite::ResidPost)];
    let places: Vec<(usize, LensSite)> = (0..dims.layers).flat_map(sites).collect();
    for batch in places.chunks(BATCH) {
        control.check()?;
        let mut rows = Vec::with_capacity(batch.len() * dims.d_model);
        for (layer, site) in batch {
            rows.extend_from_slice(residual(token, *layer, *site).with_context(not_captured)?);
        }
        let logits = model.lens(&rows, session.precision())?;
        for ((layer, site), logits) in batch.iter().zip(logits.chunks_exact(dims.vocab)) {
            let lens = Distribution::of(logits);
            for target in &mut found {
                let id = target.id as usize;
                target.points.push((*layer, *site, lens.rank(id), lens.prob(id)));
            }
        }
    }
    Ok(found.into_iter().map(Arc::new).collect())
}
