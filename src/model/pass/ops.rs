//! The small operations of a decoder layer.

use crate::model::precision::{Precision, Rounding};
use rayon::prelude::*;

/// Values of one parallel task.
const PIECE: usize = 1 << 12;

/// Calls `work` on pieces of `out`, each a multiple of `width` values, with the index of the piece's first value; in parallel
/// where that is faster.
pub fn fill(out: &mut [f32], width: usize, work: impl Fn(usize, &mut [f32]) + Sync) {
    let piece = PIECE.next_multiple_of(width.max(1));
    if out.len() > 2 * piece {
        out.par_chunks_mut(piece).enumerate().for_each(|(i, out)| work(i * piece, out));
    } else {
        work(0, out);
    }
}

/// RMSNorm with gain (HF `MixtralRMSNorm`): in f32, rounded, times the gain, rounded. `x` is `[rows, d]`, `gain` `[d]`.
pub fn rms_norm(x: &[f32], gain: &[f32], eps: f64, round: Rounding) -> Vec<f32> {
    let mut out = vec![0f32; x.len()];
    fill(&mut out, gain.len(), |from, out| {
        for (x, out) in x[from..].chunks_exact(gain.len()).zip(out.chunks_exact_mut(gain.len())) {
            let scale = rms_scale(x, eps);
            for ((out, x), gain) in out.iter_mut().zip(x).zip(gain) {
                *out = round.one(round.one(*gain) * round.one(x * scale));
            }
        }
    });
    out
}

/// The scale of RMSNorm, `1 / sqrt(mean(x²) + eps)`, in f32.
pub fn rms_scale(row: &[f32], eps: f64) -> f32 {
    let squares = crate::model::kernels::dot_small(row, row);
    1.0 / (squares / row.len() as f32 + eps as f32).sqrt()
}

/// `a + b`, rounded, in the place of `a`.
pub fn add(mut a: Vec<f32>, b: &[f32], round: Rounding) -> Vec<f32> {
    fill(&mut a, 1, |from, a| {
        for (a, b) in a.iter_mut().zip(&b[from..]) {
            *a = round.one(*a + b);
        }
    });
    a
}

/// `silu(gate) * up` in the place of `gate`, each operation rounded (HF rounds the activation before the product).
pub fn silu_mul(gate: &mut [f32], up: &[f32], round: Rounding) {
    fill(gate, 1, |from, gate| {
        for (gate, up) in gate.iter_mut().zip(&up[from..]) {
            let silu = *gate / (1.0 + (-*gate).exp());
            *gate = round.one(round.one(silu) * up);
        }
    });
}

/// The maximum that a softmax subtracts, and the sum that it divides by.
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

    /// Rotates `x` `[rows, heads, d_head]` in place (HF `rotate_half`: component `i` pairs with `i + d_head / 2`).
    pub fn rotate(&self, mut x: Vec<f32>, heads: usize, round: Rounding) -> Vec<f32> {
        let half = self.half;
        fill(&mut x, 2 * half, |from, x| {
            for (i, x) in (from / (2 * half)..).zip(x.chunks_exact_mut(2 * half)) {
                let row = i / heads * half;
                let (cos, sin) = (&self.cos[row..][..half], &self.sin[row..][..half]);
                let (low, high) = x.split_at_mut(half);
                for j in 0..half {
                    let (a, b) = (low[j], high[j]);
                    low[j] = round.one(round.one(a * cos[j]) + round.one(-b * sin[j]));
                    high[j] = round.one(round.one(b * cos[j]) + round.one(a * sin[j]));
                }
            }
        });
        x
    }
}
