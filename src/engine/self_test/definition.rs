//! Every operation of a pass against its definition: plain formulas in f64, from what the model itself read before it,
//! with the weights and the config as they are in the files. Sampled positions, all layers.
//!
//! Roundings inside an operation are those of the policy (REFERENCE: "where HF rounds").

use super::Steps;
use super::operation::{Operation, Want, compare, count, operations};
use crate::analysis::routing::top_k;
use crate::engine::compare::exact_in;
use crate::engine::formulas::{biased, exact_or, frequencies, glu, norm, r, sigmoid, softmax};
use crate::engine::operands::{self, offsets, rounded_sums};
use crate::model::weights::{Matrix, Part, Stored, Which};
use crate::model::{Glu, Hooks, Loaded, Precision, Rounding};
use crate::trace::{Hook, HookKind as K};
use anyhow::{Context, Result};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::ops::Range;

/// Multiply-adds that the definition may take.
const BUDGET: u64 = 1 << 32;
/// Positions that are checked.
const POSITIONS: (usize, usize) = (2, 8);

/// Reads `ids` once and computes every operation of it again.
///
/// # Errors
/// If the pass fails or is stopped.
pub fn check(loaded: &Loaded, ids: &[u32], precision: Precision, steps: &mut Steps) -> Result<Vec<Operation>> {
    let positions = positions(ids.len(), loaded.meta.params.1);
    let precision = loaded.config.arch.rounding(precision);
    let mut hooks = Definition { loaded, ids, precision, positions, seen: BTreeMap::new(), found: operations() };
    let model = &loaded.model;
    let logits = model.forward(ids, &mut model.new_cache(), precision, &mut hooks, &steps.pass(ids.len()))?;
    hooks.seen.insert(K::Logits, logits);
    hooks.ends()?;
    Ok(hooks.found)
}

/// The last position and others evenly before it, as many as the parameters of a token allow.
fn positions(tokens: usize, active: u64) -> Vec<usize> {
    let most = ((BUDGET / active.max(1)) as usize).clamp(POSITIONS.0, POSITIONS.1).min(tokens);
    (1..=most).map(|i| tokens * i / most - 1).collect()
}

struct Definition<'a> {
    loaded: &'a Loaded,
    ids: &'a [u32],
    precision: Precision,
    positions: Vec<usize>,
    /// Values of the current layer, and of embedding and outputs, one row per position.
    seen: BTreeMap<K, Vec<f32>>,
    found: Vec<Operation>,
}

impl Hooks for Definition<'_> {
    fn wants(&self, hook: Hook) -> bool {
        !matches!(hook.kind, K::Pattern | K::ChoiceScores | K::Logits) && !hook.kind.is_scale()
    }

    fn at(&mut self, hook: Hook, value: &mut [f32], _: Range<usize>) -> Result<()> {
        self.seen.insert(hook.kind, value.to_vec());
        if hook.kind == K::ResidPost {
            self.layer(hook.layer as usize)?;
        }
        Ok(())
    }

    fn at_ids(&mut self, hook: Hook, ids: &mut [u32], _: Range<usize>) -> Result<()> {
        self.seen.insert(hook.kind, ids.iter().map(|id| *id as f32).collect());
        Ok(())
    }
}

