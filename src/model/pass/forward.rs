//! The forward pass, from top to bottom: one line per step, one line per hook.

use super::attention::{Heads, operand};
use super::cache::KvCache;
use super::context::Context;
use super::experts::{self, Routed};
use super::hooks::Hooks;
use super::mixture;
use super::model::{Layer, Mixture, Mlp, Model};
use super::norm::rms_norm;
use super::ops::{add_scaled, clamp, scale};
use super::outputs::Outputs;
use super::rope::RopeTable;
use super::router;
use crate::control::Control;
use crate::model::arch::Glu;
use crate::model::kernels::linear;
use crate::model::precision::Precision;
use crate::trace::HookKind as K;
use anyhow::{Result, ensure};
use std::ops::Range;

impl Model {
    /// Reads `ids` after the positions in `cache` and returns the logits `[ids × vocab]`. Progress is in token-layers.
    ///
    /// Each row depends on nothing but the tokens up to it, bit for bit: prefill, chunks and single steps agree.
    /// On an error the cache is as before.
    ///
    /// # Errors
    /// If there is no id or one is outside the vocabulary, a hook or the device fails, or `control` stops the pass.
    pub fn forward(
        &self,
        ids: &[u32],
        cache: &mut KvCache,
        precision: Precision,
        hooks: &mut dyn Hooks,
        control: &Control,
    ) -> Result<Vec<f32>> {
        let (pass, mut x) = self.begin(ids, cache, precision, hooks)?;
        for l in 0..self.layers.len() {
            x = pass.layer(l, x, cache, hooks, control)?;
        }
        let logits = pass.outputs(&x, hooks, control)?.into_logits()?;
        pass.end(cache);
        Ok(logits)
    }

    /// Begins a pass over `ids` after the positions in `cache`, and returns it with the embeddings `[ids × d_model]`.
    ///
    /// # Errors
    /// If there is no id or one is outside the vocabulary, or a hook fails.
    pub fn begin(
        &self,
        ids: &[u32],
        cache: &KvCache,
        precision: Precision,
        hooks: &mut dyn Hooks,
    ) -> Result<(Pass<'_>, Vec<f32>)> {
        let (d, precision) = (self.arch.dims, self.arch.rounding(precision));
        ensure!(!ids.is_empty(), "there is no token to read");
        self.tally().count_pass();
        let mut x = Vec::with_capacity(ids.len() * d.d_model);
        let mut row = Vec::new();
        for id in ids {
            ensure!((*id as usize) < d.vocab, "token id {id} is outside the vocabulary of {} tokens", d.vocab);
            self.embed.widen_row(*id as usize, precision.module, &mut row);
            x.extend_from_slice(&row);
        }
        let positions = cache.len()..cache.len() + ids.len();
        let rope = RopeTable::new(positions.clone(), d.d_head, self.arch.rope, precision);
        let pass = Pass { model: self, rope, precision, positions };
        let mut x = pass.context(0, hooks, &Control::none()).hook(K::Embed, x)?;
        scale(&mut x, self.arch.multipliers.embed, precision.module);
        Ok((pass, x))
    }
}

/// A pass over some tokens, layer by layer. Layers are run in their order, each with the cache with which the pass
/// began; the keys and values that they write there count from [`Pass::end`] on.
pub struct Pass<'m> {
    model: &'m Model,
    rope: RopeTable,
    precision: Precision,
    positions: Range<usize>,
}

impl<'m> Pass<'m> {
    /// One decoder layer: `x` and the result are the residual stream `[ids × d_model]`.
    ///
    /// # Errors
    /// If a hook or the device fails, or `control` stops the pass.
    pub fn layer(
        &self,
        l: usize,
        x: Vec<f32>,
        cache: &mut KvCache,
        hooks: &mut dyn Hooks,
        control: &Control,
    ) -> Result<Vec<f32>> {
        let (layer, cx) = (&self.model.layers[l], &mut self.context(l, hooks, control));
        cx.advance(0, 1)?;
        let x = cx.hook(K::ResidPre, x)?;
        let ln1 = cx.norm(K::Ln1Scale, &x, &layer.ln1)?;
        let ln1 = cx.hook(K::Ln1, ln1)?;
        let attn_out = self.attention(layer, &ln1, cache, cx)?;
        let added = self.model.arch.multipliers.residual;
        let x = cx.hook(K::ResidMid, add_scaled(x, &attn_out, added, cx.round()))?;
        let ln2 = cx.norm(K::Ln2Scale, &x, &layer.ln2)?;
        let ln2 = cx.hook(K::Ln2, ln2)?;
        let mlp_out = match &layer.mlp {
            Mlp::Dense(mlp) => mlp.forward(&ln2, Glu::Silu, (&self.model.products, cx.round()))?,
            Mlp::Moe(mixture) => self.moe(mixture, &ln2, cx)?,
        };
        let mlp_out = cx.hook(K::MlpOut, mlp_out)?;
        cx.hook(K::ResidPost, add_scaled(x, &mlp_out, added, cx.round()))
    }

