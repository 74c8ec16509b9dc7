//! RoPE and attention.

use super::Definition;
use crate::engine::compare::operations::suspect::Suspect as S;
use crate::engine::formulas::{exact_or, frequencies, r, softmax};
use crate::model::weights::Part;
use crate::model::{Precision, Rounding};
use crate::trace::{Dtype, HookKind as K};
use anyhow::Result;

impl Definition<'_> {
    /// Every head turned by the angles of its position.
    pub(super) fn rotation(&mut self, from: K, pos: usize) -> Result<Vec<f64>> {
        let x = self.clamped(from, pos)?;
        let Precision { module: round, mut angles, .. } = self.precision;
        let narrow = self.find(|s| if let S::RopeIn(dtype) = s { Some(Rounding::to(*dtype)) } else { None });
        angles = narrow.unwrap_or(angles);
        let turned = narrow.unwrap_or(round);
        let d_head = self.loaded.config.arch.dims.d_head;
        let theta = self.find(|s| if let S::RopeBase(base) = s { Some(*base) } else { None });
        let theta = theta.unwrap_or(self.loaded.config.arch.rope.base);
        let sign = if self.has(&S::RopeReversed) { -1.0 } else { 1.0 };
        let position = self.position(pos);
        let (frequencies, factor) = self.frequencies(theta);
        let half = d_head / 2;
        let turn = |i: usize| {
            let frequency = exact_or(angles, frequencies[i]);
            let angle = exact_or(angles, exact_or(angles, position) * frequency) * sign;
            (r(turned, angle.cos() * factor), r(turned, angle.sin() * factor))
        };
        let turns: Vec<(f64, f64)> = (0..half).map(turn).collect();
        let interleaved = self.has(&S::RopeInterleaved);
        let pair = |i: usize| if interleaved { (2 * i, 2 * i + 1) } else { (i, i + half) };
        let mut out = x.to_vec();
        for (head, out) in x.chunks_exact(d_head).zip(out.chunks_exact_mut(d_head)) {
            for (i, (cos, sin)) in turns.iter().enumerate() {
                let (low, high) = pair(i);
                let (a, b) = (head[low], head[high]);
                out[low] = r(round, r(round, a * cos) + r(round, -b * sin));
                out[high] = r(round, r(round, b * cos) + r(round, a * sin));
            }
        }
        Ok(out)
    }

    /// Frequencies of RoPE with this base, and the factor of cosines and sines.
    fn frequencies(&self, base: f64) -> (Vec<f64>, f64) {
        let mut arch = self.loaded.config.arch.clone();
        if self.has(&S::NoYarn) {
            arch.rope.yarn = None;
        }
        frequencies(&arch, base)
    }

    /// A projection as attention reads it: clamped where the model clamps.
    fn clamped(&mut self, kind: K, pos: usize) -> Result<Vec<f64>> {
        let values = self.row(kind, pos)?;
        let limit = self.loaded.config.arch.attn.clip.filter(|_| !self.has(&S::NotClipped));
        let limit = limit.map(|limit| f64::from(self.round().one(limit)));
        Ok(values.iter().map(|x| limit.map_or(*x, |limit| x.clamp(-limit, limit))).collect())
    }

    fn position(&self, pos: usize) -> f64 {
        let of = |s: &S| match s {
            S::PositionsZero => Some(0.0),
            S::PositionsShifted(by) => Some(pos as f64 + f64::from(*by)),
            S::PositionsRestart(at) if pos >= *at => Some((pos - at) as f64),
            S::PositionsZeroFrom(at) if pos >= *at => Some(0.0),
            S::RopeScaled(by) => Some(pos as f64 / by),
            _ => None,
        };
        self.find(of).unwrap_or(pos as f64)
    }

    /// The head of keys and values that a query head reads.
    fn kv_head(&self, head: usize) -> usize {
        let d = self.loaded.config.arch.dims;
        if self.has(&S::KvHeadsInTurn) { head % d.kv_heads } else { head / (d.heads / d.kv_heads) }
    }

    /// The rounding of attention's own steps, of what is multiplied with keys and values, and of these themselves.
    fn inside(&self) -> [Rounding; 3] {
        let half = |is: bool| if is { Rounding::to(Dtype::F16) } else { Rounding::None };
        let round = if self.has(&S::AttentionInF32) { Rounding::None } else { self.round() };
        let both = self.has(&S::CacheInF16) || self.round() == Rounding::Operands;
        [round, half(both), half(both || self.has(&S::KeysValuesInF16))]
    }

    /// Attention probabilities of the query at `pos` `[heads, tokens]`.
    pub(super) fn pattern(&mut self, pos: usize) -> Result<Vec<f64>> {
        let (d, n) = (self.loaded.config.arch.dims, self.held.tokens.len());
        let window = self
            .find(|s| if let S::Window(window) = s { Some(*window) } else { None })
            .unwrap_or(d.window_at(self.layer));
        let alone = self.find(|s| if let S::SeesItselfFrom(at) = s { Some(*at) } else { None });
        let visible = match alone {
            Some(at) if pos >= at => pos..pos + 1,
            _ => {
                let end = if self.has(&S::NotCausal) { n } else { pos + 1 };
                window.map_or(0, |window| (pos + 1).saturating_sub(window))..end
            }
        };
        let scale = self.find(|s| if let S::ScoresScaled(scale, _) = s { Some(*scale) } else { None });
        let scale = scale.unwrap_or(f64::from(self.loaded.config.arch.score_scale()));
        let sinks = self.sinks()?;
        let [round, read, kept] = self.inside();
        let q = self.row(K::RotQ, pos)?;
        let mut pattern = vec![0.0; d.heads * n];
        for (head, q) in q.chunks_exact(d.d_head).enumerate() {
            let kv = self.kv_head(head) * d.d_head;
            let mut weights = Vec::with_capacity(visible.len());
            for key in visible.clone() {
                let k = self.row(K::RotK, key)?;
                let pairs = q.iter().zip(&k[kv..][..d.d_head]);
                let dot: f64 = pairs.map(|(q, k)| exact_or(read, *q) * exact_or(kept, *k)).sum();
                weights.push(r(round, r(round, dot) * scale));
            }
            softmax(&mut weights, sinks.get(head).copied(), round);
            let weights = weights.into_iter().map(|weight| r(round, weight));
            pattern[head * n..][visible.clone()].iter_mut().zip(weights).for_each(|(out, weight)| *out = weight);
        }
        Ok(pattern)
    }

    /// Attention sinks by head; empty without them.
    fn sinks(&self) -> Result<Vec<f64>> {
        if !self.loaded.config.arch.attn.sinks || self.has(&S::NoSinks) {
            return Ok(Vec::new());
        }
        let sinks = self.matrix(Part::Sinks(self.layer))?.to_f32();
        Ok(sinks.into_iter().map(|sink| r(self.round(), f64::from(sink))).collect())
    }

    /// Each head's values, weighted `[heads, d_head]`.
    pub(super) fn mixed_values(&mut self, pos: usize) -> Result<Vec<f64>> {
        let (d, n) = (self.loaded.config.arch.dims, self.held.tokens.len());
        if self.has(&S::FlashInF16) {
            return self.flash(pos);
        }
        let [_, read, kept] = self.inside();
        let mut pattern = self.row(K::Pattern, pos)?;
        if self.has(&S::PatternRounded) {
            let round = Rounding::to(self.loaded.meta.compute_dtype);
            pattern = pattern.iter().map(|p| r(round, *p)).collect();
        }
        let mut z = vec![0.0; d.heads * d.d_head];
        for (head, z) in z.chunks_exact_mut(d.d_head).enumerate() {
            let kv = self.kv_head(head) * d.d_head;
            for (key, weight) in pattern[head * n..][..n].iter().enumerate().filter(|(_, weight)| **weight != 0.0) {
                let v = self.clamped(K::V, key)?;
                let weight = exact_or(read, *weight);
                z.iter_mut().zip(&v[kv..][..d.d_head]).for_each(|(z, v)| *z += weight * exact_or(kept, *v));
            }
        }
        Ok(z.into_iter().map(|z| r(self.round(), z)).collect())
    }
}

