//! The operations of a layer as plain formulas in f64, with the roundings of a policy, and with suspects in force.
//!
//! Values that the recording holds are taken from it; the value that is asked for, and what lies between it and the
//! recorded ones, is computed. Roundings are those of REFERENCE ("where HF rounds").

mod attention;
mod experts;
mod products;

use super::recorded::inputs;
use super::suspect::Suspect;
use crate::engine::formulas::r;
use crate::model::weights::{Matrix, Part};
use crate::model::{Loaded, NormRounding, Precision, Rounding};
use crate::trace::{Dims, Dtype, HookKind as K, Policy};
use anyhow::{Context, Result};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

/// What a suspect needs is not recorded, so that it can't be tested.
#[derive(Debug)]
pub struct NotRecorded;

impl std::fmt::Display for NotRecorded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the recording does not hold what this depends on")
    }
}

impl std::error::Error for NotRecorded {}

/// The recorded values around one operation, f32, row-major; and the token ids.
pub struct Held {
    /// Values by kind; those of the residual stream under the kind that the layer reads.
    pub values: BTreeMap<K, Vec<f32>>,
    /// The dtypes in which they are stored.
    pub dtypes: BTreeMap<K, Dtype>,
    /// The tokens.
    pub tokens: Vec<u32>,
}

impl Held {
    /// The same, each number moved by up to half an ulp of the dtype in which it is stored: as far as it was perhaps moved
    /// when it was saved. Each `draw` always moves it by the same.
    pub fn nudged(&self, draw: u64) -> Self {
        let moved = |(kind, values): (&K, &Vec<f32>)| {
            let dtype = self.dtypes.get(kind).copied().unwrap_or(Dtype::F32);
            (*kind, values.iter().zip(draw << 40..).map(|(x, i)| nudge(*x, i, dtype)).collect())
        };
        let values = self.values.iter().map(moved).collect();
        Self { values, dtypes: self.dtypes.clone(), tokens: self.tokens.clone() }
    }
}

/// `x`, the number `i`, moved by up to half an ulp of `dtype`: at random, but always by the same. In f32 it stays.
pub fn nudge(x: f32, i: u64, dtype: Dtype) -> f32 {
    if x == 0.0 || dtype == Dtype::F32 {
        return x;
    }
    // SplitMix64's last step: neighbours are unlike.
    let mixed = (i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x + ((mixed ^ mixed >> 27) >> 40) as f32 / (1u64 << 24) as f32 * dtype.ulp(x) - 0.5 * dtype.ulp(x)
}

/// The values of one layer by definition.
pub struct Definition<'a> {
    loaded: &'a Loaded,
    held: &'a Held,
    layer: usize,
    target: K,
    precision: Precision,
    suspects: &'a [Suspect],
    memo: HashMap<(K, usize), Rc<[f64]>>,
}

impl<'a> Definition<'a> {
    /// The definition of the value at `target` in `layer`, which is computed even if the recording holds it.
    pub fn new(
        loaded: &'a Loaded,
        held: &'a Held,
        (layer, target): (usize, K),
        precision: Precision,
        suspects: &'a [Suspect],
    ) -> Self {
        let policy = |suspect: &Suspect| match suspect {
            Suspect::Policy(policy, dtype) => Some(Precision::new(*policy, *dtype)),
            Suspect::SavedIn(dtype) => Some(Precision::new(Policy::F32, *dtype)),
            _ => None,
        };
        let precision = suspects.iter().rev().find_map(policy).unwrap_or(precision);
        let precision = loaded.config.arch.rounding(precision);
        Self { loaded, held, layer, target, precision, suspects, memo: HashMap::new() }
    }

    /// The value at `kind` for the token at `pos`: a row of its tensor; of a pattern `[heads, tokens]`.
    ///
    /// # Errors
    /// If weights can't be read, or it does not follow from what the recording holds.
    pub fn row(&mut self, kind: K, pos: usize) -> Result<Rc<[f64]>> {
        if kind != self.target
            && let Some(values) = self.held.values.get(&kind)
        {
            return Ok(self.held_row(values, kind, pos));
        }
        if let Some(row) = self.memo.get(&(kind, pos)) {
            return Ok(row.clone());
        }
        let row: Rc<[f64]> = self.computed(kind, pos)?.into();
        self.memo.insert((kind, pos), row.clone());
        Ok(row)
    }

