//! RMSNorm.

use super::ops::fill;
use crate::model::kernels::dot_small;
use crate::model::precision::{NormRounding, Precision, Rounding};

/// RMSNorm with gain (HF `MixtralRMSNorm`): in f32, rounded, times the gain, rounded; or rounded once (HF `GptOssRMSNorm`).
/// `x` is `[rows, d]`, `gain` `[d]`.
pub fn rms_norm(x: &[f32], gain: &[f32], eps: f64, precision: Precision) -> Vec<f32> {
    scaled(x, gain, precision, |_, row| rms_scale(row, eps))
}

/// The same with the value that each row is divided by, `by` `[rows]`: [`rms_divisors`], or what was put in their place.
pub fn rms_norm_by(x: &[f32], gain: &[f32], by: &[f32], precision: Precision) -> Vec<f32> {
    scaled(x, gain, precision, |row, _| 1.0 / by[row])
}

/// What [`rms_norm`] divides each row of `x` `[rows, d]` by, `sqrt(mean(x²) + eps)`, in f32.
pub fn rms_divisors(x: &[f32], d: usize, eps: f64) -> Vec<f32> {
    x.chunks_exact(d).map(|row| divisor(row, eps)).collect()
}

/// The scale of RMSNorm, `1 / sqrt(mean(x²) + eps)`, in f32.
pub fn rms_scale(row: &[f32], eps: f64) -> f32 {
    1.0 / divisor(row, eps)
}

fn divisor(row: &[f32], eps: f64) -> f32 {
    let squares = dot_small(row, row);
    (squares / row.len() as f32 + eps as f32).sqrt()
}

/// `x` `[rows, d]` times the scale of each row, times the gain, rounded. `scale` is given a row's index and values.
fn scaled(x: &[f32], gain: &[f32], precision: Precision, scale: impl Fn(usize, &[f32]) -> f32 + Sync) -> Vec<f32> {
    let (d, round) = (gain.len(), precision.module);
    let before_gain = match precision.norm {
        NormRounding::Twice => round,
        NormRounding::Once => Rounding::None,
    };
    let mut out = vec![0f32; x.len()];
    fill(&mut out, d, |from, out| {
        for (row, (x, out)) in (from / d..).zip(x[from..].chunks_exact(d).zip(out.chunks_exact_mut(d))) {
            let scale = scale(row, x);
            for ((out, x), gain) in out.iter_mut().zip(x).zip(gain) {
                *out = round.one(round.one(*gain) * before_gain.one(x * scale));
            }
        }
    });
    out
}
