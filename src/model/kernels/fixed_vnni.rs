//! The products of [`super::fixed`] by AVX512-VNNI's `vpdpbusd`: sums of four products of bytes, a digit at a time.

use super::blocks::{Block, part};
use super::dot::fold;
use super::fixed::{CHUNK, LANES, Row};
use std::arch::x86_64::*;

/// Whether this machine has the instruction, and the one that takes bytes apart.
pub(super) fn is_here() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vnni")
        && is_x86_feature_detected!("gfni")
}

/// Two rows of weights times a row of activations.
///
/// # Safety
/// `is_here` said so.
pub(super) unsafe fn dot_two(block: Block, w: [&[u8]; 2], x: Row) -> [f32; 2] {
    // SAFETY: the caller knows that the instructions are here.
    unsafe {
        match block {
            Block::Q8_0 => q8_0(w, x),
            Block::Q4K => q4_k(w, x),
            _ => q6_k(w, x),
        }
    }
}

/// Has the second cache fetch what the next two rows have at the place of `bytes`, `ahead` behind it: rows of a matrix follow
/// each other.
#[inline]
fn fetch(bytes: &[u8], ahead: usize) {
    // SAFETY: a prefetch reads nothing, wherever it points.
    unsafe { _mm_prefetch::<_MM_HINT_T1>(bytes.as_ptr().wrapping_add(ahead).cast()) }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni,gfni")]
fn bytes_32(bytes: &[u8; 32]) -> __m256i {
    // SAFETY: 32 bytes are read from 32 bytes, at any alignment.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

/// The digits of a chunk, and the sums of its lanes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni,gfni")]
fn chunk(x: Row, at: usize) -> ([__m512i; 3], __m512i) {
    let digits: &[[i8; CHUNK]; 3] = &x.digits[at];
    let sums: &[i32; LANES] = &x.sums[at];
    // SAFETY: 64 bytes are read from 64 numbers of one byte, or 16 of four.
    unsafe {
        let digit = |i: usize| _mm512_loadu_si512(digits[i].as_ptr().cast());
        ([digit(0), digit(1), digit(2)], _mm512_loadu_si512(sums.as_ptr().cast()))
    }
}

/// Sums of four products a lane.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni,gfni")]
fn products(q: __m512i, x: [__m512i; 3]) -> __m512i {
    let high = _mm512_dpbusd_epi32(_mm512_setzero_si512(), q, x[0]);
    let high = _mm512_dpbusd_epi32(_mm512_slli_epi32::<8>(high), q, x[1]);
    _mm512_dpbusd_epi32(_mm512_slli_epi32::<8>(high), q, x[2])
}

/// Adds sums of products to their lanes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni,gfni")]
fn add(lanes: __m512, products: __m512i, scales: __m512) -> __m512 {
    _mm512_fmadd_ps(_mm512_cvtepi32_ps(products), scales, lanes)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni,gfni")]
fn folded(lanes: __m512) -> f32 {
    let mut out = [0f32; LANES];
    // SAFETY: 64 bytes are written to 16 numbers.
    unsafe { _mm512_storeu_ps(out.as_mut_ptr(), lanes) };
    fold(out)
}

/// Two numbers, eight times each.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni,gfni")]
fn halves(two: __m128) -> __m512 {
    let which = _mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
    _mm512_permutexvar_ps(which, _mm512_castps128_ps512(two))
}

/// Two numbers in the low half of a register.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni,gfni")]
fn two(numbers: [f32; 2]) -> __m128 {
    let bits = u64::from(numbers[1].to_bits()) << 32 | u64::from(numbers[0].to_bits());
    _mm_castsi128_ps(_mm_cvtsi64_si128(bits.cast_signed()))
}

/// Two f16 as stored, in the low half of a register.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni,gfni")]
fn two_f16(low: [u8; 2], high: [u8; 2]) -> __m128 {
    let bits = u32::from(u16::from_le_bytes(high)) << 16 | u32::from(u16::from_le_bytes(low));
    let wide = _mm512_cvtph_ps(_mm256_castsi128_si256(_mm_cvtsi32_si128(bits.cast_signed())));
    _mm512_castps512_ps128(wide)
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni,gfni")]
fn q8_0(w: [&[u8]; 2], x: Row) -> [f32; 2] {
    let mut lanes = [_mm512_setzero_ps(); 2];
    let high_bits = _mm512_set1_epi8(-128);
    let add_blocks = |lanes: __m512, blocks: &[u8; 68], (digits, sums): ([__m512i; 3], __m512i), steps: __m128| {
        let q = _mm512_castsi256_si512(bytes_32(part(blocks, 2)));
        let q = _mm512_inserti64x4::<1>(q, bytes_32(part(blocks, 36)));
        // As numbers without a sign they are 128 too high.
        let products = products(_mm512_xor_si512(q, high_bits), digits);
        let products = _mm512_sub_epi32(products, _mm512_slli_epi32::<7>(sums));
        let scales = halves(_mm_mul_ps(two_f16(*part(blocks, 0), *part(blocks, 34)), steps));
        add(lanes, products, scales)
    };
    let ahead = 2 * w[0].len();
    let [(a, a_rest), (b, b_rest)] = w.map(|w| w.as_chunks::<68>());
    for (at, (a, b)) in a.iter().zip(b).enumerate() {
        let (numbers, steps) = (chunk(x, at), two(x.steps[at]));
        for row in [a, b] {
            fetch(row, ahead);
            fetch(&row[64..], ahead);
        }
        lanes[0] = add_blocks(lanes[0], a, numbers, steps);
        lanes[1] = add_blocks(lanes[1], b, numbers, steps);
    }
    if !a_rest.is_empty() {
        let (numbers, steps) = (chunk(x, a.len()), two(x.steps[a.len()]));
        for (lanes, rest) in lanes.iter_mut().zip([a_rest, b_rest]) {
            let mut blocks = [0; 68];
            blocks[..rest.len()].copy_from_slice(rest);
            *lanes = add_blocks(*lanes, &blocks, numbers, steps);
        }
    }
    [folded(lanes[0]), folded(lanes[1])]
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni,gfni")]
fn q4_k(w: [&[u8]; 2], x: Row) -> [f32; 2] {
    let mut lanes = [_mm512_setzero_ps(); 2];
    // Of the first row in the low half, of the second in the high half; and so with its scales.
    let mut below = _mm512_setzero_ps();
    // Matrices of bits that take bits 0 to 3 of every byte in the low half of a register, bits 4 to 7 in the high half.
    let (low, high) = (0x0102_0408_0000_0000, 0x1020_4080_0000_0000);
    let four_bits = _mm512_setr_epi64(low, low, low, low, high, high, high, high);
    let ahead = 2 * w[0].len();
    let [a, b] = w.map(|w| w.as_chunks::<144>().0);
    let steps = x.steps.as_flattened().as_chunks::<8>().0.iter().zip(x.totals.as_flattened().as_chunks::<8>().0);
    for (block, ((a, b), (steps, totals))) in a.iter().zip(b).zip(steps).enumerate() {
        for row in [a, b] {
            fetch(row, ahead);
            fetch(&row[64..], ahead);
            fetch(&row[128..], ahead);
        }
        let (scales, minima) = scales_and_minima_of(a, b);
        let scales = _mm512_mul_ps(scales, twice(steps));
        below = _mm512_fmadd_ps(minima, twice(totals), below);
        for pair in 0..4 {
            let (digits, _) = chunk(x, 4 * block + pair);
            for (r, row) in [a, b].into_iter().enumerate() {
                let bytes = _mm512_broadcast_i64x4(bytes_32(part(row, 16 + 32 * pair)));
                let products = products(_mm512_gf2p8affine_epi64_epi8::<0>(bytes, four_bits), digits);
                let group = _mm512_set1_epi32((8 * r + 2 * pair) as i32);
                let which = _mm512_add_epi32(group, _mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1));
                lanes[r] = add(lanes[r], products, _mm512_permutexvar_ps(which, scales));
            }
        }
    }
    let mut out = [[0f32; 8]; 2];
    // SAFETY: 64 bytes are written to 16 numbers.
    unsafe { _mm512_storeu_ps(out.as_mut_ptr().cast(), below) };
    [folded(lanes[0]) - fold(out[0]), folded(lanes[1]) - fold(out[1])]
}

/// Eight numbers in both halves of a register.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni,gfni")]
fn twice(eight: &[f32; 8]) -> __m512 {
    // SAFETY: 32 bytes are read from 8 numbers.
    _mm512_castpd_ps(_mm512_broadcast_f64x4(unsafe { _mm256_loadu_pd(eight.as_ptr().cast()) }))
}

/// What [`super::k_blocks::scales_and_minima`] gives for two blocks.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni,gfni")]
fn scales_and_minima_of(a: &[u8; 144], b: &[u8; 144]) -> (__m512, __m512) {
    let packed = |block: &[u8; 144]| {
        let word = |at: usize| u64::from(u32::from_le_bytes(*part(block, at)));
        let (low, middle, high) = (word(4), word(8), word(12));
        let scales = (low & 0x3f3f_3f3f) | (((high & 0x0f0f_0f0f) | ((low >> 2) & 0x3030_3030)) << 32);
        let minima = (middle & 0x3f3f_3f3f) | ((((high >> 4) & 0x0f0f_0f0f) | ((middle >> 2) & 0x3030_3030)) << 32);
        (scales.cast_signed(), minima.cast_signed())
    };
    let ((a_scales, a_minima), (b_scales, b_minima)) = (packed(a), packed(b));
    let wide = |a: i64, b: i64| _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_set_epi64x(b, a)));
    let d = halves(two_f16(*part(a, 0), *part(b, 0)));
    let min = halves(two_f16(*part(a, 2), *part(b, 2)));
    (_mm512_mul_ps(d, wide(a_scales, b_scales)), _mm512_mul_ps(min, wide(a_minima, b_minima)))
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni,gfni")]
fn q6_k(w: [&[u8]; 2], x: Row) -> [f32; 2] {
    let mut lanes = [_mm512_setzero_ps(); 2];
    let (four_bits, two_bits) = (_mm512_set1_epi8(15), _mm512_set1_epi8(0x30));
    // The two bits of a chunk's first half and of its second, moved to bits 4 and 5.
    let up = _mm512_setr_epi32(4, 4, 4, 4, 4, 4, 4, 4, 2, 2, 2, 2, 2, 2, 2, 2);
    let down = _mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 2, 2, 2, 2, 2, 2);
    let each_four = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
    let ahead = 2 * w[0].len();
    let [a, b] = w.map(|w| w.as_chunks::<210>().0);
    let steps = x.steps.as_flattened().as_chunks::<8>().0;
    for (block, ((a, b), steps)) in a.iter().zip(b).zip(steps).enumerate() {
        let each_two = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
        let steps = _mm512_permutexvar_ps(each_two, twice(steps));
        let scales_of = |row: &[u8; 210]| {
            for at in [0, 64, 128, 192] {
                fetch(&row[at..], ahead);
            }
            let d = _mm512_broadcastss_ps(two_f16(*part(row, 208), [0; 2]));
            // SAFETY: 16 bytes are read from 16 bytes, at any alignment.
            let stored = unsafe { _mm_loadu_si128(part::<16, _>(row, 192).as_ptr().cast()) };
            _mm512_mul_ps(_mm512_mul_ps(d, _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(stored))), steps)
        };
        let scales = [scales_of(a), scales_of(b)];
        for n in 0..2 {
            let (first, second) = (chunk(x, 4 * block + 2 * n), chunk(x, 4 * block + 2 * n + 1));
            for (r, row) in [a, b].into_iter().enumerate() {
                // SAFETY: 64 bytes are read from 64 bytes, at any alignment.
                let low = unsafe { _mm512_loadu_si512(part::<64, _>(row, 64 * n).as_ptr().cast()) };
                let high = _mm512_broadcast_i64x4(bytes_32(part(row, 128 + 32 * n)));
                let upper = _mm512_and_si512(_mm512_srli_epi16::<4>(low), four_bits);
                let mut add_quarter =
                    |low: __m512i, high: __m512i, (digits, sums): ([__m512i; 3], __m512i), quarter: usize| {
                        let q = _mm512_or_si512(low, _mm512_and_si512(high, two_bits));
                        let products = _mm512_sub_epi32(products(q, digits), _mm512_slli_epi32::<5>(sums));
                        let which = _mm512_add_epi32(each_four, _mm512_set1_epi32(4 * quarter as i32));
                        lanes[r] = add(lanes[r], products, _mm512_permutexvar_ps(which, scales[r]));
                    };
                add_quarter(_mm512_and_si512(low, four_bits), _mm512_sllv_epi32(high, up), first, 2 * n);
                add_quarter(upper, _mm512_srlv_epi32(high, down), second, 2 * n + 1);
            }
        }
    }
    [folded(lanes[0]), folded(lanes[1])]
}
