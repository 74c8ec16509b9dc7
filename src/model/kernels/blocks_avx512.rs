//! Products of the formats that models are mostly shared in, in AVX-512: the bits of [`super::blocks`], read at the speed of
//! memory.

use super::blocks::{Block, part};
use super::dot::{LANES, fold};
use super::k_blocks::scales_and_minima;
use std::arch::x86_64::*;

/// The product of a row of blocks and `x`; `None` for other formats.
pub(super) fn dot(block: Block, bytes: &[u8], x: &[f32]) -> Option<f32> {
    let mut lanes = [0f32; LANES];
    // SAFETY: only called where `isa()` has detected AVX-512.
    unsafe {
        match block {
            Block::Q8_0 => q8_0(bytes, x, &mut lanes),
            Block::Q4K => q4_k(bytes, x, &mut lanes),
            Block::Q6K => q6_k(bytes, x, &mut lanes),
            _ => return None,
        }
    }
    Some(fold(lanes))
}

/// Sums of lanes 0 to 15 and 16 to 31.
type Sums = (__m512, __m512);

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn store((low, high): Sums, lanes: &mut [f32; LANES]) {
    // SAFETY: 64 bytes are written to each half of 32 numbers.
    unsafe {
        _mm512_storeu_ps(lanes.as_mut_ptr(), low);
        _mm512_storeu_ps(lanes[LANES / 2..].as_mut_ptr(), high);
    }
}

/// An f16 as stored, sixteen times.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn f16_everywhere(bytes: [u8; 2]) -> __m512 {
    _mm512_cvtph_ps(_mm256_set1_epi16(i16::from_le_bytes(bytes)))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn sixteen(bytes: &[u8; 16]) -> __m128i {
    // SAFETY: 16 bytes are read from 16 bytes, at any alignment.
    unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
}

/// Adds products of sixteen weights and activations.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn add(sum: __m512, weights: __m512, x: &[f32; 16]) -> __m512 {
    // SAFETY: 64 bytes are read from 16 numbers.
    _mm512_add_ps(sum, _mm512_mul_ps(weights, unsafe { _mm512_loadu_ps(x.as_ptr()) }))
}

#[target_feature(enable = "avx512f,avx512bw")]
fn q8_0(bytes: &[u8], x: &[f32], lanes: &mut [f32; LANES]) {
    let mut sums = (_mm512_setzero_ps(), _mm512_setzero_ps());
    for (block, x) in bytes.as_chunks::<34>().0.iter().zip(x.as_chunks::<32>().0) {
        let d = f16_everywhere(*part(block, 0));
        let weights = |at: usize| {
            let q = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(sixteen(part(block, at))));
            _mm512_mul_ps(q, d)
        };
        sums.0 = add(sums.0, weights(2), part(x, 0));
        sums.1 = add(sums.1, weights(18), part(x, 16));
    }
    store(sums, lanes);
}

#[target_feature(enable = "avx512f,avx512bw")]
fn q4_k(bytes: &[u8], x: &[f32], lanes: &mut [f32; LANES]) {
    let steps = _mm512_setr_ps(0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0, 13.0, 14.0, 15.0);
    let mut sums = (_mm512_setzero_ps(), _mm512_setzero_ps());
    for (block, x) in bytes.as_chunks::<144>().0.iter().zip(x.as_chunks::<256>().0) {
        let f16 = |at: usize| _mm512_cvtss_f32(f16_everywhere(*part(block, at)));
        let (scales, minima) = scales_and_minima(part(block, 4), f16(0), f16(2));
        for pair in 0..4 {
            // All sixteen weights that a group can have; its four bits choose one.
            let table = |group: usize| {
                let scaled = _mm512_mul_ps(_mm512_set1_ps(scales[group]), steps);
                _mm512_sub_ps(scaled, _mm512_set1_ps(minima[group]))
            };
            let (low, high) = (table(2 * pair), table(2 * pair + 1));
            let (x_low, x_high) = (part::<32, _>(x, 64 * pair), part::<32, _>(x, 64 * pair + 32));
            let q = |at: usize| _mm512_cvtepu8_epi32(sixteen(part(block, 16 + 32 * pair + at)));
            let (a, b) = (q(0), q(16));
            sums.0 = add(sums.0, _mm512_permutexvar_ps(a, low), part(x_low, 0));
            sums.1 = add(sums.1, _mm512_permutexvar_ps(b, low), part(x_low, 16));
            sums.0 = add(sums.0, _mm512_permutexvar_ps(_mm512_srli_epi32::<4>(a), high), part(x_high, 0));
            sums.1 = add(sums.1, _mm512_permutexvar_ps(_mm512_srli_epi32::<4>(b), high), part(x_high, 16));
        }
    }
    store(sums, lanes);
}

#[target_feature(enable = "avx512f,avx512bw")]
fn q6_k(bytes: &[u8], x: &[f32], lanes: &mut [f32; LANES]) {
    let mut sums = (_mm512_setzero_ps(), _mm512_setzero_ps());
    for (block, x) in bytes.as_chunks::<210>().0.iter().zip(x.as_chunks::<256>().0) {
        let d = f16_everywhere(*part(block, 208));
        let mut scales = [0f32; 16];
        let scaled = _mm512_mul_ps(d, _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(sixteen(part(block, 192)))));
        // SAFETY: 64 bytes are written to 16 numbers.
        unsafe { _mm512_storeu_ps(scales.as_mut_ptr(), scaled) };
        for n in 0..2 {
            // SAFETY: 32 bytes are read from 32 bytes, at any alignment.
            let load = |at: usize| unsafe { _mm256_loadu_si256(part::<32, _>(block, at).as_ptr().cast()) };
            let (a, b, high) = (load(64 * n), load(64 * n + 32), load(128 + 32 * n));
            let (four, two) = (_mm256_set1_epi8(15), _mm256_set1_epi8(0x30));
            let low = |q: __m256i| _mm256_and_si256(q, four);
            let upper = |q: __m256i| _mm256_and_si256(_mm256_srli_epi16::<4>(q), four);
            let q = [
                (low(a), _mm256_slli_epi16::<4>(high)),
                (low(b), _mm256_slli_epi16::<2>(high)),
                (upper(a), high),
                (upper(b), _mm256_srli_epi16::<2>(high)),
            ];
            for k in 0..4 {
                let q = _mm256_or_si256(q[k].0, _mm256_and_si256(q[k].1, two));
                let q = _mm256_sub_epi8(q, _mm256_set1_epi8(32));
                let (x, s) = (part::<32, _>(x, 128 * n + 32 * k), &scales[8 * n + 2 * k..][..2]);
                let weights = |q: __m128i, s: f32| {
                    _mm512_mul_ps(_mm512_set1_ps(s), _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(q)))
                };
                sums.0 = add(sums.0, weights(_mm256_castsi256_si128(q), s[0]), part(x, 0));
                sums.1 = add(sums.1, weights(_mm256_extracti128_si256::<1>(q), s[1]), part(x, 16));
            }
        }
    }
    store(sums, lanes);
}
