//! Direct logit attribution: the contributions of layers, heads and experts to one logit, from stored activations.

use super::heads::derive_z;
use crate::analysis::{EditShare, ExpertShare};
use crate::model::arch::Glu;
use crate::model::edits::{Cuts, PromptEdits};
use crate::model::kernels::linear;
use crate::model::pass::experts::{self, Routed};
use crate::model::pass::mixture;
use crate::model::pass::norm::{rms_norm, rms_scale};
use crate::model::pass::ops::{add_scaled, scale};
use crate::model::pass::{KvCache, Model};
use crate::model::precision::{Precision, Rounding};
use crate::model::weights::Matrix;
use crate::trace::{HookKind as K, TokenRecord};
use anyhow::{Result, ensure};
use rayon::prelude::*;
use std::sync::Arc;

/// Weight rows of one parallel task. Sums are added in the order of the tasks, so that threads don't change them.
const TASK_ROWS: usize = 64;

/// The direction in the residual stream that one logit reads, with the scale of the final norm frozen.
pub struct Direction {
    /// The model's own logit, bit for bit.
    pub logit: f32,
    /// The frozen scale, `1 / rms(x)`, divided by what the model divides its logits by.
    pub scale: f32,
    /// `scale · gain ⊙ W_U[target]`, `[d_model]`.
    pub u: Vec<f64>,
}

impl Direction {
    /// Share of a part `[d_model]` of the residual stream.
    pub fn share(&self, part: impl Iterator<Item = f64>) -> f64 {
        self.u.iter().zip(part).map(|(u, x)| u * x).sum()
    }

    fn share_of_step(&self, before: &[f32], after: &[f32]) -> f64 {
        self.share(after.iter().zip(before).map(|(after, before)| f64::from(*after) - f64::from(*before)))
    }
}

/// Shares of the parts of the residual stream.
pub struct StreamShares {
    /// Share of the embedding.
    pub embed: f64,
    /// Share of `resid_mid - resid_pre`, by layer.
    pub attn: Vec<f64>,
    /// Share of `resid_post - resid_mid`, by layer.
    pub mlp: Vec<f64>,
    /// Shares of what edits put in, which `attn` and `mlp` leave out.
    pub edits: Vec<EditShare>,
}

impl Model {
    /// The direction that the logit of `target` reads when the last layer leaves `resid` `[d_model]`.
    ///
    /// # Errors
    /// If `target` is outside the vocabulary or `resid` has another width.
    pub fn direction(&self, resid: &[f32], target: u32, precision: Precision) -> Result<Direction> {
        let precision = self.arch.rounding(precision);
        let (d, round, eps) = (self.dims(), precision.module, self.arch.eps);
        ensure!((target as usize) < d.vocab, "token id {target} is outside the vocabulary of {} tokens", d.vocab);
        ensure!(resid.len() == d.d_model, "a residual has {} values", resid.len());
        let row = self.unembed.row(target as usize);
        // One row of the product has the same bits only where this program computes it.
        let logit = match self.products.are_on_device() {
            true => self.lens(resid, precision)?[target as usize],
            false => self.scaled_logit(linear(&rms_norm(resid, &self.norm, eps, precision), &row, round)[0], round),
        };
        let scale = rms_scale(resid, eps) / self.arch.multipliers.logits;
        let mut wide = Vec::new();
        row.widen_row(0, round, &mut wide);
        let u = |(w, gain): (&f32, &f32)| f64::from(scale) * f64::from(round.one(*gain)) * f64::from(*w);
        Ok(Direction { logit, scale, u: wide.iter().zip(&self.norm).map(u).collect() })
    }

    /// Shares of the embedding and of what every layer added to the residual stream of `token`. Their sum is the share
    /// of the last residual. `edits` are those of the run, and the token's position. `None` if residuals were not captured.
    pub fn stream_shares(
        &self,
        token: &TokenRecord,
        edits: Option<(&PromptEdits, usize)>,
        direction: &Direction,
        precision: Precision,
    ) -> Option<StreamShares> {
        let mut embedding = Vec::new();
        self.embed.widen_row(token.id as usize, precision.module, &mut embedding);
        scale(&mut embedding, self.arch.multipliers.embed, precision.module);
        let residual = self.arch.multipliers.residual;
        let mut before = embedding.as_slice();
        let mut shares = StreamShares {
            embed: direction.share(embedding.iter().map(|x| f64::from(*x))),
            attn: Vec::new(),
            mlp: Vec::new(),
            edits: Vec::new(),
        };
        for layer in 0..self.dims().layers {
            let (mid, post) = (token.row(K::ResidMid, layer)?, token.row(K::ResidPost, layer)?);
            let (mut attn, mut mlp) = (direction.share_of_step(before, mid), direction.share_of_step(mid, post));
            if let Some((edits, pos)) = edits {
                let unpatched = |x: &[f32], block: K| {
                    Some(add_scaled(x.to_vec(), token.row(block, layer)?, residual, precision.module))
                };
                let pre = token.row(K::ResidPre, layer).unwrap_or(before);
                let mut take = |kind: K, patched: &dyn Fn() -> Option<f64>| {
                    let found = edit_shares(edits, (kind, layer, pos), direction, patched)?;
                    let sum = found.iter().map(|edit| edit.share).sum::<f64>();
                    shares.edits.extend(found);
                    Some(sum)
                };
                attn -= take(K::ResidPre, &|| Some(direction.share_of_step(before, token.row(K::ResidPre, layer)?)))?;
                attn -= take(K::AttnOut, &|| Some(0.0))?;
                attn -= take(K::ResidMid, &|| Some(direction.share_of_step(&unpatched(pre, K::AttnOut)?, mid)))?;
                mlp -= take(K::MlpOut, &|| Some(0.0))?;
                mlp -= take(K::ResidPost, &|| Some(direction.share_of_step(&unpatched(mid, K::MlpOut)?, post)))?;
            }
            shares.attn.push(attn);
            shares.mlp.push(mlp);
            before = post;
        }
        Some(shares)
    }

