//! What products read under the policy `ggml`, by definition: as llama.cpp's code for CPUs rounds activations.

use crate::model::Rounding;
use crate::model::kernels::Block;
use crate::model::weights::{Matrix, Stored};
use crate::trace::Dtype;
use half::f16;

/// What a product with `weights` reads in place of `x`; `None` if it reads all that f32 has.
pub fn as_ggml(x: &[f64], weights: &Matrix) -> Option<Vec<f64>> {
    let rounded = |dtype: Dtype| x.iter().map(|x| f64::from(Rounding::to(dtype).one(*x as f32))).collect();
    match weights.stored() {
        // llama.cpp does not multiply by the last two, and has no MXFP4 with scales apart.
        Stored::F32 | Stored::Mxfp4 | Stored::Blocks(Block::Q8_1 | Block::Q8K) => None,
        Stored::F16 => Some(rounded(Dtype::F16)),
        Stored::Bf16 => Some(rounded(Dtype::Bf16)),
        Stored::Blocks(block) => Some(in_blocks(x, block.width())),
    }
}

/// Blocks of weights with an offset (Q4_1, Q5_1) meet activations whose sum over the block is kept in f16 (ggml's Q8_1): by
/// how much each of these sums is off; nothing for other weights.
pub fn rounded_sums(x: &[f64], weights: &Matrix) -> Vec<f64> {
    if !matches!(weights.stored(), Stored::Blocks(Block::Q4_1 | Block::Q5_1)) {
        return Vec::new();
    }
    let off = |x: &[f64]| {
        let most = x.iter().fold(0f32, |most, x| most.max((*x as f32).abs()));
        if most == 0.0 {
            return 0.0;
        }
        let d = most / 127.0;
        let sum: f32 = x.iter().map(|x| (*x as f32 * (127.0 / most)).round_ties_even()).sum();
        f16::from_f32(d * sum).to_f64() - f64::from(f16::from_f32(d).to_f32()) * f64::from(sum)
    };
    x.chunks(32).map(off).collect()
}

/// What the rounded sums add to a row of weights: each times its block's offset, the second f16 of a block.
pub fn offsets(weights: &Matrix, row: usize, sums: &[f64]) -> f64 {
    let Stored::Blocks(block) = weights.stored() else { return 0.0 };
    let blocks = weights.row_bytes(row).chunks_exact(block.bytes());
    blocks.zip(sums).map(|(block, off)| f16::from_le_bytes([block[2], block[3]]).to_f64() * off).sum()
}

/// Activations in blocks of 8-bit integers with one scale (ggml's `Q8_0`, scale in f16, beside blocks of 32 weights; `Q8_K`,
/// scale in f32, beside blocks of 256).
pub fn in_blocks(x: &[f64], width: usize) -> Vec<f64> {
    let block = |x: &[f64]| {
        let (largest, most) = x.iter().fold((0f32, 0f32), |(at, most), x| {
            let x = *x as f32;
            if x.abs() > most { (x, x.abs()) } else { (at, most) }
        });
        let quantised = |x: &f64| -> f64 {
            let x = *x as f32;
            if most == 0.0 {
                0.0
            } else if width == 32 {
                let d = most / 127.0;
                f64::from((x * (127.0 / most)).round_ties_even()) * f64::from(f16::from_f32(d).to_f32())
            } else {
                let inverse = -127.0 / largest;
                f64::from((inverse * x).round_ties_even().min(127.0)) * f64::from(1.0 / inverse)
            }
        };
        x.iter().map(quantised).collect::<Vec<f64>>()
    };
    x.chunks(width).flat_map(block).collect()
}
