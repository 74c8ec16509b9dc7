//! Products of bf16 weights and bf16 activations by AVX512-BF16's `vdpbf16ps`, in the order of [`super::pairs`].

use super::interleave::{
    LINE, LONG, PAIRS, ROWS, TILE_ROWS, fetch_line, fill_panel, interleave_avx512, lead, padded, sum_pairs,
};
use super::tiles::{Tile, add_tile};
use std::arch::x86_64::*;

/// Tiles of 32 rows of weights and twelve of activations, which have to be bf16 numbers.
pub(super) struct DotBf16;

/// Whether every value is a bf16 number.
pub(super) fn are_bf16(x: &[f32]) -> bool {
    x.iter().fold(0, |low, x| low | x.to_bits()) & 0xffff == 0
}

impl Tile<TILE_ROWS> for DotBf16 {
    type Pair = u32;
    type Panel = [u32; TILE_ROWS];
    const ZERO: Self::Panel = [0; TILE_ROWS];
    const TOGETHER: usize = 12;

    #[inline(always)]
    fn pair(first: f32, second: f32) -> u32 {
        first.to_bits() >> 16 | second.to_bits() & 0xffff_0000
    }

    unsafe fn fill(w: &[&[u8]; TILE_ROWS], from: usize, panel: &mut [Self::Panel]) {
        // SAFETY: what the caller promises.
        unsafe { fill_panel(w, from, panel) }
    }

    unsafe fn add(panel: &[Self::Panel], x: &[u32], rows: usize, sums: &mut [[f32; TILE_ROWS]]) {
        // SAFETY: what the caller promises.
        unsafe { tile_of(panel, x, rows, sums) }
    }
}

add_tile!(
    "avx512f,avx512bw,avx512bf16", TILE_ROWS, u32, 12, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_setzero_ps,
    _mm512_loadu_si512, |sum, w, x| _mm512_dpbf16_ps(sum, w, x), numbers of everywhere
);

/// Sixteen rows of weights times a row of activations.
///
/// # Safety
/// The machine has the instruction.
pub(super) unsafe fn row(w: &[&[u8]; ROWS], x: &[u32]) -> [f32; ROWS] {
    // SAFETY: what the caller promises.
    unsafe { row_here(w, x) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn numbers(pairs: __m512i) -> __m512bh {
    // SAFETY: both are 64 bytes, and any bits are 32 numbers.
    unsafe { std::mem::transmute(pairs) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn everywhere(pair: &u32) -> __m512bh {
    numbers(_mm512_set1_epi32(pair.cast_signed()))
}

#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn row_here(w: &[&[u8]; ROWS], x: &[u32]) -> [f32; ROWS] {
    sum_pairs!(w, x, |sums, w, x: &u32| _mm512_dpbf16_ps(sums, numbers(w), everywhere(x)))
}
