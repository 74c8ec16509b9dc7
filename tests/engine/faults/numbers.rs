//! Matrices, and functions of numbers.

use half::{bf16, f16};
use safetensors::SafeTensors;
use safetensors::tensor::Dtype as StDtype;
use std::collections::BTreeMap;
use std::path::Path;

/// A matrix, row-major; a vector has one row.
pub struct Matrix {
    pub cols: usize,
    pub values: Vec<f64>,
}

impl Matrix {
    pub fn transposed(&self) -> Self {
        let rows = self.values.len() / self.cols;
        let values = (0..self.values.len()).map(|i| self.values[i % rows * self.cols + i / rows]).collect();
        Self { cols: rows, values }
    }

    /// With other rows in place of its own.
    pub fn map_rows(&self, row: impl Fn(&[f64]) -> Vec<f64>) -> Self {
        Self { cols: self.cols, values: self.values.chunks_exact(self.cols).flat_map(row).collect() }
    }

    /// The rows of each head in the order in which a GGUF has them: both components of a pair next to each other.
    pub fn in_pair_order(&self, d_head: usize) -> Self {
        let half = d_head / 2;
        let from = |row: usize| row / d_head * d_head + row % 2 * half + row % d_head / 2;
        let rows = 0..self.values.len() / self.cols;
        let values = rows.flat_map(|row| self.values[from(row) * self.cols..][..self.cols].to_vec()).collect();
        Self { cols: self.cols, values }
    }
}

/// The tensors of a file of weights.
pub fn weights(path: &Path) -> BTreeMap<String, Matrix> {
    let bytes = std::fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let matrix = |name: &str| {
        let tensor = file.tensor(name).unwrap();
        let values = match tensor.dtype() {
            StDtype::F32 => tensor.data().as_chunks().0.iter().map(|x| f64::from(f32::from_le_bytes(*x))).collect(),
            StDtype::BF16 => tensor.data().as_chunks().0.iter().map(|x| bf16::from_le_bytes(*x).to_f64()).collect(),
            other => panic!("{name}: {other:?}"),
        };
        Matrix { cols: *tensor.shape().last().unwrap(), values }
    };
    file.names().into_iter().map(|name| (name.to_owned(), matrix(name))).collect()
}

pub fn to_bf16(x: f64) -> f64 {
    bf16::from_f64(x).to_f64()
}

/// Blocks of 32 integers of 8 bits with a scale in f16.
pub fn q8_0(x: &[f64]) -> Vec<f64> {
    let block = |x: &[f64]| -> Vec<f64> {
        let largest = x.iter().fold(0f32, |largest, x| largest.max(x.abs() as f32));
        let scale = f16::from_f32(largest / 127.0).to_f64();
        let whole = |x: &f64| (*x as f32 * (127.0 / largest)).round_ties_even();
        x.iter().map(|x| if largest == 0.0 { 0.0 } else { f64::from(whole(x)) * scale }).collect()
    };
    x.chunks(32).flat_map(block).collect()
}

pub fn softmax(x: &[f64]) -> Vec<f64> {
    let largest = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let all: Vec<f64> = x.iter().map(|x| (x - largest).exp()).collect();
    let sum: f64 = all.iter().sum();
    all.into_iter().map(|x| x / sum).collect()
}

/// GELU with the error function, by its power series.
pub fn gelu(x: f64) -> f64 {
    let z = x / std::f64::consts::SQRT_2;
    let (mut term, mut sum) = (z, z);
    for n in 1..80 {
        term *= -z * z / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    let erf = if z.abs() > 4.0 { z.signum() } else { sum * std::f64::consts::FRAC_2_SQRT_PI };
    0.5 * x * (1.0 + erf)
}

/// The `i`-th of a fixed series of numbers with variance 1.
pub fn noise(i: usize) -> f64 {
    let mut x = (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    let uniform = ((x ^ (x >> 31)) >> 11) as f64 / (1u64 << 53) as f64;
    (2.0 * uniform - 1.0) * 3f64.sqrt()
}

/// ‖a − b‖₂ / ‖a‖₂.
pub fn relative_l2(a: &[f64], b: &[f64]) -> f64 {
    let norm = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>().sqrt();
    norm(&mut a.iter().zip(b).map(|(a, b)| a - b)) / norm(&mut a.iter().copied())
}
