//! Weights used where they are stored: a mapped file or the program itself.

mod header;
mod store;

pub use store::{Entry, Store};

use super::precision::Rounding;
use crate::trace::Dtype;
use half::f16;
use half::slice::HalfFloatSliceExt;
use memmap2::Mmap;
use std::sync::Arc;

/// Bytes that stay in place.
#[derive(Clone)]
pub enum Bytes {
    /// Part of the program.
    Static(&'static [u8]),
    /// A mapped file.
    Mapped(Arc<Mmap>),
}

impl Bytes {
    /// All of them.
    pub fn as_slice(&self) -> &[u8] {
        match self {
            Self::Static(bytes) => bytes,
            Self::Mapped(map) => map,
        }
    }
}

/// A matrix `[rows, cols]` of floating-point numbers, read in place at any alignment.
#[derive(Clone)]
pub struct Matrix {
    bytes: Bytes,
    start: usize,
    rows: usize,
    cols: usize,
    dtype: Dtype,
}

impl Matrix {
    /// Rows (output features).
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Columns (input features).
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// How the numbers are stored.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// The stored bytes of row `row`.
    pub fn row_bytes(&self, row: usize) -> &[u8] {
        let width = self.cols * self.dtype.size();
        &self.bytes.as_slice()[self.start + row * width..][..width]
    }

    /// Whether reading under `round` changes the stored numbers.
    pub fn is_narrowed_by(&self, round: Rounding) -> bool {
        round != Rounding::None && round != Rounding::to(self.dtype)
    }

    /// Replaces `out` by row `row` as f32 `[cols]`, rounded as `from_pretrained(dtype=…)` would have cast it.
    pub fn widen_row(&self, row: usize, round: Rounding, out: &mut Vec<f32>) {
        widen(self.row_bytes(row), self.dtype, out);
        if self.is_narrowed_by(round) {
            round.slice(out);
        }
    }

    /// The stored numbers as f32 `[rows × cols]`.
    pub fn to_f32(&self) -> Vec<f32> {
        let mut all = Vec::with_capacity(self.rows * self.cols);
        let mut line = Vec::new();
        for row in 0..self.rows {
            self.widen_row(row, Rounding::None, &mut line);
            all.extend_from_slice(&line);
        }
        all
    }
}

/// Replaces `out` by the numbers stored in `bytes`.
fn widen(bytes: &[u8], dtype: Dtype, out: &mut Vec<f32>) {
    out.clear();
    match dtype {
        Dtype::F32 => out.extend(bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b))),
        Dtype::Bf16 => out.extend(bytes.as_chunks().0.iter().map(|b| super::kernels::widen_bf16(*b))),
        Dtype::F16 => {
            let half: Vec<f16> = bytes.as_chunks().0.iter().map(|b| f16::from_le_bytes(*b)).collect();
            out.resize(half.len(), 0.0);
            half.convert_to_f32_slice(out);
        }
    }
}

/// How many of the numbers stored in `bytes` are NaN and how many infinite.
pub(super) fn count_non_finite(bytes: &[u8], dtype: Dtype) -> (usize, usize) {
    // A float is not finite when all its exponent bits are set; NaN if a mantissa bit is set as well.
    fn count(exponent: u32, mantissa: u32, words: impl Iterator<Item = u32>) -> (usize, usize) {
        words
            .filter(|w| w & exponent == exponent)
            .fold((0, 0), |(nan, inf), w| if w & mantissa != 0 { (nan + 1, inf) } else { (nan, inf + 1) })
    }
    let halves = || bytes.as_chunks().0.iter().map(|b| u32::from(u16::from_le_bytes(*b)));
    match dtype {
        Dtype::F32 => {
            let words = bytes.as_chunks().0.iter().map(|b| u32::from_le_bytes(*b));
            count(0x7f80_0000, 0x007f_ffff, words)
        }
        Dtype::Bf16 => count(0x7f80, 0x007f, halves()),
        Dtype::F16 => count(0x7c00, 0x03ff, halves()),
    }
}
