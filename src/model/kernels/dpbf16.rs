//! Dot products of bf16 weights and bf16 activations by AVX512-BF16's `vdpbf16ps`, in the order of [`super::pairs`].

use super::pairs::{CHUNK, padded};
use std::arch::x86_64::*;

/// Rows of weights of a tile.
pub(super) const TILE_ROWS: usize = 4;
/// Rows of activations of a tile: with the weights it fills the registers.
pub(super) const TILE_X: usize = 6;

/// Whether this machine has the instruction.
pub(super) fn is_here() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512bf16")
}

/// Activations that are bf16 numbers, in groups of up to [`TILE_X`] rows, `[group][⌈k / 32⌉][rows of the group][32]`: what
/// a tile reads lies together, and never in as many places as a cache has for one address.
pub(super) struct Packed {
    lines: Vec<[u16; CHUNK]>,
    /// Rows, and chunks of a row.
    rows: usize,
    chunks: usize,
}

impl Packed {
    /// Packs `x` `[rows, k]`; `None` if a value is no bf16 number.
    pub fn of(x: &[f32], k: usize) -> Option<Self> {
        let low = x.iter().fold(0, |low, x| low | x.to_bits());
        if low & 0xffff != 0 || k == 0 {
            return None;
        }
        let (rows, chunks) = (x.len() / k, k.div_ceil(CHUNK));
        let mut lines = vec![[0u16; CHUNK]; rows * chunks];
        for (row, x) in x.chunks_exact(k).enumerate() {
            let (group, at) = (row / TILE_X, row % TILE_X);
            let width = TILE_X.min(rows - group * TILE_X);
            for (chunk, x) in x.chunks(CHUNK).enumerate() {
                let line = &mut lines[group * TILE_X * chunks + chunk * width + at];
                for (line, x) in line.iter_mut().zip(x) {
                    *line = (x.to_bits() >> 16) as u16;
                }
            }
        }
        Some(Self { lines, rows, chunks })
    }

    /// How many groups there are.
    pub fn groups(&self) -> usize {
        self.rows.div_ceil(TILE_X)
    }

    /// Multiplies rows of weights by a group: `out` gets `[rows of weights][rows of the group]` with `stride` from one row
    /// of weights to the next.
    pub fn times(&self, group: usize, w: [&[u8]; TILE_ROWS], out: &mut [f32], stride: usize) {
        let width = TILE_X.min(self.rows - group * TILE_X);
        let x = &self.lines[group * TILE_X * self.chunks..][..width * self.chunks];
        // SAFETY: a `Packed` is only made where `is_here` said so.
        unsafe {
            match width {
                1 => put(tile::<1>(w, x), out, stride),
                2 => put(tile::<2>(w, x), out, stride),
                3 => put(tile::<3>(w, x), out, stride),
                4 => put(tile::<4>(w, x), out, stride),
                5 => put(tile::<5>(w, x), out, stride),
                _ => put(tile::<TILE_X>(w, x), out, stride),
            }
        }
    }

    /// One row of weights times the only row of activations.
    pub fn dot(&self, w: &[u8]) -> f32 {
        // SAFETY: as above.
        unsafe { dot(w, &self.lines) }
    }
}

