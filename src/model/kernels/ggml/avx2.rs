//! Eight rows in the registers of AVX2.

use super::super::quads::quads_avx2;
use super::lanes::{Bytes, Lanes};
use std::arch::x86_64::*;

pub(super) const ROWS: usize = 8;

#[derive(Clone, Copy)]
pub(super) struct Avx2;

impl Lanes<ROWS> for Avx2 {
    type V = __m256i;
    type F = __m256;

    const EXCESS: u8 = 0;

    #[inline(always)]
    unsafe fn sixteen(rows: Bytes) -> [__m256i; 4] {
        let rows = rows.hidden();
        // SAFETY: as the caller promises.
        unsafe {
            let two = |k: usize| _mm256_loadu2_m128i(rows.row(k + 4).cast(), rows.row(k).cast());
            quads_avx2([two(0), two(1), two(2), two(3)])
        }
    }

    #[inline(always)]
    unsafe fn spread(rows: Bytes) -> [__m256i; 8] {
        let rows = rows.hidden();
        // SAFETY: as the caller promises.
        unsafe {
            let even_first = _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7);
            let across =
                _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
            let one = |k: usize| {
                let row = _mm256_loadu_si256(rows.row(k).cast());
                _mm256_shuffle_epi8(_mm256_permutevar8x32_epi32(row, even_first), across)
            };
            let first = quads_avx2([one(0), one(1), one(2), one(3)]);
            let second = quads_avx2([one(4), one(5), one(6), one(7)]);
            let low = |i: usize| _mm256_permute2x128_si256::<0x20>(first[i], second[i]);
            let high = |i: usize| _mm256_permute2x128_si256::<0x31>(first[i], second[i]);
            [low(0), low(1), low(2), low(3), high(0), high(1), high(2), high(3)]
        }
    }

    #[inline(always)]
    unsafe fn load(from: &[u32; ROWS]) -> __m256i {
        // SAFETY: 32 bytes are read from 8 numbers.
        unsafe { _mm256_loadu_si256(from.as_ptr().cast()) }
    }

    #[inline(always)]
    unsafe fn store(v: __m256i, to: &mut [u32; ROWS]) {
        // SAFETY: 32 bytes are written to 8 numbers.
        unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), v) }
    }

    #[inline(always)]
    unsafe fn same(four: u32) -> __m256i {
        // SAFETY: the caller has AVX2; so below.
        unsafe { _mm256_set1_epi32(four.cast_signed()) }
    }

    #[inline(always)]
    unsafe fn and(a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: as above.
        unsafe { _mm256_and_si256(a, b) }
    }

    #[inline(always)]
    unsafe fn or(a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: as above.
        unsafe { _mm256_or_si256(a, b) }
    }

    #[inline(always)]
    unsafe fn raised(v: __m256i) -> __m256i {
        v
    }

    #[inline(always)]
    unsafe fn shift<const LEFT: u32, const RIGHT: u32>(v: __m256i) -> __m256i {
        // SAFETY: as above.
        unsafe {
            let count = |by: u32| _mm_cvtsi32_si128(by.cast_signed());
            if RIGHT == 0 { _mm256_sll_epi32(v, count(LEFT)) } else { _mm256_srl_epi32(v, count(RIGHT)) }
        }
    }

    #[inline(always)]
    unsafe fn two_signed(v: __m256i) -> __m256i {
        // SAFETY: as above. Each byte goes to the upper half of its 16 bits.
        unsafe {
            let first = _mm256_and_si256(_mm256_slli_epi32::<8>(v), _mm256_set1_epi32(0xff00));
            let second = _mm256_and_si256(_mm256_slli_epi32::<16>(v), _mm256_set1_epi32(0xff00_0000_u32.cast_signed()));
            _mm256_srai_epi16::<8>(_mm256_or_si256(first, second))
        }
    }

    #[inline(always)]
    unsafe fn pairs(w: __m256i, x: __m256i) -> __m256i {
        // SAFETY: as above.
        unsafe { _mm256_maddubs_epi16(w, x) }
    }

    #[inline(always)]
    unsafe fn less(a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: as above.
        unsafe { _mm256_sub_epi16(a, b) }
    }

    #[inline(always)]
    unsafe fn add_pairs(sum: __m256i, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: as above.
        unsafe { _mm256_add_epi32(sum, _mm256_madd_epi16(a, b)) }
    }

    #[inline(always)]
    unsafe fn add_fours(sum: __m256i, w: __m256i, x: __m256i) -> __m256i {
        // SAFETY: as above. Sizes are at most 128 and 127, so that two products fit 16 bits.
        unsafe {
            let products = _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w));
            _mm256_add_epi32(sum, _mm256_madd_epi16(products, _mm256_set1_epi16(1)))
        }
    }

    #[inline(always)]
    unsafe fn floats(v: __m256i) -> __m256 {
        // SAFETY: as above.
        unsafe { _mm256_cvtepi32_ps(v) }
    }

    #[inline(always)]
    unsafe fn load_f(from: &[f32; ROWS]) -> __m256 {
        // SAFETY: 32 bytes are read from 8 numbers.
        unsafe { _mm256_loadu_ps(from.as_ptr()) }
    }

    #[inline(always)]
    unsafe fn store_f(v: __m256, to: &mut [f32; ROWS]) {
        // SAFETY: 32 bytes are written to 8 numbers.
        unsafe { _mm256_storeu_ps(to.as_mut_ptr(), v) }
    }

    #[inline(always)]
    unsafe fn same_f(x: f32) -> __m256 {
        // SAFETY: as above.
        unsafe { _mm256_set1_ps(x) }
    }

    #[inline(always)]
    unsafe fn add_f(a: __m256, b: __m256) -> __m256 {
        // SAFETY: as above.
        unsafe { _mm256_add_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn less_f(a: __m256, b: __m256) -> __m256 {
        // SAFETY: as above.
        unsafe { _mm256_sub_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn times_f(a: __m256, b: __m256) -> __m256 {
        // SAFETY: as above.
        unsafe { _mm256_mul_ps(a, b) }
    }
}
