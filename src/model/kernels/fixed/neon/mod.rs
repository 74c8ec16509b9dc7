//! Fixed-point products by NEON: four blocks of weights in the lanes of a register, and one digit of activations at a
//! time. Both are signed bytes, so nothing has to be corrected.

mod bytes;
mod repacked;

use super::super::dot::fold;
use super::super::interleave::{LINE, fetch_line};
use super::super::isa::Isa;
use super::piece::last;
use super::{BLOCK, BLOCKS, Block, Digits};
use bytes::{Bytes, Dot, Widening};
use repacked::{FOURS, Format, Q4K, Q6K, Q8_0, Repacked};
use std::arch::aarch64::*;

/// Rows of weights that are multiplied together.
const PAIR: usize = 2;
/// Rows of weights that are repacked before many rows of activations are multiplied by them.
const TILE_ROWS: usize = 16;

/// Sums of a pair of rows of weights and a row of activations, `[row of weights][lane]`.
type Lanes = [[f32; BLOCKS]; PAIR];

/// Memory that a thread keeps from task to task.
#[derive(Default)]
pub(super) struct Scratch {
    repacked: Vec<[Repacked; PAIR]>,
    /// `[row of activations][pair of rows of weights]`.
    lanes: Vec<Lanes>,
}

/// Rows of weights times rows of activations `x` of `pieces` each. `w` gives the rows from 0 on, also one after the last
/// of `n`; `put` gets the number of a row of activations, that of a row of weights, and their product.
///
/// # Safety
/// `isa` is that of this machine.
pub(super) unsafe fn multiply<'w>(
    isa: Isa,
    block: Block,
    w: (impl Fn(usize) -> &'w [u8], usize),
    x: (&[Digits], usize),
    scratch: &mut Scratch,
    put: impl FnMut(usize, usize, f32),
) {
    // SAFETY: what the caller promises.
    unsafe {
        match (isa, block) {
            (Isa::NeonDot, Block::Q8_0) => multiply_as::<Dot, Q8_0, 272>(w, x, scratch, put),
            (Isa::NeonDot, Block::Q4K) => multiply_as::<Dot, Q4K, 144>(w, x, scratch, put),
            (Isa::NeonDot, _) => multiply_as::<Dot, Q6K, 210>(w, x, scratch, put),
            (_, Block::Q8_0) => multiply_as::<Widening, Q8_0, 272>(w, x, scratch, put),
            (_, Block::Q4K) => multiply_as::<Widening, Q4K, 144>(w, x, scratch, put),
            _ => multiply_as::<Widening, Q6K, 210>(w, x, scratch, put),
        }
    }
}

/// # Safety
/// The machine has the instructions of `B`.
unsafe fn multiply_as<'w, B: Bytes, F: Format<N>, const N: usize>(
    (w, n): (impl Fn(usize) -> &'w [u8], usize),
    (x, pieces): (&[Digits], usize),
    scratch: &mut Scratch,
    mut put: impl FnMut(usize, usize, f32),
) {
    let together = if x.len() > B::TOGETHER * pieces { TILE_ROWS } else { PAIR };
    let mut rows: [&[u8]; TILE_ROWS] = [&[]; TILE_ROWS];
    for first in (0..n).step_by(together) {
        let rows = &mut rows[..together.min((n - first).next_multiple_of(PAIR))];
        rows.iter_mut().enumerate().for_each(|(i, row)| *row = w(first + i));
        // SAFETY: what the caller promises.
        unsafe { lanes_of::<B, F, N>(rows, (x, pieces), scratch) };
        for (row, lanes) in scratch.lanes.chunks_exact(rows.len() / PAIR).enumerate() {
            for (i, lanes) in lanes.as_flattened().iter().take(n - first).enumerate() {
                put(row, first + i, fold(*lanes));
            }
        }
    }
}