impl Definition<'_> {
    /// Attention in one pass over the keys, with a running maximum, in f16 (ggml's `flash_attn_ext` on a CPU).
    fn flash(&mut self, pos: usize) -> Result<Vec<f64>> {
        let d = self.loaded.config.arch.dims;
        let first = d.window_at(self.layer).map_or(0, |window| (pos + 1).saturating_sub(window));
        let (scale_of, sinks) = (f64::from(self.loaded.config.arch.score_scale()), self.sinks()?);
        let half = |x: f64| r(Rounding::to(Dtype::F16), x);
        let q = self.row(K::RotQ, pos)?;
        let mut z = vec![0.0; d.heads * d.d_head];
        for (head, (q, z)) in q.chunks_exact(d.d_head).zip(z.chunks_exact_mut(d.d_head)).enumerate() {
            let kv = self.kv_head(head) * d.d_head;
            let (mut most, mut sum) = (f64::NEG_INFINITY, 0.0);
            for key in first..=pos {
                let (k, v) = (self.row(K::RotK, key)?, self.clamped(K::V, key)?);
                let pairs = q.iter().zip(&k[kv..][..d.d_head]);
                let score = pairs.map(|(q, k)| half(*q) * half(*k)).sum::<f64>() * scale_of;
                let (mut scale, mut weight) = (1.0, 1.0);
                if score > most {
                    scale = (most - score).exp();
                    most = score;
                    z.iter_mut().for_each(|z| *z = half(*z * scale));
                } else {
                    weight = (score - most).exp();
                }
                z.iter_mut().zip(&v[kv..][..d.d_head]).for_each(|(z, v)| *z = half(*z + weight * half(*v)));
                sum = sum * scale + weight;
            }
            sum += sinks.get(head).map_or(0.0, |sink| (sink - most).exp());
            z.iter_mut().for_each(|z| *z /= sum);
        }
        Ok(z.into_iter().map(|z| r(self.round(), z)).collect())
    }
}
