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
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SoftmaxNorm {
    max: f32,
    sum: f32,
}

impl SoftmaxNorm {
    /// The probability of one logit of that softmax, bit for bit.
    pub fn prob(self, logit: f32) -> f32 {
        exp(logit - self.max) / self.sum
    }
}

/// Softmax in place, in f32.
pub fn softmax(logits: &mut [f32]) -> SoftmaxNorm {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    exp_below(logits, max);
    let sum = logits.iter().fold(0.0, |sum, x| sum + x);
    logits.iter_mut().for_each(|x| *x /= sum);
    SoftmaxNorm { max, sum }
}
