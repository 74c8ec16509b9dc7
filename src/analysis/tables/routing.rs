use super::row::table;
use crate::analysis::routing::TokenRouting;
use crate::trace::TokenRecord;
use anyhow::{Context, Result};

table! {
    "routing.csv";
    /// One row for each token, layer and expert.
    pub struct RoutingRow {
        /// Position of the token, from 0.
        position: usize,
        /// Decoder layer, from 0.
        layer: usize,
        /// Expert, from 0.
        expert: usize,
        /// Router logit of the expert.
        logit: f32,
        /// Probability of the expert: softmax over all experts.
        prob: f32,
        /// Rank of the expert, from 1; the chosen experts come first.
        rank: usize,
        /// Mixing weight, renormalised over the chosen experts; 0 if the expert was not chosen.
        weight: f32,
    }
}

/// The rows of `routing.csv` for one token and layer.
///
/// # Errors
/// If the routing was not captured.
pub fn routing(token: &TokenRecord, position: usize, layer: usize) -> Result<impl Iterator<Item = RoutingRow>> {
    let routing = TokenRouting::of(token, layer)
        .with_context(|| format!("the routing of layer {layer} was not captured at position {position}"))?;
    let mut ranks = vec![0; routing.logits.len()];
    for (rank, expert) in routing.ranking().into_iter().enumerate() {
        ranks[expert] = rank + 1;
    }
    Ok(ranks.into_iter().enumerate().map(move |(expert, rank)| RoutingRow {
        position,
        layer,
        expert,
        logit: routing.logits[expert],
        prob: routing.probs[expert],
        rank,
        weight: routing.weight_of(expert).unwrap_or(0.0),
    }))
}