impl Definition<'_> {
    fn row(&self, kind: K, pos: usize) -> Result<&[f32]> {
        let all = self.seen.get(&kind).with_context(|| format!("`{}` was not seen", kind.suffix()))?;
        let width = all.len() / self.ids.len();
        Ok(&all[pos * width..][..width])
    }

    fn matrix(&self, part: Part) -> Result<Matrix> {
        self.loaded.store.with_bias(part, &self.loaded.config.arch)
    }

    fn see(&mut self, kind: K, layer: usize, pos: usize, want: &[Want]) -> Result<()> {
        let got = self.row(kind, pos)?.to_vec();
        compare(&mut self.found, kind.at(layer), pos, exact_in(&self.loaded.meta, kind), &got, want);
        Ok(())
    }

    fn norm(&mut self, (from, to): (K, K), gain: Part, layer: usize, pos: usize) -> Result<()> {
        let eps = self.loaded.config.arch.eps;
        let (x, gain) = (wide(self.row(from, pos)?), self.matrix(gain)?.to_f32());
        let mut want = Vec::with_capacity(x.len());
        // Heads that are normed alone share their gain.
        for x in x.chunks_exact(gain.len()) {
            let mean = x.iter().map(|x| x * x).sum::<f64>() / x.len() as f64;
            want.extend(norm(x, &gain, (mean + eps).sqrt(), self.precision).into_iter().map(plain));
        }
        self.see(to, layer, pos, &want)
    }

    fn linear(&mut self, (from, to): (K, K), weights: Part, layer: usize, pos: usize) -> Result<()> {
        let want = product(&wide(self.row(from, pos)?), &self.matrix(weights)?, self.precision.module);
        self.see(to, layer, pos, &want)
    }

    fn layer(&mut self, l: usize) -> Result<()> {
        for pos in self.positions.clone() {
            let arch = &self.loaded.config.arch;
            let (has_router, has_qk_norm) = (arch.dims.has_router(l), arch.attn.qk_norm.is_some());
            self.norm((K::ResidPre, K::Ln1), Part::Ln1(l), l, pos)?;
            for (kind, part) in [(K::Q, Part::Q(l)), (K::K, Part::K(l)), (K::V, Part::V(l))] {
                self.linear((K::Ln1, kind), part, l, pos)?;
            }
            if has_qk_norm {
                self.norm((K::Q, K::QNorm), Part::QNorm(l), l, pos)?;
                self.norm((K::K, K::KNorm), Part::KNorm(l), l, pos)?;
            }
            let [q, k] = if has_qk_norm { [K::QNorm, K::KNorm] } else { [K::Q, K::K] };
            self.rotation((q, K::RotQ), l, pos)?;
            self.rotation((k, K::RotK), l, pos)?;
            self.attention(l, pos)?;
            self.linear((K::Z, K::AttnOut), Part::O(l), l, pos)?;
            self.sum([K::ResidPre, K::AttnOut, K::ResidMid], l, pos)?;
            self.norm((K::ResidMid, K::Ln2), Part::Ln2(l), l, pos)?;
            if has_router {
                self.routing(l, pos)?;
                self.experts(l, pos)?;
                self.mixture(l, pos)?;
            } else {
                let want = self.expert(&wide(self.row(K::Ln2, pos)?), |which| Part::Dense(l, which))?;
                self.see(K::MlpOut, l, pos, &want)?;
            }
            self.sum([K::ResidMid, K::MlpOut, K::ResidPost], l, pos)?;
        }
        Ok(())
    }

    fn rotation(&mut self, (from, to): (K, K), layer: usize, pos: usize) -> Result<()> {
        let Precision { module: round, angles, .. } = self.precision;
        let arch = &self.loaded.config.arch;
        let (d_head, half) = (arch.dims.d_head, arch.dims.d_head / 2);
        let x = self.clamped(from, pos)?;
        let (frequencies, factor) = frequencies(arch, arch.rope.base);
        let turn = |frequency: f64| {
            let angle = exact_or(angles, exact_or(angles, pos as f64) * exact_or(angles, frequency));
            (r(round, angle.cos() * factor), r(round, angle.sin() * factor))
        };
        let turns: Vec<(f64, f64)> = frequencies.into_iter().map(turn).collect();
        let mut want = Vec::with_capacity(x.len());
        for head in x.chunks_exact(d_head) {
            let (low, high) = head.split_at(half);
            let of = |a: f64, b: f64| Want { value: r(round, r(round, a) + r(round, b)), scale: a.hypot(b) };
            want.extend(low.iter().zip(high).zip(&turns).map(|((a, b), (cos, sin))| of(a * cos, -b * sin)));
            want.extend(low.iter().zip(high).zip(&turns).map(|((a, b), (cos, sin))| of(b * cos, a * sin)));
        }
        self.see(to, layer, pos, &want)
    }

    /// A projection as attention reads it: clamped where the model clamps.
    fn clamped(&self, kind: K, pos: usize) -> Result<Vec<f64>> {
        let limit = self.loaded.config.arch.attn.clip.map(|limit| f64::from(self.precision.module.one(limit)));
        let values = self.row(kind, pos)?.iter().map(|x| f64::from(*x));
        Ok(values.map(|x| limit.map_or(x, |limit| x.clamp(-limit, limit))).collect())
    }

    fn attention(&mut self, layer: usize, pos: usize) -> Result<()> {
        let arch = &self.loaded.config.arch;
        let (round, d, scale) = (self.precision.module, arch.dims, f64::from(arch.score_scale()));
        let read = round.in_attention();
        let first = d.window_at(layer).map_or(0, |window| (pos + 1).saturating_sub(window));
        let sinks = if arch.attn.sinks { self.matrix(Part::Sinks(layer))?.to_f32() } else { Vec::new() };
        let q = wide(self.row(K::RotQ, pos)?);
        // A weight at a rounding boundary of f16 may go the other way, which is 2⁻¹¹ of its term.
        let slack = if read == Rounding::None { 1.0 } else { 8.0 };
        let mut want = Vec::with_capacity(q.len());
        for (head, q) in q.chunks_exact(d.d_head).enumerate() {
            let kv = head / (d.heads / d.kv_heads) * d.d_head;
            let part = |kind: K, key: usize| {
                let values = if kind == K::V { self.clamped(kind, key)? } else { wide(self.row(kind, key)?) };
                let values = values[kv..][..d.d_head].iter();
                Ok::<_, anyhow::Error>(values.map(|x| exact_or(read, *x)).collect::<Vec<f64>>())
            };
            let mut weights = Vec::new();
            for key in first..=pos {
                let dot: f64 = q.iter().zip(part(K::RotK, key)?).map(|(q, k)| exact_or(read, *q) * k).sum();
                weights.push(r(round, r(round, dot) * scale));
            }
            softmax(&mut weights, sinks.get(head).map(|sink| r(round, f64::from(*sink))), round);
            let mut z = vec![Want { value: 0.0, scale: 0.0 }; d.d_head];
            for (weight, key) in weights.iter().zip(first..) {
                for (z, v) in z.iter_mut().zip(part(K::V, key)?) {
                    z.value += r(read, r(round, *weight)) * v;
                    z.scale += slack * (weight * v).abs();
                }
            }
            want.extend(z.into_iter().map(|z| Want { value: r(round, z.value), ..z }));
        }
        self.see(K::Z, layer, pos, &want)
    }

    fn sum(&mut self, [a, b, to]: [K; 3], layer: usize, pos: usize) -> Result<()> {
        let (a, b, round) = (wide(self.row(a, pos)?), wide(self.row(b, pos)?), self.precision.module);
        let by = f64::from(self.loaded.config.arch.multipliers.residual);
        let added = |b: f64| if by == 1.0 { b } else { r(round, by * b) };
        let want: Vec<Want> = a.iter().zip(b).map(|(a, b)| plain(r(round, a + added(b)))).collect();
        self.see(to, layer, pos, &want)
    }

    fn routing(&mut self, layer: usize, pos: usize) -> Result<()> {
        let Precision { router, choice, weights, .. } = self.precision;
        // Under a policy that quantises the router, its weights are not those of the file.
        if !self.precision.quantises() {
            let want = product(&wide(self.row(K::Ln2, pos)?), &self.matrix(Part::Gate(layer))?, router);
            self.see(K::RouterLogits, layer, pos, &want)?;
        }
        let mut probs = wide(self.row(K::RouterLogits, pos)?);
        softmax(&mut probs, None, Rounding::None);
        let want: Vec<Want> = probs.iter().map(|p| plain(r(choice, *p))).collect();
        self.see(K::ExpertWeights, layer, pos, &want)?;
        let probs = self.row(K::ExpertWeights, pos)?.to_vec();
        let chosen: Vec<usize> = self.row(K::ExpertIndices, pos)?.iter().map(|e| *e as usize).collect();
        for (got, want) in chosen.iter().zip(top_k(&probs, chosen.len())) {
            count(&mut self.found, K::ExpertIndices.at(layer), pos, *got == want as usize);
        }
        let of = |e: &usize| f64::from(probs.get(*e).copied().unwrap_or(f32::NAN));
        let renormalise = self.loaded.config.arch.moe.renormalise;
        let sum = if renormalise { r(choice, chosen.iter().map(of).sum()) } else { 1.0 };
        let want: Vec<Want> = chosen.iter().map(|e| plain(r(weights, of(e) / sum))).collect();
        self.see(K::MixingWeights, layer, pos, &want)
    }

    fn experts(&mut self, layer: usize, pos: usize) -> Result<()> {
        let x = wide(self.row(K::Ln2, pos)?);
        let mut want = Vec::new();
        for e in self.row(K::ExpertIndices, pos)?.to_vec() {
            want.extend(self.expert(&x, |which| Part::Expert(layer, e as usize, which))?);
        }
        self.see(K::ExpertOut, layer, pos, &want)?;
        if self.loaded.config.arch.dims.d_shared == 0 {
            return Ok(());
        }
        let want = self.expert(&x, |which| Part::Shared(layer, which))?;
        self.see(K::SharedOut, layer, pos, &want)?;
        self.linear((K::Ln2, K::SharedGate), Part::SharedGate(layer), layer, pos)
    }

    /// The output of an expert, of the shared one, or of the MLP of a layer without a router.
    fn expert(&self, x: &[f64], part: impl Fn(Which) -> Part) -> Result<Vec<Want>> {
        let round = self.precision.module;
        let is_chosen = matches!(part(Which::W1), Part::Expert(..));
        let how = if is_chosen { self.loaded.config.arch.moe.activation } else { Glu::Silu };
        let [gate, down, up] =
            [self.matrix(part(Which::W1))?, self.matrix(part(Which::W2))?, self.matrix(part(Which::W3))?];
        let (gate, up) = (product(x, &gate, round), product(x, &up, round));
        let hidden: Vec<f64> = gate.iter().zip(&up).map(|(g, u)| glu(how, g.value, u.value, round)).collect();
        let (outputs, slack) = (product(&hidden, &down, round), flips(&hidden, &down, round));
        Ok(outputs.into_iter().map(|want| Want { scale: want.scale + slack, ..want }).collect())
    }

    fn mixture(&mut self, layer: usize, pos: usize) -> Result<()> {
        let Precision { module, mixture, .. } = self.precision;
        let (outputs, weights) = (wide(self.row(K::ExpertOut, pos)?), wide(self.row(K::MixingWeights, pos)?));
        let chosen = self.row(K::ExpertIndices, pos)?;
        let width = outputs.len() / weights.len().max(1);
        let mut slots: Vec<usize> = (0..weights.len()).collect();
        if mixture.sum.is_some() {
            slots.sort_by(|a, b| chosen[*a].total_cmp(&chosen[*b]));
        }
        let mut want = vec![Want { value: 0.0, scale: 0.0 }; width];
        for slot in slots {
            for (want, value) in want.iter_mut().zip(&outputs[slot * width..][..width]) {
                let product = exact_or(mixture.product, weights[slot] * value);
                want.value = mixture.sum.map_or(want.value + product, |sum| r(sum, want.value + product));
                want.scale = want.scale.max(product.abs());
            }
        }
        want.iter_mut().for_each(|want| want.value = r(module, want.value));
        if self.loaded.config.arch.dims.d_shared > 0 {
            let open = r(module, sigmoid(f64::from(self.row(K::SharedGate, pos)?[0])));
            for (want, shared) in want.iter_mut().zip(wide(self.row(K::SharedOut, pos)?)) {
                let product = r(module, open * shared);
                want.value = r(module, want.value + product);
                want.scale = want.scale.max(product.abs());
            }
        }
        self.see(K::MlpOut, layer, pos, &want)
    }

    /// Embedding, final norm and unembedding.
    fn ends(&mut self) -> Result<()> {
        let embed = self.matrix(Part::Embed)?;
        let unembed = if self.loaded.config.arch.tied { Part::Embed } else { Part::Unembed };
        for pos in self.positions.clone() {
            let mut row = Vec::new();
            embed.widen_row(self.ids[pos] as usize, self.precision.module, &mut row);
            let want: Vec<Want> = row.into_iter().map(|x| plain(f64::from(x))).collect();
            self.see(K::Embed, 0, pos, &want)?;
            self.norm((K::ResidPost, K::LnFinal), Part::Norm, 0, pos)?;
            let (round, by) = (self.precision.module, self.loaded.config.arch.multipliers.logits);
            let mut want = product(&wide(self.row(K::LnFinal, pos)?), &self.matrix(unembed)?, round);
            if by != 1.0 {
                let by = f64::from(by);
                want.iter_mut()
                    .for_each(|want| *want = Want { value: r(round, want.value / by), scale: want.scale / by });
            }
            self.see(K::Logits, 0, pos, &want)?;
        }
        Ok(())
    }
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|x| f64::from(*x)).collect()
}

