//! The experts of a layer: each reads the tokens that were routed to it, together.

use super::ops::{fill, silu_mul};
use super::precision::{Mixture, Precision, Rounding};
use super::products::Products;
use super::weights::{Matrix, Stored};
use anyhow::Result;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

/// Choices up to which all their experts are computed in one parallel job; with more, each keeps the threads busy by
/// itself, and the hidden values of one at a time are in memory.
const FEW: usize = 16;

/// One expert: `w2(silu(w1 x) * (w3 x))`.
pub(super) struct Expert {
    /// Gate `[d_ff, d_model]`.
    pub w1: Matrix,
    /// Down `[d_model, d_ff]`.
    pub w2: Matrix,
    /// Up `[d_ff, d_model]`.
    pub w3: Matrix,
}

impl Expert {
    /// Whether its weights are numbers in blocks, which are decoded for each token.
    pub fn is_quantised(&self) -> bool {
        matches!(self.w1.stored(), Stored::Blocks(_))
    }

    /// Has it read into memory, in the order of use: gate and up first.
    pub fn prefetch(&self) {
        [&self.w1, &self.w3, &self.w2].into_iter().for_each(Matrix::prefetch);
    }

    /// `x` is `[rows, d_model]`; so is the result.
    #[cfg(debug_assertions)]
    fn forward(&self, x: &[f32], by: (&Products, Rounding)) -> Result<Vec<f32>> {
        Ok(together(&[self], &[x], by)?.pop().unwrap_or_default())
    }
}

/// Several experts in three parallel jobs: each reads its own `[rows, d_model]`; so are the results.
fn together(experts: &[&Expert], xs: &[&[f32]], (products, round): (&Products, Rounding)) -> Result<Vec<Vec<f32>>> {
    let in_turn = || experts.iter().enumerate();
    let jobs: Vec<(usize, &Matrix)> = in_turn().flat_map(|(i, expert)| [(i, &expert.w1), (i, &expert.w3)]).collect();
    let mut read = products.linears(xs, &jobs, round)?;
    for pair in read.chunks_exact_mut(2) {
        let [hidden, up] = pair else { continue };
        silu_mul(hidden, up, round);
    }
    let hidden: Vec<&[f32]> = read.iter().step_by(2).map(Vec::as_slice).collect();
    let jobs: Vec<(usize, &Matrix)> = in_turn().map(|(i, expert)| (i, &expert.w2)).collect();
    products.linears(&hidden, &jobs, round)
}

/// Counts how often a chosen expert was in memory already, over the life of a model.
#[derive(Debug, Default)]
pub struct Paging {
    hits: AtomicU64,
    misses: AtomicU64,
}

impl Paging {
    /// Experts that were in memory when they were chosen, and those that had to be read from disk. An expert counts
    /// once a layer and pass; weights that are part of the program don't count.
    pub fn counts(&self) -> (u64, u64) {
        (self.hits.load(Ordering::Relaxed), self.misses.load(Ordering::Relaxed))
    }

    /// Looks which of the `chosen` experts are in memory and has the others read while the first are computed.
    pub(super) fn fetch(&self, experts: &[Expert], chosen: &[u32]) {
        let chosen: BTreeSet<usize> = chosen.iter().map(|e| *e as usize).collect();
        let mut missing = Vec::new();
        for expert in chosen.into_iter().filter_map(|e| experts.get(e)) {
            let found = expert.w1.residency().and(expert.w2.residency()).and(expert.w3.residency());
            match found.is_whole() {
                _ if found.sampled == 0 => {}
                true => drop(self.hits.fetch_add(1, Ordering::Relaxed)),
                false => missing.push(expert),
            }
        }
        self.misses.fetch_add(missing.len() as u64, Ordering::Relaxed);
        missing.into_iter().for_each(Expert::prefetch);
    }
}

