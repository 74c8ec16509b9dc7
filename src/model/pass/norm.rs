//! RMSNorm.

use super::ops::fill;
use crate::model::kernels::dot_small;
use crate::model::precision::Rounding;

/// RMSNorm with gain (HF `MixtralRMSNorm`): in f32, rounded, times the gain, rounded. `x` is `[rows, d]`, `gain` `[d]`.
pub fn rms_norm(x: &[f32], gain: &[f32], eps: f64, round: Rounding) -> Vec<f32> {
    scaled(x, gain, round, |_, row| rms_scale(row, eps))
}

/// The same with the value that each row is divided by, `by` `[rows]`: [`rms_divisors`], or what was put in their place.
pub fn rms_norm_by(x: &[f32], gain: &[f32], by: &[f32], round: Rounding) -> Vec<f32> {
    scaled(x, gain, round, |row, _| 1.0 / by[row])
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

/// `x` `[rows, d]` times the scale of each row, rounded, times the gain, rounded. `scale` is given a row's index and values.
fn scaled(x: &[f32], gain: &[f32], round: Rounding, scale: impl Fn(usize, &[f32]) -> f32 + Sync) -> Vec<f32> {
    let d = gain.len();
    let mut out = vec![0f32; x.len()];
    fill(&mut out, d, |from, out| {
        for (row, (x, out)) in (from / d..).zip(x[from..].chunks_exact(d).zip(out.chunks_exact_mut(d))) {
            let scale = scale(row, x);
            for ((out, x), gain) in out.iter_mut().zip(x).zip(gain) {
                *out = round.one(round.one(*gain) * round.one(x * scale));
            }
        }
    });
    out
}
