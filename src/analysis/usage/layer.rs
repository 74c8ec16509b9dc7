use super::sum::Sum;
use crate::analysis::distribution::entropy;
use crate::analysis::routing::{Repeats, TokenRouting};
use crate::trace::{Dtype, HookKind, TokenRecord};
use std::collections::BTreeMap;

/// Pairs are counted if a token chooses at most this many experts. With more experts there are too many pairs.
pub const MOST_PAIRED: usize = 64;

/// How often one layer chose its experts.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerUsage {
    /// Tokens whose chosen experts were captured.
    pub tokens: usize,
    /// Tokens with a margin: those with captured router logits and a rejected expert.
    pub margins: usize,
    /// How often each expert was the first choice `[experts]`.
    pub first: Vec<u32>,
    /// How often each expert was chosen at all `[experts]`.
    pub chosen: Vec<u32>,
    /// Positions of near-ties, where one ulp could have chosen another expert, ascending.
    pub near_ties: Vec<usize>,
    /// Sum of `chosen`.
    choices: usize,
    /// How often two experts were chosen together, by both indices, the lower one first.
    together: BTreeMap<(u32, u32), u32>,
    /// Sum of the renormalised weights of each expert where it was chosen `[experts]`.
    weights: Vec<Sum>,
    /// How many weights of each expert are in that sum; a choice may be captured without its weight `[experts]`.
    weighted: Vec<u32>,
    entropy: Sum,
    entropies: usize,
    same_first: usize,
    same_any: usize,
    pairs: usize,
    /// The experts of the last token whose experts were captured.
    pub(super) last: Vec<u32>,
}

impl LayerUsage {
    pub(super) fn new(experts: usize) -> Self {
        Self {
            tokens: 0,
            margins: 0,
            first: vec![0; experts],
            chosen: vec![0; experts],
            near_ties: Vec::new(),
            choices: 0,
            together: BTreeMap::new(),
            weights: vec![Sum::default(); experts],
            weighted: vec![0; experts],
            entropy: Sum::default(),
            entropies: 0,
            same_first: 0,
            same_any: 0,
            pairs: 0,
            last: Vec::new(),
        }
    }

    /// Counts a token (`adds`) or takes it back. `before` are the experts of the token before it. Returns whether the
    /// token is a near-tie.
    pub(super) fn count(
        &mut self,
        token: &TokenRecord,
        layer: usize,
        before: &[u32],
        adds: bool,
        dtype: Dtype,
    ) -> bool {
        let change = |count: &mut usize| *count = if adds { *count + 1 } else { *count - 1 };
        let change32 = |count: &mut u32| *count = if adds { *count + 1 } else { *count - 1 };
        let Some(now) = token.experts(layer).filter(|now| !now.is_empty()) else { return false };
        change(&mut self.tokens);
        if let Some(slot) = self.first.get_mut(now[0] as usize) {
            change32(slot);
        }
        let weights = token.row(HookKind::MixingWeights, layer).unwrap_or_default();
        for (slot, expert) in now.iter().enumerate() {
            let Some(chosen) = self.chosen.get_mut(*expert as usize) else { continue };
            change32(chosen);
            change(&mut self.choices);
            if let Some(weight) = weights.get(slot) {
                self.weights[*expert as usize].count(*weight, adds);
                change32(&mut self.weighted[*expert as usize]);
            }
        }
        if now.len() <= MOST_PAIRED {
            for (i, a) in now.iter().enumerate() {
                for b in &now[i + 1..] {
                    let key = (*a.min(b), *a.max(b));
                    let count = self.together.entry(key).or_default();
                    change32(count);
                    if *count == 0 {
                        self.together.remove(&key);
                    }
                }
            }
        }
        if !before.is_empty() {
            change(&mut self.pairs);
            if before.first() == now.first() {
                change(&mut self.same_first);
            }
            if now.iter().any(|expert| before.contains(expert)) {
                change(&mut self.same_any);
            }
        }
        if let Some(probs) = token.row(HookKind::ExpertWeights, layer) {
            change(&mut self.entropies);
            self.entropy.count(entropy(probs), adds);
        }
        let margin = TokenRouting::choice(token, layer).and_then(|choice| choice.margin());
        if margin.is_some() {
            change(&mut self.margins);
        }
        margin.is_some_and(|margin| margin.is_near_tie(dtype))
    }

    /// Share of tokens whose first choice is `expert`; `None` while there is no token.
    pub fn first_share(&self, expert: usize) -> Option<f64> {
        (self.tokens > 0).then(|| f64::from(self.first.get(expert).copied().unwrap_or(0)) / self.tokens as f64)
    }

    /// Share of all choices, first or later, that are `expert`. The shares of a layer sum to 1.
    pub fn chosen_share(&self, expert: usize) -> Option<f64> {
        (self.choices > 0).then(|| f64::from(self.chosen.get(expert).copied().unwrap_or(0)) / self.choices as f64)
    }

    /// Mean mixing weight of `expert` over the tokens that chose it; `None` if no such weight was captured.
    pub fn mean_weight(&self, expert: usize) -> Option<f64> {
        self.weights.get(expert)?.mean(*self.weighted.get(expert)? as usize)
    }

    /// How many tokens chose both `a` and `b`; if `a` = `b`, how many chose it.
    pub fn together(&self, a: usize, b: usize) -> u32 {
        if a == b {
            return self.chosen.get(a).copied().unwrap_or(0);
        }
        let key = (a.min(b) as u32, a.max(b) as u32);
        self.together.get(&key).copied().unwrap_or(0)
    }

    /// Of the tokens that chose `given`, the share that also chose `other`: N_ij / N_i. `None` if none chose `given`.
    pub fn also(&self, given: usize, other: usize) -> Option<f64> {
        let all = self.chosen.get(given).copied().filter(|count| *count > 0)?;
        Some(f64::from(self.together(given, other)) / f64::from(all))
    }

    /// The largest [`LayerUsage::also`] of any two different experts.
    pub fn most_also(&self) -> f64 {
        let chosen = |expert: u32| self.chosen.get(expert as usize).copied().unwrap_or(0);
        let share =
            |(&(a, b), &count): (&(u32, u32), &u32)| f64::from(count) / f64::from(chosen(a).min(chosen(b)).max(1));
        self.together.iter().map(share).fold(0.0, f64::max)
    }

    /// Repeats between neighbouring tokens.
    pub fn repeats(&self) -> Repeats {
        let n = self.pairs.max(1) as f32;
        Repeats { first: self.same_first as f32 / n, either: self.same_any as f32 / n, pairs: self.pairs }
    }

    /// Mean entropy of the router's distribution over all experts, nats.
    pub fn entropy(&self) -> Option<f64> {
        self.entropy.mean(self.entropies)
    }

    /// Experts that no token chose.
    pub fn never_used(&self) -> impl Iterator<Item = usize> + '_ {
        self.chosen.iter().enumerate().filter(|(_, count)| **count == 0).map(|(expert, _)| expert)
    }
}
