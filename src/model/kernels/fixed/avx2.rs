//! Fixed-point products by AVX2: `vpmaddwd` adds pairs of them, blocks are side by side.

use super::piece::{Add, Piece};
use super::{BLOCK, BLOCKS, Parts};
use std::arch::x86_64::*;

pub(super) struct Avx2;

/// Sums of products of each block: of 16 weights from each of `halves` on.
#[inline]
#[target_feature(enable = "avx2")]
fn sums<const H: usize>(w: &[[i16; BLOCK]; BLOCKS], x: &[[i16; BLOCK]; BLOCKS], halves: [usize; H]) -> __m256i {
    let mut all = [_mm256_setzero_si256(); BLOCKS];
    for b in 0..BLOCKS {
        for half in halves {
            let load = |all: &[[i16; BLOCK]; BLOCKS]| {
                let numbers = &all[b].as_chunks::<16>().0[half];
                // SAFETY: 32 bytes are read from 16 numbers, at any alignment.
                unsafe { _mm256_loadu_si256(numbers.as_ptr().cast()) }
            };
            all[b] = _mm256_add_epi32(all[b], _mm256_madd_epi16(load(w), load(x)));
        }
    }
    let four = |a: usize| {
        let (ab, cd) = (_mm256_hadd_epi32(all[a], all[a + 1]), _mm256_hadd_epi32(all[a + 2], all[a + 3]));
        _mm256_hadd_epi32(ab, cd)
    };
    // Halves of the sums of blocks 0 to 3, and of blocks 4 to 7.
    let (low, high) = (four(0), four(4));
    let (first, second) = (_mm256_permute2x128_si256::<0x20>(low, high), _mm256_permute2x128_si256::<0x31>(low, high));
    _mm256_add_epi32(first, second)
}

#[inline]
#[target_feature(enable = "avx2")]
fn load(numbers: &[f32; BLOCKS]) -> __m256 {
    // SAFETY: 32 bytes are read from 8 numbers, at any alignment.
    unsafe { _mm256_loadu_ps(numbers.as_ptr()) }
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn take<const H: usize>(piece: &Piece, x: &Parts, halves: [usize; H], lanes: __m256) -> __m256 {
    let upper = _mm256_cvtepi32_ps(sums(&piece.weights, &x.upper, halves));
    let lower = _mm256_cvtepi32_ps(sums(&piece.weights, &x.lower, halves));
    let products = _mm256_fmadd_ps(upper, _mm256_set1_ps(256.0), lower);
    _mm256_fmadd_ps(products, _mm256_mul_ps(load(&piece.scales[halves[0]]), load(&x.steps)), lanes)
}

impl Add for Avx2 {
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn add<const HALVES: bool, const MINIMA: bool>(piece: &Piece, x: &Parts, lanes: &mut [f32; BLOCKS]) {
        let mut sum = load(lanes);
        sum = if HALVES { take(piece, x, [1], take(piece, x, [0], sum)) } else { take(piece, x, [0, 1], sum) };
        if MINIMA {
            sum = _mm256_fnmadd_ps(load(&piece.minima), load(&x.totals), sum);
        }
        // SAFETY: 32 bytes are written to 8 numbers, at any alignment.
        unsafe { _mm256_storeu_ps(lanes.as_mut_ptr(), sum) };
    }
}
