//! Products of bf16 weights and any activations by AVX-512's fma, in the order of [`super::pairs`].

use super::interleave::{
    LINE, LONG, PAIRS, ROWS, TILE_ROWS, fetch_line, fill_panel, interleave_avx512, lead, padded, sum_pairs,
};
use super::tiles::{Tile, add_tile};
use std::arch::x86_64::*;

/// Tiles of 32 rows of weights and twelve of activations.
pub(super) struct FmaAvx512;

impl Tile<TILE_ROWS> for FmaAvx512 {
    type Pair = [f32; 2];
    type Panel = [u32; TILE_ROWS];
    const ZERO: Self::Panel = [0; TILE_ROWS];
    const TOGETHER: usize = 12;

    #[inline(always)]
    fn pair(first: f32, second: f32) -> [f32; 2] {
        [first, second]
    }

    unsafe fn fill(w: &[&[u8]; TILE_ROWS], from: usize, panel: &mut [Self::Panel]) {
        // SAFETY: what the caller promises.
        unsafe { fill_panel(w, from, panel) }
    }

    unsafe fn add(panel: &[Self::Panel], x: &[[f32; 2]], rows: usize, sums: &mut [[f32; TILE_ROWS]]) {
        // SAFETY: what the caller promises.
        unsafe { tile_of(panel, x, rows, sums) }
    }
}

/// The second numbers of pairs.
#[inline]
#[target_feature(enable = "avx512f")]
fn seconds(pairs: __m512i) -> __m512 {
    _mm512_castsi512_ps(_mm512_and_si512(pairs, _mm512_set1_epi32(0xffff_0000_u32.cast_signed())))
}

/// The first numbers of pairs.
#[inline]
#[target_feature(enable = "avx512f")]
fn firsts(pairs: __m512i) -> __m512 {
    _mm512_castsi512_ps(_mm512_slli_epi32::<16>(pairs))
}

#[inline]
#[target_feature(enable = "avx512f")]
fn second(pair: &[f32; 2]) -> __m512 {
    _mm512_set1_ps(pair[1])
}

#[inline]
#[target_feature(enable = "avx512f")]
fn first(pair: &[f32; 2]) -> __m512 {
    _mm512_set1_ps(pair[0])
}

add_tile!(
    "avx512f", TILE_ROWS, [f32; 2], 12, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_setzero_ps, _mm512_loadu_si512,
    |sum, w, x| _mm512_fmadd_ps(w, x, sum), seconds of second, firsts of first
);

/// Sixteen rows of weights times a row of activations, at the speed of memory.
#[target_feature(enable = "avx512f")]
pub(super) fn row(w: &[&[u8]; ROWS], x: &[[f32; 2]]) -> [f32; ROWS] {
    sum_pairs!(w, x, |sums, w, x: &[f32; 2]| {
        let sums = _mm512_fmadd_ps(seconds(w), second(x), sums);
        _mm512_fmadd_ps(firsts(w), first(x), sums)
    })
}
