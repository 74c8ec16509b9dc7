//! Rank and probability of chosen tokens through the layers.

use super::captured::residual;
use super::lens::BATCH;
use crate::analysis::Trajectory;
use crate::control::Control;
use crate::engine::run::{Live, Run};
use crate::model::Distribution;
use crate::protocol::Derived;
use crate::trace::LensSite;
use anyhow::Result;
use std::sync::Arc;

pub fn derive(run: &Run, pos: usize, targets: &[u32], control: &Control) -> Result<Derived> {
    Ok(Derived::Trajectories(pos, trajectories(run.need_live()?, pos, targets, control)?))
}

/// Rank and probability of each of `targets` after every residual of position `pos`: one unembedding of a residual
/// serves all of them. Ids outside the vocabulary are left out; a position after the end of the run gives nothing.
///
/// # Errors
/// [`Stopped`](crate::control::Stopped) if `control` is cancelled; if residuals were not captured.
pub fn trajectories(live: &Live, pos: usize, targets: &[u32], control: &Control) -> Result<Vec<Arc<Trajectory>>> {
    let dims = live.meta().dims;
    let model = &live.loaded().model;
    let Some(token) = live.tokens().get(pos) else { return Ok(Vec::new()) };
    let targets = targets.iter().filter(|id| (**id as usize) < dims.vocab);
    let mut found: Vec<Trajectory> =
        targets.map(|id| Trajectory { id: *id, piece: live.piece(*id), points: Vec::new() }).collect();
    let sites = |layer| [(layer, LensSite::ResidMid), (layer, LensSite::ResidPost)];
    let places: Vec<(usize, LensSite)> = (0..dims.layers).flat_map(sites).collect();
    for batch in places.chunks(BATCH) {
        control.check()?;
        let mut rows = Vec::with_capacity(batch.len() * dims.d_model);
        for (layer, site) in batch {
            rows.extend_from_slice(residual(token, *layer, *site)?);
        }
        let logits = model.lens(&rows, live.precision())?;
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
