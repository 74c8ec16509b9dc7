//! Dot products of bf16 weights and bf16 activations by AVX512-BF16's `vdpbf16ps`, in the order of [`super::pairs`].

use super::pairs::{CHUNK, LANES, padded};
use rayon::prelude::*;
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
    numbers: Vec<u16>,
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
        let mut numbers = vec![0u16; rows * chunks * CHUNK];
        let pack = |(group, x): (&mut [u16], &[f32])| {
            let width = x.len() / k;
            for (at, x) in x.chunks_exact(k).enumerate() {
                for (x, line) in x.chunks(CHUNK).zip(group.chunks_exact_mut(CHUNK).skip(at).step_by(width)) {
                    line.iter_mut().zip(x).for_each(|(line, x)| *line = (x.to_bits() >> 16) as u16);
                }
            }
        };
        if rows > TILE_X {
            numbers.par_chunks_mut(TILE_X * chunks * CHUNK).zip(x.par_chunks(TILE_X * k)).for_each(pack);
        } else {
            pack((&mut numbers, x));
        }
        Some(Self { numbers, rows, chunks })
    }

    /// How many groups there are.
    pub fn groups(&self) -> usize {
        self.rows.div_ceil(TILE_X)
    }

    fn lines(&self) -> &[[u16; CHUNK]] {
        self.numbers.as_chunks().0
    }

    /// Rows of a group.
    pub fn width(&self, group: usize) -> usize {
        TILE_X.min(self.rows - group * TILE_X)
    }

    /// Multiplies a piece of rows of weights, from `chunk` on, by a group and adds it to `sums`; the first piece replaces
    /// them.
    pub fn add(&self, group: usize, chunk: usize, w: [&[u8]; TILE_ROWS], sums: &mut Sums) {
        let width = self.width(group);
        let x = &self.lines()[(group * TILE_X * self.chunks) + chunk * width..];
        let x = &x[..width * w[0].len().div_ceil(2 * CHUNK)];
        if chunk == 0 {
            sums[..width].as_flattened_mut().as_flattened_mut().fill(0.0);
        }
        // SAFETY: a `Packed` is only made where `is_here` said so.
        unsafe {
            match width {
                1 => tile::<1>(w, x, sums),
                2 => tile::<2>(w, x, sums),
                3 => tile::<3>(w, x, sums),
                4 => tile::<4>(w, x, sums),
                5 => tile::<5>(w, x, sums),
                _ => tile::<TILE_X>(w, x, sums),
            }
        }
    }

    /// The results of a group: `out` gets `[rows of weights][rows of the group]` with `stride` from one row of weights to the
    /// next.
    pub fn finish(&self, group: usize, sums: &Sums, out: &mut [f32], stride: usize) {
        for (row, out) in out.chunks_mut(stride).take(TILE_ROWS).enumerate() {
            for (out, sums) in out.iter_mut().zip(&sums[..self.width(group)]) {
                // SAFETY: as above, and 64 bytes are read from 16 numbers.
                *out = unsafe { fold(_mm512_loadu_ps(sums[row].as_ptr())) };
            }
        }
    }

    /// One row of weights times the only row of activations.
    pub fn dot(&self, w: &[u8]) -> f32 {
        // SAFETY: as above.
        unsafe { dot(w, self.lines()) }
    }
}

/// Has the cache fetch what is read soon.
pub(super) fn fetch(bytes: &[u8]) {
    for line in bytes.chunks(64) {
        // SAFETY: a prefetch reads nothing, wherever it points.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(line.as_ptr().cast()) }
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

/// Sums by lane of each row of activations and of weights.
pub(super) type Sums = [[[f32; LANES]; TILE_ROWS]; TILE_X];

/// Adds chunks of rows of weights times `T` rows of activations to `lanes`. On its own, so that the sums stay in registers.
#[inline(never)]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn add<const T: usize>(
    w: [&[[u8; 2 * CHUNK]]; TILE_ROWS],
    x: &[[[u16; CHUNK]; T]],
    lanes: &mut [[[f32; LANES]; TILE_ROWS]; T],
) {
    let w = w.map(|w| &w[..x.len()]);
    let mut sums = [[_mm512_setzero_ps(); TILE_ROWS]; T];
    for t in 0..T {
        for r in 0..TILE_ROWS {
            // SAFETY: 64 bytes are read from 16 numbers.
            sums[t][r] = unsafe { _mm512_loadu_ps(lanes[t][r].as_ptr()) };
        }
    }
    // Plain indices: of iterators over registers the compiler would make memory.
    for c in 0..x.len() {
        let w = [weights(&w[0][c]), weights(&w[1][c]), weights(&w[2][c]), weights(&w[3][c])];
        for t in 0..T {
            let x = activations(&x[c][t]);
            for r in 0..TILE_ROWS {
                sums[t][r] = _mm512_dpbf16_ps(sums[t][r], w[r], x);
            }
        }
    }
    for t in 0..T {
        for r in 0..TILE_ROWS {
            // SAFETY: 64 bytes are written to 16 numbers.
            unsafe { _mm512_storeu_ps(lanes[t][r].as_mut_ptr(), sums[t][r]) };
        }
    }
}

/// Rows of weights times `T` rows of activations `[chunks × T]`, added to the first `T` of `sums`.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn tile<const T: usize>(w: [&[u8]; TILE_ROWS], x: &[[u16; CHUNK]], sums: &mut Sums) {
    let Some(sums) = sums.first_chunk_mut::<T>() else { return };
    let whole = w[0].len() / (2 * CHUNK);
    let (x, last) = x.as_chunks::<T>().0.split_at(whole);
    add(w.map(|w| w.as_chunks().0), x, sums);
    if !last.is_empty() {
        let w = w.map(|w| [padded(&w[whole * 2 * CHUNK..])]);
        add([&w[0], &w[1], &w[2], &w[3]], last, sums);
    }
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
                    let mut sums: Sums = Default::default();
                    // In two pieces, as if the row were too long for the caches.
                    let cut = k / CHUNK / 2 * 2 * CHUNK;
                    packed.add(group, 0, w.map(|w| &w[..cut]), &mut sums);
                    packed.add(group, cut / 2 / CHUNK, w.map(|w| &w[cut..]), &mut sums);
                    packed.finish(group, &sums, &mut out, width);
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
