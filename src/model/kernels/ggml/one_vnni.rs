//! Products with one row of activations by AVX-512 with VNNI, sixteen rows of weights at a time.

use super::super::k_blocks::{Q4K, Q6K};
use super::activations::Large;
use super::lanes::Bytes;
use super::one::{One, Sums, fetch_share};
use super::vnni::{ROWS, Vnni};
use std::arch::x86_64::*;

/// Of each eight groups of four bytes those with even places first.
const HALVES: [i32; 16] = [0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15];

#[inline]
#[target_feature(enable = "avx512f")]
fn same(bits: u8) -> __m512i {
    _mm512_set1_epi32(i32::from_ne_bytes([bits; 4]))
}

/// An order that the compiler doesn't know: it would join this move with the next, and make several instructions of two.
#[inline]
#[target_feature(enable = "avx512f")]
fn hidden(order: &[i32; 16]) -> __m512i {
    // SAFETY: 64 bytes are read from 16 times 4. What follows does nothing.
    unsafe {
        let mut order = _mm512_loadu_si512(order.as_ptr().cast());
        std::arch::asm!("/* {0} */", inout(zmm_reg) order, options(pure, nomem, nostack, preserves_flags));
        order
    }
}

/// The first numbers for the lower, the second for the upper half of a register.
#[inline]
#[target_feature(enable = "avx512f")]
fn halves(first: i32, second: i32) -> __m512i {
    _mm512_inserti64x4::<1>(_mm512_set1_epi32(first), _mm256_set1_epi32(second))
}

/// Of each 32 of 64 bytes, those at `i`, `i + 8`, `i + 16` and `i + 24` next to each other; `order` are groups of four.
///
/// # Safety
/// 64 bytes can be read.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn spread(from: *const u8, order: __m512i) -> __m512i {
    let across = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
    // SAFETY: as the caller promises; any alignment will do.
    let bytes = unsafe { _mm512_loadu_si512(from.cast()) };
    _mm512_shuffle_epi8(_mm512_permutexvar_epi32(order, bytes), across)
}

/// Two parts of activations, or what their products with [`super::activations::LESS`] are.
#[inline]
#[target_feature(enable = "avx512f")]
fn parts<T>(first: &[T; 8], second: &[T; 8]) -> __m512i {
    const { assert!(size_of::<T>() == 4) }
    // SAFETY: 32 bytes are read from each 8 times 4.
    unsafe {
        let first = _mm256_loadu_si256(first.as_ptr().cast());
        _mm512_inserti64x4::<1>(_mm512_castsi256_si512(first), _mm256_loadu_si256(second.as_ptr().cast()))
    }
}

/// Adds a block's integer sums, of which both halves of a register have a part, times its scale to the sums of a row.
#[inline]
#[target_feature(enable = "avx512f")]
fn add(lanes: &mut [f32; 8], sum: __m512i, scale: f32) {
    let sum = _mm256_add_epi32(_mm512_castsi512_si256(sum), _mm512_extracti64x4_epi64::<1>(sum));
    // SAFETY: 32 bytes are read from and written to 8 numbers.
    unsafe {
        let term = _mm256_mul_ps(_mm256_set1_ps(scale), _mm256_cvtepi32_ps(sum));
        _mm256_storeu_ps(lanes.as_mut_ptr(), _mm256_add_ps(_mm256_loadu_ps(lanes.as_ptr()), term));
    }
}

/// The f16 numbers in the lower halves of 32 bits.
#[inline]
#[target_feature(enable = "avx512f")]
fn floats(halves: __m512i) -> __m512 {
    _mm512_cvtph_ps(_mm512_cvtepi32_epi16(halves))
}

/// The scales of 16 blocks.
struct Scales {
    /// Of rows `i`, `i + 4`, `i + 8` and `i + 12` the small scales of parts 0 to 3 in the first four bytes, those of parts 4
    /// to 7 in the third.
    small: [[[u8; 16]; 4]; 4],
    /// The scale of the block times that of the activations.
    large: [f32; ROWS],
}

