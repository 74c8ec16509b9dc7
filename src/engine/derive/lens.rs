//! Cells of the logit lens: what each residual would predict.

use super::captured::residual;
use crate::control::Control;
use crate::engine::run::{Live, Run};
use crate::model::Distribution;
use crate::protocol::Derived;
use crate::trace::{LensCell, LensKey, LensSite};
use anyhow::{Result, ensure};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Residuals that go through the unembedding together; cancellation is checked between such batches.
pub const BATCH: usize = 48;
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
    let mut by_pos: BTreeMap<usize, Vec<LensKey>> = BTreeMap::new();
    for cell in cells.iter().filter(|cell| cell.pos < live.tokens().len() && cell.layer < dims.layers) {
        by_pos.entry(cell.pos).or_default().push(*cell);
    }
    // Of each position, the last residual comes first: its cells are compared with it.
    let last =
        |pos: usize| Item { key: LensKey { pos, layer: dims.layers - 1, site: LensSite::ResidPost }, wanted: false };
    let cells = |keys: Vec<LensKey>| keys.into_iter().map(|key| Item { key, wanted: true });
    let items: Vec<Item> =
        by_pos.into_iter().flat_map(|(pos, keys)| [last(pos)].into_iter().chain(cells(keys))).collect();
    let mut found = Vec::with_capacity(items.len());
    let mut before = Vec::new();
    for batch in items.chunks(BATCH) {
        control.check()?;
        let mut rows = Vec::with_capacity(batch.len() * dims.d_model);
        for Item { key, .. } in batch {
            rows.extend_from_slice(residual(&live.tokens()[key.pos], key.layer, key.site)?);
        }
        let logits = live.loaded().model.lens(&rows, live.precision())?;
        let lenses: Vec<Distribution> = logits.par_chunks_exact(dims.vocab).map(Distribution::of).collect();
        let answer_before = Distribution::of(&before);
        // The row of each item's answer; that of the first ones may be in the batch before.
        let mut answer = None;
        let answers = batch.iter().enumerate().map(|(row, item)| {
            answer = if item.wanted { answer } else { Some(row) };
            answer
        });
        let pairs: Vec<(usize, Option<usize>)> = answers.enumerate().filter(|(row, _)| batch[*row].wanted).collect();
        let cell = |(row, answer): (usize, Option<usize>)| {
            let lens = &lenses[row];
            let answer = answer.map_or(&answer_before, |row| &lenses[row]);
            let answer_id = answer.top(1)[0];
            let cell = LensCell {
                top: lens.top(top).into_iter().map(|id| live.candidate(lens, id)).collect(),
                final_rank: lens.rank(answer_id),
                final_prob: lens.prob(answer_id),
                entropy: lens.entropy(),
                kl: answer.kl(lens),
            };
            (batch[row].key, Arc::new(cell))
        };
        found.par_extend(pairs.into_par_iter().map(cell));
        if let Some(row) = answer {
            before = logits[row * dims.vocab..][..dims.vocab].to_vec();
        }
    }
    Ok(found)
}

/// A residual whose lens is computed: a cell, or what cells are compared with.
struct Item {
    key: LensKey,
    wanted: bool,
}
