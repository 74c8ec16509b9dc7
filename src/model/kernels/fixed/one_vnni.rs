//! Fixed-point products of one row of activations by AVX512-VNNI's `vpdpbusd`: sums of four products of bytes. A register
//! has two rows of weights.

use super::super::format::part;
use super::super::quads::quads_avx512;
use super::one_digits::{Digits, QUADS, ROWS, SIDES, fetch};
use super::piece::last;
use super::{BLOCKS, Block};
use std::arch::x86_64::*;

/// Rows in a register, and registers of all rows.
const TWO: usize = 2;
const PAIRS: usize = ROWS / TWO;

/// Weights without signs, `[side][register]`; the first half of a register is of the first row.
type Weights = [[__m512i; QUADS]; SIDES];

/// A format that stores 256 weights in `N` bytes.
trait Format<const N: usize> {
    /// Whether each half of a block has a scale of its own.
    const HALVES: bool = false;
    /// Whether blocks have minima.
    const MINIMA: bool = false;
    /// By how many times 32 weights are too high.
    const EXCESS: i32;

    /// # Safety
    /// The machine has AVX-512 with DQ and VNNI.
    unsafe fn weights(pieces: [&[u8; N]; TWO]) -> Weights;

    /// The scales of blocks, or of the first and the second halves of blocks; or the minima in place of the latter.
    ///
    /// # Safety
    /// The machine has AVX-512 with DQ and VNNI.
    unsafe fn scales(pieces: [&[u8; N]; TWO]) -> [__m512; 2];
}

struct Q8_0;
struct Q4K;
struct Q6K;

/// 32 bytes of each row.
#[inline]
#[target_feature(enable = "avx512f")]
fn load<const N: usize>(pieces: [&[u8; N]; TWO], at: usize) -> __m512i {
    let bytes = |row: usize| part::<32, _>(pieces[row], at).as_ptr().cast();
    // SAFETY: 32 bytes are read from 32, at any alignment.
    unsafe {
        let first = _mm512_castsi256_si512(_mm256_loadu_si256(bytes(0)));
        _mm512_inserti64x4::<1>(first, _mm256_loadu_si256(bytes(1)))
    }
}

/// 16 bytes of each row.
#[inline]
#[target_feature(enable = "avx512f")]
fn sixteen<const N: usize>(pieces: [&[u8; N]; TWO], at: usize) -> __m256i {
    let bytes = |row: usize| part::<16, _>(pieces[row], at).as_ptr().cast();
    // SAFETY: 16 bytes are read from 16, at any alignment.
    unsafe {
        _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(_mm_loadu_si128(bytes(0))), _mm_loadu_si128(bytes(1)))
    }
}

/// Eight numbers for both rows.
#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn both<T>(eight: &[T; BLOCKS]) -> __m512i {
    const { assert!(size_of::<T>() == 4) }
    // SAFETY: 32 bytes are read from 8 times 4.
    _mm512_broadcast_i32x8(unsafe { _mm256_loadu_si256(eight.as_ptr().cast()) })
}

#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn floats(eight: &[f32; BLOCKS]) -> __m512 {
    _mm512_castsi512_ps(both(eight))
}

#[inline]
#[target_feature(enable = "avx512f")]
fn and(bytes: __m512i, bits: u8) -> __m512i {
    _mm512_and_si512(bytes, _mm512_set1_epi32(i32::from_ne_bytes([bits; 4])))
}

/// Number `first` of four 16 times, or the first eight times and the second eight times.
#[inline]
#[target_feature(enable = "avx512f")]
fn eight_times(four: __m128, first: i32, second: i32) -> __m512 {
    let places = _mm512_inserti64x4::<1>(_mm512_set1_epi32(first), _mm256_set1_epi32(second));
    _mm512_permutexvar_ps(places, _mm512_castps128_ps512(four))
}

/// The first or the second half blocks of both sides, in the order of [`Digits::steps`].
#[inline]
#[target_feature(enable = "avx512f")]
fn halves(half: i64, [even, odd]: [__m512i; SIDES]) -> __m512i {
    let at = 2 * half;
    let places = _mm512_setr_epi64(at, at + 1, at + 8, at + 9, at + 4, at + 5, at + 12, at + 13);
    _mm512_permutex2var_epi64(even, places, odd)
}