/// Fills the lanes of all rows of activations and some pairs of rows of weights.
///
/// # Safety
/// As above.
unsafe fn lanes_of<B: Bytes, F: Format<N>, const N: usize>(
    w: &[&[u8]],
    (x, pieces): (&[Digits], usize),
    Scratch { repacked, lanes }: &mut Scratch,
) {
    let (rows, pairs) = (x.len() / pieces.max(1), w.len() / PAIR);
    lanes.clear();
    lanes.resize(rows * pairs, Lanes::default());
    repacked.resize(TILE_ROWS / PAIR, [Repacked::ZERO; PAIR]);
    // The same place of the next pair of rows, because processors do not read ahead past the end of a page; with many
    // rows of activations there is time to read the next piece.
    let ahead = if pairs == 1 { PAIR * w[0].len() } else { N };
    for piece in 0..pieces {
        for (row, repacked) in w.iter().zip(repacked.as_flattened_mut()) {
            if let Some(bytes) = row.as_chunks::<N>().0.get(piece) {
                (0..N).step_by(LINE).for_each(|line| fetch_line(bytes, ahead + line));
                // SAFETY: every aarch64 has NEON.
                unsafe { F::repack(bytes, repacked) }
            } else {
                // SAFETY: as above.
                unsafe { F::repack(&last(row, piece), repacked) }
            }
        }
        let x = |row: usize| &x[row * pieces + piece];
        for row in (0..rows).step_by(B::TOGETHER) {
            for (pair, w) in repacked[..pairs].iter().enumerate() {
                let lanes = &mut lanes[row * pairs + pair..];
                // SAFETY: what the caller promises.
                unsafe {
                    match (rows - row).min(B::TOGETHER) {
                        1 => B::tile::<F, N, 1>(w, [x(row)], lanes, pairs),
                        2 => B::tile::<F, N, 2>(w, [x(row), x(row + 1)], lanes, pairs),
                        3 => B::tile::<F, N, 3>(w, [x(row), x(row + 1), x(row + 2)], lanes, pairs),
                        _ => B::tile::<F, N, 4>(w, [x(row), x(row + 1), x(row + 2), x(row + 3)], lanes, pairs),
                    }
                }
            }
        }
    }
}

#[inline(always)]
unsafe fn four(numbers: &[f32; BLOCKS], at: usize) -> float32x4_t {
    // SAFETY: 16 bytes are read from 4 of 8 numbers, and every aarch64 has NEON.
    unsafe { vld1q_f32(numbers.as_chunks::<4>().0[at].as_ptr()) }
}

/// A piece of a pair of rows of weights times `T` rows of activations, added to their lanes, which are `stride` apart. Every
/// [`Bytes::tile`] compiles it with its own instructions.
///
/// # Safety
/// As above.
#[inline(always)]
unsafe fn tile<B: Bytes, F: Format<N>, const N: usize, const T: usize>(
    w: &[Repacked; PAIR],
    x: [&Digits; T],
    lanes: &mut [Lanes],
    stride: usize,
) {
    let halves = if F::HALVES { 2 } else { 1 };
    let (quads, step) = (BLOCK / 4 / halves, B::step(F::SMALL));
    // Plain indices: with iterators the compiler would move registers to memory.
    for at in 0..FOURS {
        for half in 0..halves {
            // SAFETY: what the caller promises; each store fills 4 of 8 numbers.
            unsafe {
                // High, middle and low digit.
                let mut sums = [[[B::zero(); 3]; PAIR]; T];
                for quad in (half * quads..(half + 1) * quads).step_by(step) {
                    for t in 0..T {
                        for digit in 0..3 {
                            let x = &x[t].digits[digit][quad..quad + step];
                            for r in 0..PAIR {
                                let w = &w[r].quads[at][quad..quad + step];
                                sums[t][r][digit] = B::add(sums[t][r][digit], w, x, at);
                            }
                        }
                    }
                }
                for t in 0..T {
                    for r in 0..PAIR {
                        let [high, middle, low] = sums[t][r];
                        let upper = vaddq_s32(vshlq_n_s32::<8>(B::total(high)), B::total(middle));
                        let (upper, low) = (vcvtq_f32_s32(upper), vcvtq_f32_s32(B::total(low)));
                        let products = vfmaq_n_f32(low, upper, 256.0);
                        let scales = vmulq_f32(four(&w[r].scales[half], at), four(&x[t].steps, at));
                        let out = &mut lanes[t * stride][r];
                        let mut sum = vfmaq_f32(four(out, at), products, scales);
                        if F::MINIMA {
                            sum = vfmsq_f32(sum, four(&w[r].minima, at), four(&x[t].totals, at));
                        }
                        vst1q_f32(out.as_chunks_mut::<4>().0[at].as_mut_ptr(), sum);
                    }
                }
            }
        }
    }
}
