//! Cells of the logit lens: what each residual would predict.

use super::captured::residual;
use crate::control::Control;
use crate::engine::run::{Live, Run};
use crate::model::Distribution;
use crate::protocol::Derived;
use crate::trace::{LensCell, LensKey, LensSite};
use anyhow::{Result, ensure};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Residuals that go through the unembedding together; cancellation is checked between such batches.
pub const BATCH: usize = 16;
/// Tokens kept of every cell on the screen.
const TOP: usize = 10;

pub fn derive(run: &Run, cells: &[LensKey], control: &Control) -> Result<Derived> {
    let found = lens_cells(run, cells, TOP, control)?;
    // The screen would request the cells of an empty answer again.
    ensure!(!found.is_empty() || run.live().is_some(), "the lens of these layers is not in this trace");
    Ok(Derived::Lens(found))
}

/// Lens cells with the `top` best tokens each, position by position. Cells after the end of the run are left out, and so
/// are those that a replay does not hold.
///
/// # Errors
/// [`Stopped`](crate::control::Stopped) if `control` is cancelled; if the residuals were not captured.
pub fn lens_cells(
    run: &Run,
    cells: &[LensKey],
    top: usize,
    control: &Control,
) -> Result<Vec<(LensKey, Arc<LensCell>)>> {
    match run {
        Run::Live(live) => compute(live, cells, top, control),
        Run::Replay(replay) => replay.lens_cells(cells, top, control),
    }
}

/// As [`lens_cells`].
pub fn compute(live: &Live, cells: &[LensKey], top: usize, control: &Control) -> Result<Vec<(LensKey, Arc<LensCell>)>> {
    let dims = live.meta().dims;
    let model = &live.loaded().model;
    let mut by_pos: BTreeMap<usize, Vec<LensKey>> = BTreeMap::new();
    for cell in cells.iter().filter(|cell| cell.pos < live.tokens().len() && cell.layer < dims.layers) {
        by_pos.entry(cell.pos).or_default().push(*cell);
    }
    let mut found = Vec::with_capacity(cells.len());
    for (pos, keys) in by_pos {
        let token = &live.tokens()[pos];
        let last = residual(token, dims.layers - 1, LensSite::ResidPost)?;
        let final_logits = model.lens(last, live.precision())?;
        let answer = Distribution::of(&final_logits);
        let answer_id = answer.top(1)[0];
        for batch in keys.chunks(BATCH) {
            control.check()?;
            let mut rows = Vec::with_capacity(batch.len() * dims.d_model);
            for key in batch {
                rows.extend_from_slice(residual(token, key.layer, key.site)?);
            }
            let logits = model.lens(&rows, live.precision())?;
            for (key, logits) in batch.iter().zip(logits.chunks_exact(dims.vocab)) {
                let lens = Distribution::of(logits);
                let cell = LensCell {
                    top: lens.top(top).into_iter().map(|id| live.candidate(&lens, id)).collect(),
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