    /// Share of each head of `layer` at `pos`, `[heads]`: that of its output `z` times its columns of `W_O`; a bias of the
    /// projection belongs to no head. `cuts` are those of the layer. `None` if queries or keys were not captured or `cache` does not hold the position.
    pub fn head_shares(
        &self,
        (tokens, cache): (&[Arc<TokenRecord>], &KvCache),
        (pos, layer): (usize, usize),
        direction: &Direction,
        precision: Precision,
        cuts: Option<&Cuts>,
    ) -> Option<Vec<f64>> {
        let (d, added) = (self.dims(), f64::from(self.arch.multipliers.residual));
        let pulled = pull_back(&self.layers[layer].o, &direction.u, precision.module);
        let share = |(head, v): (usize, &[f64])| {
            let z = derive_z((tokens, cache), (layer, head), pos, (d, &self.scores), precision.module, cuts.cloned())?;
            Some(added * v.iter().zip(z).map(|(v, z)| v * f64::from(z)).sum::<f64>())
        };
        pulled.chunks_exact(d.d_head).enumerate().map(share).collect()
    }

    /// Outputs of the experts that `token` chose in `layer`, before weighting, `[k, d_model]`: bit for bit those of
    /// the pass. `None` if residuals or routing were not captured.
    ///
    /// # Errors
    /// If the device fails.
    pub fn derive_expert_out(
        &self,
        token: &TokenRecord,
        layer: usize,
        precision: Precision,
    ) -> Result<Option<Vec<f32>>> {
        if let Some(outputs) = token.row(K::ExpertOut, layer) {
            return Ok(Some(outputs.to_vec()));
        }
        let (precision, of_layer) = (self.arch.rounding(precision), &self.layers[layer]);
        let Some((chosen, resid_mid)) = token.experts(layer).zip(token.row(K::ResidMid, layer)) else {
            return Ok(None);
        };
        if !self.products.are_on_device() {
            chosen.iter().filter_map(|e| of_layer.experts().get(*e as usize)).for_each(experts::Expert::prefetch);
        }
        let ln2 = rms_norm(resid_mid, &of_layer.ln2, self.arch.eps, precision);
        let activation = self.arch.moe.activation;
        let routed = Routed { x: &ln2, chosen, weights: &[], k: chosen.len(), activation };
        let by = (&*self.products, precision);
        Ok(Some(experts::outputs(of_layer.experts(), routed, by, &|_, _| Ok(()))?))
    }

    /// What the shared expert adds to the MLP's output of `token` in `layer`, times the sigmoid of its gate, `[d_model]`.
    /// `None` if the layer has no shared expert, or residuals were not captured.
    ///
    /// # Errors
    /// If the device fails.
    pub fn derive_shared_out(
        &self,
        token: &TokenRecord,
        layer: usize,
        precision: Precision,
    ) -> Result<Option<Vec<f32>>> {
        let (precision, of_layer) = (self.arch.rounding(precision), &self.layers[layer]);
        let round = precision.module;
        let Some(shared) = of_layer.mixture().and_then(|mixture| mixture.shared.as_ref()) else { return Ok(None) };
        let kept = token.row(K::SharedOut, layer).zip(token.row(K::SharedGate, layer));
        let (out, gate) = match (kept, token.row(K::ResidMid, layer)) {
            (Some((out, gate)), _) => (out.to_vec(), gate.to_vec()),
            (None, Some(resid_mid)) => {
                let ln2 = rms_norm(resid_mid, &of_layer.ln2, self.arch.eps, precision);
                let out = shared.expert.forward(&ln2, Glu::Silu, (&self.products, round))?;
                (out, linear(&ln2, &shared.gate, round))
            }
            (None, None) => return Ok(None),
        };
        Ok(Some(mixture::add_shared(vec![0.0; out.len()], &out, &gate, round)))
    }