impl Format<272> for Q8_0 {
    const EXCESS: i32 = 4;

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vnni")]
    unsafe fn weights(pieces: [&[u8; 272]; TWO]) -> Weights {
        let block = |b: usize| _mm512_xor_si512(load(pieces, 34 * b + 2), _mm512_set1_epi8(i8::MIN));
        [quads_avx512([block(0), block(2), block(4), block(6)]), quads_avx512([block(1), block(3), block(5), block(7)])]
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vnni")]
    unsafe fn scales(pieces: [&[u8; 272]; TWO]) -> [__m512; 2] {
        let d = |row: usize, b: usize| i16::from_le_bytes(*part(pieces[row], 34 * b));
        let eight = |row: usize| {
            let d = |b: usize| d(row, b);
            _mm_setr_epi16(d(0), d(2), d(4), d(6), d(1), d(3), d(5), d(7))
        };
        [_mm512_cvtph_ps(_mm256_set_m128i(eight(1), eight(0))), _mm512_setzero_ps()]
    }
}

impl Format<144> for Q4K {
    const MINIMA: bool = true;
    const EXCESS: i32 = 0;

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vnni")]
    unsafe fn weights(pieces: [&[u8; 144]; TWO]) -> Weights {
        // Even blocks are the low bits, odd ones the high bits of the same bytes.
        let packed = quads_avx512([load(pieces, 16), load(pieces, 48), load(pieces, 80), load(pieces, 112)]);
        let mut out = [packed; SIDES];
        for i in 0..QUADS {
            out[0][i] = and(packed[i], 15);
            out[1][i] = and(_mm512_srli_epi16::<4>(packed[i]), 15);
        }
        out
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vnni")]
    unsafe fn scales(pieces: [&[u8; 144]; TWO]) -> [__m512; 2] {
        let header = sixteen(pieces, 0);
        let twice = |four: __m128i| _mm256_broadcastsi128_si256(four);
        // Twice the first two of three times four bytes; of those of the second time, two bits are needed. The third has
        // the other four bits.
        let shifted = |bytes: __m256i, by: __m128i| _mm256_srlv_epi32(bytes, twice(by));
        let six = shifted(_mm256_shuffle_epi32::<0b10_01_10_01>(header), _mm_setr_epi32(0, 0, 2, 2));
        let six = _mm256_and_si256(six, twice(_mm_setr_epi32(0x3f3f_3f3f, 0x3f3f_3f3f, 0x3030_3030, 0x3030_3030)));
        let four = shifted(_mm256_shuffle_epi32::<0b11_11_11_11>(header), _mm_setr_epi32(32, 32, 0, 4));
        let small = _mm256_or_si256(six, _mm256_and_si256(four, _mm256_set1_epi8(15)));
        let order = twice(_mm_setr_epi8(0, 2, 8, 10, 1, 3, 9, 11, 4, 6, 12, 14, 5, 7, 13, 15));
        let small = _mm256_shuffle_epi8(small, order);
        let rows = |both: __m256i| (_mm256_castsi256_si128(both), _mm256_extracti128_si256::<1>(both));
        let ((a, b), (first, second)) = (rows(small), rows(header));
        let own = _mm_cvtph_ps(_mm_unpacklo_epi32(first, second));
        let wide = |bytes: __m128i, own: __m512| _mm512_mul_ps(own, _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(bytes)));
        [wide(_mm_unpacklo_epi64(a, b), eight_times(own, 0, 2)), wide(_mm_unpackhi_epi64(a, b), eight_times(own, 1, 3))]
    }
}

impl Format<210> for Q6K {
    const HALVES: bool = true;
    const EXCESS: i32 = 1;

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vnni")]
    unsafe fn weights(pieces: [&[u8; 210]; TWO]) -> Weights {
        let mut blocks = [_mm512_setzero_si512(); BLOCKS];
        for n in 0..2 {
            let (a, b, high) = (load(pieces, 64 * n), load(pieces, 64 * n + 32), load(pieces, 128 + 32 * n));
            let join = |four: __m512i, two: __m512i| _mm512_or_si512(and(four, 15), and(two, 0x30));
            blocks[4 * n] = join(a, _mm512_slli_epi16::<4>(high));
            blocks[4 * n + 1] = join(b, _mm512_slli_epi16::<2>(high));
            blocks[4 * n + 2] = join(_mm512_srli_epi16::<4>(a), high);
            blocks[4 * n + 3] = join(_mm512_srli_epi16::<4>(b), _mm512_srli_epi16::<2>(high));
        }
        [
            quads_avx512([blocks[0], blocks[2], blocks[4], blocks[6]]),
            quads_avx512([blocks[1], blocks[3], blocks[5], blocks[7]]),
        ]
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vnni")]
    unsafe fn scales(pieces: [&[u8; 210]; TWO]) -> [__m512; 2] {
        let d = |row: usize| i32::from(u16::from_le_bytes(*part(pieces[row], 208)));
        let own = eight_times(_mm_cvtph_ps(_mm_cvtsi32_si128(d(0) | d(1) << 16)), 0, 1);
        let order = _mm_setr_epi8(0, 4, 8, 12, 2, 6, 10, 14, 1, 5, 9, 13, 3, 7, 11, 15);
        let small = _mm256_shuffle_epi8(sixteen(pieces, 192), _mm256_broadcastsi128_si256(order));
        let (a, b) = (_mm256_castsi256_si128(small), _mm256_extracti128_si256::<1>(small));
        let wide = |bytes: __m128i| _mm512_mul_ps(own, _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes)));
        [wide(_mm_unpacklo_epi64(a, b)), wide(_mm_unpackhi_epi64(a, b))]
    }
}

