use super::margin::Margin;
use crate::trace::{HookKind, TokenRecord};

/// Expert indices by descending logit; equal logits by ascending index. NaN sorts last.
pub fn ranked(logits: &[f32]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..logits.len()).collect();
    let key = |i: usize| if logits[i].is_nan() { f32::NEG_INFINITY } else { logits[i] };
    order.sort_by(|&a, &b| key(b).total_cmp(&key(a)).then(a.cmp(&b)));
    order
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
    /// The routing in `layer`; `None` if any part of it was not captured.
    pub fn of(token: &'a TokenRecord, layer: usize) -> Option<Self> {
        Some(Self {
            logits: token.row(HookKind::RouterLogits, layer)?,
            probs: token.row(HookKind::ExpertWeights, layer)?,
            chosen: token.experts(layer)?,
            weights: token.row(HookKind::MixingWeights, layer)?,
        })
    }

    /// The choice of experts in `layer`; `None` if the experts were not captured. The other fields are empty where they
    /// were not captured.
    pub fn choice(token: &'a TokenRecord, layer: usize) -> Option<Self> {
        Some(Self {
            logits: token.row(HookKind::RouterLogits, layer).unwrap_or_default(),
            probs: token.row(HookKind::ExpertWeights, layer).unwrap_or_default(),
            chosen: token.experts(layer)?,
            weights: token.row(HookKind::MixingWeights, layer).unwrap_or_default(),
        })
    }

    /// Experts as the model ranks them: the chosen ones in their order, then the others by probability, logit and index.
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

    /// Gap between the logits of the last chosen and the best rejected expert; `None` if no expert was rejected or the
    /// logits were not captured.
    pub fn margin(&self) -> Option<Margin> {
        let inside = *self.logits.get(*self.chosen.last()? as usize)?;
        let outside = self.logits[self.runner_up()?];
        Some(Margin { gap: inside - outside, scale: inside.abs().max(outside.abs()), tied: self.is_exact_tie() })
    }

    /// Whether a rejected expert has the same score as the last chosen one, so that nothing but a convention decided. The
    /// model compares probabilities; the logits are looked at where these were not captured.
    pub fn is_exact_tie(&self) -> bool {
        let scores = if self.probs.is_empty() { self.logits } else { self.probs };
        let last = self.chosen.last().and_then(|e| scores.get(*e as usize));
        let rejected = |e: usize| !self.chosen.contains(&(e as u32));
        last.is_some_and(|last| (0..scores.len()).any(|e| rejected(e) && scores[e] == *last))
    }

    /// The rejected expert with the largest logit; `None` if no expert was rejected. Equal logits go by ascending index,
    /// NaN comes last.
    pub fn runner_up(&self) -> Option<usize> {
        let others = (0..self.logits.len()).filter(|e| !self.chosen.contains(&(*e as u32)));
        let is_better = |x: f32, best: f32| x > best || best.is_nan() && !x.is_nan();
        others.reduce(|best, e| if is_better(self.logits[e], self.logits[best]) { e } else { best })
    }

    /// The mixing weight of `expert`, if it was chosen.
    pub fn weight_of(&self, expert: usize) -> Option<f32> {
        let slot = self.chosen.iter().position(|e| *e as usize == expert)?;
        self.weights.get(slot).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::Dtype;

    #[test]
    fn margins_and_ranks_follow_the_choice() {
        let routing = |logits: &'static [f32], chosen: &'static [u32]| TokenRouting {
            logits,
            probs: &[0.1, 0.5, 0.2, 0.2],
            chosen,
            weights: &[0.7, 0.3],
        };
        let narrow = TokenRouting { probs: &[], ..routing(&[1.0, 3.0, 2.0, 1.9921875], &[1, 2]) };
        let margin = narrow.margin().unwrap();
        assert_eq!(margin.gap, 2.0 - 1.9921875);
        assert!(margin.is_near_tie(Dtype::Bf16) && !margin.is_near_tie(Dtype::F32));
        let all = TokenRouting { probs: &[0.1, 0.5, 0.2, 0.2], ..narrow };
        assert_eq!(all.ranking(), [1, 2, 3, 0]);
        // Probabilities that f32 can't tell apart: the model took the lower index although the other logit is larger.
        let tied = routing(&[1.0, 3.0, 1.5, 1.6], &[1, 2]);
        assert_eq!(tied.ranking(), [1, 2, 3, 0]);
        assert!(tied.margin().unwrap().is_near_tie(Dtype::F32));
        assert!(tied.is_exact_tie() && !narrow.is_exact_tie(), "the model compares probabilities");
        assert!(routing(&[1.0, 2.0], &[1, 0]).margin().is_none());
        assert_eq!(ranked(&[1.0, f32::NAN, 1.0, 4.0]), [3, 0, 2, 1]);
    }
}
