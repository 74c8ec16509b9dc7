//! The hooked forward pass: readable from top to bottom, every named value can be seen and replaced.

use super::attention::Heads;
use super::cache::KvCache;
use super::config::Config;
use super::experts::{self, Expert, Paging};
use super::gate::Router;
use super::kernels::linear;
use super::ops::{RopeTable, add, rms_norm};
use super::precision::Precision;
#[cfg(debug_assertions)]
use super::precision::Rounding;
use super::products::Products;
use super::router;
use super::taps::{Taps, data, tap, tensor};
use super::variation::Quirks;
use super::weights::{Matrix, Part, Store, Stored, Which};
use crate::trace::{Device, Dims, Dtype, HookKind as K};
use anyhow::{Result, bail, ensure};
use candle_core::Tensor;
use std::sync::Arc;

/// A Mixtral whose weights stay where they are stored.
pub struct Mixtral {
    pub(super) config: Config,
    pub(super) compute: Dtype,
    pub(super) embed: Matrix,
    pub(super) layers: Vec<Layer>,
    pub(super) norm: Vec<f32>,
    pub(super) unembed: Matrix,
    pub(super) products: Arc<Products>,
    pub(super) paging: Paging,
    pub(super) quirks: Quirks,
}

pub(super) struct Layer {
    pub(super) ln1: Vec<f32>,
    pub(super) q: Matrix,
    pub(super) k: Matrix,
    pub(super) v: Matrix,
    pub(super) o: Matrix,
    pub(super) ln2: Vec<f32>,
    pub(super) gate: Router,
    pub(super) experts: Vec<Expert>,
}

impl Mixtral {
    /// Takes the parts of the model from `store`; `compute` is the dtype in which the `hf` policies
    /// round, and to which they round other weights when they are read.
    ///
    /// # Errors
    /// If a tensor is missing or has another shape or type.
    pub fn new(config: Config, store: &Store, compute: Dtype) -> Result<Self> {
        let vector = |part: Part| Ok::<_, anyhow::Error>(store.matrix(part, &config)?.to_f32());
        let matrix = |part: Part| store.matrix(part, &config);
        let embed = matrix(Part::Embed)?;
        let unembed = if config.tied { embed.clone() } else { matrix(Part::Unembed)? };
        let layer = |l: usize| {
            let expert = |e: usize| {
                let one = |which: Which| matrix(Part::Expert(l, e, which));
                Ok(Expert { w1: one(Which::W1)?, w2: one(Which::W2)?, w3: one(Which::W3)? })
            };
            Ok(Layer {
                ln1: vector(Part::Ln1(l))?,
                q: matrix(Part::Q(l))?,
                k: matrix(Part::K(l))?,
                v: matrix(Part::V(l))?,
                o: matrix(Part::O(l))?,
                ln2: vector(Part::Ln2(l))?,
                gate: Router::new(matrix(Part::Gate(l))?),
                experts: (0..config.dims.experts).map(expert).collect::<Result<_>>()?,
            })
        };
        let layers = (0..config.dims.layers).map(layer).collect::<Result<_>>()?;
        let norm = vector(Part::Norm)?;
        let (products, paging, quirks) = (Arc::default(), Paging::default(), Quirks::default());
        Ok(Self { compute, embed, layers, norm, unembed, products, paging, quirks, config })
    }

    /// Has products with the weights, but for the router's, computed on `device`.
    pub(super) fn compute_on(&mut self, device: Device) -> Result<()> {
        let products = Products::on(device)?;
        let in_blocks = |matrix: &Matrix| matches!(matrix.stored(), Stored::Blocks(_));
        ensure!(
            products.decode_blocks() || !self.multiplied().any(in_blocks),
            "quantised weights can't be used there: compute on the device `cpu`"
        );
        self.products = Arc::new(products);
        Ok(())
    }

    /// Which experts were in memory when the router chose them.
    pub fn paging(&self) -> &Paging {
        &self.paging
    }

