//! Rotary position embeddings (RoPE).

use super::ops::fill;
use crate::model::arch::Rope;
use crate::model::precision::{Precision, Rounding};
use std::ops::Range;

/// Radians per position of each component pair `[d_head / 2]`, computed in f32 as transformers does: `base^(-2i/d_head)`, with
/// YaRN (HF `_compute_yarn_parameters`) divided by its factor where a pair is slow.
fn frequencies(d_head: usize, rope: Rope) -> Vec<f32> {
    let exponent = |i: usize| f64::from((2 * i) as f32 / d_head as f32);
    let powers = (0..d_head / 2).map(|i| rope.base.powf(exponent(i)) as f32);
    let Some(yarn) = rope.yarn else { return powers.map(|power| 1.0 / power).collect() };
    let [low, high] = yarn.ramp(d_head, rope.base);
    let mix = |(i, power): (usize, f32)| {
        let slow = ((i as f32 - low as f32) / (high - low) as f32).clamp(0.0, 1.0);
        let fast = 1.0 - slow;
        1.0 / (yarn.factor as f32 * power) * (1.0 - fast) + 1.0 / power * fast
    };
    powers.enumerate().map(mix).collect()
}

/// Cosines and sines of a range of positions, half-split layout.
pub struct RopeTable {
    half: usize,
    cos: Vec<f32>,
    sin: Vec<f32>,
}

impl RopeTable {
    /// Angles `pos · frequency` in f32 (HF `MixtralRotaryEmbedding`), cosines and sines rounded.
    pub fn new(positions: Range<usize>, d_head: usize, rope: Rope, precision: Precision) -> Self {
        let (round, angle) = (precision.module, precision.angles);
        let factor = rope.yarn.map_or(1.0, |yarn| yarn.attention_factor as f32);
        let inv_freq: Vec<f32> = frequencies(d_head, rope).into_iter().map(|f| angle.one(f)).collect();
        let angles = positions.flat_map(|pos| inv_freq.iter().map(move |f| angle.one(angle.one(pos as f32) * f)));
        let (sin, cos) = angles.map(|a| (round.one(a.sin() * factor), round.one(a.cos() * factor))).unzip();
        Self { half: d_head / 2, cos, sin }
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
