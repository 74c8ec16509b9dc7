use super::layer::LayerUsage;
use super::sum::Sum;
use crate::trace::{Dims, Dtype, TokenRecord};
use std::sync::Arc;

/// How often each layer of a run chose its experts, and the mean loss.
#[derive(Clone, Debug, PartialEq)]
pub struct RunUsage {
    /// Tokens counted.
    tokens: usize,
    /// One entry per layer.
    layers: Vec<LayerUsage>,
    experts: usize,
    dtype: Dtype,
    nll: Sum,
    scored: usize,
}

impl Default for RunUsage {
    fn default() -> Self {
        Self { tokens: 0, layers: Vec::new(), experts: 0, dtype: Dtype::F32, nll: Sum::default(), scored: 0 }
    }
}

impl RunUsage {
    /// The usage of an empty run. Near-ties are within one ulp of `dtype`, see
    /// [`Meta::router_dtype`](crate::trace::Meta::router_dtype).
    pub fn new(dims: &Dims, dtype: Dtype) -> Self {
        let layers = vec![LayerUsage::new(dims.experts); dims.layers];
        Self { layers, experts: dims.experts, dtype, ..Self::default() }
    }

    /// The usage over these tokens.
    pub fn of(tokens: &[Arc<TokenRecord>], dims: &Dims, dtype: Dtype) -> Self {
        let mut usage = Self::new(dims, dtype);
        usage.extend(tokens);
        usage
    }

    /// Counts one more token.
    pub fn push(&mut self, token: &TokenRecord) {
        let pos = self.tokens;
        for (layer, usage) in self.layers.iter_mut().enumerate() {
            let before = std::mem::take(&mut usage.last);
            if usage.count(token, layer, &before, true, self.dtype) {
                usage.near_ties.push(pos);
            }
            usage.last = token.experts(layer).filter(|now| !now.is_empty()).map_or(before, <[u32]>::to_vec);
        }
        self.count_loss(token, true);
        self.tokens += 1;
    }

    /// Counts more tokens.
    pub fn extend(&mut self, tokens: &[Arc<TokenRecord>]) {
        tokens.iter().for_each(|token| self.push(token));
    }

    /// Forgets the tokens from position `len` on. `tokens` are the counted tokens, in order.
    pub fn truncate(&mut self, tokens: &[Arc<TokenRecord>], len: usize) {
        let tokens = &tokens[..self.tokens.min(tokens.len())];
        if len >= tokens.len() {
            return;
        }
        // Counting the kept tokens again is less work than taking back more than half.
        if len < tokens.len() / 2 {
            let layers = vec![LayerUsage::new(self.experts); self.layers.len()];
            *self = Self { layers, experts: self.experts, dtype: self.dtype, ..Self::default() };
            self.extend(&tokens[..len]);
            return;
        }
        for pos in (len..tokens.len()).rev() {
            for (layer, usage) in self.layers.iter_mut().enumerate() {
                let captured = |token: &Arc<TokenRecord>| token.experts(layer).is_some_and(|now| !now.is_empty());
                if !captured(&tokens[pos]) {
                    continue;
                }
                let before =
                    if usage.tokens > 1 { tokens[..pos].iter().rev().find(|token| captured(token)) } else { None };
                let before = before.and_then(|token| token.experts(layer)).unwrap_or_default();
                usage.count(&tokens[pos], layer, before, false, self.dtype);
                usage.near_ties.pop_if(|last| *last == pos);
                usage.last = before.to_vec();
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

    /// The dtype whose ulp decides near-ties.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// One entry per layer, the first layer first.
    pub fn layers(&self) -> &[LayerUsage] {
        &self.layers
    }

    /// The counts of a layer.
    pub fn layer(&self, layer: usize) -> Option<&LayerUsage> {
        self.layers.get(layer)
    }

    /// Mean loss over the tokens that were predicted, nats, to within 2⁻⁴⁰; `None` while there is none.
    pub fn mean_loss(&self) -> Option<f64> {
        self.nll.mean(self.scored)
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
