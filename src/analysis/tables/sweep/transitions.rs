use super::{layers_of, share};
use crate::analysis::sweep::{Count, Sweep};
use crate::analysis::tables::row::table;

table! {
    "transitions.csv";
    /// One row for each group, phase, layer, expert of it and expert of the next layer, if a token chose both.
    pub struct TransitionRow<'a> {
        /// Name of the group.
        group: &'a str,
        /// `prefill` or `decode`.
        phase: &'static str,
        /// Decoder layer, from 0; the next one is `layer` + 1.
        layer: usize,
        /// Expert of this layer.
        expert: usize,
        /// Expert of the next layer.
        next_expert: usize,
        /// Tokens whose first choices they are.
        first: u64,
        /// `first` / tokens whose first choice `expert` is, 0 to 1.
        first_share: Option<f64>,
        /// Tokens that chose both.
        chosen: u64,
        /// `chosen` / tokens that chose `expert`, 0 to 1.
        share: Option<f64>,
    }
}

/// The rows of `transitions.csv`.
pub fn transitions(sweep: &Sweep) -> impl Iterator<Item = TransitionRow<'_>> {
    let with_next = layers_of(sweep).filter(|(_, _, layer, counts)| layer + 1 < counts.shape().layers);
    with_next.flat_map(|(group, phase, layer, counts)| {
        let experts = counts.shape().experts;
        let all = (0..experts).flat_map(move |a| (0..experts).map(move |b| (a, b)));
        all.filter_map(move |(expert, next_expert)| {
            let of = |count| counts.of(count, layer)[expert * experts + next_expert];
            let (first, chosen) = (of(Count::NextFirst), of(Count::NextChosen));
            (chosen > 0).then(|| TransitionRow {
                group,
                phase: phase.name(),
                layer,
                expert,
                next_expert,
                first,
                first_share: share(first, counts.of(Count::First, layer)[expert]),
                chosen,
                share: share(chosen, counts.of(Count::Chosen, layer)[expert]),
            })
        })
    })
}
