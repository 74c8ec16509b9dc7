//! Rotary position embeddings (RoPE).

use super::ops::fill;
use crate::model::precision::{Precision, Rounding};
use std::ops::Range;

/// Cosines and sines of a range of positions, half-split layout.
pub struct RopeTable {
    half: usize,
    cos: Vec<f32>,
    sin: Vec<f32>,
}

impl RopeTable {
    /// Angles `pos · theta^(-2i/d_head)` in f32 (HF `MixtralRotaryEmbedding`), cosines and sines rounded.
    pub fn new(positions: Range<usize>, d_head: usize, theta: f64, precision: Precision) -> Self {
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