/// The sums of products of all rows with the upper and the lower parts, `[pair of rows][part][side]`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vnni")]
fn sums(w: &[Weights; PAIRS], x: &Digits, excess: i32) -> [[[__m512i; SIDES]; 2]; PAIRS] {
    let mut out = [[[_mm512_setzero_si512(); SIDES]; 2]; PAIRS];
    for side in 0..SIDES {
        let mut start = [_mm512_setzero_si512(); 3];
        if excess != 0 {
            for part in 0..2 {
                let by_32 = both(&x.excess[part][side]);
                start[1 + part] = if excess == 4 { _mm512_slli_epi32::<2>(by_32) } else { by_32 };
            }
        }
        let mut acc = [start; PAIRS];
        for i in 0..QUADS {
            for digit in 0..3 {
                let four = both(&x.digits[digit][side][i]);
                for p in 0..PAIRS {
                    acc[p][digit] = _mm512_dpbusd_epi32(acc[p][digit], w[p][side][i], four);
                }
            }
        }
        for p in 0..PAIRS {
            let [high, middle, low] = acc[p];
            out[p][0][side] = _mm512_add_epi32(_mm512_slli_epi32::<8>(high), middle);
            out[p][1][side] = low;
        }
    }
    out
}

/// Adds the products with a piece to the lanes of pairs of rows.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vnni")]
fn add<F: Format<N>, const N: usize>(pieces: [[&[u8; N]; TWO]; PAIRS], x: &Digits, lanes: &mut [__m512; PAIRS]) {
    // SAFETY: this function has the instructions.
    let w = unsafe { [F::weights(pieces[0]), F::weights(pieces[1])] };
    let (sums, steps) = (sums(&w, x, F::EXCESS), floats(&x.steps));
    let joined = |upper: __m512i, lower: __m512i| {
        _mm512_fmadd_ps(_mm512_cvtepi32_ps(upper), _mm512_set1_ps(256.0), _mm512_cvtepi32_ps(lower))
    };
    for p in 0..PAIRS {
        // SAFETY: as above.
        let scales = unsafe { F::scales(pieces[p]) };
        let [upper, lower] = sums[p];
        if F::HALVES {
            let sides =
                [_mm512_castps_si512(joined(upper[0], lower[0])), _mm512_castps_si512(joined(upper[1], lower[1]))];
            for half in 0..2 {
                let products = _mm512_castsi512_ps(halves(half as i64, sides));
                lanes[p] = _mm512_fmadd_ps(products, _mm512_mul_ps(scales[half], steps), lanes[p]);
            }
        } else {
            let whole = |sides: [__m512i; SIDES]| _mm512_add_epi32(halves(0, sides), halves(1, sides));
            let products = joined(whole(upper), whole(lower));
            lanes[p] = _mm512_fmadd_ps(products, _mm512_mul_ps(scales[0], steps), lanes[p]);
        }
        if F::MINIMA {
            lanes[p] = _mm512_fnmadd_ps(scales[1], floats(&x.totals), lanes[p]);
        }
    }
}

#[inline(never)]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vnni")]
fn rows<F: Format<N>, const N: usize>(w: &[&[u8]; ROWS], after: &[u8], x: &[Digits]) -> [[f32; BLOCKS]; ROWS] {
    let mut lanes = [_mm512_setzero_ps(); PAIRS];
    let chunks = |r: usize| w[r].as_chunks::<N>().0;
    let (a, b, c, d) = (chunks(0), chunks(1), chunks(2), chunks(3));
    let whole = a.len().min(b.len()).min(c.len()).min(d.len()).min(x.len());
    // One call, so that it is compiled into the loop.
    let mut filled = [[0; N]; ROWS];
    for (at, x) in x.iter().enumerate() {
        fetch::<N>(after, at);
        let pieces = if at < whole {
            [&a[at], &b[at], &c[at], &d[at]]
        } else {
            for r in 0..ROWS {
                filled[r] = last(w[r], at);
            }
            filled.each_ref()
        };
        add::<F, N>([[pieces[0], pieces[1]], [pieces[2], pieces[3]]], x, &mut lanes);
    }
    let mut out = [[0.0; BLOCKS]; ROWS];
    for p in 0..PAIRS {
        // SAFETY: 64 bytes are written to twice 8 numbers.
        unsafe { _mm512_storeu_ps(out[TWO * p..][..TWO].as_mut_ptr().cast(), lanes[p]) };
    }
    out
}

/// The lanes of rows of weights times activations. `after` is the row after them.
///
/// # Safety
/// The machine has AVX-512 with DQ and VNNI.
pub(super) unsafe fn multiply(block: Block, w: &[&[u8]; ROWS], after: &[u8], x: &[Digits]) -> [[f32; BLOCKS]; ROWS] {
    // SAFETY: what the caller promises.
    unsafe {
        match block {
            Block::Q8_0 => rows::<Q8_0, 272>(w, after, x),
            Block::Q4K => rows::<Q4K, 144>(w, after, x),
            _ => rows::<Q6K, 210>(w, after, x),
        }
    }
}
