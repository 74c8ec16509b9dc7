//! The small operations of a decoder layer, on plain slices.

use super::precision::{Precision, Rounding};
use rayon::prelude::*;

/// Values of one parallel task.
const PIECE: usize = 1 << 12;

/// RMSNorm with gain (HF `MixtralRMSNorm`): in f32, rounded, times the gain, rounded. `x` is `[rows, d]`, `gain` `[d]`.
pub fn rms_norm(x: &[f32], gain: &[f32], eps: f64, round: Rounding) -> Vec<f32> {
    let mut out = Vec::with_capacity(x.len());
    for row in x.chunks_exact(gain.len()) {
        let scale = rms_scale(row, eps);
        out.extend(row.iter().zip(gain).map(|(x, gain)| round.one(round.one(*gain) * round.one(x * scale))));
    }
    out
}

/// What RMSNorm multiplies `row` by: `1 / sqrt(mean(x²) + eps)`, in f32.
pub fn rms_scale(row: &[f32], eps: f64) -> f32 {
    let squares = super::kernels::dot_small(row, row);
    1.0 / (squares / row.len() as f32 + eps as f32).sqrt()
}

/// `a + b`, rounded.
pub fn add(a: &[f32], b: &[f32], round: Rounding) -> Vec<f32> {
    a.iter().zip(b).map(|(a, b)| round.one(a + b)).collect()
}

/// `silu(gate) * up`, each step rounded (HF rounds the activation before the product).
pub fn silu_mul(gate: &mut [f32], up: &[f32], round: Rounding) {
    let work = |(gate, up): (&mut [f32], &[f32])| {
        for (gate, up) in gate.iter_mut().zip(up) {
            let silu = *gate / (1.0 + (-*gate).exp());
            *gate = round.one(round.one(silu) * up);
        }
    };
    if gate.len() > 2 * PIECE {
        gate.par_chunks_mut(PIECE).zip(up.par_chunks(PIECE)).for_each(work);
    } else {
        work((gate, up));
    }
}

/// What a softmax subtracts and divides by.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SoftmaxNorm {
    max: f32,
    sum: f32,
}

impl SoftmaxNorm {
    /// The probability of one logit of that softmax, bit for bit.
    pub fn prob(self, logit: f32) -> f32 {
        (logit - self.max).exp() / self.sum
    }
}

/// Softmax in place, in f32.
pub fn softmax(logits: &mut [f32]) -> SoftmaxNorm {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for x in logits.iter_mut() {
        *x = (*x - max).exp();
        sum += *x;
    }
    logits.iter_mut().for_each(|x| *x /= sum);
    SoftmaxNorm { max, sum }
}

/// Cosines and sines of a range of positions, half-split layout.
pub struct RopeTable {
    half: usize,
    cos: Vec<f32>,
    sin: Vec<f32>,
}

impl RopeTable {
    /// Angles `pos · theta^(-2i/d_head)` in f32 (HF `MixtralRotaryEmbedding`), cosines and sines rounded.
    pub fn new(positions: std::ops::Range<usize>, d_head: usize, theta: f64, precision: Precision) -> Self {
        let (round, angle) = (precision.module, precision.angles);
        let half = d_head / 2;
        let exponent = |i: usize| f64::from((2 * i) as f32 / d_head as f32);
        let inv_freq: Vec<f32> = (0..half).map(|i| angle.one(1.0 / theta.powf(exponent(i)) as f32)).collect();
        let angles = positions.flat_map(|pos| inv_freq.iter().map(move |f| angle.one(angle.one(pos as f32) * f)));
        let (sin, cos) = angles.map(|a| (round.one(a.sin()), round.one(a.cos()))).unzip();
        Self { half, cos, sin }
    }

    /// Rotates `x` `[rows, heads, d_head]` (HF `rotate_half`: component `i` pairs with `i + d_head / 2`).
    pub fn rotate(&self, x: &[f32], heads: usize, round: Rounding) -> Vec<f32> {
        let half = self.half;
        let mut out = vec![0f32; x.len()];
        for (i, (x, out)) in x.chunks_exact(2 * half).zip(out.chunks_exact_mut(2 * half)).enumerate() {
            let row = i / heads * half;
            let (cos, sin) = (&self.cos[row..][..half], &self.sin[row..][..half]);
            for j in 0..half {
                let (a, b) = (x[j], x[j + half]);
                out[j] = round.one(round.one(a * cos[j]) + round.one(-b * sin[j]));
                out[j + half] = round.one(round.one(b * cos[j]) + round.one(a * sin[j]));
            }
        }
        out
    }
}
