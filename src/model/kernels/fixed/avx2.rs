//! Fixed-point products by AVX2: a lane is a block, and `vpmaddwd` adds products of two of its weights.

use super::super::dot::fold;
use super::super::format::part;
use super::super::interleave::LINE;
use super::super::k_blocks::packed_scales_and_minima;
use super::super::quads::quads_avx2;
use super::piece::{Pairs, last};
use super::{BLOCK, BLOCKS, Block, Parts};
use std::arch::x86_64::*;

/// Rows of weights that are repacked before many rows of activations are multiplied by them.
const TILE_ROWS: usize = 16;
/// Rows of activations that are multiplied together.
const TILE_X: usize = 4;
/// Bytes of a row that are fetched ahead: by itself the processor stops at the end of a page.
const AHEAD: usize = 2304;

/// A piece of a row of weights as signed bytes: in 32-bit lane `b` of `quads[q]`, weights `4q` to `4q + 3` of block `b`.
#[derive(Clone, Copy)]
#[repr(C, align(32))]
struct Repacked {
    quads: [[u8; BLOCK]; BLOCK / 4],
    /// `[half][block]`; if both halves share a scale, it is the first.
    scales: [[f32; BLOCKS]; 2],
    minima: [f32; BLOCKS],
}

/// Memory that a thread keeps from task to task.
#[derive(Default)]
pub(super) struct Scratch {
    repacked: Vec<Repacked>,
    /// `[row of activations][row of weights]`.
    lanes: Vec<[f32; BLOCKS]>,
}

/// A format that stores 256 weights in `N` bytes.
trait Format<const N: usize> {
    /// Quads of a scale: those of a block, or of half a block.
    const QUADS: usize = BLOCK / 4;

    /// Repacks a piece.
    ///
    /// # Safety
    /// The machine has AVX2 and F16C.
    unsafe fn repack(piece: &[u8; N], out: &mut Repacked);
}

struct Q8_0;
struct Q4K;
struct Q6K;

/// 16 bytes at `first` and 16 at `second`.
#[inline]
#[target_feature(enable = "avx2")]
fn two<const N: usize>(piece: &[u8; N], first: usize, second: usize) -> __m256i {
    let (first, second) = (part::<16, _>(piece, first), part::<16, _>(piece, second));
    // SAFETY: 16 bytes are read from 16, at any alignment.
    unsafe {
        let first = _mm256_castsi128_si256(_mm_loadu_si128(first.as_ptr().cast()));
        _mm256_inserti128_si256::<1>(first, _mm_loadu_si128(second.as_ptr().cast()))
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn and(bytes: __m256i, bits: i8) -> __m256i {
    _mm256_and_si256(bytes, _mm256_set1_epi8(bits))
}

#[inline]
#[target_feature(enable = "avx2")]
fn store(out: &mut [f32; BLOCKS], numbers: __m256) {
    // SAFETY: 32 bytes are written to 8 numbers.
    unsafe { _mm256_storeu_ps(out.as_mut_ptr(), numbers) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn load(numbers: &[f32; BLOCKS]) -> __m256 {
    // SAFETY: 32 bytes are read from 8 numbers.
    unsafe { _mm256_loadu_ps(numbers.as_ptr()) }
}

/// Interleaves four registers, each with the same half (16 bytes) of blocks `i` and `4 + i`, into four quads.
#[inline]
#[target_feature(enable = "avx2")]
fn put(out: &mut [[u8; BLOCK]], blocks: [__m256i; 4]) {
    for (out, quad) in out.iter_mut().zip(quads_avx2(blocks)) {
        // SAFETY: 32 bytes are written to 32.
        unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), quad) }
    }
}

impl Format<272> for Q8_0 {
    #[inline]
    #[target_feature(enable = "avx2,f16c")]
    unsafe fn repack(piece: &[u8; 272], out: &mut Repacked) {
        let d = |b: usize| i16::from_le_bytes(*part(piece, 34 * b));
        store(&mut out.scales[0], _mm256_cvtph_ps(_mm_setr_epi16(d(0), d(1), d(2), d(3), d(4), d(5), d(6), d(7))));
        for half in 0..2 {
            let both = |b: usize| two(piece, 34 * b + 2 + 16 * half, 34 * (b + 4) + 2 + 16 * half);
            put(&mut out.quads[4 * half..4 * half + 4], [both(0), both(1), both(2), both(3)]);
        }
    }
}

impl Format<144> for Q4K {
    #[inline]
    #[target_feature(enable = "avx2,f16c")]
    unsafe fn repack(piece: &[u8; 144], out: &mut Repacked) {
        let own = _mm_cvtph_ps(_mm_cvtsi32_si128(i32::from_le_bytes(*part(piece, 0))));
        let (scales, minima) = packed_scales_and_minima(part(piece, 4));
        let wide = |eight: u64, own: __m128| {
            let eight = _mm256_cvtepu8_epi32(_mm_cvtsi64_si128(eight.cast_signed()));
            _mm256_mul_ps(_mm256_broadcastss_ps(own), _mm256_cvtepi32_ps(eight))
        };
        store(&mut out.scales[0], wide(scales, own));
        store(&mut out.minima, wide(minima, _mm_movehdup_ps(own)));
        for half in 0..2 {
            // Blocks 2p and 2p + 1 are the low and high bits of the same bytes.
            let packed = |p: usize| two(piece, 16 + 32 * p + 16 * half, 16 + 32 * (p + 2) + 16 * half);
            let (first, second) = (packed(0), packed(1));
            let high = |bytes: __m256i| and(_mm256_srli_epi16::<4>(bytes), 15);
            put(&mut out.quads[4 * half..4 * half + 4], [and(first, 15), high(first), and(second, 15), high(second)]);
        }
    }
}

impl Format<210> for Q6K {
    const QUADS: usize = BLOCK / 8;

    #[inline]
    #[target_feature(enable = "avx2,f16c")]
    unsafe fn repack(piece: &[u8; 210], out: &mut Repacked) {
        let d = _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(i32::from(u16::from_le_bytes(*part(piece, 208))))));
        // SAFETY: 16 bytes are read from 16, at any alignment.
        let scales = unsafe { _mm_loadu_si128(part::<16, _>(piece, 192).as_ptr().cast()) };
        let wide = |eight: __m128i| _mm256_mul_ps(_mm256_set1_ps(d), _mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(eight)));
        store(&mut out.scales[0], wide(_mm_srai_epi16::<8>(_mm_slli_epi16::<8>(scales))));
        store(&mut out.scales[1], wide(_mm_srai_epi16::<8>(scales)));
        for half in 0..2 {
            let both = |at: usize, apart: usize| two(piece, at + 16 * half, at + apart + 16 * half);
            let (low, next, high) = (both(0, 64), both(32, 64), both(128, 32));
            let join = |four: __m256i, two: __m256i| {
                _mm256_sub_epi8(_mm256_or_si256(and(four, 15), and(two, 0x30)), _mm256_set1_epi8(32))
            };
            let blocks = [
                join(low, _mm256_slli_epi16::<4>(high)),
                join(next, _mm256_slli_epi16::<2>(high)),
                join(_mm256_srli_epi16::<4>(low), high),
                join(_mm256_srli_epi16::<4>(next), _mm256_srli_epi16::<2>(high)),
            ];
            put(&mut out.quads[4 * half..4 * half + 4], blocks);
        }
    }
}

