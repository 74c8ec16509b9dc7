use super::choice::TokenRouting;
use crate::trace::{Dtype, TokenRecord};
use std::sync::Arc;

/// A narrow choice of experts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CloseCall {
    /// Position in the run.
    pub pos: usize,
    /// Decoder layer.
    pub layer: usize,
    /// The last chosen expert.
    pub kept: usize,
    /// The best rejected expert.
    pub lost: usize,
    /// The difference of their logits.
    pub gap: f32,
    /// The difference in ulps at the larger logit.
    pub ulps: f32,
}

impl CloseCall {
    /// Whether one ulp could have chosen another expert.
    pub fn is_near_tie(&self) -> bool {
        self.ulps <= 1.0
    }
}

/// The `most` narrowest choices of `tokens`, narrowest first: by ulps of `dtype`, then by gap, position and layer. `first`
/// is the position of the first token; `layers` is the number of layers of the model.
pub fn closest_calls(
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
            let (pos, kept) = (first + i, *kept as usize);
            calls.push(CloseCall { pos, layer, kept, lost, gap: margin.gap, ulps: margin.ulps(dtype) });
        }
        // Keeps the work list short on long runs.
        if calls.len() > 16 * most.max(64) {
            keep_narrowest(&mut calls, most);
        }
    }
    keep_narrowest(&mut calls, most);
    calls
}

/// Sorts choices by how narrow they are and drops all but the first `most`.
pub fn keep_narrowest(calls: &mut Vec<CloseCall>, most: usize) {
    calls.sort_by(|a, b| {
        let by_margin = a.ulps.total_cmp(&b.ulps).then(a.gap.total_cmp(&b.gap));
        by_margin.then(a.pos.cmp(&b.pos)).then(a.layer.cmp(&b.layer))
    });
    calls.truncate(most);
}
