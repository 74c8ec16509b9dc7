//! Sixteen rows in the registers of AVX-512 with VNNI.

use super::super::quads::quads_avx512;
use super::lanes::{Bytes, Lanes};
use std::arch::x86_64::*;

pub(super) const ROWS: usize = 16;

#[derive(Clone, Copy)]
pub(super) struct Vnni;

impl Lanes<ROWS> for Vnni {
    type V = __m512i;
    type F = __m512;

    const EXCESS: u8 = 0x80;

    #[inline(always)]
    unsafe fn sixteen(rows: Bytes) -> [__m512i; 4] {
        let rows = rows.hidden();
        // SAFETY: as the caller promises.
        unsafe {
            let four = |k: usize| {
                let load = |at: usize| _mm_loadu_si128(rows.row(k + at).cast());
                let low = _mm512_castsi128_si512(load(0));
                let low = _mm512_inserti32x4::<1>(low, load(4));
                _mm512_inserti32x4::<3>(_mm512_inserti32x4::<2>(low, load(8)), load(12))
            };
            quads_avx512([four(0), four(1), four(2), four(3)])
        }
    }

    #[inline(always)]
    unsafe fn spread(rows: Bytes) -> [__m512i; 8] {
        let rows = rows.hidden();
        // SAFETY: as the caller promises.
        unsafe {
            let even_first = _mm512_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15);
            let across = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
            let two = |k: usize| {
                let load = |at: usize| _mm256_loadu_si256(rows.row(k + at).cast());
                let both = _mm512_inserti64x4::<1>(_mm512_castsi256_si512(load(0)), load(4));
                _mm512_shuffle_epi8(_mm512_permutexvar_epi32(even_first, both), across)
            };
            let first = quads_avx512([two(0), two(1), two(2), two(3)]);
            let second = quads_avx512([two(8), two(9), two(10), two(11)]);
            // Parts are rows 0 to 3, then 4 to 7 of one register, then 8 to 11 and 12 to 15 of the other.
            let low = |i: usize| _mm512_shuffle_i32x4::<0b10_00_10_00>(first[i], second[i]);
            let high = |i: usize| _mm512_shuffle_i32x4::<0b11_01_11_01>(first[i], second[i]);
            [low(0), low(1), low(2), low(3), high(0), high(1), high(2), high(3)]
        }
    }

    #[inline(always)]
    unsafe fn load(from: &[u32; ROWS]) -> __m512i {
        // SAFETY: 64 bytes are read from 16 numbers.
        unsafe { _mm512_loadu_si512(from.as_ptr().cast()) }
    }

    #[inline(always)]
    unsafe fn store(v: __m512i, to: &mut [u32; ROWS]) {
        // SAFETY: 64 bytes are written to 16 numbers.
        unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), v) }
    }

    #[inline(always)]
    unsafe fn same(four: u32) -> __m512i {
        // SAFETY: the caller has AVX-512; so below.
        unsafe { _mm512_set1_epi32(four.cast_signed()) }
    }

    #[inline(always)]
    unsafe fn and(a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: as above.
        unsafe { _mm512_and_si512(a, b) }
    }

    #[inline(always)]
    unsafe fn or(a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: as above.
        unsafe { _mm512_or_si512(a, b) }
    }

    #[inline(always)]
    unsafe fn raised(v: __m512i) -> __m512i {
        // SAFETY: as above.
        unsafe { _mm512_xor_si512(v, _mm512_set1_epi8(i8::MIN)) }
    }

    #[inline(always)]
    unsafe fn shift<const LEFT: u32, const RIGHT: u32>(v: __m512i) -> __m512i {
        // SAFETY: as above.
        unsafe { if RIGHT == 0 { _mm512_slli_epi32::<LEFT>(v) } else { _mm512_srli_epi32::<RIGHT>(v) } }
    }

    #[inline(always)]
    unsafe fn two_signed(v: __m512i) -> __m512i {
        // SAFETY: as above. Each byte goes to the upper half of its 16 bits.
        unsafe {
            let first = _mm512_and_si512(_mm512_slli_epi32::<8>(v), _mm512_set1_epi32(0xff00));
            let second = _mm512_and_si512(_mm512_slli_epi32::<16>(v), _mm512_set1_epi32(0xff00_0000_u32.cast_signed()));
            _mm512_srai_epi16::<8>(_mm512_or_si512(first, second))
        }
    }

    #[inline(always)]
    unsafe fn pairs(w: __m512i, x: __m512i) -> __m512i {
        // SAFETY: as above.
        unsafe { _mm512_maddubs_epi16(w, x) }
    }

    #[inline(always)]
    unsafe fn less(a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: as above.
        unsafe { _mm512_sub_epi16(a, b) }
    }

    #[inline(always)]
    unsafe fn add_pairs(sum: __m512i, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: as above.
        unsafe { _mm512_dpwssd_epi32(sum, a, b) }
    }

    #[inline(always)]
    unsafe fn add_fours(sum: __m512i, w: __m512i, x: __m512i) -> __m512i {
        // SAFETY: as above.
        unsafe { _mm512_dpbusd_epi32(sum, w, x) }
    }

    #[inline(always)]
    unsafe fn floats(v: __m512i) -> __m512 {
        // SAFETY: as above.
        unsafe { _mm512_cvtepi32_ps(v) }
    }

    #[inline(always)]
    unsafe fn load_f(from: &[f32; ROWS]) -> __m512 {
        // SAFETY: 64 bytes are read from 16 numbers.
        unsafe { _mm512_loadu_ps(from.as_ptr()) }
    }

    #[inline(always)]
    unsafe fn store_f(v: __m512, to: &mut [f32; ROWS]) {
        // SAFETY: 64 bytes are written to 16 numbers.
        unsafe { _mm512_storeu_ps(to.as_mut_ptr(), v) }
    }

    #[inline(always)]
    unsafe fn same_f(x: f32) -> __m512 {
        // SAFETY: as above.
        unsafe { _mm512_set1_ps(x) }
    }

    #[inline(always)]
    unsafe fn add_f(a: __m512, b: __m512) -> __m512 {
        // SAFETY: as above.
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn less_f(a: __m512, b: __m512) -> __m512 {
        // SAFETY: as above.
        unsafe { _mm512_sub_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn times_f(a: __m512, b: __m512) -> __m512 {
        // SAFETY: as above.
        unsafe { _mm512_mul_ps(a, b) }
    }
}
