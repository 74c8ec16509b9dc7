use super::{layers_of, share};
use crate::analysis::sweep::{Count, Sweep};
use crate::analysis::tables::row::table;

table! {
    "pairs.csv";
    /// One row for each group, phase, layer and pair of different experts, in both orders, if a token chose both.
    pub struct PairRow<'a> {
        /// Name of the group.
        group: &'a str,
        /// `prefill` or `decode`.
        phase: &'static str,
        /// Decoder layer, from 0.
        layer: usize,
        /// Expert, from 0.
        expert: usize,
        /// The other expert.
        with: usize,
        /// How many tokens chose both.
        together: u64,
        /// Co-activation: `together` / tokens that chose `expert`, 0 to 1.
        share: Option<f64>,
        /// Of `together`, tokens that chose them on neighbouring ranks.
        adjacent: u64,
        /// `adjacent` / tokens that chose `expert`: what OLMoE's script counts as co-activation.
        adjacent_share: Option<f64>,
    }
}

/// The rows of `pairs.csv`.
pub fn pairs(sweep: &Sweep) -> impl Iterator<Item = PairRow<'_>> {
    layers_of(sweep).flat_map(|(group, phase, layer, counts)| {
        let shape = counts.shape();
        let all = (0..shape.experts).flat_map(move |a| (0..shape.experts).map(move |b| (a, b)));
        all.filter(|(a, b)| a != b).filter_map(move |(expert, with)| {
            let of = |count| counts.of(count, layer)[shape.pair(expert, with)];
            let chosen = counts.of(Count::Chosen, layer)[expert];
            let (together, adjacent) = (of(Count::Pairs), of(Count::Adjacent));
            (together > 0).then(|| PairRow {
                group,
                phase: phase.name(),
                layer,
                expert,
                with,
                together,
                share: share(together, chosen),
                adjacent,
                adjacent_share: share(adjacent, chosen),
            })
        })
    })
}
