//! The element-wise operations of a decoder layer, and softmax.

use crate::model::kernels::{exp, exp_below, silu};
use crate::model::precision::Rounding;
use rayon::prelude::*;

/// Values of one parallel task.
const PIECE: usize = 1 << 12;

/// Calls `work` on pieces of `out`, each a multiple of `width` values, with the index of the piece's first value; in
/// parallel where that is faster.
pub fn fill(out: &mut [f32], width: usize, work: impl Fn(usize, &mut [f32]) + Sync) {
    let piece = PIECE.next_multiple_of(width.max(1));
    if out.len() > 2 * piece {
        out.par_chunks_mut(piece).enumerate().for_each(|(i, out)| work(i * piece, out));
    } else {
        work(0, out);
    }
}

/// `a + b`, rounded; reuses the memory of `a`.
pub fn add(mut a: Vec<f32>, b: &[f32], round: Rounding) -> Vec<f32> {
    fill(&mut a, 1, |from, a| {
        for (a, b) in a.iter_mut().zip(&b[from..]) {
            *a = round.one(*a + b);
        }
    });
    a
}

/// `a + factor · b`, product and sum rounded; reuses the memory of `a`.
pub fn add_scaled(a: Vec<f32>, b: &[f32], factor: f32, round: Rounding) -> Vec<f32> {
    if factor == 1.0 {
        return add(a, b, round);
    }
    let mut a = a;
    fill(&mut a, 1, |from, a| {
        for (a, b) in a.iter_mut().zip(&b[from..]) {
            *a = round.one(*a + round.one(b * factor));
        }
    });
    a
}

/// Every value times `factor`, rounded.
pub fn scale(values: &mut [f32], factor: f32, round: Rounding) {
    if factor != 1.0 {
        values.iter_mut().for_each(|x| *x = round.one(*x * factor));
    }
}

/// Every value clamped to ± `limit`, which is rounded as they are. NaN stays NaN.
pub fn clamp(values: &mut [f32], limit: f32, round: Rounding) {
    let limit = round.one(limit);
    values.iter_mut().for_each(|x| *x = x.clamp(-limit, limit));
}

/// The logistic function, in f32.
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// Replaces `gate` with `g · sigmoid(alpha · g) · (u + 1)`, each operation rounded: `g` is the gate clamped to at most `limit`,
/// `u` is `up` clamped to ± `limit` (HF `GptOssExperts`).
pub fn clamped_swiglu(gate: &mut [f32], up: &[f32], (alpha, limit): (f32, f32), round: Rounding) {
    fill(gate, 1, |from, gate| {
        for (gate, up) in gate.iter_mut().zip(&up[from..]) {
            // `clamp` and `min` would turn NaN into a number.
            let g = if *gate > limit { limit } else { *gate };
            let u = up.clamp(-limit, limit);
            let glu = round.one(g * round.one(sigmoid(round.one(g * alpha))));
            *gate = round.one(round.one(u + 1.0) * glu);
        }
    });
}

/// Replaces `gate` with `silu(gate) * up`, each operation rounded (HF rounds the activation before the product).
pub fn silu_mul(gate: &mut [f32], up: &[f32], round: Rounding) {
    fill(gate, 1, |from, gate| {
        silu(gate);
        for (gate, up) in gate.iter_mut().zip(&up[from..]) {
            *gate = round.one(round.one(*gate) * up);
        }
    });
}

/// The maximum that a softmax subtracts, and the sum that it divides by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SoftmaxNorm {
    max: f32,
    sum: f32,
    /// The rounding of a logit minus the maximum.
    shifted: Rounding,
}

impl Default for SoftmaxNorm {
    fn default() -> Self {
        Self { max: 0.0, sum: 0.0, shifted: Rounding::None }
    }
}

impl SoftmaxNorm {
    /// The probability of one logit of that softmax, bit for bit.
    pub fn prob(self, logit: f32) -> f32 {
        exp(self.shifted.one(logit - self.max)) / self.sum
    }
}

/// Softmax in place, in f32.
pub fn softmax(logits: &mut [f32]) -> SoftmaxNorm {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    exp_below(logits, max);
    let sum = logits.iter().fold(0.0, |sum, x| sum + x);
    logits.iter_mut().for_each(|x| *x /= sum);
    SoftmaxNorm { max, sum, shifted: Rounding::None }
}

/// Softmax in place of `logits` and one more, `sink`, in f32; `logits` sum to less than 1 then. Each minus the maximum is
/// rounded before (HF gpt-oss).
pub fn softmax_with_sink(logits: &mut [f32], sink: f32, round: Rounding) -> SoftmaxNorm {
    let max = logits.iter().copied().fold(sink, f32::max);
    logits.iter_mut().for_each(|x| *x = round.one(*x - max));
    exp_below(logits, 0.0);
    let sum = logits.iter().fold(exp(round.one(sink - max)), |sum, x| sum + x);
    logits.iter_mut().for_each(|x| *x /= sum);
    SoftmaxNorm { max, sum, shifted: round }
}