/// Output of each chosen expert before weighting, `[rows, k, d_model]`. `x` is `[rows, d_model]`, `chosen` `[rows, k]`.
/// `between` hears how many of how many experts are done, and may stop.
pub(super) fn outputs(
    experts: &[Expert],
    x: &[f32],
    (chosen, k): (&[u32], usize),
    by: (&Products, Rounding),
    between: &mut dyn FnMut(usize, usize) -> Result<()>,
) -> Result<Vec<f32>> {
    let d_model = x.len() * k / chosen.len().max(1);
    let mut out = vec![0f32; chosen.len() * d_model];
    let slots_of = |index: usize| (0..chosen.len()).filter(move |slot| chosen[*slot] as usize == index);
    let active: Vec<usize> = (0..experts.len()).filter(|index| slots_of(*index).next().is_some()).collect();
    let at_once = if chosen.len() <= FEW { active.len() } else { 1 };
    for (done, group) in active.chunks(at_once.max(1)).enumerate() {
        if done > 0 {
            between(done, active.len())?;
        }
        let routed: Vec<Vec<f32>> = group
            .iter()
            .map(|index| {
                let mut rows = Vec::with_capacity(slots_of(*index).count() * d_model);
                slots_of(*index).for_each(|slot| rows.extend_from_slice(&x[slot / k * d_model..][..d_model]));
                rows
            })
            .collect();
        let rows: Vec<&[f32]> = routed.iter().map(Vec::as_slice).collect();
        let chosen: Vec<&Expert> = group.iter().map(|index| &experts[*index]).collect();
        for (index, result) in group.iter().zip(together(&chosen, &rows, by)?) {
            for (slot, row) in slots_of(*index).zip(result.chunks_exact(d_model)) {
                out[slot * d_model..][..d_model].copy_from_slice(row);
            }
        }
    }
    Ok(out)
}

/// Weighted sum of the experts' outputs: in f32, best expert first, rounded once (HF `grouped_mm`), or added one by one in
/// the order of their indices, each sum rounded (HF `eager`).
/// `outputs` is `[rows, k, d_model]`, `weights` and `chosen` `[rows, k]`, the result `[rows, d_model]`.
pub(super) fn combine(outputs: &[f32], weights: &[f32], chosen: &[u32], k: usize, precision: Precision) -> Vec<f32> {
    let d_model = outputs.len() / weights.len().max(1);
    let mut out = vec![0f32; weights.len() / k * d_model];
    let Mixture { product, sum } = precision.mixture;
    fill(&mut out, d_model, |from, out| {
        let mut slots: Vec<usize> = Vec::with_capacity(k);
        for (row, out) in (from / d_model.max(1)..).zip(out.chunks_exact_mut(d_model)) {
            slots.clear();
            slots.extend(row * k..(row + 1) * k);
            if sum.is_some() {
                slots.sort_by_key(|slot| chosen[*slot]);
            }
            let sum = sum.unwrap_or(Rounding::None);
            for slot in &slots {
                for (out, value) in out.iter_mut().zip(&outputs[slot * d_model..][..d_model]) {
                    *out = sum.one(*out + product.one(weights[*slot] * value));
                }
            }
            precision.module.slice(out);
        }
    });
    out
}

/// The dispatch of TransformerLens 1.17 (#570): every expert that a token chose reads the whole sequence, and is added
/// to all of it with the weight that its last token gave it.
#[cfg(debug_assertions)]
pub(super) fn whole_sequence(
    experts: &[Expert],
    x: &[f32],
    (chosen, weights): (&[u32], &[f32]),
    k: usize,
    (products, precision): (&Products, Precision),
) -> Result<Vec<f32>> {
    let d_model = x.len() * k / chosen.len().max(1);
    let mut out = vec![0f32; x.len()];
    for (index, expert) in experts.iter().enumerate() {
        let Some(last) = chosen.iter().rposition(|e| *e as usize == index) else { continue };
        let read = expert.forward(x, (products, precision.module))?;
        for (out, read) in out.chunks_exact_mut(d_model).zip(read.chunks_exact(d_model)) {
            out.iter_mut().zip(read).for_each(|(out, value)| *out += weights[last] * value);
        }
    }
    precision.module.slice(&mut out);
    Ok(out)
}
