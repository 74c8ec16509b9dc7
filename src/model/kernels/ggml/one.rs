//! One row of activations times eight rows of weights in blocks of 256, as when a token is generated. The eight sums of a
//! row are neighbours in a register, so that the bytes of a row need not move to other rows.
//!
//! For AVX2, and for AVX-512 with VNNI too: code with wider registers and sixteen rows was slower from memory on Zen 4.

use super::super::k_blocks::{Q4K, Q6K};
use super::activations::Large;
use super::avx2::{Avx2, ROWS};
use super::lanes::{Bytes, Lanes, fetch};
use super::large::{self, LANES};
use super::panel::{PARTS, two};
use std::arch::x86_64::*;

/// The sums of rows of weights.
pub(super) struct Sums {
    /// Eight of each row, by the place of a value modulo 8.
    lanes: [[f32; LANES]; ROWS],
    /// The ninth, from which minima are subtracted.
    minima: [f32; ROWS],
}

impl Sums {
    pub const ZERO: Self = Self { lanes: [[0.0; LANES]; ROWS], minima: [0.0; ROWS] };

    /// The sums of each row at its end.
    pub fn folded(&self) -> [f32; ROWS] {
        let mut out = [0.0; ROWS];
        for r in 0..ROWS {
            out[r] = large::folded(self.minima[r], &self.lanes[r]);
        }
        out
    }
}

/// A format of blocks of 256 that is multiplied as it is stored.
pub(super) trait One {
    /// Bytes of a block.
    const BYTES: usize;

    /// Adds the products with a block of each row, and fetches as many bytes from `ahead` on: few with each row, as few
    /// lines of the cache can be on their way at a time.
    ///
    /// # Safety
    /// The machine has AVX2 and F16C, and `BYTES` bytes of each row can be read.
    unsafe fn add(w: Bytes, x: &Large, sums: &mut Sums, ahead: *const u8);
}

#[inline]
#[target_feature(enable = "avx2")]
fn and(bytes: __m256i, bits: i8) -> __m256i {
    _mm256_and_si256(bytes, _mm256_set1_epi8(bits))
}

/// Moves 32-bit numbers with even places before the others. The compiler must not know that: it would join it with the next
/// move of bytes, and make four instructions of two.
#[inline]
#[target_feature(enable = "avx2")]
fn even_first() -> __m256i {
    let mut places = _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7);
    // SAFETY: this does nothing.
    unsafe { std::arch::asm!("/* {0} */", inout(ymm_reg) places, options(pure, nomem, nostack, preserves_flags)) };
    places
}

/// Bytes `i`, `i + 8`, `i + 16` and `i + 24` of 32 next to each other.
///
/// # Safety
/// 32 bytes can be read.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn spread(from: *const u8, even_first: __m256i) -> __m256i {
    let across = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
    // SAFETY: as the caller promises; any alignment will do.
    let bytes = unsafe { _mm256_loadu_si256(from.cast()) };
    _mm256_shuffle_epi8(_mm256_permutevar8x32_epi32(bytes, even_first), across)
}

/// A part of activations, or what their products with [`super::activations::LESS`] are.
#[inline]
#[target_feature(enable = "avx2")]
fn part<T>(of: &[T; 8]) -> __m256i {
    const { assert!(size_of::<T>() == 4) }
    // SAFETY: 32 bytes are read from 8 times 4.
    unsafe { _mm256_loadu_si256(of.as_ptr().cast()) }
}

/// Adds a block's integer sums times its scale to the sums of a row.
#[inline]
#[target_feature(enable = "avx2")]
fn add(lanes: &mut [f32; 8], sum: __m256i, scale: f32) {
    // SAFETY: 32 bytes are read from and written to 8 numbers.
    unsafe {
        let term = _mm256_mul_ps(_mm256_set1_ps(scale), _mm256_cvtepi32_ps(sum));
        _mm256_storeu_ps(lanes.as_mut_ptr(), _mm256_add_ps(_mm256_loadu_ps(lanes.as_ptr()), term));
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn store<T>(v: __m256i, to: &mut [T; 8]) {
    const { assert!(size_of::<T>() == 4) }
    // SAFETY: 32 bytes are written to 8 times 4.
    unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), v) }
}

/// In each 32 bits two bytes of them as integers of 16 bits.
#[inline]
#[target_feature(enable = "avx2")]
fn widened(bytes: __m256i, first: i8, second: i8) -> __m256i {
    let zero = i8::MIN;
    #[rustfmt::skip]
    let order = _mm_setr_epi8(
        first, zero, second, zero, first + 4, zero, second + 4, zero,
        first + 8, zero, second + 8, zero, first + 12, zero, second + 12, zero,
    );
    _mm256_shuffle_epi8(bytes, _mm256_broadcastsi128_si256(order))
}

/// The f16 numbers in the lower halves of 32 bits.
#[inline]
#[target_feature(enable = "avx2,f16c")]
fn floats(halves: __m256i) -> __m256 {
    let packed = _mm256_packus_epi32(halves, halves);
    _mm256_cvtph_ps(_mm256_castsi256_si128(_mm256_permute4x64_epi64::<0b10_00>(packed)))
}

/// The scales of each part, twice in 32 bits, and those of the block times that of the activations.
struct Scales {
    small: [[u32; ROWS]; PARTS],
    large: [f32; ROWS],
}