    /// Grouped-query attention: `x` and the result are `[pos × d_model]`.
    fn attention(&self, layer: &Layer, x: &[f32], cache: &mut KvCache, cx: &mut Context) -> Result<Vec<f32>> {
        let (products, dims, round) = (&self.model.products, cx.dims, cx.round());
        let [q, k, v] = products.linears_of(x, [&layer.q, &layer.k, &layer.v], round)?;
        let (mut q, mut k, mut v) = (cx.hook(K::Q, q)?, cx.hook(K::K, k)?, cx.hook(K::V, v)?);
        if let Some([q_gain, k_gain]) = &layer.qk_norm {
            q = cx.hook(K::QNorm, rms_norm(&q, q_gain, cx.eps, cx.precision))?;
            k = cx.hook(K::KNorm, rms_norm(&k, k_gain, cx.eps, cx.precision))?;
        }
        if let Some(limit) = self.model.arch.attn.clip {
            [&mut q, &mut k, &mut v].into_iter().for_each(|values| clamp(values, limit, round));
        }
        let q = cx.hook(K::RotQ, cx.rotate(q, dims.heads))?;
        let k = cx.hook(K::RotK, cx.rotate(k, dims.kv_heads))?;
        cache.write(cx.layer, &operand(&k, round), &operand(&v, round));
        let cuts = cx.hooks.cuts(cx.layer);
        let (start, layer_index, scores) = (self.positions.start, cx.layer, &self.model.scores);
        let heads = Heads { q: &q, start, layer: layer_index, cache, cuts: cuts.as_ref(), dims, scores, round };
        let z = match cx.wants(K::Pattern) {
            true => heads.z_from(&cx.hook(K::Pattern, heads.pattern())?),
            false => heads.z(),
        };
        let z = cx.hook(K::Z, z)?;
        cx.hook(K::AttnOut, products.linear(&z, &layer.o, round)?)
    }

    /// Router and experts: `x` and the result are `[pos × d_model]`.
    fn moe(&self, layer: &Mixture, x: &[f32], cx: &mut Context) -> Result<Vec<f32>> {
        let (moe, experts, precision) = (&self.model.arch.moe, cx.dims.experts, cx.precision);
        let logits = linear(x, layer.router.read_as(precision.gate)?, precision.router);
        let logits = cx.hook(K::RouterLogits, logits)?;
        let scores = cx.hook(K::ExpertWeights, router::probabilities(logits, experts, precision.choice))?;
        let choice = cx.hook_copy(K::ChoiceScores, &scores)?;
        let chosen = cx.choose(&choice);
        let chosen = cx.hook_ids(K::ExpertIndices, chosen)?;
        let k = cx.dims.top_k;
        self.model.fetch(&layer.experts, &chosen);
        let weights = router::mixing_weights(&scores, &chosen, (experts, k), moe.renormalise, precision);
        let weights = cx.hook(K::MixingWeights, weights)?;
        let routed = Routed { x, chosen: &chosen, weights: &weights, k, activation: moe.activation };
        let by = (&*self.model.products, precision);
        let outputs = experts::outputs(&layer.experts, routed, by, &|done, total| cx.advance(done, total))?;
        let outputs = cx.hook(K::ExpertOut, outputs)?;
        let mixed = mixture::mix(moe.dispatch, &layer.experts, routed, &outputs, by)?;
        let Some(shared) = &layer.shared else { return Ok(mixed) };
        let out = shared.expert.forward(x, Glu::Silu, (&self.model.products, cx.round()))?;
        let out = cx.hook(K::SharedOut, out)?;
        let gate = cx.hook(K::SharedGate, linear(x, &shared.gate, cx.round()))?;
        Ok(mixture::add_shared(mixed, &out, &gate, cx.round()))
    }

    /// The outputs that follow from the last layer's residual stream `x` `[ids × d_model]`: the final norm, and the
    /// logits if a hook wants them.
    ///
    /// # Errors
    /// If a hook or the device fails, or `control` stops the pass.
    pub fn outputs(&self, x: &[f32], hooks: &mut dyn Hooks, control: &Control) -> Result<Outputs<'m>> {
        control.check()?;
        let model = self.model;
        let cx = &mut self.context(0, hooks, control);
        let normed = cx.norm(K::LnFinalScale, x, &model.norm)?;
        let normed = cx.hook(K::LnFinal, normed)?;
        let logits = match cx.wants(K::Logits) {
            true => Some(cx.hook(K::Logits, model.unembed(&normed, self.precision)?)?),
            false => None,
        };
        Ok(Outputs::new(model, self.precision, normed, logits))
    }

    /// Counts the keys and values that the layers wrote into `cache`.
    pub fn end(self, cache: &mut KvCache) {
        cache.advance(self.positions.len());
    }

    fn context<'a>(&'a self, layer: usize, hooks: &'a mut dyn Hooks, control: &'a Control) -> Context<'a> {
        Context {
            dims: self.model.arch.dims,
            eps: self.model.arch.eps,
            precision: self.precision,
            rope: &self.rope,
            positions: self.positions.clone(),
            layer,
            hooks,
            control,
        }
    }
}