/// The scales of Q4_K. Subtracts its minima.
///
/// # Safety
/// The first 16 bytes of a block of each row can be read.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vnni")]
unsafe fn scales(w: Bytes, x: &Large, minima: &mut [f32; ROWS]) -> Scales {
    let mut out = Scales { small: [[[0; 16]; 4]; 4], large: [0.0; ROWS] };
    // SAFETY: 16 bytes are read from 4 times 4.
    let totals = _mm512_broadcast_i32x4(unsafe { _mm_loadu_si128(x.totals.as_ptr().cast()) });
    let z = i8::MIN;
    let minima_of = _mm512_broadcast_i32x4(_mm_setr_epi8(4, z, 5, z, 6, z, 7, z, 12, z, 13, z, 14, z, 15, z));
    let quarters = |a, b, c, d| _mm512_broadcast_i32x4(_mm_setr_epi32(a, b, c, d));
    let (mut headers, mut sums) = ([_mm512_setzero_si512(); 4], [_mm512_setzero_si512(); 4]);
    for i in 0..4 {
        // SAFETY: as the caller promises.
        let row = |r: usize| unsafe { _mm_loadu_si128(w.row(r).cast()) };
        let header = _mm512_inserti32x4::<1>(_mm512_castsi128_si512(row(i)), row(i + 4));
        let header = _mm512_inserti32x4::<3>(_mm512_inserti32x4::<2>(header, row(i + 8)), row(i + 12));
        // Twice the first two of three times four bytes; of those of the second time, two bits are needed. The third has
        // the other four bits.
        let six = _mm512_srlv_epi32(_mm512_shuffle_epi32::<0b10_01_10_01>(header), quarters(0, 0, 2, 2));
        let six = _mm512_and_si512(six, quarters(0x3f3f_3f3f, 0x3f3f_3f3f, 0x3030_3030, 0x3030_3030));
        let four = _mm512_srlv_epi32(_mm512_shuffle_epi32::<0b11_11_11_11>(header), quarters(32, 32, 0, 4));
        let small = _mm512_or_si512(six, _mm512_and_si512(four, same(0x0f)));
        // SAFETY: 64 bytes are written to 4 times 16.
        unsafe { _mm512_storeu_si512(out.small[i].as_mut_ptr().cast(), small) };
        headers[i] = header;
        sums[i] = _mm512_madd_epi16(_mm512_shuffle_epi8(small, minima_of), totals);
    }
    let both = |a, b| _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    let (first, second) = (both(sums[0], sums[1]), both(sums[2], sums[3]));
    let sum = _mm512_add_epi32(_mm512_unpacklo_epi64(first, second), _mm512_unpackhi_epi64(first, second));
    let two = |at: usize| _mm512_unpacklo_epi32(headers[at], headers[at + 1]);
    let halves = _mm512_unpacklo_epi64(two(0), two(2));
    let e = _mm512_set1_ps(x.scale);
    let least = _mm512_mul_ps(floats(_mm512_srli_epi32::<16>(halves)), e);
    let least = _mm512_mul_ps(least, _mm512_cvtepi32_ps(sum));
    // SAFETY: 64 bytes are read from and written to 16 numbers.
    unsafe {
        _mm512_storeu_ps(out.large.as_mut_ptr(), _mm512_mul_ps(floats(halves), e));
        _mm512_storeu_ps(minima.as_mut_ptr(), _mm512_sub_ps(_mm512_loadu_ps(minima.as_ptr()), least));
    }
    out
}

impl One<Vnni, ROWS> for Q4K {
    const BYTES: usize = 144;

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vnni")]
    unsafe fn add(w: Bytes, x: &Large, sums: &mut Sums<ROWS>, ahead: *const u8) {
        // SAFETY: as the caller promises.
        let scales = unsafe { scales(w, x, &mut sums.minima) };
        let order = hidden(&HALVES);
        // Places of the small scales of parts: those of the low bits and the high bits of the first, and of the second 64
        // bytes.
        const PLACES: [[i32; 2]; 4] = [[0, 2], [1, 3], [8, 10], [9, 11]];
        let (mut scale_of, mut x_of) = ([_mm512_setzero_si512(); 4], [_mm512_setzero_si512(); 4]);
        for i in 0..4 {
            let word = |byte: i32| 0x8000_8000_u32.cast_signed() | byte | byte << 16;
            scale_of[i] = halves(word(PLACES[i][0]), word(PLACES[i][1]));
            let at = 4 * (i / 2) + i % 2;
            x_of[i] = parts(&x.spread[at], &x.spread[at + 2]);
        }
        for r in 0..ROWS {
            fetch_share(ahead, r, <Self as One<Vnni, ROWS>>::BYTES);
            let small = &scales.small[r % 4][r / 4];
            // SAFETY: 16 bytes are read from 16.
            let small = _mm512_broadcast_i32x4(unsafe { _mm_loadu_si128(small.as_ptr().cast()) });
            let mut sum = _mm512_setzero_si512();
            for i in 0..2 {
                // SAFETY: as the caller promises; 64 bytes are there.
                let q = unsafe { spread(w.row(r).add(16 + 64 * i), order) };
                let q = [_mm512_and_si512(q, same(15)), _mm512_and_si512(_mm512_srli_epi16::<4>(q), same(15))];
                for k in 0..2 {
                    let products = _mm512_maddubs_epi16(q[k], x_of[2 * i + k]);
                    sum = _mm512_dpwssd_epi32(sum, products, _mm512_shuffle_epi8(small, scale_of[2 * i + k]));
                }
            }
            add(&mut sums.lanes[r], sum, scales.large[r]);
        }
    }
}