/// The scales of Q4_K. Subtracts its minima.
///
/// # Safety
/// The first 16 bytes of a block of each row can be read.
#[inline]
#[target_feature(enable = "avx2,f16c")]
unsafe fn scales(w: Bytes, x: &Large, minima: &mut [f32; ROWS]) -> Scales {
    // SAFETY: as the caller promises.
    let [halves, a, b, c] = unsafe { Avx2::sixteen(w) };
    let upper = |low, high| _mm256_or_si256(and(low, 0x0f), and(_mm256_srli_epi32::<2>(high), 0x30));
    let scales = [and(a, 0x3f), upper(c, a)];
    let smallest = [and(b, 0x3f), upper(_mm256_srli_epi32::<4>(c), b)];
    let mut out = Scales { small: [[0; ROWS]; PARTS], large: [0.0; ROWS] };
    let mut sum = _mm256_setzero_si256();
    for half in 0..2 {
        for i in 0..4 {
            store(widened(scales[half], i, i), &mut out.small[4 * half + i as usize]);
        }
        for i in 0..2 {
            let totals = _mm256_set1_epi32(two(x.totals[2 * half + i as usize]).cast_signed());
            sum = _mm256_add_epi32(sum, _mm256_madd_epi16(widened(smallest[half], 2 * i, 2 * i + 1), totals));
        }
    }
    let e = _mm256_set1_ps(x.scale);
    let d = floats(_mm256_and_si256(halves, _mm256_set1_epi32(0xffff)));
    let least = _mm256_mul_ps(_mm256_mul_ps(floats(_mm256_srli_epi32::<16>(halves)), e), _mm256_cvtepi32_ps(sum));
    // SAFETY: 32 bytes are read from and written to 8 numbers.
    unsafe {
        _mm256_storeu_ps(out.large.as_mut_ptr(), _mm256_mul_ps(d, e));
        _mm256_storeu_ps(minima.as_mut_ptr(), _mm256_sub_ps(_mm256_loadu_ps(minima.as_ptr()), least));
    }
    out
}

impl One for Q4K {
    const BYTES: usize = 144;

    #[inline]
    #[target_feature(enable = "avx2,f16c")]
    unsafe fn add(w: Bytes, x: &Large, sums: &mut Sums, ahead: *const u8) {
        // SAFETY: as the caller promises.
        let scales = unsafe { scales(w, x, &mut sums.minima) };
        let even_first = even_first();
        for r in 0..ROWS {
            fetch(ahead.wrapping_add(r * Self::BYTES), Self::BYTES);
            let mut sum = _mm256_setzero_si256();
            for pair in 0..PARTS / 2 {
                // SAFETY: as the caller promises; 32 bytes are there.
                let q = unsafe { spread(w.row(r).add(16 + 32 * pair), even_first) };
                let q = [and(q, 15), and(_mm256_srli_epi16::<4>(q), 15)];
                for i in 0..2 {
                    let at = 2 * pair + i;
                    let scale = _mm256_set1_epi32(scales.small[at][r].cast_signed());
                    let products = _mm256_maddubs_epi16(q[i], part(&x.spread[at]));
                    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(products, scale));
                }
            }
            add(&mut sums.lanes[r], sum, scales.large[r]);
        }
    }
}

impl One for Q6K {
    const BYTES: usize = 210;

    #[inline]
    #[target_feature(enable = "avx2,f16c")]
    unsafe fn add(w: Bytes, x: &Large, sums: &mut Sums, ahead: *const u8) {
        // SAFETY: as the caller promises; 2 bytes are there.
        let half = |r: usize| unsafe { w.row(r).add(208).cast::<i16>().read_unaligned() };
        let d = _mm_setr_epi16(half(0), half(1), half(2), half(3), half(4), half(5), half(6), half(7));
        let mut scales = [0f32; ROWS];
        // SAFETY: 32 bytes are written to 8 numbers.
        unsafe { _mm256_storeu_ps(scales.as_mut_ptr(), _mm256_mul_ps(_mm256_cvtph_ps(d), _mm256_set1_ps(x.scale))) };
        let even_first = even_first();
        for r in 0..ROWS {
            fetch(ahead.wrapping_add(r * Self::BYTES), Self::BYTES);
            let row = w.row(r);
            let mut small = [0u32; PARTS];
            // SAFETY: as the caller promises; 16 bytes are there.
            store(_mm256_cvtepi8_epi16(unsafe { _mm_loadu_si128(row.add(192).cast()) }), &mut small);
            let mut sum = _mm256_setzero_si256();
            for n in 0..2 {
                // SAFETY: as the caller promises; 32 bytes are there.
                let one = |at: usize| unsafe { spread(row.add(at), even_first) };
                let (a, b, high) = (one(64 * n), one(64 * n + 32), one(128 + 32 * n));
                let join = |four: __m256i, two: __m256i| _mm256_or_si256(and(four, 15), and(two, 0x30));
                let q = [
                    join(a, _mm256_slli_epi16::<4>(high)),
                    join(b, _mm256_slli_epi16::<2>(high)),
                    join(_mm256_srli_epi16::<4>(a), high),
                    join(_mm256_srli_epi16::<4>(b), _mm256_srli_epi16::<2>(high)),
                ];
                for k in 0..4 {
                    let at = 4 * n + k;
                    let products = _mm256_maddubs_epi16(q[k], part(&x.spread[at]));
                    let products = _mm256_sub_epi16(products, part(&x.less[at]));
                    let scale = _mm256_set1_epi32(small[at].cast_signed());
                    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(products, scale));
                }
            }
            add(&mut sums.lanes[r], sum, scales[r]);
        }
    }
}
