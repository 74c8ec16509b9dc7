use super::row::table;
use crate::analysis::usage::LayerUsage;

table! {
    "routing.load";
    /// One row for each layer and expert.
    pub struct UsageRow {
        /// Decoder layer, from 0.
        layer: usize,
        /// Expert, from 0.
        expert: usize,
        /// Share of the tokens that have the expert as their first choice, 0 to 1.
        first_share: Option<f64>,
        /// Share of all choices of the layer that fall on the expert, 0 to 1.
        share: Option<f64>,
        /// Mean mixing weight over the tokens that chose the expert; empty if none did.
        mean_weight: Option<f64>,
    }
}

/// The rows of `routing.load` for one layer.
pub fn usage(layer: usize, usage: &LayerUsage) -> impl Iterator<Item = UsageRow> {
    (0..usage.chosen.len()).map(move |expert| UsageRow {
        layer,
        expert,
        first_share: usage.first_share(expert),
        share: usage.chosen_share(expert),
        mean_weight: usage.mean_weight(expert),
    })
}
