use super::{layers_of, share};
use crate::analysis::sweep::{Count, Sweep};
use crate::analysis::tables::row::table;

table! {
    "positions.csv";
    /// One row for each group, phase, layer, range of positions in a window (0, 1 to 2, 3 to 6, 7 to 14, and so on) and expert.
    pub struct PositionRow<'a> {
        /// Name of the group.
        group: &'a str,
        /// `prefill` or `decode`.
        phase: &'static str,
        /// Decoder layer, from 0.
        layer: usize,
        /// First position of the range, from 0.
        from: usize,
        /// Last position of the range.
        to: usize,
        /// Expert, from 0.
        expert: usize,
        /// Tokens in the range that the layer routed.
        tokens: u64,
        /// Of those, tokens whose first choice the expert is.
        first: u64,
        /// Tokens that chose the expert.
        chosen: u64,
        /// `first` / `tokens`, 0 to 1.
        first_share: Option<f64>,
        /// `chosen` / `tokens`, 0 to 1.
        specialisation: Option<f64>,
    }
}

/// The rows of `positions`: ranges without a token have none.
pub fn positions(sweep: &Sweep) -> impl Iterator<Item = PositionRow<'_>> {
    layers_of(sweep).flat_map(|(group, phase, layer, counts)| {
        let shape = counts.shape();
        let of = move |count, range: usize| &counts.of(count, layer)[range * shape.experts..][..shape.experts];
        (0..shape.ranges()).flat_map(move |range| {
            let (firsts, chosen) = (of(Count::PlaceFirst, range), of(Count::PlaceChosen, range));
            let tokens: u64 = firsts.iter().sum();
            let (from, to) = shape.range(range);
            let row = move |expert: usize| PositionRow {
                group,
                phase: phase.name(),
                layer,
                from,
                to,
                expert,
                tokens,
                first: firsts[expert],
                chosen: chosen[expert],
                first_share: share(firsts[expert], tokens),
                specialisation: share(chosen[expert], tokens),
            };
            (0..if tokens > 0 { shape.experts } else { 0 }).map(row)
        })
    })
}
