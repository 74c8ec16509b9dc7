//! Fixed-point products by AVX512-VNNI's `vpdpbusd`: sums of four products of bytes, sixteen blocks of weights and one
//! digit of activations at a time.

use super::super::dot::fold;
use super::super::interleave::LINE;
use super::repacked::{Excess, Format, LANES, Q4K, Q6K, Q8_0, ROWS, Repacked};
use super::{BLOCK, BLOCKS, Block, Digits};
use std::arch::x86_64::*;

/// Rows of weights of one call, and rows of activations that are multiplied by them together.
pub(super) const TILE_ROWS: usize = 32;
const TILE_X: usize = 4;
/// Pairs of rows of weights that are multiplied together, and their rows.
const PAIRS: usize = 2;
const FOUR: usize = PAIRS * ROWS;

/// Sums of two pairs of rows of weights and a row of activations, `[pair][lane of each row]`.
type Sums = [[f32; LANES]; PAIRS];

/// Memory that a thread keeps from task to task.
#[derive(Default)]
pub(super) struct Scratch {
    repacked: Vec<[Repacked; PAIRS]>,
    /// `[row of activations][four rows of weights]`.
    sums: Vec<Sums>,
    results: Vec<[f32; TILE_ROWS]>,
}

/// The first `n` of 32 rows of weights times all rows of activations `x` of `pieces` each, of which there are several: `one` is
/// for a single one. `put` gets the number of each row of activations and its results.
///
/// # Safety
/// The machine has AVX-512 with DQ and VNNI.
pub(super) unsafe fn multiply(
    block: Block,
    (w, n): (&[&[u8]; TILE_ROWS], usize),
    (x, pieces): (&[Digits], usize),
    scratch: &mut Scratch,
    put: impl FnMut(usize, &[f32; TILE_ROWS]),
) {
    // SAFETY: what the caller promises.
    unsafe {
        match block {
            Block::Q8_0 => multiply_as::<Q8_0, 272>((w, n), (x, pieces), scratch, put),
            Block::Q4K => multiply_as::<Q4K, 144>((w, n), (x, pieces), scratch, put),
            _ => multiply_as::<Q6K, 210>((w, n), (x, pieces), scratch, put),
        }
    }
}

/// # Safety
/// As [`multiply`].
unsafe fn multiply_as<F: Format<N>, const N: usize>(
    (w, n): (&[&[u8]; TILE_ROWS], usize),
    (x, pieces): (&[Digits], usize),
    scratch: &mut Scratch,
    mut put: impl FnMut(usize, &[f32; TILE_ROWS]),
) {
    let Scratch { repacked, sums, results } = scratch;
    let rows = x.len() / pieces.max(1);
    repacked.resize(TILE_ROWS / FOUR, [Repacked::ZERO; PAIRS]);
    results.resize(rows, [0.0; TILE_ROWS]);
    // With few rows of activations, four rows of weights at a time; with many, all of them, so that activations
    // come from the nearest cache.
    let together = if rows > TILE_X { TILE_ROWS } else { FOUR };
    let fours = together / FOUR;
    for (first, w) in (0..n).step_by(together).zip(w.chunks(together)) {
        sums.clear();
        sums.resize(fours * rows, Sums::default());
        let row = |row: usize| &x[row * pieces..][..pieces];
        // SAFETY: what the caller promises.
        unsafe {
            match (rows, w.first_chunk(), &mut repacked[0]) {
                (2, Some(w), repacked) => few::<F, N, 2>(w, [row(0), row(1)], repacked, sums),
                (3, Some(w), repacked) => few::<F, N, 3>(w, [row(0), row(1), row(2)], repacked, sums),
                (TILE_X, Some(w), repacked) => few::<F, N, TILE_X>(w, [row(0), row(1), row(2), row(3)], repacked, sums),
                _ => many::<F, N>(w, x, pieces, repacked, sums),
            }
        }
        for (results, sums) in results.iter_mut().zip(sums.chunks(fours)) {
            let lanes = sums.as_flattened().as_flattened().as_chunks::<BLOCKS>().0;
            for (out, lanes) in results[first..].iter_mut().zip(lanes) {
                *out = fold(*lanes);
            }
        }
    }
    for (row, results) in results.iter().enumerate() {
        put(row, results);
    }
}

