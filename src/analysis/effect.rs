//! What edits do: an edited run (B) compared with the run without them (A), over the same tokens.

use crate::trace::{EditNote, Piece};
use serde::Serialize;

/// The measures of an effect in one number each. Changes are B − A.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Measures {
    /// (position, layer) places that the edits changed.
    pub sites: usize,
    /// Change of the mean loss, nats a token; positive is worse. `None` for a run of one token.
    pub loss_change: Option<f64>,
    /// Mean over all positions of KL(A ‖ B) of the next-token distributions, nats.
    pub kl: f64,
    /// Change of the target's logit.
    pub target_logit_change: f64,
    /// Change of the target's log-probability, nats.
    pub target_logprob_change: f64,
    /// Change of logit(target) − logit(foil); `None` without a foil.
    pub logit_difference_change: Option<f64>,
    /// Tokens of a layer that chose other experts in B, except where the edits themselves chose.
    pub flips: usize,
}

/// A measure that a null distribution is drawn for.
pub const NULL_MEASURES: [&str; 6] =
    ["loss_change", "kl", "target_logit_change", "target_logprob_change", "logit_difference_change", "flips"];

impl Measures {
    /// The value of one of [`NULL_MEASURES`].
    pub fn value(&self, name: &str) -> Option<f64> {
        match name {
            "loss_change" => self.loss_change,
            "kl" => Some(self.kl),
            "target_logit_change" => Some(self.target_logit_change),
            "target_logprob_change" => Some(self.target_logprob_change),
            "logit_difference_change" => self.logit_difference_change,
            "flips" => Some(self.flips as f64),
            _ => None,
        }
    }
}

/// A token that is watched, at the position whose distribution is read.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Watched {
    /// Token id.
    pub token_id: u32,
    /// The tokenizer's spelling.
    pub token: Piece,
    /// Its logit in A and B.
    pub logit: [f32; 2],
    /// Its log-probability in A and B, nats.
    pub logprob: [f64; 2],
    /// Its rank in A and B, from 1.
    pub rank: [u32; 2],
}

/// The effect at one position.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PositionEffect {
    /// Position, from 0.
    pub position: usize,
    /// Id of the token there.
    pub token_id: u32,
    /// The tokenizer's spelling of it.
    pub token: Piece,
    /// Change of its loss, nats; `None` at position 0.
    pub loss_change: Option<f64>,
    /// KL(A ‖ B) of the distribution after it, nats.
    pub kl: f64,
    /// Layers that the edits changed here.
    pub sites: usize,
}

/// The effect in one layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct LayerEffect {
    /// Decoder layer, from 0.
    pub layer: usize,
    /// Places that the edits changed.
    pub sites: usize,
    /// Tokens that chose other experts, except where the edits themselves chose.
    pub flips: usize,
    /// How many of these flips are within rounding.
    pub near_tie_flips: usize,
    /// L2 norm of the change of `resid_post` over all positions, divided by that of A's.
    pub residual_change: f64,
}

/// The first generated token that differs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FirstDifference {
    /// Its position.
    pub position: usize,
    /// The tokens of A and B there.
    pub tokens: [(u32, Piece); 2],
}

/// Effects of random edits of the same kind and size.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Null {
    /// The seed that they were drawn with.
    pub seed: u64,
    /// The random edits and their measures, in the order in which they were drawn.
    pub draws: Vec<(Vec<String>, Measures)>,
}

/// A measure of the real edits among those of random edits.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Place {
    /// Mean of the random edits.
    pub mean: f64,
    /// Their standard deviation (n − 1); 0 for a single one.
    pub sd: f64,
    /// Place of the real edits among all by absolute size, from 1; ties count as larger.
    pub place: usize,
    /// Random edits.
    pub of: usize,
}

impl Null {
    /// Where the real effect stands in one of [`NULL_MEASURES`]; `None` if it lacks the measure.
    pub fn place(&self, real: &Measures, measure: &str) -> Option<Place> {
        let real = real.value(measure)?;
        let draws: Vec<f64> = self.draws.iter().filter_map(|(_, found)| found.value(measure)).collect();
        let n = draws.len() as f64;
        let mean = draws.iter().sum::<f64>() / n;
        let sd = (draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0)).sqrt();
        let place = 1 + draws.iter().filter(|x| x.abs() >= real.abs()).count();
        (!draws.is_empty()).then_some(Place { mean, sd, place, of: draws.len() })
    }
}

/// The effect of edits on a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Effect {
    /// The edits, with their sites.
    pub edits: Vec<EditNote>,
    /// The measures in one number each.
    pub measures: Measures,
    /// Mean losses of A and B, nats a token; `None` for a run of one token.
    pub losses: Option<[f64; 2]>,
    /// The position whose distribution target and foil are read in.
    pub position: usize,
    /// The target.
    pub target: Watched,
    /// The foil, if there is one.
    pub foil: Option<Watched>,
    /// One entry per position.
    pub positions: Vec<PositionEffect>,
    /// One entry per layer.
    pub layers: Vec<LayerEffect>,
    /// Tokens that were generated to find the first that differs.
    pub steps: usize,
    /// The first generated token that differs.
    pub first_difference: Option<FirstDifference>,
    /// Effects of random edits.
    pub null: Option<Null>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_counts_random_edits_of_at_least_the_same_size() {
        let of = |kl: f64| Measures { kl, loss_change: None, ..Measures::default() };
        let null = Null { seed: 0, draws: [1.0, 3.0, -2.0].map(|kl| (Vec::new(), of(kl))).to_vec() };
        let place = null.place(&of(2.0), "kl").unwrap();
        assert_eq!((place.place, place.of), (3, 3));
        assert!((place.mean - 2.0 / 3.0).abs() < 1e-12 && (place.sd - 6.333333f64.sqrt()).abs() < 1e-5);
        assert_eq!(null.place(&of(4.0), "kl").unwrap().place, 1);
        assert_eq!(null.place(&of(4.0), "loss_change"), None);
    }
}
