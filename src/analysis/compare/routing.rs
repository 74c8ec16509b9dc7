//! Which experts were chosen, and by how much.

use super::as_name;
use super::tolerance::NEAR_TIE;
use super::values::step;
use crate::analysis::routing::ranked;
use crate::trace::{Dtype, Hook, HookKind as K};
use serde::Serialize;

/// How the routing of one layer differs.
#[derive(Clone, Debug, Serialize)]
pub struct LayerRouting {
    /// The decoder layer.
    pub layer: u32,
    /// Tokens compared.
    pub tokens: usize,
    /// Tokens whose expert set differs.
    pub flips: usize,
    /// Flips at a margin that rounding alone could turn, in A or in B.
    pub near_ties: usize,
    /// Tokens whose first expert differs.
    pub first_flips: usize,
    /// Mean of |A ∩ B| / |A ∪ B| of the chosen sets.
    pub jaccard: f64,
    /// Mean of KL(A ‖ B) of the router's probabilities, nats; `None` if they aren't there.
    pub kl_mean: Option<f64>,
    /// Largest KL(A ‖ B), nats.
    pub kl_max: Option<f64>,
    /// The flips, by position.
    pub at: Vec<Flip>,
}

/// A token whose expert set differs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Flip {
    /// The decoder layer.
    pub layer: u32,
    /// Position of the token.
    pub position: usize,
    /// The experts of A and of B, best first.
    pub experts: [Vec<u32>; 2],
    /// Logit of the last chosen expert minus that of the best not chosen, in A and in B.
    pub gaps: [Option<f32>; 2],
    /// The gaps in steps of the coarser dtype.
    pub steps: [Option<f32>; 2],
    /// The hidden state before the router, or what is added to it, that both hold and that is nearest to the router.
    pub input: Option<RouterInput>,
}

/// What a router read, or what it was computed from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct RouterInput {
    /// The hidden state.
    #[serde(serialize_with = "as_name")]
    pub hook: Hook,
    /// Whether A and B agree in it at the token's position, bit for bit.
    pub equal: bool,
    /// Whether it is what the router of this layer read, or determines it: nothing that may have parted lies between.
    pub immediate: bool,
}

impl Flip {
    /// Whether rounding alone could have turned the choice; a choice far against its own logits (a negative gap) is none.
    pub fn is_near_tie(&self) -> bool {
        self.steps.iter().flatten().any(|steps| steps.abs() <= NEAR_TIE)
    }
}

/// What one recording holds of a layer's routing.
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
    /// The chosen experts of each token, as recorded, or else as they follow from logits or probabilities.
    fn chosen(&self, pos: usize, k: usize) -> Option<Vec<Vec<u32>>> {
        if let Some(chosen) = &self.chosen {
            return Some(chosen.chunks_exact((chosen.len() / pos).max(1)).map(<[u32]>::to_vec).collect());
        }
        let scores = self.logits.as_ref().map(|(logits, _)| logits).or(self.probs.as_ref())?;
        let best = |row: &[f32]| ranked(row).into_iter().take(k).map(|e| e as u32).collect();
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
            // A probability that fell to zero in f32.
            (None, Some(probs)) => {
                Some(row(probs).into_iter().map(|p| p.max(f64::from(f32::from_bits(1))).ln()).collect())
            }
            (None, None) => None,
        }
    }

    /// Gap between the last chosen expert's logit and the best other's, and the larger magnitude of the two.
    fn gap(&self, pos: usize, at: usize, chosen: &[u32]) -> Option<(f32, f32)> {
        let (logits, _) = self.logits.as_ref()?;
        let width = logits.len() / pos;
        let row = &logits[at * width..][..width];
        let inside = *row.get(*chosen.last()? as usize)?;
        let others = row.iter().enumerate().filter(|(e, _)| !chosen.contains(&(*e as u32)));
        let outside =
            others.map(|(_, logit)| *logit).fold(None, |best: Option<f32>, x| Some(best.map_or(x, |b| b.max(x))))?;
        Some((inside - outside, inside.abs().max(outside.abs())))
    }
}

/// `x - log Σ exp x`
pub(super) fn log_softmax(row: Vec<f64>) -> Vec<f64> {
    let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = row.iter().map(|x| (x - largest).exp()).sum();
    row.into_iter().map(|x| x - largest - sum.ln()).collect()
}

/// Compares the routing of `layer` over `pos` tokens; with it, the positions whose experts are not the same in the
/// same order `[pos]`. `input` says of each position whether the router's input is unequal. `None` if one of the two
/// holds nothing of it.
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
        near_ties: 0,
        first_flips: 0,
        jaccard: 0.0,
        kl_mean: None,
        kl_max: None,
        at: Vec::new(),
    };
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
        if both == either {
            continue;
        }
        let gaps = [a.gap(pos, at, &of_a), b.gap(pos, at, &of_b)];
        let flip = Flip {
            layer,
            position: at,
            gaps: gaps.map(|gap| gap.map(|(gap, _)| gap)),
            steps: gaps.map(|gap| gap.map(|(gap, scale)| gap / step(coarser, scale))),
            experts: [of_a, of_b],
            input: input.map(|(hook, unequal)| RouterInput {
                hook: *hook,
                equal: !unequal[at],
                immediate: matches!(hook.kind, K::AttnOut | K::ResidMid | K::Ln2) && hook.layer == layer,
            }),
        };
        routing.flips += 1;
        routing.near_ties += usize::from(flip.is_near_tie());
        routing.at.push(flip);
    }
    routing.jaccard = jaccard / pos.max(1) as f64;
    if !kls.is_empty() {
        routing.kl_mean = Some(kls.iter().sum::<f64>() / kls.len() as f64);
        routing.kl_max = Some(kls.iter().copied().fold(0.0, f64::max));
    }
    Some((routing, reordered))
}