/// The sums of products of some quads with the upper and the lower parts of `T` rows of activations. The compiler must
/// not know their number, or it would move sums to memory.
#[inline(always)]
unsafe fn sums<const T: usize>(w: &[[u8; BLOCK]], x: [&Parts; T], from: usize) -> ([__m256i; T], [__m256i; T]) {
    // SAFETY: the caller has AVX2; every load is of 32 bytes inside `w` and the pairs of the same quads.
    unsafe {
        let (mut upper, mut lower) = ([_mm256_setzero_si256(); T], [_mm256_setzero_si256(); T]);
        for (i, quad) in w.iter().enumerate() {
            let bytes = _mm256_loadu_si256(quad.as_ptr().cast());
            let (even, odd) = (_mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(bytes)), _mm256_srai_epi16::<8>(bytes));
            let pair = 2 * (from + i);
            for t in 0..T {
                let at = |pairs: &Pairs, pair: usize| _mm256_loadu_si256(pairs.as_ptr().add(pair).cast());
                let products = |pairs: &Pairs| {
                    let (even, odd) =
                        (_mm256_madd_epi16(even, at(pairs, pair)), _mm256_madd_epi16(odd, at(pairs, pair + 1)));
                    _mm256_add_epi32(even, odd)
                };
                upper[t] = _mm256_add_epi32(upper[t], products(&x[t].upper));
                lower[t] = _mm256_add_epi32(lower[t], products(&x[t].lower));
            }
        }
        (upper, lower)
    }
}

