//! What one pass over a text shows: the loss of its tokens, and how the router chose.

use super::Steps;
use crate::analysis::entropy;
use crate::analysis::routing::{Margin, ranked};
use crate::model::{Distribution, Hooks, Model, Precision};
use crate::trace::{Dtype, Hook, HookKind as K};
use anyhow::Result;
use serde::Serialize;
use std::ops::Range;

/// The router of one layer over all texts.
#[derive(Clone, Debug, Default, Serialize)]
pub struct RouterLoad {
    /// Mean entropy of the router's probabilities, nats.
    pub entropy: f64,
    /// Share of all choices that each expert got `[experts]`.
    pub load: Vec<f64>,
    /// Share of choices that one ulp of the compute dtype could have changed.
    pub near_ties: f64,
    #[serde(skip)]
    tokens: usize,
}

impl RouterLoad {
    fn add(&mut self, logits: &[f32], probs: &[f32], k: usize, dtype: Dtype) {
        self.load.resize(logits.len(), 0.0);
        self.tokens += 1;
        self.entropy += f64::from(entropy(probs));
        let order = ranked(logits);
        order.iter().take(k).for_each(|e| self.load[*e] += 1.0);
        if let (Some(last), Some(next)) = (order.get(k.wrapping_sub(1)), order.get(k)) {
            let (last, next) = (logits[*last], logits[*next]);
            let margin = Margin { gap: last - next, scale: last.abs().max(next.abs()), tied: last == next };
            self.near_ties += f64::from(u8::from(margin.is_near_tie(dtype)));
        }
    }

    /// Turns sums into means.
    pub(super) fn settle(&mut self, k: usize) {
        let tokens = self.tokens.max(1) as f64;
        self.entropy /= tokens;
        self.near_ties /= tokens;
        self.load.iter_mut().for_each(|load| *load /= tokens * k.max(1) as f64);
    }
}

/// The logits of one pass over `ids` `[pos × vocab]`; what the router did is added to `routers`.
pub fn read(
    model: &Model,
    ids: &[u32],
    precision: Precision,
    dtype: Dtype,
    routers: &mut Vec<RouterLoad>,
    steps: &mut Steps,
) -> Result<Vec<f32>> {
    let dims = model.dims();
    routers.resize(dims.layers, RouterLoad::default());
    let mut watch = Watch { routers, logits: Vec::new(), experts: dims.experts, k: dims.top_k, dtype };
    model.forward(ids, &mut model.new_cache(), precision, &mut watch, &steps.pass(ids.len()))
}

/// -log p of all tokens but the first, nats. `logits` is `[pos × vocab]`.
pub fn token_losses(logits: &[f32], ids: &[u32]) -> Vec<f64> {
    let vocab = logits.len() / ids.len().max(1);
    let rows = ids.iter().skip(1).zip(logits.chunks_exact(vocab.max(1)));
    rows.map(|(id, row)| -Distribution::of(row).log_prob(*id as usize)).collect()
}

/// The mean of the values.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// The standard error of the mean.
pub fn standard_error(values: &[f64]) -> f64 {
    let (mean, n) = (mean(values), values.len() as f64);
    (values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0) / n.max(1.0)).sqrt()
}

struct Watch<'a> {
    routers: &'a mut Vec<RouterLoad>,
    /// Router logits of the current layer `[pos × experts]`.
    logits: Vec<f32>,
    experts: usize,
    k: usize,
    dtype: Dtype,
}

impl Hooks for Watch<'_> {
    fn wants(&self, hook: Hook) -> bool {
        matches!(hook.kind, K::RouterLogits | K::ExpertWeights)
    }

    fn at(&mut self, hook: Hook, values: &mut [f32], _: Range<usize>) -> Result<()> {
        if hook.kind == K::RouterLogits {
            self.logits = values.to_vec();
        } else if let Some(router) = self.routers.get_mut(hook.layer as usize) {
            let rows = self.logits.chunks_exact(self.experts).zip(values.chunks_exact(self.experts));
            rows.for_each(|(logits, probs)| router.add(logits, probs, self.k, self.dtype));
        }
        Ok(())
    }
}
