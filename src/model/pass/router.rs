//! Which experts read a token (HF `MixtralTopKRouter`, transformers 5).

use super::ops::softmax;
use crate::analysis::routing;
use crate::model::precision::{Precision, Rounding};

/// Softmax over all experts, in f32, then rounded. `logits` is `[rows, experts]`; so is the result.
pub fn probabilities(mut logits: Vec<f32>, experts: usize, round: Rounding) -> Vec<f32> {
    logits.chunks_exact_mut(experts).for_each(|row| {
        softmax(row);
    });
    round.slice(&mut logits);
    logits
}

/// The `k` experts with the highest scores in each row, best first; among equal ones those that torch takes on a CPU.
/// `scores` is `[rows, experts]`, the result `[rows, k]`.
pub fn top_k(scores: &[f32], experts: usize, k: usize) -> Vec<u32> {
    scores.chunks_exact(experts).flat_map(|row| routing::top_k(row, k)).collect()
}

/// The chosen experts' probabilities, divided by their sum in f32 if they are renormalised; 0 in empty slots. `probs` is `[rows, experts]`,
/// `chosen` and the result `[rows, k]`.
pub fn mixing_weights(
    probs: &[f32],
    chosen: &[u32],
    (experts, k): (usize, usize),
    renormalise: bool,
    precision: Precision,
) -> Vec<f32> {
    let mut weights = Vec::with_capacity(chosen.len());
    for (probs, chosen) in probs.chunks_exact(experts).zip(chosen.chunks_exact(k)) {
        let of = chosen.iter().map(|e| probs.get(*e as usize).copied().unwrap_or(0.0));
        if renormalise {
            let sum = precision.choice.one(of.clone().sum());
            weights.extend(of.map(|p| precision.weights.one(p / sum)));
        } else {
            weights.extend(of.map(|p| precision.weights.one(p)));
        }
    }
    weights
}
