use super::{layers_of, share};
use crate::analysis::sweep::{Count, Sum, Sweep, Total};
use crate::analysis::tables::row::table;

table! {
    "experts.csv";
    /// One row for each group, phase, layer and expert: usage, specialisation and the size of the outputs.
    pub struct ExpertRow<'a> {
        /// Name of the group.
        group: &'a str,
        /// `prefill` or `decode`.
        phase: &'static str,
        /// Decoder layer, from 0.
        layer: usize,
        /// Expert, from 0.
        expert: usize,
        /// Tokens that the layer routed.
        tokens: u64,
        /// Tokens whose first choice the expert is.
        first: u64,
        /// Tokens that chose the expert.
        chosen: u64,
        /// The same without near-ties, which one unit in the last place could have sent elsewhere.
        chosen_clear: u64,
        /// `first` / `tokens`, 0 to 1.
        first_share: Option<f64>,
        /// `chosen` / all choices of the layer, 0 to 1.
        share: Option<f64>,
        /// Domain specialisation: `chosen` / `tokens`, 0 to 1.
        specialisation: Option<f64>,
        /// The specialisation of experts that are chosen at random: k / E.
        specialisation_at_random: f64,
        /// Mean mixing weight over the tokens that chose the expert.
        mean_weight: Option<f64>,
        /// Mean router probability over all tokens.
        mean_prob: Option<f64>,
        /// Mean L2 norm of the expert's output over the tokens that chose it, before weighting.
        mean_norm: Option<f64>,
        /// EAN: the sum of these norms.
        ean: Option<f64>,
        /// REAP: the mean over the same tokens of norm times mixing weight.
        reap: Option<f64>,
        /// Largest magnitude in the expert's outputs, by which super experts are found.
        largest: Option<f32>,
    }
}

/// The rows of `experts.csv`.
pub fn experts(sweep: &Sweep) -> impl Iterator<Item = ExpertRow<'_>> {
    layers_of(sweep).flat_map(|(group, phase, layer, counts)| {
        let shape = counts.shape();
        let tokens = counts.one(Count::Tokens, layer);
        let choices: u64 = counts.of(Count::Chosen, layer).iter().sum();
        (0..shape.experts).map(move |expert| {
            let of = |count| counts.of(count, layer)[expert];
            let total = |total| counts.total(total, layer)[expert];
            let chosen = of(Count::Chosen);
            // A sum of what is never 0 says whether it was known.
            let mean = |sum: Sum, count| sum.mean(count).filter(|_| sum != Sum::default());
            ExpertRow {
                group,
                phase: phase.name(),
                layer,
                expert,
                tokens,
                first: of(Count::First),
                chosen,
                chosen_clear: of(Count::Clear),
                first_share: share(of(Count::First), tokens),
                share: share(chosen, choices),
                specialisation: share(chosen, tokens),
                specialisation_at_random: shape.top_k as f64 / shape.experts as f64,
                mean_weight: mean(total(Total::Weight), chosen),
                mean_prob: mean(total(Total::Prob), tokens),
                mean_norm: mean(total(Total::Norm), chosen),
                ean: mean(total(Total::Norm), 1),
                reap: mean(total(Total::WeightedNorm), chosen),
                largest: Some(counts.largest(layer)[expert]).filter(|largest| *largest > 0.0),
            }
        })
    })
}
