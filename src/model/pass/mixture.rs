//! The experts' outputs become one value per token.

use super::experts::{Expert, Routed};
use super::ops::{fill, sigmoid};
use crate::model::arch::Dispatch;
use crate::model::precision::{Mixture, Precision, Rounding};
use crate::model::products::Products;
use crate::trace::NO_EXPERT;
use anyhow::Result;

/// The sum of the experts' `outputs` `[rows, k, d_model]`, weighted; `[rows, d_model]`.
pub fn mix(
    dispatch: Dispatch,
    experts: &[Expert],
    routed: Routed,
    outputs: &[f32],
    by: (&Products, Precision),
) -> Result<Vec<f32>> {
    match dispatch {
        Dispatch::Chosen => Ok(combine(outputs, routed.weights, routed.chosen, routed.k, by.1)),
        Dispatch::WholeSequence => whole_sequence(experts, routed, by),
    }
}

/// Weighted sum of the experts' outputs: in f32, best expert first, rounded once (HF `grouped_mm`), or added one by one
/// in the order of their indices, each sum rounded (HF `eager`). `outputs` is `[rows, k, d_model]`, `weights` and
/// `chosen` `[rows, k]`, the result `[rows, d_model]`.
pub fn combine(outputs: &[f32], weights: &[f32], chosen: &[u32], k: usize, precision: Precision) -> Vec<f32> {
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
            for slot in slots.iter().filter(|slot| chosen[**slot] != NO_EXPERT) {
                for (out, value) in out.iter_mut().zip(&outputs[slot * d_model..][..d_model]) {
                    *out = sum.one(*out + product.one(weights[*slot] * value));
                }
            }
            precision.module.slice(out);
        }
    });
    out
}

/// `mixed` plus the shared expert's output `out` times the sigmoid of its `gate`, each operation rounded (HF
/// `Qwen2MoeSparseMoeBlock`). `mixed` and `out` are `[rows, d_model]`, `gate` is `[rows]`.
pub fn add_shared(mixed: Vec<f32>, out: &[f32], gate: &[f32], round: Rounding) -> Vec<f32> {
    let mut mixed = mixed;
    let d_model = mixed.len() / gate.len().max(1);
    for ((mixed, out), gate) in mixed.chunks_exact_mut(d_model).zip(out.chunks_exact(d_model)).zip(gate) {
        let gate = round.one(sigmoid(*gate));
        mixed.iter_mut().zip(out).for_each(|(mixed, out)| *mixed = round.one(*mixed + round.one(gate * out)));
    }
    mixed
}

/// The dispatch of TransformerLens 1.17 (#570): every expert that a token chose reads the whole sequence, and is added
/// to all of it with the weight that its last token gave it.
fn whole_sequence(
    experts: &[Expert],
    routed: Routed,
    (products, precision): (&Products, Precision),
) -> Result<Vec<f32>> {
    let Routed { x, chosen, weights, k, activation } = routed;
    let d_model = x.len() * k / chosen.len().max(1);
    let mut out = vec![0f32; x.len()];
    for (index, expert) in experts.iter().enumerate() {
        let Some(last) = chosen.iter().rposition(|e| *e as usize == index) else { continue };
        let read = expert.forward(x, activation, (products, precision.module))?;
        for (out, read) in out.chunks_exact_mut(d_model).zip(read.chunks_exact(d_model)) {
            out.iter_mut().zip(read).for_each(|(out, value)| *out += weights[last] * value);
        }
    }
    precision.module.slice(&mut out);
    Ok(out)
}