    /// The sizes.
    pub fn dims(&self) -> Dims {
        self.config.dims
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The dtype in which the `hf` policies round.
    pub fn compute_dtype(&self) -> Dtype {
        self.compute
    }

    /// Whether weights are decoded anew for each token, so that reading many at once saves nothing but memory traffic.
    pub fn decodes_each_token(&self) -> bool {
        self.is_quantised() && !self.products.are_on_device()
    }

    /// Every matrix that is multiplied by, but for the routers'.
    fn multiplied(&self) -> impl Iterator<Item = &Matrix> {
        let of = |layer| {
            let Layer { q, k, v, o, experts, .. }: &Layer = layer;
            [q, k, v, o].into_iter().chain(experts.iter().flat_map(|expert| [&expert.w1, &expert.w2, &expert.w3]))
        };
        self.layers.iter().flat_map(of).chain([&self.unembed])
    }

    fn is_quantised(&self) -> bool {
        self.layers.iter().flat_map(|layer| &layer.experts).any(Expert::is_quantised)
    }

    /// An empty KV cache for this model.
    pub fn new_cache(&self) -> KvCache {
        KvCache::new(self.config.dims.layers, self.config.dims.kv_heads * self.config.dims.d_head)
    }

    /// Reads `ids` behind the positions in `cache` and returns the logits `[ids, vocab]`.
    ///
    /// Each row depends on nothing but the tokens up to it, bit for bit: prefill, chunks and single steps agree.
    /// On an error the cache is as before.
    ///
    /// # Errors
    /// If an id is outside the vocabulary, a tap fails or returns another shape, or a tap stops the pass, or the device fails.
    pub fn forward(
        &self,
        ids: &[u32],
        cache: &mut KvCache,
        precision: Precision,
        taps: &mut dyn Taps,
    ) -> Result<Tensor> {
        let (pass, mut resid) = self.begin(ids, cache, precision, taps)?;
        for l in 0..self.config.dims.layers {
            resid = pass.layer(l, resid, cache, taps)?;
        }
        let logits = pass.outputs(&resid, taps)?.all_logits(taps)?;
        pass.end(cache);
        Ok(logits)
    }

    /// One decoder layer: `resid` and the result are `[pos, d_model]`; keys and values go to `cache` behind its
    /// positions, uncounted.
    pub(super) fn block(
        &self,
        l: usize,
        resid: Tensor,
        rope: &RopeTable,
        cache: &mut KvCache,
        precision: Precision,
        taps: &mut dyn Taps,
    ) -> Result<Tensor> {
        let (d, round) = (self.config.dims, precision.module);
        let layer = &self.layers[l];
        let pos = resid.dim(0)?;
        let (resid_pre, _) = tap(taps, K::ResidPre, l, resid)?;

        let ln1 = rms_norm(&data(&resid_pre)?, &layer.ln1, self.config.rms_norm_eps, round);
        let (ln1, _) = tap(taps, K::Ln1, l, tensor(ln1, &[pos, d.d_model])?)?;
        let (q_shape, kv_shape) = ([pos, d.heads, d.d_head], [pos, d.kv_heads, d.d_head]);
        let qkv = [(0, &layer.q), (0, &layer.k), (0, &layer.v)];
        let mut qkv = self.products.linears(&[&data(&ln1)?], &qkv, round)?.into_iter();
        let mut next = || qkv.next().unwrap_or_default();
        let (q, _) = tap(taps, K::Q, l, tensor(next(), &q_shape)?)?;
        let (k, _) = tap(taps, K::K, l, tensor(next(), &kv_shape)?)?;
        let (v, _) = tap(taps, K::V, l, tensor(next(), &kv_shape)?)?;
        let (rot_q, _) = tap(taps, K::RotQ, l, tensor(rope.rotate(&data(&q)?, d.heads, round), &q_shape)?)?;
        let (rot_k, _) = tap(taps, K::RotK, l, tensor(rope.rotate(&data(&k)?, d.kv_heads, round), &kv_shape)?)?;
        cache.write(l, &data(&rot_k)?, &data(&v)?);

        let rot_q = data(&rot_q)?;
        let start = cache.len();
        let heads = Heads { q: &rot_q, start, layer: l, cache, dims: d, round };
        let z = if taps.wants(K::Pattern.at(l)) {
            let pattern = tensor(heads.pattern(), &[d.heads, pos, start + pos])?;
            let (pattern, edited) = tap(taps, K::Pattern, l, pattern)?;
            heads.z_from(&data(&pattern)?, edited)
        } else {
            heads.z()
        };
        let (z, _) = tap(taps, K::Z, l, tensor(z, &q_shape)?)?;
        let attn_out = self.products.linear(&data(&z)?, &layer.o, round)?;
        let (attn_out, _) = tap(taps, K::AttnOut, l, tensor(attn_out, &[pos, d.d_model])?)?;
        let resid_mid = add(&data(&resid_pre)?, &data(&attn_out)?, round);
        let (resid_mid, _) = tap(taps, K::ResidMid, l, tensor(resid_mid, &[pos, d.d_model])?)?;

        let ln2 = rms_norm(&data(&resid_mid)?, &layer.ln2, self.config.rms_norm_eps, round);
        let (ln2, _) = tap(taps, K::Ln2, l, tensor(ln2, &[pos, d.d_model])?)?;
        let mlp_out = self.mixture(l, &ln2, precision, taps)?;
        let (mlp_out, _) = tap(taps, K::MlpOut, l, mlp_out)?;
        let resid_post = add(&data(&resid_mid)?, &data(&mlp_out)?, round);
        Ok(tap(taps, K::ResidPost, l, tensor(resid_post, &[pos, d.d_model])?)?.0)
    }

    /// Router and experts: `x` and the result are `[pos, d_model]`.
    fn mixture(&self, l: usize, x: &Tensor, precision: Precision, taps: &mut dyn Taps) -> Result<Tensor> {
        let d = self.config.dims;
        let layer = &self.layers[l];
        let pos = x.dim(0)?;
        #[cfg(debug_assertions)]
        let precision = match self.quirks.bf16_softmax {
            true => Precision { choice: Rounding::Bf16, ..precision },
            false => precision,
        };
        let x = data::<f32>(x)?;
        let logits = tensor(linear(&x, layer.gate.under(precision.gate)?, precision.router), &[pos, d.experts])?;
        let (logits, _) = tap(taps, K::RouterLogits, l, logits)?;
        let probs = tensor(router::probabilities(&data(&logits)?, d.experts, precision.choice), &[pos, d.experts])?;
        let (probs, _) = tap(taps, K::ExpertWeights, l, probs)?;
        let probs = data::<f32>(&probs)?;
        let chosen = tensor(router::choose(&probs, d.experts, d.top_k), &[pos, d.top_k])?;
        let (chosen, _) = tap(taps, K::ExpertIndices, l, chosen)?;
        let chosen = data::<u32>(&chosen)?;
        if let Some(bad) = chosen.iter().find(|e| **e as usize >= d.experts) {
            bail!("the tap at `{}` chose expert {bad} of {}", K::ExpertIndices.at(l), d.experts);
        }
        if !self.products.are_on_device() {
            self.paging.fetch(&layer.experts, &chosen);
        }
        let weights = match self.quirks.keeps_mass {
            true => router::chosen_probabilities(&probs, &chosen, (d.experts, d.top_k)),
            false => router::mixing_weights(&probs, &chosen, (d.experts, d.top_k), precision.choice, precision.weights),
        };
        let (weights, _) = tap(taps, K::MixingWeights, l, tensor(weights, &[pos, d.top_k])?)?;
        let mut between = |done: usize, all: usize| taps.between_experts(done, all);
        let outputs =
            experts::outputs(&layer.experts, &x, (&chosen, d.top_k), (&self.products, precision.module), &mut between)?;
        let (outputs, _) = tap(taps, K::ExpertOut, l, tensor(outputs, &[pos, d.top_k, d.d_model])?)?;
        #[cfg(debug_assertions)]
        if self.quirks.whole_sequence {
            let chosen = (&*chosen, &*data(&weights)?);
            let mixed = experts::whole_sequence(&layer.experts, &x, chosen, d.top_k, (&self.products, precision))?;
            return tensor(mixed, &[pos, d.d_model]);
        }
        let mlp_out = experts::combine(&data(&outputs)?, &data(&weights)?, &chosen, d.top_k, precision);
        tensor(mlp_out, &[pos, d.d_model])
    }

    pub(super) fn final_norm(&self, resid: &Tensor, precision: Precision) -> Result<Tensor> {
        let normed = rms_norm(&data(resid)?, &self.norm, self.config.rms_norm_eps, precision.module);
        tensor(normed, resid.dims())
    }

    pub(super) fn unembed(&self, normed: &Tensor, precision: Precision) -> Result<Tensor> {
        let logits = self.products.linear(&data(normed)?, &self.unembed, precision.module)?;
        tensor(logits, &[normed.dim(0)?, self.config.dims.vocab])
    }

    /// The logit lens: final RMSNorm recomputed for these residuals `[rows, d_model]`, then the unembedding;
    /// `[rows × vocab]`. Of the last layer's `resid_post` it is the model's own logits, bit for bit.
    ///
    /// # Errors
    /// If `resid` is not whole rows, or the device fails.
    pub fn lens(&self, resid: &[f32], precision: Precision) -> Result<Vec<f32>> {
        ensure!(resid.len().is_multiple_of(self.config.dims.d_model), "a residual has {} values", resid.len());
        let normed = rms_norm(resid, &self.norm, self.config.rms_norm_eps, precision.module);
        self.products.linear(&normed, &self.unembed, precision.module)
    }
}
