//! 256 weights of each of two rows, repacked: register `i` holds weights `4i` to `4i + 3` of all sixteen blocks.

use super::super::format::part;
use super::super::k_blocks::packed_scales_and_minima;
use super::{BLOCK, BLOCKS};
use std::arch::x86_64::*;
use std::mem::offset_of;

/// Rows that are repacked together.
pub(super) const ROWS: usize = 2;
/// Their blocks: those of the first row, then those of the second.
pub(super) const LANES: usize = ROWS * BLOCKS;

/// A piece of two rows.
#[repr(C, align(64))]
#[derive(Clone, Copy)]
pub(super) struct Repacked {
    /// Unsigned weights `[group of four][block]`.
    pub quads: [[u8; 4 * LANES]; BLOCK / 4],
    /// Scales `[half of a block][block]`; if the halves share a scale, only the first row is used.
    pub scales: [[f32; LANES]; 2],
    pub minima: [f32; LANES],
}

impl Repacked {
    pub const ZERO: Self = Self { quads: [[0; 4 * LANES]; BLOCK / 4], scales: [[0.0; LANES]; 2], minima: [0.0; LANES] };

    /// Repacks `blocks`. Input register `i < 4` holds blocks `i` and `i + 4` of the first row, register `i + 4` the same
    /// blocks of the second row.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn put(&mut self, blocks: [__m512i; BLOCKS]) {
        // `four[g + 2 * i]` is made of row `g`. Its quarters are group `i` of blocks 0 to 3, group `i + 4` of them, and the
        // same two groups of blocks 4 to 7.
        let mut four = [_mm512_setzero_si512(); 8];
        for g in 0..2 {
            let [a, b, c, d] = [blocks[4 * g], blocks[4 * g + 1], blocks[4 * g + 2], blocks[4 * g + 3]];
            let (ab, ab_high) = (_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
            let (cd, cd_high) = (_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
            four[g] = _mm512_unpacklo_epi64(ab, cd);
            four[2 + g] = _mm512_unpackhi_epi64(ab, cd);
            four[4 + g] = _mm512_unpacklo_epi64(ab_high, cd_high);
            four[6 + g] = _mm512_unpackhi_epi64(ab_high, cd_high);
        }
        for i in 0..4 {
            let first = _mm512_shuffle_i32x4::<0x88>(four[2 * i], four[2 * i + 1]);
            let second = _mm512_shuffle_i32x4::<0xdd>(four[2 * i], four[2 * i + 1]);
            const { assert!(align_of::<Self>() == 64 && offset_of!(Self, quads) == 0) }
            // SAFETY: each store fills one 64-byte row of `quads`, which is at offset 0 of a type aligned to 64 bytes.
            unsafe {
                _mm512_store_si512(self.quads[i].as_mut_ptr().cast(), first);
                _mm512_store_si512(self.quads[4 + i].as_mut_ptr().cast(), second);
            }
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store(out: &mut [f32; LANES], numbers: __m512) {
    // SAFETY: 64 bytes are written to 16 numbers.
    unsafe { _mm512_storeu_ps(out.as_mut_ptr(), numbers) }
}

/// A format that stores 256 weights in `N` bytes.
pub(super) trait Format<const N: usize> {
    /// Whether each half of a block (16 weights) has its own scale.
    const HALVES: bool = false;
    /// What has to be subtracted from the unsigned weights; `None` if nothing.
    const EXCESS: Option<Excess> = None;
    /// Whether blocks have a minimum.
    const MINIMA: bool = false;

    /// Repacks a piece of each row.
    ///
    /// # Safety
    /// The machine has AVX-512 with DQ and VNNI.
    unsafe fn repack(rows: [&[u8; N]; ROWS], out: &mut Repacked);
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Excess {
    By32,
    By128,
}

pub(super) struct Q8_0;
pub(super) struct Q4K;
pub(super) struct Q6K;

/// The 32 bytes of `row` at `first`, followed by the 32 bytes at `second`.
#[inline]
#[target_feature(enable = "avx512f")]
fn two<const N: usize>(row: &[u8; N], first: usize, second: usize) -> __m512i {
    let bytes = |at: usize| part::<32, _>(row, at).as_ptr().cast();
    // SAFETY: 32 bytes are read from 32, at any alignment.
    unsafe {
        let first = _mm512_castsi256_si512(_mm256_loadu_si256(bytes(first)));
        _mm512_inserti64x4::<1>(first, _mm256_loadu_si256(bytes(second)))
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn and(lanes: __m512i, bits: i32) -> __m512i {
    _mm512_and_si512(lanes, _mm512_set1_epi32(bits))
}

impl Format<272> for Q8_0 {
    const EXCESS: Option<Excess> = Some(Excess::By128);

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    unsafe fn repack(rows: [&[u8; 272]; ROWS], out: &mut Repacked) {
        let high_bits = _mm512_set1_epi8(-128);
        let mut blocks = [high_bits; BLOCKS];
        for i in 0..BLOCKS {
            let at = 34 * (i % 4) + 2;
            blocks[i] = _mm512_xor_si512(two(rows[i / 4], at, at + 4 * 34), high_bits);
        }
        out.put(blocks);
        let scale = |row: usize, block: usize| u64::from(u16::from_le_bytes(*part(rows[row], 34 * block)));
        let four = |row: usize, block: usize| {
            let [a, b, c, d] = [scale(row, block), scale(row, block + 1), scale(row, block + 2), scale(row, block + 3)];
            (a | b << 16 | c << 32 | d << 48).cast_signed()
        };
        let scales = _mm256_set_epi64x(four(1, 4), four(1, 0), four(0, 4), four(0, 0));
        store(&mut out.scales[0], _mm512_cvtph_ps(scales));
    }
}

/// Two stored f16, widened: `first` in lanes 0 to 7, `second` in lanes 8 to 15.
#[inline]
#[target_feature(enable = "avx512f")]
fn eight_times(first: [u8; 2], second: [u8; 2]) -> __m512 {
    let f16 = |bytes: [u8; 2]| _mm_set1_epi16(u16::from_le_bytes(bytes).cast_signed());
    _mm512_cvtph_ps(_mm256_set_m128i(f16(second), f16(first)))
}

impl Format<144> for Q4K {
    const MINIMA: bool = true;

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    unsafe fn repack(rows: [&[u8; 144]; ROWS], out: &mut Repacked) {
        let packed = |row: &[u8; 144]| {
            let (scales, minima) = packed_scales_and_minima(part(row, 4));
            (scales.cast_signed(), minima.cast_signed())
        };
        let ((a_scales, a_minima), (b_scales, b_minima)) = (packed(rows[0]), packed(rows[1]));
        let wide = |a: i64, b: i64| _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_set_epi64x(b, a)));
        let d = eight_times(*part(rows[0], 0), *part(rows[1], 0));
        let min = eight_times(*part(rows[0], 2), *part(rows[1], 2));
        store(&mut out.scales[0], _mm512_mul_ps(d, wide(a_scales, b_scales)));
        store(&mut out.minima, _mm512_mul_ps(min, wide(a_minima, b_minima)));
        let mut blocks = [_mm512_setzero_si512(); BLOCKS];
        for i in 0..4 {
            let at = 16 + 32 * (i % 2);
            let bytes = two(rows[i / 2], at, at + 64);
            blocks[2 * i] = and(bytes, 0x0f0f_0f0f);
            blocks[2 * i + 1] = and(_mm512_srli_epi32::<4>(bytes), 0x0f0f_0f0f);
        }
        out.put(blocks);
    }
}

impl Format<210> for Q6K {
    const HALVES: bool = true;
    const EXCESS: Option<Excess> = Some(Excess::By32);

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    unsafe fn repack(rows: [&[u8; 210]; ROWS], out: &mut Repacked) {
        // SAFETY: 16 bytes are read from 16, at any alignment.
        let scales = |row: &[u8; 210]| unsafe { _mm_loadu_si128(part::<16, _>(row, 192).as_ptr().cast()) };
        let scales = _mm256_set_m128i(scales(rows[1]), scales(rows[0]));
        let d = eight_times(*part(rows[0], 208), *part(rows[1], 208));
        let wide = |sixteen: __m256i| _mm512_cvtepi32_ps(_mm512_cvtepi16_epi32(sixteen));
        let first = _mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(scales));
        store(&mut out.scales[0], _mm512_mul_ps(d, wide(first)));
        store(&mut out.scales[1], _mm512_mul_ps(d, wide(_mm256_srai_epi16::<8>(scales))));
        let mut blocks = [_mm512_setzero_si512(); BLOCKS];
        for row in 0..ROWS {
            let low = [two(rows[row], 0, 64), two(rows[row], 32, 96)];
            let high = two(rows[row], 128, 160);
            let join = |four: __m512i, two: __m512i| _mm512_or_si512(and(four, 0x0f0f_0f0f), and(two, 0x3030_3030));
            blocks[4 * row] = join(low[0], _mm512_slli_epi32::<4>(high));
            blocks[4 * row + 1] = join(low[1], _mm512_slli_epi32::<2>(high));
            blocks[4 * row + 2] = join(_mm512_srli_epi32::<4>(low[0]), high);
            blocks[4 * row + 3] = join(_mm512_srli_epi32::<4>(low[1]), _mm512_srli_epi32::<2>(high));
        }
        out.put(blocks);
    }
}