fn put<const T: usize>(values: [[f32; TILE_ROWS]; T], out: &mut [f32], stride: usize) {
    for (row, out) in out.chunks_mut(stride).take(TILE_ROWS).enumerate() {
        for (out, values) in out.iter_mut().zip(&values) {
            *out = values[row];
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn weights(bytes: &[u8; 2 * CHUNK]) -> __m512bh {
    // SAFETY: 64 bytes are read from 64 bytes, at any alignment; any bits are 32 numbers.
    unsafe { std::mem::transmute(_mm512_loadu_si512(bytes.as_ptr().cast())) }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn activations(line: &[u16; CHUNK]) -> __m512bh {
    // SAFETY: as above.
    unsafe { std::mem::transmute(_mm512_loadu_si512(line.as_ptr().cast())) }
}

/// Folds the lanes in halves.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn fold(lanes: __m512) -> f32 {
    let high = _mm256_castpd_ps(_mm512_extractf64x4_pd::<1>(_mm512_castps_pd(lanes)));
    let eight = _mm256_add_ps(_mm512_castps512_ps256(lanes), high);
    let four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
    let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
}

#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn dot(w: &[u8], x: &[[u16; CHUNK]]) -> f32 {
    let (whole, rest) = w.as_chunks::<{ 2 * CHUNK }>();
    let mut lanes = _mm512_setzero_ps();
    for (w, x) in whole.iter().zip(x) {
        lanes = _mm512_dpbf16_ps(lanes, weights(w), activations(x));
    }
    if let (false, Some(x)) = (rest.is_empty(), x.get(whole.len())) {
        lanes = _mm512_dpbf16_ps(lanes, weights(&padded(rest)), activations(x));
    }
    fold(lanes)
}

/// Rows of weights times `T` rows of activations `[chunks × T]`.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn tile<const T: usize>(w: [&[u8]; TILE_ROWS], x: &[[u16; CHUNK]]) -> [[f32; TILE_ROWS]; T] {
    let mut lanes = [[_mm512_setzero_ps(); TILE_ROWS]; T];
    let (x, _) = x.as_chunks::<T>();
    let chunks = w[0].len() / (2 * CHUNK);
    let lines = w.map(|w| &w.as_chunks::<{ 2 * CHUNK }>().0[..chunks]);
    for (chunk, x) in x[..chunks].iter().enumerate() {
        let w = [0, 1, 2, 3].map(|row: usize| weights(&lines[row][chunk]));
        for (lanes, x) in lanes.iter_mut().zip(x) {
            let x = activations(x);
            for (lane, w) in lanes.iter_mut().zip(w) {
                *lane = _mm512_dpbf16_ps(*lane, w, x);
            }
        }
    }
    if let Some(x) = x.get(chunks) {
        let w = w.map(|w| weights(&padded(&w[chunks * 2 * CHUNK..])));
        for (lanes, x) in lanes.iter_mut().zip(x) {
            let x = activations(x);
            for (lane, w) in lanes.iter_mut().zip(w) {
                *lane = _mm512_dpbf16_ps(*lane, w, x);
            }
        }
    }
    lanes.map(|lanes| lanes.map(|lane| fold(lane)))
}

#[cfg(test)]
mod tests {
    use super::super::dot::tests::numbers;
    use super::super::dot::{Isa, isa};
    use super::super::pairs::{Split, dot_pairs, split};
    use super::*;
    use half::bf16;

    fn rounded(n: usize, seed: u32) -> Vec<bf16> {
        numbers(n, seed).into_iter().map(bf16::from_f32).collect()
    }

    #[test]
    fn the_instruction_adds_in_the_stated_order() {
        if !is_here() {
            return;
        }
        for k in [1, 31, 32, 33, 96, 257, 4096] {
            for rows in 1..=13 {
                let x: Vec<f32> = rounded(rows * k, 3).into_iter().map(bf16::to_f32).collect();
                let bytes: Vec<u8> = rounded(TILE_ROWS * k, 4).into_iter().flat_map(bf16::to_le_bytes).collect();
                let w: [&[u8]; TILE_ROWS] = std::array::from_fn(|i| &bytes[2 * i * k..2 * (i + 1) * k]);
                let (packed, split) = (Packed::of(&x, k).unwrap(), split(&x, k));
                for group in 0..packed.groups() {
                    let width = TILE_X.min(rows - group * TILE_X);
                    let mut out = vec![0f32; TILE_ROWS * width];
                    packed.times(group, w, &mut out, width);
                    for (i, got) in out.into_iter().enumerate() {
                        let (w, row) = (w[i / width], group * TILE_X + i % width);
                        let x: &[Split] = &split[row * k.div_ceil(CHUNK)..][..k.div_ceil(CHUNK)];
                        for isa in [Isa::Portable, isa()] {
                            assert_eq!(got.to_bits(), dot_pairs(isa, w, x).to_bits(), "{k} {rows}");
                        }
                        if rows == 1 {
                            assert_eq!(got.to_bits(), packed.dot(w).to_bits());
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn only_bf16_numbers_are_packed() {
        assert!(Packed::of(&[1.0, 0.5, -3.0], 3).is_some());
        assert!(Packed::of(&[1.0, 0.1, -3.0], 3).is_none());
    }
}
