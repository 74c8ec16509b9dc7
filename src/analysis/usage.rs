//! What routing does over a run: counts that grow with each token and shrink when tokens are forgotten.
//!
//! Counting a token costs its own routing only, and forgetting it takes exactly that away again, so the counts can be
//! kept beside a run of any length and are always those of a count from the start.

use super::routing::{Repeats, TokenRouting, entropy};
use crate::trace::{Dims, Dtype, HookKind, TokenRecord};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Pairs are counted as long as a token chooses at most this many experts; with more there are too many of them.
pub const MOST_PAIRED: usize = 64;

/// A sum that can take back exactly what it was given: fixed point, in units of 2⁻⁴⁰.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum(i128);

impl Sum {
    const UNIT: f64 = (1u64 << 40) as f64;

    fn count(&mut self, x: f32, adds: bool) {
        // Saturates; NaN counts as 0. Wrapping keeps even absurd sums reversible.
        let x = (f64::from(x) * Self::UNIT).round() as i128;
        self.0 = if adds { self.0.wrapping_add(x) } else { self.0.wrapping_sub(x) };
    }

    fn mean(self, of: usize) -> Option<f64> {
        (of > 0).then(|| self.0 as f64 / Self::UNIT / of as f64)
    }
}

/// What one layer's router did.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerStats {
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
    last: Vec<u32>,
}

impl LayerStats {
    fn new(experts: usize) -> Self {
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
    fn count(&mut self, token: &TokenRecord, layer: usize, before: &[u32], adds: bool, dtype: Dtype) -> bool {
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

    /// The largest of all [`LayerStats::also`] of two different experts.
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

/// The counts of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct RunStats {
    /// Tokens counted.
    tokens: usize,
    /// One entry a layer.
    layers: Vec<LayerStats>,
    experts: usize,
    dtype: Dtype,
    nll: Sum,
    scored: usize,
}

impl Default for RunStats {
    fn default() -> Self {
        Self { tokens: 0, layers: Vec::new(), experts: 0, dtype: Dtype::F32, nll: Sum::default(), scored: 0 }
    }
}

impl RunStats {
    /// Of no token yet. `dtype` is the one whose rounding step makes near-ties, see
    /// [`Meta::router_dtype`](crate::trace::Meta::router_dtype).
    pub fn new(dims: &Dims, dtype: Dtype) -> Self {
        let layers = vec![LayerStats::new(dims.experts); dims.layers];
        Self { layers, experts: dims.experts, dtype, ..Self::default() }
    }

    /// Of these tokens.
    pub fn of(tokens: &[Arc<TokenRecord>], dims: &Dims, dtype: Dtype) -> Self {
        let mut stats = Self::new(dims, dtype);
        stats.extend(tokens);
        stats
    }

    /// Counts one more token.
    pub fn push(&mut self, token: &TokenRecord) {
        let pos = self.tokens;
        for (layer, stats) in self.layers.iter_mut().enumerate() {
            let before = std::mem::take(&mut stats.last);
            if stats.count(token, layer, &before, true, self.dtype) {
                stats.near_ties.push(pos);
            }
            stats.last = token.experts(layer).filter(|now| !now.is_empty()).map_or(before, <[u32]>::to_vec);
        }
        self.count_loss(token, true);
        self.tokens += 1;
    }

    /// Counts more tokens.
    pub fn extend(&mut self, tokens: &[Arc<TokenRecord>]) {
        tokens.iter().for_each(|token| self.push(token));
    }

    /// Forgets the tokens from position `len` on. `tokens` are those that were counted, in their order.
    pub fn truncate(&mut self, tokens: &[Arc<TokenRecord>], len: usize) {
        let tokens = &tokens[..self.tokens.min(tokens.len())];
        if len >= tokens.len() {
            return;
        }
        // Whichever is less work: counting what stays, or taking back what goes.
        if len < tokens.len() / 2 {
            let layers = vec![LayerStats::new(self.experts); self.layers.len()];
            *self = Self { layers, experts: self.experts, dtype: self.dtype, ..Self::default() };
            self.extend(&tokens[..len]);
            return;
        }
        for pos in (len..tokens.len()).rev() {
            for (layer, stats) in self.layers.iter_mut().enumerate() {
                let captured = |token: &Arc<TokenRecord>| token.experts(layer).is_some_and(|now| !now.is_empty());
                if !captured(&tokens[pos]) {
                    continue;
                }
                let before =
                    if stats.tokens > 1 { tokens[..pos].iter().rev().find(|token| captured(token)) } else { None };
                let before = before.and_then(|token| token.experts(layer)).unwrap_or_default();
                stats.count(&tokens[pos], layer, before, false, self.dtype);
                stats.near_ties.pop_if(|last| *last == pos);
                stats.last = before.to_vec();
            }
            self.count_loss(&tokens[pos], false);
            self.tokens -= 1;
        }
    }

    fn count_loss(&mut self, token: &TokenRecord, adds: bool) {
        if let Some(score) = token.score {
            self.nll.count(score.nll, adds);
            self.scored = if adds { self.scored + 1 } else { self.scored - 1 };
        }
    }

    /// Tokens counted.
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// The dtype whose rounding step makes near-ties.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// One entry a layer, the first layer first.
    pub fn layers(&self) -> &[LayerStats] {
        &self.layers
    }

    /// The counts of a layer.
    pub fn layer(&self, layer: usize) -> Option<&LayerStats> {
        self.layers.get(layer)
    }

    /// Mean loss in nats over the tokens that were predicted, to within 2⁻⁴⁰; `None` while there is none.
    pub fn mean_loss(&self) -> Option<f64> {
        self.nll.mean(self.scored)
    }
}

#[cfg(test)]
#[path = "usage/tests.rs"]
mod tests;
