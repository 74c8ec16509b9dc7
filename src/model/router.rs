//! Which experts read a token (HF `MixtralTopKRouter`, transformers 5).

use super::ops::softmax;
use super::precision::Rounding;
use crate::analysis::routing::ranked;

/// Softmax over all experts, in f32, then rounded. `logits` is `[rows, experts]`; so is the result.
pub fn probabilities(logits: &[f32], experts: usize, round: Rounding) -> Vec<f32> {
    let mut probs = logits.to_vec();
    probs.chunks_exact_mut(experts).for_each(|row| {
        softmax(row);
    });
    round.slice(&mut probs);
    probs
}

/// The `k` most probable experts of each row, best first; among equals the lower index (torch leaves it open).
/// `probs` is `[rows, experts]`, the result `[rows, k]`.
pub fn choose(probs: &[f32], experts: usize, k: usize) -> Vec<u32> {
    probs.chunks_exact(experts).flat_map(|row| ranked(row).into_iter().take(k).map(|e| e as u32)).collect()
}

/// The chosen experts' probabilities as they are. `probs` is `[rows, experts]`, `chosen` and the result `[rows, k]`.
pub fn chosen_probabilities(probs: &[f32], chosen: &[u32], (experts, k): (usize, usize)) -> Vec<f32> {
    let rows = probs.chunks_exact(experts).zip(chosen.chunks_exact(k));
    rows.flat_map(|(probs, chosen)| chosen.iter().map(|e| probs[*e as usize])).collect()
}

/// The chosen experts' probabilities divided by their sum, in f32; `round_sum` rounds the sum, `round` the result.
/// `chosen` is `[rows, k]`; so is the result.
pub fn mixing_weights(
    probs: &[f32],
    chosen: &[u32],
    (experts, k): (usize, usize),
    round_sum: Rounding,
    round: Rounding,
) -> Vec<f32> {
    let mut weights = Vec::with_capacity(chosen.len());
    for (probs, chosen) in probs.chunks_exact(experts).zip(chosen.chunks_exact(k)) {
        let sum = round_sum.one(chosen.iter().map(|e| probs[*e as usize]).sum());
        weights.extend(chosen.iter().map(|e| round.one(probs[*e as usize] / sum)));
    }
    weights
}