    fn held_row(&self, values: &[f32], kind: K, pos: usize) -> Rc<[f64]> {
        let n = self.held.tokens.len();
        match kind {
            K::Pattern => {
                let heads = values.chunks_exact(n * n);
                heads.flat_map(|head| &head[pos * n..][..n]).map(|x| f64::from(*x)).collect()
            }
            _ => {
                let width = values.len() / n;
                values[pos * width..][..width].iter().map(|x| f64::from(*x)).collect()
            }
        }
    }

    fn computed(&mut self, kind: K, pos: usize) -> Result<Vec<f64>> {
        let layer = self.layer;
        if kind == self.target && self.has(&Suspect::Zeroed) {
            let dims = self.loaded.config.arch.dims;
            let values = kind.shape(dims, self.held.tokens.len()).iter().product::<usize>();
            return Ok(vec![0.0; values / self.held.tokens.len()]);
        }
        match kind {
            K::Embed => self.embedding(pos),
            K::ResidPre if layer == 0 => {
                let by = f64::from(self.loaded.config.arch.multipliers.embed);
                let by = if self.has(&Suspect::NoMultipliers) { 1.0 } else { by };
                let embed = self.row(K::Embed, pos)?;
                Ok(embed.iter().map(|x| if by == 1.0 { *x } else { r(self.round(), x * by) }).collect())
            }
            K::ResidPre => Err(NotRecorded.into()),
            K::Ln1Scale => self.norm_scale(K::ResidPre, pos),
            K::Ln2Scale => self.norm_scale(K::ResidMid, pos),
            K::LnFinalScale => self.norm_scale(K::ResidPost, pos),
            K::Ln1 => self.norm(K::ResidPre, Part::Ln1(layer), pos),
            K::Ln2 => self.norm(K::ResidMid, Part::Ln2(layer), pos),
            K::LnFinal => self.norm(K::ResidPost, Part::Norm, pos),
            K::Q | K::K | K::V => self.projection(kind, pos),
            K::QNorm => self.norm(K::Q, Part::QNorm(layer), pos),
            K::KNorm => self.norm(K::K, Part::KNorm(layer), pos),
            K::RotQ if self.dims().qk_norm => self.rotation(K::QNorm, pos),
            K::RotK if self.dims().qk_norm => self.rotation(K::KNorm, pos),
            K::RotQ => self.rotation(K::Q, pos),
            K::RotK => self.rotation(K::K, pos),
            K::Pattern => self.pattern(pos),
            K::Z => self.mixed_values(pos),
            K::AttnOut => self.linear(K::Z, Part::O(layer), pos),
            K::ResidMid => self.sum(K::ResidPre, K::AttnOut, pos),
            K::ResidPost if self.has(&Suspect::AttentionLost) => self.sum(K::ResidPre, K::MlpOut, pos),
            K::ResidPost => self.sum(K::ResidMid, K::MlpOut, pos),
            K::RouterLogits => self.router_logits(pos),
            K::ExpertWeights | K::ChoiceScores => self.probabilities(pos),
            K::ExpertIndices => self.choice(pos),
            K::MixingWeights => self.mixing_weights(pos),
            K::ExpertOut => self.expert_outputs(pos),
            K::SharedOut => self.shared_output(pos),
            K::SharedGate => self.linear(K::Ln2, Part::SharedGate(layer), pos),
            K::MlpOut if !self.dims().has_router(layer) => self.dense(pos),
            K::MlpOut => self.mixture(pos),
            K::Logits => self.logits(pos),
        }
    }

    fn has(&self, suspect: &Suspect) -> bool {
        self.suspects.contains(suspect)
    }

    /// What the last of the suspects says.
    fn find<T>(&self, of: impl FnMut(&Suspect) -> Option<T>) -> Option<T> {
        self.suspects.iter().rev().find_map(of)
    }

