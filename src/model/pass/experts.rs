//! The experts of a layer: each reads the tokens that were routed to it, together.

use super::ops::{clamped_swiglu, silu_mul};
use crate::model::arch::Glu;
use crate::model::precision::{Precision, Rounding};
use crate::model::products::Products;
use crate::model::weights::{Matrix, Stored};
use anyhow::Result;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

/// Up to this many choices, all experts are computed in one parallel job. With more, each expert alone keeps the
/// threads busy, and only the hidden values of one expert are in memory.
const FEW: usize = 16;

/// One expert: `w2(silu(w1 x) * (w3 x))`, or with another activation.
#[derive(Clone)]
pub struct Expert {
    /// Gate `[d_ff, d_model]`.
    pub w1: Matrix,
    /// Down `[d_model, d_ff]`.
    pub w2: Matrix,
    /// Up `[d_ff, d_model]`.
    pub w3: Matrix,
}

impl Expert {
    /// Whether its weights are in blocks, which are decoded for each token.
    pub fn is_quantised(&self) -> bool {
        matches!(self.w1.stored(), Stored::Blocks(_) | Stored::Mxfp4)
    }

    /// Asks the system to read it into memory, in the order of use: gate and up first.
    pub fn prefetch(&self) {
        [&self.w1, &self.w3, &self.w2].into_iter().for_each(Matrix::prefetch);
    }

    /// `x` is `[rows, d_model]`; so is the result.
    pub fn forward(&self, x: &[f32], activation: Glu, by: (&Products, Rounding)) -> Result<Vec<f32>> {
        Ok(together(&[self], &[x], activation, by)?.pop().unwrap_or_default())
    }
}

/// Several experts in three parallel jobs. Each reads its own `[rows, d_model]`, and its result has that shape.
fn together(
    experts: &[&Expert],
    xs: &[&[f32]],
    activation: Glu,
    (products, round): (&Products, Rounding),
) -> Result<Vec<Vec<f32>>> {
    let in_order = || experts.iter().enumerate();
    let jobs: Vec<(usize, &Matrix)> = in_order().flat_map(|(i, expert)| [(i, &expert.w1), (i, &expert.w3)]).collect();
    let mut read = products.linears(xs, &jobs, round)?;
    for pair in read.chunks_exact_mut(2) {
        let [hidden, up] = pair else { continue };
        match activation {
            Glu::Silu => silu_mul(hidden, up, round),
            Glu::Clamped { alpha, limit } => clamped_swiglu(hidden, up, (alpha, limit), round),
        }
    }
    let hidden: Vec<&[f32]> = read.iter().step_by(2).map(Vec::as_slice).collect();
    let jobs: Vec<(usize, &Matrix)> = in_order().map(|(i, expert)| (i, &expert.w2)).collect();
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
    /// once per layer and pass; weights that are part of the program don't count.
    pub fn counts(&self) -> (u64, u64) {
        (self.hits.load(Ordering::Relaxed), self.misses.load(Ordering::Relaxed))
    }

    /// Counts which of the `chosen` experts are in memory, and asks the system to read the others while the first are
    /// computed.
    pub fn fetch(&self, experts: &[Expert], chosen: &[u32]) {
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

/// Tokens and the experts that read them.
#[derive(Clone, Copy)]
pub struct Routed<'a> {
    /// What the experts read `[rows, d_model]`.
    pub x: &'a [f32],
    /// The chosen experts `[rows, k]`.
    pub chosen: &'a [u32],
    /// Their mixing weights `[rows, k]`.
    pub weights: &'a [f32],
    /// Experts of a token.
    pub k: usize,
    /// What an expert does between its matrices.
    pub activation: Glu,
}

impl Routed<'_> {
    fn d_model(&self) -> usize {
        self.x.len() * self.k / self.chosen.len().max(1)
    }
}

/// Output of each chosen expert before weighting, `[rows, k, d_model]`. `between` is called between two experts with the
/// number of those that are computed and of all; its error stops the work.
pub fn outputs(
    experts: &[Expert],
    routed: Routed,
    (products, precision): (&Products, Precision),
    between: &dyn Fn(usize, usize) -> Result<()>,
) -> Result<Vec<f32>> {
    let (Routed { x, chosen, k, activation, .. }, d_model) = (routed, routed.d_model());
    let mut out = vec![0f32; chosen.len() * d_model];
    let slots_of = |index: usize| (0..chosen.len()).filter(move |slot| chosen[*slot] as usize == index);
    let active: Vec<usize> = (0..experts.len()).filter(|index| slots_of(*index).next().is_some()).collect();
    let at_once = if chosen.len() <= FEW { active.len() } else { 1 };
    for (done, group) in active.chunks(at_once.max(1)).enumerate() {
        if done > 0 {
            between(done, active.len())?;
        }
        let rows: Vec<Vec<f32>> = group
            .iter()
            .map(|index| {
                let mut rows = Vec::with_capacity(slots_of(*index).count() * d_model);
                slots_of(*index).for_each(|slot| rows.extend_from_slice(&x[slot / k * d_model..][..d_model]));
                rows
            })
            .collect();
        let rows: Vec<&[f32]> = rows.iter().map(Vec::as_slice).collect();
        let read: Vec<&Expert> = group.iter().map(|index| &experts[*index]).collect();
        for (index, result) in group.iter().zip(together(&read, &rows, activation, (products, precision.module))?) {
            for (slot, row) in slots_of(*index).zip(result.chunks_exact(d_model)) {
                out[slot * d_model..][..d_model].copy_from_slice(row);
            }
        }
    }
    Ok(out)
}
