//! Fixed-point products of one row of activations by AVX2's `vpmaddubsw`: sums of two products of bytes.

use super::super::format::part;
use super::super::quads::quads_avx2;
use super::one_digits::{Digits, QUADS, ROWS, SIDES, fetch};
use super::{BLOCKS, Block};
use std::arch::x86_64::*;

/// Weights without signs, `[side][register]`.
type Weights = [[__m256i; QUADS]; SIDES];

/// A format that stores 256 weights in `N` bytes.
trait Format<const N: usize> {
    /// Whether each half of a block has a scale of its own, and weights are 32 too high.
    const HALVES: bool;

    /// # Safety
    /// The machine has AVX2 and F16C.
    unsafe fn weights(piece: &[u8; N]) -> Weights;

    /// The scales of blocks, or of the first and the second halves of blocks; or the minima in place of the latter.
    ///
    /// # Safety
    /// The machine has AVX2 and F16C.
    unsafe fn scales(piece: &[u8; N]) -> [__m256; 2];
}

struct Q4K;
struct Q6K;

#[inline]
#[target_feature(enable = "avx2")]
fn load<const N: usize>(piece: &[u8; N], at: usize) -> __m256i {
    // SAFETY: 32 bytes are read from 32, at any alignment.
    unsafe { _mm256_loadu_si256(part::<32, _>(piece, at).as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn sixteen<const N: usize>(piece: &[u8; N], at: usize) -> __m128i {
    // SAFETY: 16 bytes are read from 16, at any alignment.
    unsafe { _mm_loadu_si128(part::<16, _>(piece, at).as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn numbers(of: &[i32; BLOCKS]) -> __m256i {
    // SAFETY: 32 bytes are read from 8 times 4.
    unsafe { _mm256_loadu_si256(of.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn floats(of: &[f32; BLOCKS]) -> __m256 {
    // SAFETY: 32 bytes are read from 8 times 4.
    unsafe { _mm256_loadu_ps(of.as_ptr()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn and(bytes: __m256i, bits: i8) -> __m256i {
    _mm256_and_si256(bytes, _mm256_set1_epi8(bits))
}

impl Format<144> for Q4K {
    const HALVES: bool = false;

    #[inline]
    #[target_feature(enable = "avx2,f16c")]
    unsafe fn weights(piece: &[u8; 144]) -> Weights {
        // Even blocks are the low bits, odd ones the high bits of the same bytes.
        let packed = quads_avx2([load(piece, 16), load(piece, 48), load(piece, 80), load(piece, 112)]);
        let mut out = [packed; SIDES];
        for i in 0..QUADS {
            out[0][i] = and(packed[i], 15);
            out[1][i] = and(_mm256_srli_epi16::<4>(packed[i]), 15);
        }
        out
    }

    #[inline]
    #[target_feature(enable = "avx2,f16c")]
    unsafe fn scales(piece: &[u8; 144]) -> [__m256; 2] {
        let header = sixteen(piece, 0);
        // Twice the first two of three times four bytes; of those of the second time, two bits are needed. The third has
        // the other four bits.
        let six = _mm_srlv_epi32(_mm_shuffle_epi32::<0b10_01_10_01>(header), _mm_setr_epi32(0, 0, 2, 2));
        let six = _mm_and_si128(six, _mm_setr_epi32(0x3f3f_3f3f, 0x3f3f_3f3f, 0x3030_3030, 0x3030_3030));
        let four = _mm_srlv_epi32(_mm_shuffle_epi32::<0b11_11_11_11>(header), _mm_setr_epi32(32, 32, 0, 4));
        let small = _mm_or_si128(six, _mm_and_si128(four, _mm_set1_epi8(15)));
        let small = _mm_shuffle_epi8(small, _mm_setr_epi8(0, 2, 8, 10, 1, 3, 9, 11, 4, 6, 12, 14, 5, 7, 13, 15));
        let own = _mm_cvtph_ps(header);
        let wide = |eight: __m128i, own: __m128| {
            _mm256_mul_ps(_mm256_broadcastss_ps(own), _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(eight)))
        };
        [wide(small, own), wide(_mm_unpackhi_epi64(small, small), _mm_movehdup_ps(own))]
    }
}

impl Format<210> for Q6K {
    const HALVES: bool = true;

    #[inline]
    #[target_feature(enable = "avx2,f16c")]
    unsafe fn weights(piece: &[u8; 210]) -> Weights {
        let mut blocks = [_mm256_setzero_si256(); BLOCKS];
        for n in 0..2 {
            let (a, b, high) = (load(piece, 64 * n), load(piece, 64 * n + 32), load(piece, 128 + 32 * n));
            let join = |four: __m256i, two: __m256i| _mm256_or_si256(and(four, 15), and(two, 0x30));
            blocks[4 * n] = join(a, _mm256_slli_epi16::<4>(high));
            blocks[4 * n + 1] = join(b, _mm256_slli_epi16::<2>(high));
            blocks[4 * n + 2] = join(_mm256_srli_epi16::<4>(a), high);
            blocks[4 * n + 3] = join(_mm256_srli_epi16::<4>(b), _mm256_srli_epi16::<2>(high));
        }
        [
            quads_avx2([blocks[0], blocks[2], blocks[4], blocks[6]]),
            quads_avx2([blocks[1], blocks[3], blocks[5], blocks[7]]),
        ]
    }

    #[inline]
    #[target_feature(enable = "avx2,f16c")]
    unsafe fn scales(piece: &[u8; 210]) -> [__m256; 2] {
        let d = i32::from(u16::from_le_bytes(*part(piece, 208)));
        let d = _mm256_broadcastss_ps(_mm_cvtph_ps(_mm_cvtsi32_si128(d)));
        let order = _mm_setr_epi8(0, 4, 8, 12, 2, 6, 10, 14, 1, 5, 9, 13, 3, 7, 11, 15);
        let small = _mm_shuffle_epi8(sixteen(piece, 192), order);
        let wide = |eight: __m128i| _mm256_mul_ps(d, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(eight)));
        [wide(small), wide(_mm_unpackhi_epi64(small, small))]
    }
}

/// The sums of products of both sides with the upper and the lower parts, `[part][side]`.
#[inline]
#[target_feature(enable = "avx2")]
fn sums<const HALVES: bool>(w: &Weights, x: &Digits) -> [[__m256i; SIDES]; 2] {
    let mut out = [[_mm256_setzero_si256(); SIDES]; 2];
    let one = _mm256_set1_epi16(1);
    for side in 0..SIDES {
        let of = |digit: usize, i: usize| {
            // SAFETY: 32 bytes are read from 8 times 4.
            let x = unsafe { _mm256_loadu_si256(x.digits[digit][side][i].as_ptr().cast()) };
            _mm256_maddubs_epi16(w[side][i], x)
        };
        // Two products fit 16 bits, and two sums of them if weights have 6 bits, or four if weights or digits are smaller.
        let two = |digit: usize, i: usize| _mm256_add_epi16(of(digit, i), of(digit, i + 1));
        let four = |digit: usize| _mm256_add_epi16(two(digit, 0), two(digit, 2));
        let all = |digit: usize| {
            if HALVES {
                _mm256_add_epi32(_mm256_madd_epi16(two(digit, 0), one), _mm256_madd_epi16(two(digit, 2), one))
            } else {
                _mm256_madd_epi16(four(digit), one)
            }
        };
        let high = _mm256_madd_epi16(four(0), _mm256_set1_epi16(256));
        out[0][side] = _mm256_add_epi32(high, all(1));
        out[1][side] = all(2);
        if HALVES {
            for part in 0..2 {
                out[part][side] = _mm256_add_epi32(out[part][side], numbers(&x.excess[part][side]));
            }
        }
    }
    out
}

/// Adds the products with a piece to the lanes of a row.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn add<F: Format<N>, const N: usize>(piece: &[u8; N], x: &Digits, lanes: __m256) -> __m256 {
    // SAFETY: this function has the instructions.
    let (w, scales) = unsafe { (F::weights(piece), F::scales(piece)) };
    let ([upper, lower], steps) =
        (if F::HALVES { sums::<true>(&w, x) } else { sums::<false>(&w, x) }, floats(&x.steps));
    let joined = |upper: __m256i, lower: __m256i| {
        _mm256_fmadd_ps(_mm256_cvtepi32_ps(upper), _mm256_set1_ps(256.0), _mm256_cvtepi32_ps(lower))
    };
    if F::HALVES {
        let (even, odd) = (joined(upper[0], lower[0]), joined(upper[1], lower[1]));
        let first = _mm256_permute2f128_ps::<0x20>(even, odd);
        let second = _mm256_permute2f128_ps::<0x31>(even, odd);
        let lanes = _mm256_fmadd_ps(first, _mm256_mul_ps(scales[0], steps), lanes);
        return _mm256_fmadd_ps(second, _mm256_mul_ps(scales[1], steps), lanes);
    }
    let both = |[even, odd]: [__m256i; SIDES]| {
        _mm256_add_epi32(_mm256_permute2x128_si256::<0x20>(even, odd), _mm256_permute2x128_si256::<0x31>(even, odd))
    };
    let lanes = _mm256_fmadd_ps(joined(both(upper), both(lower)), _mm256_mul_ps(scales[0], steps), lanes);
    _mm256_fnmadd_ps(scales[1], floats(&x.totals), lanes)
}

#[inline(never)]
#[target_feature(enable = "avx2,fma,f16c")]
fn rows<F: Format<N>, const N: usize>(w: &[&[u8]; ROWS], after: &[u8], x: &[Digits]) -> [[f32; BLOCKS]; ROWS] {
    let mut out = [[0.0; BLOCKS]; ROWS];
    for (at, x) in x.iter().enumerate() {
        fetch::<N>(after, at);
        for r in 0..ROWS {
            let lanes = add::<F, N>(part(w[r], N * at), x, floats(&out[r]));
            // SAFETY: 32 bytes are written to 8 numbers.
            unsafe { _mm256_storeu_ps(out[r].as_mut_ptr(), lanes) };
        }
    }
    out
}

/// The lanes of rows of weights in Q4_K or Q6_K times activations. `after` is the row after them.
///
/// # Safety
/// The machine has AVX2, FMA and F16C.
pub(super) unsafe fn multiply(block: Block, w: &[&[u8]; ROWS], after: &[u8], x: &[Digits]) -> [[f32; BLOCKS]; ROWS] {
    // SAFETY: what the caller promises.
    unsafe { if block == Block::Q4K { rows::<Q4K, 144>(w, after, x) } else { rows::<Q6K, 210>(w, after, x) } }
}
