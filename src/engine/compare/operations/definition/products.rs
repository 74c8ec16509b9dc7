//! Products with the weights.

use super::Definition;
use crate::engine::compare::operations::suspect::Suspect;
use crate::engine::formulas::{biased, exact_or, r};
use crate::engine::operands::{self, in_blocks, offsets, rounded_sums};
use crate::model::Rounding;
use crate::model::weights::{Matrix, Part};
use crate::trace::HookKind as K;
use anyhow::Result;
use half::f16;
use rayon::prelude::*;

impl Definition<'_> {
    pub(super) fn linear(&mut self, from: K, part: Part, pos: usize) -> Result<Vec<f64>> {
        let x = self.row(from, pos)?;
        Ok(self.product(&x, &self.matrix(part)?, self.round()))
    }

    /// What a product after a norm reads.
    pub(super) fn normed(&mut self, norm: K, stream: K, pos: usize) -> Result<std::rc::Rc<[f64]>> {
        self.row(if self.has(&Suspect::InputNotNormed) { stream } else { norm }, pos)
    }

    pub(super) fn projection(&mut self, kind: K, pos: usize) -> Result<Vec<f64>> {
        let l = self.layer;
        let swapped = self.has(&Suspect::KeysForValues);
        let part = match kind {
            K::Q => Part::Q(l),
            K::K if swapped => Part::V(l),
            K::V if swapped => Part::K(l),
            K::K => Part::K(l),
            _ => Part::V(l),
        };
        let x = self.normed(K::Ln1, K::ResidPre, pos)?;
        let values = self.product(&x, &self.matrix(part)?, self.round());
        if kind == K::V {
            return Ok(values);
        }
        let half = self.loaded.config.arch.dims.d_head / 2;
        // REFERENCE: GGUF row `head·h + 2j + s` is HF row `head·h + s·h/2 + j`.
        let from = |i: usize| match (self.has(&Suspect::RowsAsPairs), self.has(&Suspect::RowsAsHalves)) {
            (true, _) => i % 2 * half + i / 2,
            (_, true) => i % half * 2 + i / half,
            _ => i,
        };
        let heads = values.chunks_exact(2 * half);
        Ok(heads.flat_map(|head| (0..2 * half).map(|i| head[from(i)]).collect::<Vec<f64>>()).collect())
    }

    pub(super) fn logits(&mut self, pos: usize) -> Result<Vec<f64>> {
        let tied = self.loaded.config.arch.tied != self.has(&Suspect::OtherHead);
        let x = self.normed(K::LnFinal, K::ResidPost, pos)?;
        let logits = self.product(&x, &self.matrix(if tied { Part::Embed } else { Part::Unembed })?, self.round());
        let by = f64::from(self.loaded.config.arch.multipliers.logits);
        if by == 1.0 || self.has(&Suspect::NoMultipliers) {
            return Ok(logits);
        }
        Ok(logits.into_iter().map(|logit| r(self.round(), logit / by)).collect())
    }

    /// `W x`, each sum rounded.
    pub(super) fn product(&self, x: &[f64], weights: &Matrix, round: Rounding) -> Vec<f64> {
        let as_ggml = round == Rounding::Operands;
        let sums = if as_ggml || self.has(&Suspect::InputsAsGgml) { rounded_sums(x, weights) } else { Vec::new() };
        let x = self.input(x, weights, as_ggml);
        let tf32 = self.has(&Suspect::InputsInTf32);
        let in_f16 = self.has(&Suspect::SumsInF16);
        let no_bias = self.has(&Suspect::NoBias);
        let transposed = self.has(&Suspect::Transposed) && weights.rows() == weights.cols();
        let weights = if transposed { transpose(weights) } else { weights.clone() };
        let row = |row: usize| {
            let mut line = Vec::new();
            weights.widen_row(row, round, &mut line);
            let line = line.iter().map(|w| f64::from(if tf32 { to_tf32(*w) } else { *w }));
            let terms = line.zip(&x).map(|(w, x)| w * x);
            let sum = if in_f16 { sum_in_f16(terms) } else { terms.sum::<f64>() };
            let sum = sum + offsets(&weights, row, &sums);
            r(round, if no_bias { sum } else { biased(&weights, row, sum, round) })
        };
        (0..weights.rows()).into_par_iter().map(row).collect()
    }

    /// What a product with `weights` reads in place of `x`.
    fn input(&self, x: &[f64], weights: &Matrix, as_ggml: bool) -> Vec<f64> {
        let rounded = |round: Rounding| x.iter().map(|x| exact_or(round, *x)).collect();
        let of = |suspect: &Suspect| match suspect {
            Suspect::InputsIn(dtype) => Some(rounded(Rounding::to(*dtype))),
            Suspect::InputsInTf32 => Some(x.iter().map(|x| f64::from(to_tf32(*x as f32))).collect()),
            // Rows that are no multiple of 256 can't be in blocks of 256, and meet blocks of 32.
            Suspect::InputsInBlocks(width) if !x.len().is_multiple_of(*width) => Some(in_blocks(x, 32)),
            Suspect::InputsInBlocks(width) => Some(in_blocks(x, *width)),
            Suspect::InputsAsGgml => operands::as_ggml(x, weights),
            _ => None,
        };
        let own = || if as_ggml { operands::as_ggml(x, weights) } else { None };
        self.find(of).or_else(own).unwrap_or_else(|| x.to_vec())
    }
}

/// `x` with 10 bits of mantissa, to nearest even.
fn to_tf32(x: f32) -> f32 {
    let bits = x.to_bits();
    f32::from_bits(bits.wrapping_add(0x0fff + ((bits >> 13) & 1)) & !0x1fff)
}

/// A sum in f16 with eight running sums, as half-precision vector units keep them.
fn sum_in_f16(terms: impl Iterator<Item = f64>) -> f64 {
    let mut lanes = [0f64; 8];
    for (i, term) in terms.enumerate() {
        lanes[i % 8] = f16::from_f64(lanes[i % 8] + term).to_f64();
    }
    let mut width = 4;
    while width > 0 {
        for i in 0..width {
            lanes[i] = f16::from_f64(lanes[i] + lanes[i + width]).to_f64();
        }
        width /= 2;
    }
    lanes[0]
}

fn transpose(weights: &Matrix) -> Matrix {
    let (n, values) = (weights.rows(), weights.to_f32());
    let turned: Vec<f32> = (0..n * n).map(|i| values[i % n * n + i / n]).collect();
    Matrix::of(&turned, n, n)
}
