//! Products of bf16 weights and any activations by AVX2's fma, in the order of [`super::pairs`].

use super::interleave::{LINE, ROWS, four_avx2, interleave};
use super::isa::Isa;
use super::lines::sum_lines;
use super::tiles::{Tile, add_tile};
use std::arch::x86_64::*;

/// Tiles of sixteen rows of weights and six of activations.
pub(super) struct FmaAvx2;

impl Tile<ROWS> for FmaAvx2 {
    type Pair = [f32; 2];
    type Panel = [u32; ROWS];
    const ZERO: Self::Panel = [0; ROWS];
    const TOGETHER: usize = 6;

    #[inline(always)]
    fn pair(first: f32, second: f32) -> [f32; 2] {
        [first, second]
    }

    unsafe fn fill(w: &[&[u8]; ROWS], from: usize, panel: &mut [Self::Panel]) {
        interleave(Isa::Avx2, w, from, panel);
    }

    unsafe fn add(panel: &[Self::Panel], x: &[[f32; 2]], rows: usize, sums: &mut [[f32; ROWS]]) {
        // SAFETY: what the caller promises.
        unsafe { tile_of(panel, x, rows, sums) }
    }
}

/// The second numbers of pairs.
#[inline]
#[target_feature(enable = "avx2")]
fn seconds(pairs: __m256i) -> __m256 {
    _mm256_castsi256_ps(_mm256_and_si256(pairs, _mm256_set1_epi32(0xffff_0000_u32.cast_signed())))
}

/// The first numbers of pairs.
#[inline]
#[target_feature(enable = "avx2")]
fn firsts(pairs: __m256i) -> __m256 {
    _mm256_castsi256_ps(_mm256_slli_epi32::<16>(pairs))
}

#[inline]
#[target_feature(enable = "avx2")]
fn second(pair: &[f32; 2]) -> __m256 {
    _mm256_set1_ps(pair[1])
}

#[inline]
#[target_feature(enable = "avx2")]
fn first(pair: &[f32; 2]) -> __m256 {
    _mm256_set1_ps(pair[0])
}

add_tile!(
    "avx2,fma", ROWS, [f32; 2], 6, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_setzero_ps, _mm256_loadu_si256,
    |sum, w, x| _mm256_fmadd_ps(w, x, sum), seconds of second, firsts of first
);

/// Adds `N` pairs of a quarter of each line times the first of `x`.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn add_quarter<const N: usize>(lines: &[[u8; LINE]; ROWS], quarter: usize, x: &[[f32; 2]], sums: &mut [__m256; 2]) {
    let x = &x[..N];
    // Eight rows and eight others in turn, because an addition waits for the one before it.
    let (pairs, others) = (four_avx2(lines, 0, 4 * quarter), four_avx2(lines, 8, 4 * quarter));
    let [mut a, mut b] = *sums;
    for i in 0..N {
        let y = second(&x[i]);
        a = _mm256_fmadd_ps(seconds(pairs[i]), y, a);
        b = _mm256_fmadd_ps(seconds(others[i]), y, b);
        let y = first(&x[i]);
        a = _mm256_fmadd_ps(firsts(pairs[i]), y, a);
        b = _mm256_fmadd_ps(firsts(others[i]), y, b);
    }
    *sums = [a, b];
}

/// Sixteen rows of weights times a row of activations, at the speed of memory.
#[target_feature(enable = "avx2,fma")]
pub(super) fn row(w: &[&[u8]; ROWS], x: &[[f32; 2]]) -> [f32; ROWS] {
    let sums = sum_lines!(w, x, [_mm256_setzero_ps(); 2]);
    let mut out = [0.0; ROWS];
    for (out, sums) in out.as_chunks_mut::<8>().0.iter_mut().zip(sums) {
        // SAFETY: 32 bytes are written to 8 numbers.
        unsafe { _mm256_storeu_ps(out.as_mut_ptr(), sums) };
    }
    out
}