fn plain(value: f64) -> Want {
    Want { value, scale: value.abs() }
}

/// `W x`, each sum rounded; the scale of a sum is the root of its squared terms.
fn product(x: &[f64], weights: &Matrix, round: Rounding) -> Vec<Want> {
    let as_ggml = round == Rounding::Operands;
    let sums = if as_ggml { rounded_sums(x, weights) } else { Vec::new() };
    let read = if as_ggml { operands::as_ggml(x, weights) } else { None };
    let x = read.as_deref().unwrap_or(x);
    let row = |row: usize| {
        let mut line = Vec::new();
        weights.widen_row(row, round, &mut line);
        let terms = || line.iter().zip(x).map(|(w, x)| f64::from(*w) * x);
        let value = terms().sum::<f64>() + offsets(weights, row, &sums);
        let value = biased(weights, row, value, round);
        Want { value: r(round, value), scale: terms().map(|t| t * t).sum::<f64>().sqrt() }
    };
    (0..weights.rows()).into_par_iter().map(row).collect()
}

/// How much is added to the scale of a product whose input is not known to the bit: in 8-bit blocks a few of its values may
/// go to the next integer, which moves a sum by that of a block's largest times a weight over 127.
fn flips(x: &[f64], weights: &Matrix, round: Rounding) -> f64 {
    const FLIPS: f64 = 4.0;
    /// The share of the scale by which values in f32 may be off.
    const SHARE: f64 = 1e-4;
    let most = |all: &[f64]| all.iter().fold(0f64, |most, x| most.max(x.abs()));
    if round != Rounding::Operands || matches!(weights.stored(), Stored::F32) {
        return 0.0;
    }
    let mut line = Vec::new();
    weights.widen_row(0, Rounding::None, &mut line);
    FLIPS * most(x) / 127.0 * most(&wide(&line)) / SHARE
}
