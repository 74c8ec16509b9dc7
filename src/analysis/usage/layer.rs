use super::sum::Sum;
use crate::analysis::distribution::entropy;
use crate::analysis::routing::{Repeats, TokenRouting};
use crate::trace::{Dtype, HookKind, TokenRecord};
use std::collections::BTreeMap;

/// Pairs are counted as long as a token chooses at most this many experts; with more there are too many of them.
pub const MOST_PAIRED: usize = 64;

/// What one layer's router did.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerUsage {
    /// Tokens whose chosen experts were captured.
    pub tokens: usize,
    /// Tokens with a margin: router logits captured, and an expert that was not chosen.
    pub margins: usize,
    /// How often each expert was the first choice `[experts]`.
    pub first: Vec<u32>,
    /// How often each expert was chosen at all `[experts]`.
    pub chosen: Vec<u32>,
    /// Positions whose choice one rounding step could flip, ascending.
    pub near_ties: Vec<usize>,
    /// Sum of `chosen`.
    choices: usize,
    /// How often two experts were chosen together, the lower index first.
    together: BTreeMap<(u32, u32), u32>,
    /// Sum of the renormalised weights of each expert where it was chosen `[experts]`.
    weights: Vec<Sum>,
    /// How many weights of each expert are in that sum: choices may be known without them `[experts]`.
    weighted: Vec<u32>,
    entropy: Sum,
    entropies: usize,
    same_first: usize,
    same_any: usize,
    pairs: usize,
    /// The experts of the last token that has any.
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

    /// Counts what a token adds to what stands before it, or takes it back.
    pub(super) fn count(
        &mut self,
        token: &TokenRecord,
        layer: usize,
        before: &[u32],
        adds: bool,
        dtype: Dtype,
    ) -> bool {
        let step = |count: &mut usize| *count = if adds { *count + 1 } else { *count - 1 };
        let step32 = |count: &mut u32| *count = if adds { *count + 1 } else { *count - 1 };
        let Some(now) = token.experts(layer).filter(|now| !now.is_empty()) else { return false };
        step(&mut self.tokens);
        if let Some(slot) = self.first.get_mut(now[0] as usize) {
            step32(slot);
        }
        let weights = token.row(HookKind::MixingWeights, layer).unwrap_or_default();
        for (slot, expert) in now.iter().enumerate() {
            let Some(chosen) = self.chosen.get_mut(*expert as usize) else { continue };
            step32(chosen);
            step(&mut self.choices);
            if let Some(weight) = weights.get(slot) {
                self.weights[*expert as usize].count(*weight, adds);
                step32(&mut self.weighted[*expert as usize]);
            }
        }
        if now.len() <= MOST_PAIRED {
            for (i, a) in now.iter().enumerate() {
                for b in &now[i + 1..] {
                    let key = (*a.min(b), *a.max(b));
                    let count = self.together.entry(key).or_default();
                    step32(count);
                    if *count == 0 {
                        self.together.remove(&key);
                    }
                }
            }
        }
        if !before.is_empty() {
            step(&mut self.pairs);
            if before.first() == now.first() {
                step(&mut self.same_first);
            }
            if now.iter().any(|expert| before.contains(expert)) {
                step(&mut self.same_any);
            }
        }
        if let Some(probs) = token.row(HookKind::ExpertWeights, layer) {
            step(&mut self.entropies);
            self.entropy.count(entropy(probs), adds);
        }
        let margin = TokenRouting::choice(token, layer).and_then(|choice| choice.margin());
        if margin.is_some() {
            step(&mut self.margins);
        }
        margin.is_some_and(|margin| margin.is_near_tie(dtype))
    }

    /// Share of tokens whose first choice `expert` was; `None` while there is no token.
    pub fn first_share(&self, expert: usize) -> Option<f64> {
        (self.tokens > 0).then(|| f64::from(self.first.get(expert).copied().unwrap_or(0)) / self.tokens as f64)
    }

    /// Share of all choices, first or later, that fell on `expert`; the shares of a layer sum to 1.
    pub fn chosen_share(&self, expert: usize) -> Option<f64> {
        (self.choices > 0).then(|| f64::from(self.chosen.get(expert).copied().unwrap_or(0)) / self.choices as f64)
    }

    /// Mean renormalised weight of `expert` over the tokens that chose it; `None` if none did, or if no weight was
    /// captured.
    pub fn mean_weight(&self, expert: usize) -> Option<f64> {
        self.weights.get(expert)?.mean(*self.weighted.get(expert)? as usize)
    }

    /// How many tokens chose both `a` and `b`; with `a` = `b`, how many chose it.
    pub fn together(&self, a: usize, b: usize) -> u32 {
        if a == b {
            return self.chosen.get(a).copied().unwrap_or(0);
        }
        let key = (a.min(b) as u32, a.max(b) as u32);
        self.together.get(&key).copied().unwrap_or(0)
    }

    /// Share of the tokens that chose `given` that chose `other` as well: N_ij / N_i. `None` if none chose `given`.
    pub fn also(&self, given: usize, other: usize) -> Option<f64> {
        let all = self.chosen.get(given).copied().filter(|count| *count > 0)?;
        Some(f64::from(self.together(given, other)) / f64::from(all))
    }

    /// The largest of all [`LayerUsage::also`] of two different experts.
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
