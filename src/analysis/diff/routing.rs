use super::flip::{Flip, RouterInput};
use crate::analysis::distribution::log_softmax;
use crate::analysis::routing::{TokenRouting, top_k};
use crate::trace::{Dtype, Hook, HookKind as K, NO_EXPERT};
use serde::Serialize;

/// How the routing of one layer differs between two recordings.
#[derive(Clone, Debug, Serialize)]
pub struct LayerRouting {
    /// The decoder layer.
    pub layer: u32,
    /// Tokens compared.
    pub tokens: usize,
    /// Tokens whose expert set differs.
    pub flips: usize,
    /// Flips that are within rounding.
    #[serde(rename = "near_ties")]
    pub within_rounding: usize,
    /// Those of them where the scores are equal.
    pub exact_ties: usize,
    /// Tokens whose first expert differs.
    pub first_flips: usize,
    /// Mean of |A ∩ B| / |A ∪ B| over the chosen sets.
    pub jaccard: f64,
    /// Mean of KL(A ‖ B) of the router's probabilities, nats; `None` if neither they nor the logits are recorded.
    pub kl_mean: Option<f64>,
    /// Largest KL(A ‖ B), nats.
    pub kl_max: Option<f64>,
    /// The most experts of a token in A and in B, if these differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chosen: Option<[usize; 2]>,
    /// The flips, by position.
    pub at: Vec<Flip>,
}

/// The recorded routing of one layer.
#[derive(Clone, Debug, Default)]
pub(super) struct Choices {
    /// Router logits `[pos, experts]` and their dtype.
    pub logits: Option<(Vec<f32>, Dtype)>,
    /// Probabilities `[pos, experts]`.
    pub probs: Option<Vec<f32>>,
    /// Chosen experts `[pos, k]`.
    pub chosen: Option<Vec<u32>>,
}

impl Choices {
    /// The chosen experts of each token: as recorded, or else as they follow from logits or probabilities.
    fn chosen(&self, pos: usize, k: usize) -> Option<Vec<Vec<u32>>> {
        if let Some(chosen) = &self.chosen {
            let filled = |row: &[u32]| row.iter().copied().take_while(|expert| *expert != NO_EXPERT).collect();
            return Some(chosen.chunks_exact((chosen.len() / pos).max(1)).map(filled).collect());
        }
        let scores = self.logits.as_ref().map(|(logits, _)| logits).or(self.probs.as_ref())?;
        let best = |row: &[f32]| top_k(row, k);
        Some(scores.chunks_exact((scores.len() / pos).max(1)).map(best).collect())
    }

    /// Logarithms of the probabilities at a position `[experts]`.
    fn log_probs(&self, pos: usize, at: usize) -> Option<Vec<f64>> {
        let row = |values: &[f32]| {
            let width = values.len() / pos;
            values[at * width..][..width].iter().map(|x| f64::from(*x)).collect::<Vec<f64>>()
        };
        match (&self.logits, &self.probs) {
            (Some((logits, _)), _) => Some(log_softmax(row(logits))),
            // A probability may have underflowed to 0 in f32.
            (None, Some(probs)) => {
                Some(row(probs).into_iter().map(|p| p.max(f64::from(f32::from_bits(1))).ln()).collect())
            }
            (None, None) => None,
        }
    }

    /// The choice at a position, with the recorded logits and probabilities or none.
    fn choice<'a>(&'a self, pos: usize, at: usize, chosen: &'a [u32]) -> TokenRouting<'a> {
        let row = |values: &'a Vec<f32>| &values[at * (values.len() / pos)..][..values.len() / pos];
        let logits = self.logits.as_ref().map_or(&[][..], |(logits, _)| row(logits));
        TokenRouting { logits, probs: self.probs.as_ref().map_or(&[], row), chosen, weights: &[] }
    }
}

/// Compares the routing of `layer` over `pos` tokens. Also returns for each position whether the experts or their order
/// differ `[pos]`. `input` names a hidden state before the router, and for each position whether it is unequal. `None` if
/// one of the two recordings lacks the routing.
pub(super) fn compare(
    layer: u32,
    [a, b]: [&Choices; 2],
    pos: usize,
    k: usize,
    input: Option<&(Hook, Vec<bool>)>,
) -> Option<(LayerRouting, Vec<bool>)> {
    let (chosen_a, chosen_b) = (a.chosen(pos, k)?, b.chosen(pos, k)?);
    let dtype = |choices: &Choices| choices.logits.as_ref().map_or(Dtype::F32, |(_, dtype)| *dtype);
    let coarser = dtype(a).coarser(dtype(b));
    let mut routing = LayerRouting {
        layer,
        tokens: pos,
        flips: 0,
        within_rounding: 0,
        exact_ties: 0,
        first_flips: 0,
        jaccard: 0.0,
        kl_mean: None,
        kl_max: None,
        chosen: None,
        at: Vec::new(),
    };
    let most = [&chosen_a, &chosen_b].map(|chosen| chosen.iter().map(Vec::len).max().unwrap_or(0));
    routing.chosen = (most[0] != most[1]).then_some(most);
    let mut reordered = vec![false; pos];
    let (mut jaccard, mut kls) = (0.0, Vec::new());
    for (at, (of_a, of_b)) in chosen_a.into_iter().zip(chosen_b).enumerate() {
        let both = of_a.iter().filter(|e| of_b.contains(e)).count();
        let either = of_a.len() + of_b.len() - both;
        jaccard += if either == 0 { 1.0 } else { both as f64 / either as f64 };
        routing.first_flips += usize::from(of_a.first() != of_b.first());
        reordered[at] = of_a != of_b;
        if let (Some(p), Some(q)) = (a.log_probs(pos, at), b.log_probs(pos, at)) {
            // Zero up to rounding, never below.
            kls.push(p.iter().zip(&q).map(|(p, q)| p.exp() * (p - q)).sum::<f64>().max(0.0));
        }
        let choices = [a.choice(pos, at, &of_a), b.choice(pos, at, &of_b)];
        let Some(mut flip) = Flip::of(layer as usize, at, choices, coarser) else { continue };
        flip.input = input.map(|(hook, unequal)| RouterInput {
            hook: *hook,
            equal: !unequal[at],
            immediate: matches!(hook.kind, K::AttnOut | K::ResidMid | K::Ln2) && hook.layer == layer,
        });
        routing.flips += 1;
        routing.within_rounding += usize::from(flip.is_within_rounding());
        routing.exact_ties += usize::from(flip.exact_tie);
        routing.at.push(flip);
    }
    routing.jaccard = jaccard / pos.max(1) as f64;
    if !kls.is_empty() {
        routing.kl_mean = Some(kls.iter().sum::<f64>() / kls.len() as f64);
        routing.kl_max = Some(kls.iter().copied().fold(0.0, f64::max));
    }
    Some((routing, reordered))
}