    fn matrix(&self, part: Part) -> Result<Matrix> {
        self.loaded.store.with_bias(part, &self.loaded.config.arch)
    }

    fn dims(&self) -> Dims {
        self.loaded.config.arch.dims
    }

    fn round(&self) -> Rounding {
        self.precision.module
    }

    fn embedding(&self, pos: usize) -> Result<Vec<f64>> {
        let id = *self.held.tokens.get(pos).context("there is no such token")?;
        let mut row = Vec::new();
        self.matrix(Part::Embed)?.widen_row(id as usize, self.round(), &mut row);
        let scale = if self.has(&Suspect::EmbedScaled) { (row.len() as f64).sqrt() } else { 1.0 };
        Ok(row.into_iter().map(|x| r(self.round(), f64::from(x) * scale)).collect())
    }

    /// RMSNorm: normalised, rounded, times the gain, rounded.
    fn norm(&mut self, from: K, gain: Part, pos: usize) -> Result<Vec<f64>> {
        let round = self.round();
        let all = self.row(from, pos)?;
        if self.has(&Suspect::NormSkipped) {
            return Ok(all.to_vec());
        }
        let gain = self.matrix(gain)?.to_f32();
        // Heads that are normed alone share their gain.
        Ok(all.chunks_exact(gain.len()).flat_map(|x| self.normalised(x.to_vec(), &gain, round)).collect())
    }

    fn normalised(&self, mut x: Vec<f64>, gain: &[f32], round: Rounding) -> Vec<f64> {
        if self.has(&Suspect::NormSubtractsMean) {
            let mean = x.iter().sum::<f64>() / x.len() as f64;
            x.iter_mut().for_each(|x| *x -= mean);
        }
        let scale = 1.0 / self.root(&x);
        let plus = if self.has(&Suspect::NormOnePlusGain) { 1.0 } else { 0.0 };
        let gain = |i: usize| match self.has(&Suspect::NormWithoutGain) {
            true => 1.0,
            false => r(round, f64::from(gain[i])) + plus,
        };
        let once = (self.precision.norm == NormRounding::Once) != self.has(&Suspect::NormRoundedOnce);
        let one = |(i, x): (usize, &f64)| match once {
            true => r(round, gain(i) * x * scale),
            false => r(round, gain(i) * r(round, x * scale)),
        };
        x.iter().enumerate().map(one).collect()
    }

    /// The root of the mean square, epsilon included.
    fn root(&self, x: &[f64]) -> f64 {
        let eps = self.find(|suspect| match suspect {
            Suspect::NormEps(eps) => Some(*eps),
            _ => None,
        });
        let squares = x.iter().map(|x| x * x).sum::<f64>() / x.len() as f64;
        (squares + eps.unwrap_or(self.loaded.config.arch.eps)).sqrt()
    }

    /// What RMSNorm divides by.
    fn norm_scale(&mut self, from: K, pos: usize) -> Result<Vec<f64>> {
        let x = self.row(from, pos)?;
        Ok(vec![self.root(&x)])
    }

    /// The residual stream with what is added to it.
    fn sum(&mut self, stream: K, added: K, pos: usize) -> Result<Vec<f64>> {
        let added = self.row(added, pos)?;
        if self.has(&Suspect::NoResidual) {
            return Ok(added.to_vec());
        }
        let by = match self.has(&Suspect::NoMultipliers) {
            true => 1.0,
            false => f64::from(self.loaded.config.arch.multipliers.residual),
        };
        // In the first layer the stream is the embedding, which the model may multiply.
        let (stream, round) = (self.row(stream, pos)?, self.round());
        let added = added.iter().map(|b| if by == 1.0 { *b } else { r(round, b * by) });
        Ok(stream.iter().zip(added).map(|(a, b)| r(round, a + b)).collect())
    }
}

/// The kinds whose recorded values the definition of `kind` may read, `kind` included.
pub fn reads(kind: K, d: Dims, layer: usize) -> Vec<K> {
    let mut all = vec![kind];
    let mut i = 0;
    while i < all.len() {
        for input in inputs(all[i], d, layer) {
            if !all.contains(input) {
                all.push(*input);
            }
        }
        i += 1;
    }
    all
}
