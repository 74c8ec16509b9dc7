//! Figures that follow from router logits alone.

use crate::trace::{Dtype, HookKind, TokenRecord};

/// Expert indices by descending logit; equal logits by ascending index. NaN sorts last.
pub fn ranked(logits: &[f32]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..logits.len()).collect();
    let key = |i: usize| if logits[i].is_nan() { f32::NEG_INFINITY } else { logits[i] };
    order.sort_by(|&a, &b| key(b).total_cmp(&key(a)).then(a.cmp(&b)));
    order
}

/// How narrowly the last chosen expert won.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Margin {
    /// Logit of the last chosen expert minus that of the best not chosen.
    pub gap: f32,
    /// The larger magnitude of the two.
    pub scale: f32,
}

impl Margin {
    /// Whether one rounding step of `dtype` at this magnitude could have chosen otherwise: either logit may be
    /// off by half a step.
    pub fn is_near_tie(self, dtype: Dtype) -> bool {
        self.gap <= dtype.ulp(self.scale)
    }
}

/// Entropy of a distribution in nats.
pub fn entropy(probs: &[f32]) -> f32 {
    probs.iter().filter(|p| **p > 0.0).map(|p| -p * p.ln()).sum::<f32>().max(0.0)
}

/// Share of tokens whose expert repeats from one token to the next, as in Mixtral of Experts (arXiv 2401.04088, table 5).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Repeats {
    /// Same first choice as the token before.
    pub first: f32,
    /// At least one of the chosen experts was chosen for the token before.
    pub either: f32,
    /// Pairs of neighbouring tokens looked at.
    pub pairs: usize,
}

/// What [`Repeats`] would be if experts were drawn uniformly at random: first choice, either choice.
pub fn repeats_at_random(experts: usize, k: usize) -> (f32, f32) {
    // P(no overlap) of two random k-subsets: C(E-k, k) / C(E, k).
    let none = (0..k).map(|i| experts.saturating_sub(k + i) as f64 / experts.saturating_sub(i).max(1) as f64);
    (1.0 / experts.max(1) as f32, 1.0 - none.product::<f64>() as f32)
}

/// The chance that a second given expert is chosen beside a chosen one, if experts were drawn uniformly at random:
/// (k - 1) / (E - 1).
pub fn together_at_random(experts: usize, k: usize) -> f32 {
    k.saturating_sub(1) as f32 / experts.saturating_sub(1).max(1) as f32
}

/// Router probabilities, chosen experts and mixing weights of one token in one layer.
#[derive(Clone, Copy, Debug)]
pub struct TokenRouting<'a> {
    /// Router logits `[experts]`.
    pub logits: &'a [f32],
    /// Softmax over all experts `[experts]`.
    pub probs: &'a [f32],
    /// Chosen experts, best first `[k]`.
    pub chosen: &'a [u32],
    /// Renormalised weights `[k]`.
    pub weights: &'a [f32],
}

impl<'a> TokenRouting<'a> {
    /// What was captured of `layer`'s routing; `None` if anything is missing.
    pub fn of(token: &'a TokenRecord, layer: usize) -> Option<Self> {
        Some(Self {
            logits: token.row(HookKind::RouterLogits, layer)?,
            probs: token.row(HookKind::ExpertWeights, layer)?,
            chosen: token.experts(layer)?,
            weights: token.row(HookKind::MixingWeights, layer)?,
        })
    }

    /// What is needed of `layer` to see what was chosen and how narrowly: logits and chosen experts; the rest is empty
    /// where it was not captured.
    pub fn choice(token: &'a TokenRecord, layer: usize) -> Option<Self> {
        Some(Self {
            logits: token.row(HookKind::RouterLogits, layer)?,
            probs: token.row(HookKind::ExpertWeights, layer).unwrap_or_default(),
            chosen: token.experts(layer)?,
            weights: token.row(HookKind::MixingWeights, layer).unwrap_or_default(),
        })
    }

    /// Experts as the model ranks them: the chosen ones in their order, then the rest by probability, logit and index.
    pub fn ranking(&self) -> Vec<usize> {
        let mut order: Vec<usize> = self.chosen.iter().map(|e| *e as usize).collect();
        let mut rest: Vec<usize> = (0..self.logits.len()).filter(|e| !order.contains(e)).collect();
        let key = |e: usize| (self.probs[e], self.logits[e]);
        rest.sort_by(|a, b| {
            let ((pa, la), (pb, lb)) = (key(*a), key(*b));
            pb.total_cmp(&pa).then(lb.total_cmp(&la)).then(a.cmp(b))
        });
        order.extend(rest);
        order
    }

    /// Gap between the logit of the last chosen expert and the best that was not chosen; `None` if all were.
    pub fn margin(&self) -> Option<Margin> {
        let inside = *self.logits.get(*self.chosen.last()? as usize)?;
        let outside = self.logits[self.runner_up()?];
        Some(Margin { gap: inside - outside, scale: inside.abs().max(outside.abs()) })
    }

    /// The expert with the largest logit that was not chosen, the lower index of equal ones; `None` if all were.
    pub fn runner_up(&self) -> Option<usize> {
        let others = (0..self.logits.len()).filter(|e| !self.chosen.contains(&(*e as u32)));
        others.reduce(|best, e| if self.logits[e] > self.logits[best] { e } else { best })
    }

    /// The renormalised weight of `expert`, if it was chosen.
    pub fn weight_of(&self, expert: usize) -> Option<f32> {
        let slot = self.chosen.iter().position(|e| *e as usize == expert)?;
        self.weights.get(slot).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn baselines_are_those_of_the_paper() {
        let (first, either) = repeats_at_random(8, 2);
        assert!((first - 0.125).abs() < 1e-6);
        assert!((either - 0.464).abs() < 1e-3);
        assert_eq!(repeats_at_random(16, 1), (1.0 / 16.0, 1.0 / 16.0));
        assert_eq!(repeats_at_random(4, 4), (0.25, 1.0));
        // Of 560 triples of 16 experts, 286 share none with a given one.
        assert!((repeats_at_random(16, 3).1 - (1.0 - 286.0 / 560.0)).abs() < 1e-6);
        assert_eq!(
            [together_at_random(8, 2), together_at_random(16, 1), together_at_random(1, 1)],
            [1.0 / 7.0, 0.0, 0.0]
        );
    }

    #[test]
    fn margins_and_ranks_follow_the_choice() {
        let routing = |logits: &'static [f32], chosen: &'static [u32]| TokenRouting {
            logits,
            probs: &[0.1, 0.5, 0.2, 0.2],
            chosen,
            weights: &[0.7, 0.3],
        };
        let narrow = routing(&[1.0, 3.0, 2.0, 1.9921875], &[1, 2]);
        let margin = narrow.margin().unwrap();
        assert_eq!(margin.gap, 2.0 - 1.9921875);
        assert!(margin.is_near_tie(Dtype::Bf16) && !margin.is_near_tie(Dtype::F32));
        assert_eq!(narrow.ranking(), [1, 2, 3, 0]);
        // Probabilities that f32 can't tell apart: the model took the lower index although the other logit is larger.
        let tied = routing(&[1.0, 3.0, 1.5, 1.6], &[1, 2]);
        assert_eq!(tied.ranking(), [1, 2, 3, 0]);
        assert!(tied.margin().unwrap().is_near_tie(Dtype::F32));
        assert!(routing(&[1.0, 2.0], &[1, 0]).margin().is_none());
        assert_eq!(ranked(&[1.0, f32::NAN, 1.0, 4.0]), [3, 0, 2, 1]);
    }
}