/// A piece of a row of weights times `T` rows of activations, added to their lanes, which are `stride` apart. `quads` are
/// those of a scale.
#[inline(never)]
#[target_feature(enable = "avx2,fma")]
fn tile<const MINIMA: bool, const T: usize>(
    w: &Repacked,
    quads: usize,
    x: [&Parts; T],
    lanes: &mut [[f32; BLOCKS]],
    stride: usize,
) {
    for (half, of) in w.quads.chunks(quads).enumerate() {
        // SAFETY: this function has AVX2.
        let (upper, lower) = unsafe { sums(of, x, half * quads) };
        for t in 0..T {
            let (upper, lower) = (_mm256_cvtepi32_ps(upper[t]), _mm256_cvtepi32_ps(lower[t]));
            let products = _mm256_fmadd_ps(upper, _mm256_set1_ps(256.0), lower);
            let scales = _mm256_mul_ps(load(&w.scales[half]), load(&x[t].steps));
            let lanes = &mut lanes[t * stride];
            let mut sum = _mm256_fmadd_ps(products, scales, load(lanes));
            if MINIMA {
                sum = _mm256_fnmadd_ps(load(&w.minima), load(&x[t].totals), sum);
            }
            store(lanes, sum);
        }
    }
}

/// Rows of weights times rows of activations `x` of `pieces` each. `w` gives the rows from 0 to `n`; `put` gets the number of
/// a row of activations, that of a row of weights, and their product.
///
/// # Safety
/// The machine has AVX2, FMA and F16C.
pub(super) unsafe fn multiply<'w>(
    block: Block,
    (w, n): (impl Fn(usize) -> &'w [u8], usize),
    (x, pieces): (&[Parts], usize),
    scratch: &mut Scratch,
    mut put: impl FnMut(usize, usize, f32),
) {
    let count = if x.len() > TILE_X * pieces { TILE_ROWS } else { 1 };
    let mut rows: [&[u8]; TILE_ROWS] = [&[]; TILE_ROWS];
    for first in (0..n).step_by(count) {
        let rows = &mut rows[..count.min(n - first)];
        rows.iter_mut().enumerate().for_each(|(i, row)| *row = w(first + i));
        // SAFETY: what the caller promises.
        unsafe {
            match block {
                Block::Q8_0 => lanes_of::<Q8_0, false, 272>(rows, (x, pieces), scratch),
                Block::Q4K => lanes_of::<Q4K, true, 144>(rows, (x, pieces), scratch),
                _ => lanes_of::<Q6K, false, 210>(rows, (x, pieces), scratch),
            }
        }
        for (row, lanes) in scratch.lanes.chunks_exact(rows.len()).enumerate() {
            for (i, lanes) in lanes.iter().enumerate() {
                put(row, first + i, fold(*lanes));
            }
        }
    }
}

/// Fills the lanes of all rows of activations and some rows of weights.
#[target_feature(enable = "avx2,fma,f16c")]
fn lanes_of<F: Format<N>, const MINIMA: bool, const N: usize>(
    w: &[&[u8]],
    (x, pieces): (&[Parts], usize),
    Scratch { repacked, lanes }: &mut Scratch,
) {
    let (rows, count) = (x.len() / pieces.max(1), w.len());
    lanes.clear();
    lanes.resize(rows * count, [0.0; BLOCKS]);
    repacked.resize(TILE_ROWS, Repacked { quads: [[0; BLOCK]; 8], scales: [[0.0; BLOCKS]; 2], minima: [0.0; BLOCKS] });
    let mut whole: [&[[u8; N]]; TILE_ROWS] = [&[]; TILE_ROWS];
    whole.iter_mut().zip(w).for_each(|(whole, row)| *whole = row.as_chunks().0);
    for piece in 0..pieces {
        for ((row, whole), repacked) in w.iter().zip(&whole).zip(repacked.iter_mut()) {
            if let Some(bytes) = whole.get(piece) {
                for line in (0..N).step_by(LINE) {
                    _mm_prefetch::<_MM_HINT_T0>(bytes.as_ptr().wrapping_add(line + AHEAD).cast());
                }
                // SAFETY: this function has the instructions.
                unsafe { F::repack(bytes, repacked) }
            } else {
                // SAFETY: as above.
                unsafe { F::repack(&last(row, piece), repacked) }
            }
        }
        let x = |row: usize| &x[row * pieces + piece];
        for (i, w) in repacked[..count].iter().enumerate() {
            let fours = rows / TILE_X * TILE_X;
            for row in (0..fours).step_by(TILE_X) {
                let x = [x(row), x(row + 1), x(row + 2), x(row + 3)];
                tile::<MINIMA, TILE_X>(w, F::QUADS, x, &mut lanes[row * count + i..], count);
            }
            match rows - fours {
                1 => tile::<MINIMA, 1>(w, F::QUADS, [x(fours)], &mut lanes[fours * count + i..], count),
                2 => {
                    let x = [x(fours), x(fours + 1)];
                    tile::<MINIMA, 2>(w, F::QUADS, x, &mut lanes[fours * count + i..], count);
                }
                3 => {
                    let x = [x(fours), x(fours + 1), x(fours + 2)];
                    tile::<MINIMA, 3>(w, F::QUADS, x, &mut lanes[fours * count + i..], count);
                }
                _ => {}
            }
        }
    }
}