/// Asks the nearest cache to fetch a piece of this size, `ahead` bytes after the start of `piece`.
#[inline]
fn fetch<const N: usize>(piece: &[u8; N], ahead: usize) {
    for at in (0..N).step_by(LINE) {
        // SAFETY: a prefetch reads nothing, wherever it points.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(piece.as_ptr().wrapping_add(ahead.wrapping_add(at)).cast()) }
    }
}

/// The piece of two rows from byte `from` on, padded with zeros.
fn padded<const N: usize>(w: [&[u8]; ROWS], from: usize) -> [[u8; N]; ROWS] {
    let mut filled = [[0; N]; ROWS];
    for (filled, row) in filled.iter_mut().zip(w) {
        let rest = row.get(from..).unwrap_or_default();
        let length = rest.len().min(N);
        filled[..length].copy_from_slice(&rest[..length]);
    }
    filled
}

/// Four rows of weights times `T` rows of activations, piece after piece; `sums` has one for each row of activations.
#[inline(never)]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vnni")]
fn few<F: Format<N>, const N: usize, const T: usize>(
    w: &[&[u8]; FOUR],
    x: [&[Digits]; T],
    repacked: &mut [Repacked; PAIRS],
    sums: &mut [Sums],
) {
    let whole = w.map(|row| row.as_chunks::<N>().0);
    let pieces = whole.iter().map(|row| row.len()).min().unwrap_or(0).min(x[0].len());
    let [a, b, c, d] = whole.map(|row| &row[..pieces]);
    // The same place of the next four rows: by itself the processor does not read ahead far enough.
    let ahead = w[1].as_ptr().addr().wrapping_sub(w[0].as_ptr().addr()).wrapping_mul(FOUR);
    for at in 0..pieces {
        // SAFETY: this function has the instructions.
        unsafe {
            F::repack([&a[at], &b[at]], &mut repacked[0]);
            F::repack([&c[at], &d[at]], &mut repacked[1]);
        }
        for piece in [&a[at], &b[at], &c[at], &d[at]] {
            fetch(piece, ahead);
        }
        tile::<F, N, T>(repacked, x.map(|x| &x[at]), sums, 1);
    }
    if pieces < x[0].len() {
        repack_last::<F, N>([w[0], w[1]], pieces, &mut repacked[0]);
        repack_last::<F, N>([w[2], w[3]], pieces, &mut repacked[1]);
        tile::<F, N, T>(repacked, x.map(|x| &x[pieces]), sums, 1);
    }
}

/// Rows of weights times many rows of activations `x` of `pieces` each; `sums` are
/// `[row of activations][four rows of weights]`.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vnni")]
fn many<F: Format<N>, const N: usize>(
    w: &[&[u8]],
    x: &[Digits],
    pieces: usize,
    repacked: &mut [[Repacked; PAIRS]],
    sums: &mut [Sums],
) {
    let fours = repacked.len();
    for piece in 0..pieces {
        for (repacked, w) in repacked.as_flattened_mut().iter_mut().zip(w.as_chunks::<ROWS>().0) {
            let rows = w.map(|row| row.as_chunks::<N>().0.get(piece));
            if let [Some(a), Some(b)] = rows {
                repack::<F, N>([a, b], repacked);
                fetch(a, N);
                fetch(b, N);
            } else {
                repack_last::<F, N>(*w, piece, repacked);
            }
        }
        let rows = x.chunks(TILE_X * pieces).zip(sums.chunks_mut(TILE_X * fours));
        for (x, sums) in rows {
            let x = |row: usize| &x[row * pieces + piece];
            match sums.len() / fours {
                1 => tiles::<F, N, 1>(repacked, [x(0)], sums),
                2 => tiles::<F, N, 2>(repacked, [x(0), x(1)], sums),
                3 => tiles::<F, N, 3>(repacked, [x(0), x(1), x(2)], sums),
                _ => tiles::<F, N, TILE_X>(repacked, [x(0), x(1), x(2), x(3)], sums),
            }
        }
    }
}

