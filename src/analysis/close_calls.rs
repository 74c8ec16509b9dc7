//! The routing choices of a run that were narrowest.

use super::routing::TokenRouting;
use crate::trace::{Dtype, TokenRecord};
use std::sync::Arc;

/// A choice, and how narrow it was.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CloseCall {
    /// Position in the run.
    pub pos: usize,
    /// Decoder layer.
    pub layer: usize,
    /// The last chosen expert.
    pub kept: usize,
    /// The best expert that was not chosen.
    pub lost: usize,
    /// Their logits' difference.
    pub gap: f32,
    /// The difference in rounding steps of the dtype at the larger logit; up to 1 is a near-tie.
    pub steps: f32,
}

impl CloseCall {
    /// Whether one rounding step could have chosen otherwise.
    pub fn is_near_tie(&self) -> bool {
        self.steps <= 1.0
    }
}

/// The at most `most` narrowest choices of `tokens`, narrowest first: by rounding steps of `dtype`, then by gap, then
/// by position and layer. `first` is the position of the first of them, `layers` those of the model.
pub fn close_calls(
    tokens: &[Arc<TokenRecord>],
    first: usize,
    layers: usize,
    dtype: Dtype,
    most: usize,
) -> Vec<CloseCall> {
    let mut calls: Vec<CloseCall> = Vec::new();
    for (i, token) in tokens.iter().enumerate() {
        for layer in 0..layers {
            let Some(choice) = TokenRouting::choice(token, layer) else { continue };
            let (Some(margin), Some(kept), Some(lost)) = (choice.margin(), choice.chosen.last(), choice.runner_up())
            else {
                continue;
            };
            let steps = margin.gap / dtype.ulp(margin.scale);
            calls.push(CloseCall { pos: first + i, layer, kept: *kept as usize, lost, gap: margin.gap, steps });
        }
        // Keeps the work list short on long runs.
        if calls.len() > 16 * most.max(64) {
            keep_narrowest(&mut calls, most);
        }
    }
    keep_narrowest(&mut calls, most);
    calls
}

/// Sorts calls by how narrow they were and drops all but the first `most`.
pub fn keep_narrowest(calls: &mut Vec<CloseCall>, most: usize) {
    calls.sort_by(|a, b| {
        let by_margin = a.steps.total_cmp(&b.steps).then(a.gap.total_cmp(&b.gap));
        by_margin.then(a.pos.cmp(&b.pos)).then(a.layer.cmp(&b.layer))
    });
    calls.truncate(most);
}
