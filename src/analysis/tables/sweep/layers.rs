use super::{layers_of, share};
use crate::analysis::sweep::{Count, Sweep, Total};
use crate::analysis::tables::row::table;

table! {
    "layers.csv";
    /// One row for each group, phase and layer: how sure the router was, and how evenly it used its experts.
    pub struct LayerRow<'a> {
        /// Name of the group.
        group: &'a str,
        /// `prefill` or `decode`.
        phase: &'static str,
        /// Decoder layer, from 0.
        layer: usize,
        /// Tokens that the layer routed.
        tokens: u64,
        /// Mean entropy of the router's probabilities, nats.
        entropy: Option<f64>,
        /// Mean margin: logit of the last chosen expert minus that of the best rejected one.
        margin: Option<f64>,
        /// Tokens with a margin.
        margins: u64,
        /// Of those, near-ties: one unit in the last place could have chosen another expert.
        near_ties: u64,
        /// `near_ties` / `margins`, 0 to 1.
        near_tie_share: Option<f64>,
        /// Evenness of usage: the entropy of the experts' shares of all choices, divided by ln E; 1 if all are alike.
        evenness: Option<f64>,
        /// Experts that no token chose.
        unused: usize,
    }
}

/// The rows of `layers.csv`.
pub fn layers(sweep: &Sweep) -> impl Iterator<Item = LayerRow<'_>> {
    layers_of(sweep).map(|(group, phase, layer, counts)| {
        let one = |count| counts.one(count, layer);
        let (tokens, margins) = (one(Count::Tokens), one(Count::Margins));
        let chosen = counts.of(Count::Chosen, layer);
        LayerRow {
            group,
            phase: phase.name(),
            layer,
            tokens,
            // Margins are of logits, from which the probabilities are made.
            entropy: counts.total(Total::Entropy, layer)[0].mean(tokens).filter(|_| margins > 0),
            margin: counts.total(Total::Margin, layer)[0].mean(margins),
            margins,
            near_ties: one(Count::NearTies),
            near_tie_share: share(one(Count::NearTies), margins),
            evenness: evenness(chosen),
            unused: chosen.iter().filter(|count| **count == 0).count(),
        }
    })
}

fn evenness(chosen: &[u64]) -> Option<f64> {
    let all: u64 = chosen.iter().sum();
    let shares = chosen.iter().filter(|count| **count > 0).map(|count| *count as f64 / all as f64);
    let entropy: f64 = shares.map(|share| -share * share.ln()).sum();
    (all > 0 && chosen.len() > 1).then(|| entropy / (chosen.len() as f64).ln())
}