/// [`Format::repack`] as a separate function, so that it is compiled once.
#[inline(never)]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vnni")]
fn repack<F: Format<N>, const N: usize>(w: [&[u8; N]; ROWS], out: &mut Repacked) {
    // SAFETY: this function has the instructions.
    unsafe { F::repack(w, out) }
}

/// [`repack`] for a last piece that lacks blocks.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vnni")]
fn repack_last<F: Format<N>, const N: usize>(w: [&[u8]; ROWS], piece: usize, out: &mut Repacked) {
    repack::<F, N>(padded(w, piece * N).each_ref(), out);
}

/// A piece of rows of weights times the same piece of `T` rows of activations; `sums` as in [`many`].
#[inline(never)]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vnni")]
fn tiles<F: Format<N>, const N: usize, const T: usize>(
    repacked: &[[Repacked; PAIRS]],
    x: [&Digits; T],
    sums: &mut [Sums],
) {
    for (at, four) in repacked.iter().enumerate() {
        tile::<F, N, T>(four, x, &mut sums[at..], repacked.len());
    }
}

/// Four numbers of each block, for both rows.
#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn both<T>(blocks: &[T; BLOCKS]) -> __m512i {
    const { assert!(size_of::<T>() == 4) }
    // SAFETY: 32 bytes are read from 8 times 4.
    _mm512_broadcast_i32x8(unsafe { _mm256_loadu_si256(blocks.as_ptr().cast()) })
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load(numbers: &[f32; LANES]) -> __m512 {
    // SAFETY: 64 bytes are read from 16 numbers.
    unsafe { _mm512_loadu_ps(numbers.as_ptr()) }
}

/// A piece of two pairs of rows of weights times `T` rows of activations, whose sums are `stride` apart.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vnni")]
fn tile<F: Format<N>, const N: usize, const T: usize>(
    repacked: &[Repacked; PAIRS],
    x: [&Digits; T],
    sums: &mut [Sums],
    stride: usize,
) {
    // Plain indices: with iterators the compiler would move registers to memory.
    for half in 0..if F::HALVES { 2 } else { 1 } {
        // High, middle and low digit.
        let mut acc = [[[_mm512_setzero_si512(); 3]; PAIRS]; T];
        let excess = match F::EXCESS {
            Some(Excess::By32) => Some(half),
            Some(Excess::By128) => Some(2),
            None => None,
        };
        if let Some(excess) = excess {
            for t in 0..T {
                for r in 0..PAIRS {
                    acc[t][r][1] = both(&x[t].excess[excess][0]);
                    acc[t][r][2] = both(&x[t].excess[excess][1]);
                }
            }
        }
        let quads = if F::HALVES { BLOCK / 8 } else { BLOCK / 4 };
        for quad in half * quads..(half + 1) * quads {
            // SAFETY: 64 bytes are read from 64, whose alignment `Repacked` has.
            let w = [0, 1].map(|r| unsafe { _mm512_load_si512(repacked[r].quads[quad].as_ptr().cast()) });
            for t in 0..T {
                for digit in 0..3 {
                    let four = both(&x[t].digits[digit][quad]);
                    for r in 0..PAIRS {
                        acc[t][r][digit] = _mm512_dpbusd_epi32(acc[t][r][digit], w[r], four);
                    }
                }
            }
        }
        for t in 0..T {
            for r in 0..PAIRS {
                let [high, middle, low] = acc[t][r];
                let upper = _mm512_add_epi32(_mm512_slli_epi32::<8>(high), middle);
                let (upper, low) = (_mm512_cvtepi32_ps(upper), _mm512_cvtepi32_ps(low));
                let products = _mm512_fmadd_ps(upper, _mm512_set1_ps(256.0), low);
                let steps = _mm512_castsi512_ps(both(&x[t].steps));
                let scales = _mm512_mul_ps(load(&repacked[r].scales[half]), steps);
                let out = &mut sums[t * stride][r];
                let mut sum = _mm512_fmadd_ps(products, scales, load(out));
                if F::MINIMA {
                    let totals = _mm512_castsi512_ps(both(&x[t].totals));
                    sum = _mm512_fnmadd_ps(load(&repacked[r].minima), totals, sum);
                }
                // SAFETY: 64 bytes are written to 16 numbers.
                unsafe { _mm512_storeu_ps(out.as_mut_ptr(), sum) };
            }
        }
    }
}
