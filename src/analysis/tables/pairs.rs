use super::row::table;
use crate::analysis::usage::LayerUsage;

table! {
    "routing.pairs";
    /// One row for each pair of different experts of a layer, in both orders.
    pub struct PairRow {
        /// Decoder layer, from 0.
        layer: usize,
        /// Expert, from 0.
        expert: usize,
        /// The other expert.
        with: usize,
        /// How many tokens chose both.
        together: u32,
        /// Their share of the tokens that chose `expert`, 0 to 1; empty if none did.
        share: Option<f64>,
    }
}

/// The rows of `routing.pairs` for one expert.
pub fn pairs(layer: usize, usage: &LayerUsage, expert: usize) -> impl Iterator<Item = PairRow> {
    (0..usage.chosen.len()).filter(move |other| *other != expert).map(move |with| PairRow {
        layer,
        expert,
        with,
        together: usage.together(expert, with),
        share: usage.also(expert, with),
    })
}