impl One<Vnni, ROWS> for Q6K {
    const BYTES: usize = 210;

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vnni")]
    unsafe fn add(w: Bytes, x: &Large, sums: &mut Sums<ROWS>, ahead: *const u8) {
        // SAFETY: as the caller promises; 2 bytes are there.
        let half = |r: usize| unsafe { w.row(r).add(208).cast::<i16>().read_unaligned() };
        let eight = |r: usize| {
            let at = |i: usize| half(r + i);
            _mm_setr_epi16(at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7))
        };
        let d = _mm512_cvtph_ps(_mm256_set_m128i(eight(8), eight(0)));
        let mut scales = [0f32; ROWS];
        // SAFETY: 64 bytes are written to 16 numbers.
        unsafe { _mm512_storeu_ps(scales.as_mut_ptr(), _mm512_mul_ps(d, _mm512_set1_ps(x.scale))) };
        let order = hidden(&HALVES);
        let twice = [
            hidden(&[0, 2, 4, 6, 1, 3, 5, 7, 0, 2, 4, 6, 1, 3, 5, 7]),
            hidden(&[8, 10, 12, 14, 9, 11, 13, 15, 8, 10, 12, 14, 9, 11, 13, 15]),
        ];
        let (left, right) = (halves(4, 2), halves(0, 2));
        let (mut x_of, mut less, mut scale_of) =
            ([_mm512_setzero_si512(); 4], [_mm512_setzero_si512(); 4], [_mm512_setzero_si512(); 4]);
        for i in 0..4 {
            x_of[i] = parts(&x.spread[2 * i], &x.spread[2 * i + 1]);
            less[i] = parts(&x.less[2 * i], &x.less[2 * i + 1]);
            scale_of[i] = halves(2 * i as i32, 2 * i as i32 + 1);
        }
        for r in 0..ROWS {
            fetch_share(ahead, r, <Self as One<Vnni, ROWS>>::BYTES);
            let row = w.row(r);
            // SAFETY: as the caller promises; 16 bytes are there.
            let small = _mm256_cvtepi8_epi16(unsafe { _mm_loadu_si128(row.add(192).cast()) });
            let small = _mm512_castsi256_si512(small);
            let mut sum = _mm512_setzero_si512();
            for n in 0..2 {
                // SAFETY: as the caller promises; 64 bytes are there.
                let (four, two) = unsafe { (spread(row.add(64 * n), order), spread(row.add(128), twice[n])) };
                let join = |four: __m512i, two: __m512i| {
                    _mm512_or_si512(_mm512_and_si512(four, same(15)), _mm512_and_si512(two, same(0x30)))
                };
                let q = [
                    join(four, _mm512_sllv_epi32(two, left)),
                    join(_mm512_srli_epi16::<4>(four), _mm512_srlv_epi32(two, right)),
                ];
                for k in 0..2 {
                    let at = 2 * n + k;
                    let products = _mm512_sub_epi16(_mm512_maddubs_epi16(q[k], x_of[at]), less[at]);
                    sum = _mm512_dpwssd_epi32(sum, products, _mm512_permutexvar_epi32(scale_of[at], small));
                }
            }
            add(&mut sums.lanes[r], sum, scales[r]);
        }
    }
}
