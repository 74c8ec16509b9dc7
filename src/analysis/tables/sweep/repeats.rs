use super::{layers_of, share};
use crate::analysis::routing::repeats_at_random;
use crate::analysis::sweep::{Count, Sweep};
use crate::analysis::tables::row::table;

table! {
    "repeats.csv";
    /// One row for each group, phase and layer: how often a token goes to the experts of the token before it.
    pub struct RepeatRow<'a> {
        /// Name of the group.
        group: &'a str,
        /// `prefill` or `decode`.
        phase: &'static str,
        /// Decoder layer, from 0.
        layer: usize,
        /// Tokens with a token before them in their window.
        neighbours: u64,
        /// Of those, tokens with the first choice of the token before.
        same_first: u64,
        /// `same_first` / `neighbours`, 0 to 1.
        first_share: Option<f64>,
        /// What `first_share` would be if experts were drawn uniformly at random: 1 / E.
        first_at_random: f32,
        /// Tokens that share at least one of their experts with the token before.
        same_any: u64,
        /// `same_any` / `neighbours`, 0 to 1.
        any_share: Option<f64>,
        /// What `any_share` would be at random: 1 - C(E - k, k) / C(E, k).
        any_at_random: f32,
    }
}

/// The rows of `repeats.csv`.
pub fn repeats(sweep: &Sweep) -> impl Iterator<Item = RepeatRow<'_>> {
    layers_of(sweep).map(|(group, phase, layer, counts)| {
        let one = |count| counts.one(count, layer);
        let (neighbours, same_first, same_any) = (one(Count::Neighbours), one(Count::SameFirst), one(Count::SameAny));
        let (first_at_random, any_at_random) = repeats_at_random(counts.shape().experts, counts.shape().top_k);
        RepeatRow {
            group,
            phase: phase.name(),
            layer,
            neighbours,
            same_first,
            first_share: share(same_first, neighbours),
            first_at_random,
            same_any,
            any_share: share(same_any, neighbours),
            any_at_random,
        }
    })
}
