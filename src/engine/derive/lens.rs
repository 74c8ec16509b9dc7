//! Cells of the logit lens: what each residual would predict.

use super::captured::residual;
use crate::control::Control;
use crate::engine::run::{Live, Run};
use crate::model::Distribution;
use crate::protocol::Derived;
use crate::trace::{LensCell, LensKey, LensSite};
use anyhow::{Result, ensure};
use rayon::prelude::*;
use std::sync::Arc;

/// Residuals that go through the unembedding together; cancellation is checked between such batches.
pub(super) const BATCH: usize = 48;
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
    let mut wanted: Vec<LensKey> =
        cells.iter().copied().filter(|cell| cell.pos < live.tokens().len() && cell.layer < dims.layers).collect();
    wanted.sort_by_key(|cell| cell.pos);
    let items = items(&wanted, dims.layers - 1);
    let mut found: Vec<Option<Arc<LensCell>>> = vec![None; wanted.len()];
    // The answer of the position at which a batch begins: its logits, and its best token.
    let mut before: (Vec<f32>, usize) = (Vec::new(), 0);
    for batch in items.chunks(BATCH) {
        control.check()?;
        let mut rows = Vec::with_capacity(batch.len() * dims.d_model);
        for Item { key, .. } in batch {
            rows.extend_from_slice(residual(&live.tokens()[key.pos], key.layer, key.site)?);
        }
        let logits = live.loaded().model.lens(&rows, live.precision())?;
        let lenses: Vec<Distribution> = logits.par_chunks_exact(dims.vocab).map(Distribution::of).collect();
        let answer_before = Distribution::of(&before.0);
        let mut answer = None;
        let mut compared = Vec::with_capacity(batch.len());
        for (row, item) in batch.iter().enumerate() {
            if item.is_answer {
                answer = Some((row, lenses[row].top(1)[0]));
            }
            compared.extend(item.cell.map(|cell| (cell, row, answer)));
        }
        let cells = compared.into_par_iter().map(|(cell, row, answer)| {
            let lens = &lenses[row];
            let (answer, id) = answer.map_or((&answer_before, before.1), |(row, id)| (&lenses[row], id));
            let top = lens.top(top).into_iter().map(|id| live.candidate(lens, id)).collect();
            let (final_rank, final_prob) = (lens.rank(id), lens.prob(id));
            (cell, LensCell { top, final_rank, final_prob, entropy: lens.entropy(), kl: answer.kl(lens) })
        });
        for (cell, of) in cells.collect::<Vec<_>>() {
            found[cell] = Some(Arc::new(of));
        }
        if let Some((row, id)) = answer {
            before = (logits[row * dims.vocab..][..dims.vocab].to_vec(), id);
        }
    }
    Ok(wanted.into_iter().zip(found).filter_map(|(key, cell)| Some((key, cell?))).collect())
}

/// A residual whose lens is computed.
struct Item {
    key: LensKey,
    /// Its number among the wanted cells.
    cell: Option<usize>,
    /// Whether it is the last residual of its position, with which the position's cells are compared.
    is_answer: bool,
}

/// The wanted cells, those of each position after its answer.
fn items(wanted: &[LensKey], last: usize) -> Vec<Item> {
    let mut items = Vec::with_capacity(wanted.len());
    let mut first = 0;
    for keys in wanted.chunk_by(|a, b| a.pos == b.pos) {
        let answer = LensKey { pos: keys[0].pos, layer: last, site: LensSite::ResidPost };
        let cell = keys.iter().position(|key| *key == answer).map(|i| first + i);
        items.push(Item { key: answer, cell, is_answer: true });
        let others = keys.iter().enumerate().map(|(i, key)| (first + i, *key)).filter(|(i, _)| Some(*i) != cell);
        items.extend(others.map(|(i, key)| Item { key, cell: Some(i), is_answer: false }));
        first += keys.len();
    }
    items
}