    /// Share of the bias of the attention's output projection in `layer`; 0 without one.
    pub fn bias_share(&self, layer: usize, direction: &Direction) -> f64 {
        let bias = self.layers[layer].o.bias();
        let added = f64::from(self.arch.multipliers.residual);
        bias.map_or(0.0, |bias| added * direction.share(bias.values.iter().map(|x| f64::from(*x))))
    }

    /// Share of the shared expert in `layer`, gate included. `None` as in [`Model::derive_shared_out`].
    ///
    /// # Errors
    /// If the device fails.
    pub fn shared_share(
        &self,
        token: &TokenRecord,
        layer: usize,
        direction: &Direction,
        precision: Precision,
    ) -> Result<Option<f64>> {
        let added = f64::from(self.arch.multipliers.residual);
        let out = self.derive_shared_out(token, layer, precision)?;
        Ok(out.map(|out| added * direction.share(out.iter().map(|x| f64::from(*x)))))
    }

    /// The contribution of each expert that `token` chose in `layer`, best expert first. `None` as in
    /// [`Model::derive_expert_out`].
    ///
    /// # Errors
    /// If the device fails.
    pub fn expert_shares(
        &self,
        token: &TokenRecord,
        layer: usize,
        direction: &Direction,
        precision: Precision,
    ) -> Result<Option<Vec<ExpertShare>>> {
        let outputs = self.derive_expert_out(token, layer, precision)?;
        let routed = token.experts(layer).zip(token.row(K::MixingWeights, layer));
        let Some((outputs, (chosen, weights))) = outputs.zip(routed) else { return Ok(None) };
        let (precision, added) = (self.arch.rounding(precision), f64::from(self.arch.multipliers.residual));
        let mlp_out = mixture::combine(&outputs, weights, chosen, chosen.len(), precision);
        let share = |((expert, weight), out): ((&u32, &f32), &[f32])| {
            let weighted = || out.iter().map(|x| f64::from(*weight) * f64::from(*x));
            let norm = weighted().map(|x| x * x).sum::<f64>().sqrt();
            let whole = mlp_out.iter().map(|y| f64::from(*y).powi(2)).sum::<f64>().sqrt();
            let dot: f64 = weighted().zip(&mlp_out).map(|(x, y)| x * f64::from(*y)).sum();
            let cosine = (norm > 0.0 && whole > 0.0).then(|| dot / (norm * whole));
            ExpertShare { expert: *expert, weight: *weight, norm, cosine, share: added * direction.share(weighted()) }
        };
        Ok(Some(chosen.iter().zip(weights).zip(outputs.chunks_exact(mlp_out.len())).map(share).collect()))
    }
}

/// Shares of what edits put in at a hook of the stream, or added to a block's output. `patched` gives the share of a whole
/// change of the stream by another run's value.
fn edit_shares(
    edits: &PromptEdits,
    (kind, layer, pos): (K, usize, usize),
    direction: &Direction,
    patched: &dyn Fn() -> Option<f64>,
) -> Option<Vec<EditShare>> {
    let found = edits.streamed(kind.at(layer), pos);
    let mut shares: Vec<EditShare> = found
        .added
        .iter()
        .map(|added| {
            let vector = added.vector.iter().map(|x| added.factor * f64::from(*x));
            let share = direction.share(vector);
            EditShare { layer, is_patch: false, label: edits.label(added.edit), share }
        })
        .collect();
    // A block whose output is that of another run has it as its own.
    if let Some(edit) = found.patched.filter(|_| !matches!(kind, K::AttnOut | K::MlpOut)) {
        let share = patched()? - shares.iter().map(|edit| edit.share).sum::<f64>();
        shares.insert(0, EditShare { layer, is_patch: true, label: edits.label(edit), share });
    }
    Some(shares)
}

/// `wᵀ u` for `w` `[n, k]` and `u` `[n]`: the direction `[k]` before `w` that reads the same as `u` after it.
fn pull_back(w: &Matrix, u: &[f64], round: Rounding) -> Vec<f64> {
    let task = |(i, u): (usize, &[f64])| {
        let mut sum = vec![0f64; w.cols()];
        let mut wide = Vec::new();
        for (row, u) in (i * TASK_ROWS..).zip(u) {
            w.widen_row(row, round, &mut wide);
            for (sum, x) in sum.iter_mut().zip(&wide) {
                *sum += u * f64::from(*x);
            }
        }
        sum
    };
    let parts: Vec<Vec<f64>> = u.par_chunks(TASK_ROWS).enumerate().map(task).collect();
    let mut whole = vec![0f64; w.cols()];
    for part in parts {
        whole.iter_mut().zip(part).for_each(|(whole, x)| *whole += x);
    }
    whole
}
