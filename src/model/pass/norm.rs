//! RMSNorm.

use super::ops::fill;
use crate::model::kernels::dot_small;
use crate::model::precision::Rounding;

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
    let squares = dot_small(row, row);
    1.0 / (squares / row.len() as f32 + eps as f32).sqrt()
}
