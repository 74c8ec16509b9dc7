//! Products of bf16 weights and any activations by NEON's fma, in the order of [`super::pairs`]. Not by its bf16
//! instructions, which round differently.

use super::interleave::{LINE, PAIRS, ROWS, four_neon, padded};
use super::lines::sum_lines;
use super::tiles::{Tile, by_rows};
use std::arch::aarch64::*;

/// Rows of weights of a tile.
pub(super) const EIGHT: usize = 8;

/// Tiles of eight rows of weights and twelve of activations: their sums fill 24 of 32 registers.
pub(super) struct FmaNeon;

/// The second numbers of a pair of eight rows, and the first. They are widened here, once for all rows of activations.
type Panel = [[f32; EIGHT]; 2];

impl Tile<EIGHT> for FmaNeon {
    type Pair = [f32; 2];
    type Panel = Panel;
    const ZERO: Panel = [[0.0; EIGHT]; 2];
    const TOGETHER: usize = 12;

    #[inline(always)]
    fn pair(first: f32, second: f32) -> [f32; 2] {
        [first, second]
    }

    unsafe fn fill(w: &[&[u8]; EIGHT], from: usize, panel: &mut [Panel]) {
        // SAFETY: every aarch64 has NEON.
        unsafe { fill_panel(w, from, panel) }
    }

    unsafe fn add(panel: &[Panel], x: &[[f32; 2]], rows: usize, sums: &mut [[f32; EIGHT]]) {
        // SAFETY: as above.
        unsafe { tile_of(panel, x, rows, sums) }
    }
}

/// The second numbers of pairs.
#[inline]
#[target_feature(enable = "neon")]
fn seconds(pairs: uint32x4_t) -> float32x4_t {
    vreinterpretq_f32_u32(vandq_u32(pairs, vdupq_n_u32(0xffff_0000)))
}

/// The first numbers of pairs.
#[inline]
#[target_feature(enable = "neon")]
fn firsts(pairs: uint32x4_t) -> float32x4_t {
    vreinterpretq_f32_u32(vshlq_n_u32::<16>(pairs))
}

#[inline]
#[target_feature(enable = "neon")]
fn store(out: &mut [f32; 4], numbers: float32x4_t) {
    // SAFETY: 16 bytes are written to 4 numbers.
    unsafe { vst1q_f32(out.as_mut_ptr(), numbers) }
}

#[inline]
#[target_feature(enable = "neon")]
fn load(numbers: &[f32; 4]) -> float32x4_t {
    // SAFETY: 16 bytes are read from 4 numbers.
    unsafe { vld1q_f32(numbers.as_ptr()) }
}

#[inline]
#[target_feature(enable = "neon")]
fn eight(numbers: &[f32; EIGHT]) -> [float32x4_t; 2] {
    let halves = numbers.as_chunks::<4>().0;
    [load(&halves[0]), load(&halves[1])]
}

/// Interleaves and widens a tile's rows from pair `from` on.
#[target_feature(enable = "neon")]
fn fill_panel(w: &[&[u8]; EIGHT], from: usize, panel: &mut [Panel]) {
    for (at, panel) in (from..).step_by(PAIRS).zip(panel.chunks_mut(PAIRS)) {
        let mut lines = [[0; LINE]; EIGHT];
        for (line, row) in lines.iter_mut().zip(w) {
            match row.get(4 * at..).and_then(|row| row.first_chunk()) {
                Some(whole) => *line = *whole,
                None => [*line] = padded(&[*row], at),
            }
        }
        for (quarter, panel) in panel.chunks_mut(4).enumerate() {
            for half in 0..2 {
                let pairs = four_neon(&lines, 4 * half, quarter);
                for (panel, pairs) in panel.iter_mut().zip(pairs) {
                    let [second, first] = panel;
                    store(&mut second.as_chunks_mut().0[half], seconds(pairs));
                    store(&mut first.as_chunks_mut().0[half], firsts(pairs));
                }
            }
        }
    }
}

/// Pairs of rows of weights times `T` rows of activations `[pairs × T]`, added to the first `T` of `sums`. A separate
/// function for each `T`, so that the sums stay in registers.
#[inline(never)]
#[target_feature(enable = "neon")]
fn tile<const T: usize>(w: &[Panel], x: &[[f32; 2]], sums: &mut [[f32; EIGHT]]) {
    let (x, sums) = (&x.as_chunks::<T>().0[..w.len()], &mut sums[..T]);
    let mut all = [[vdupq_n_f32(0.0); 2]; T];
    for t in 0..T {
        all[t] = eight(&sums[t]);
    }
    // Plain indices: with iterators the compiler would move registers to memory.
    for p in 0..w.len() {
        let (second, first) = (eight(&w[p][0]), eight(&w[p][1]));
        let (twos, last) = x[p].as_flattened().as_chunks::<4>();
        for i in 0..T / 2 {
            let x = load(&twos[i]);
            for half in 0..2 {
                all[2 * i][half] = vfmaq_laneq_f32::<1>(all[2 * i][half], second[half], x);
                all[2 * i + 1][half] = vfmaq_laneq_f32::<3>(all[2 * i + 1][half], second[half], x);
            }
            for half in 0..2 {
                all[2 * i][half] = vfmaq_laneq_f32::<0>(all[2 * i][half], first[half], x);
                all[2 * i + 1][half] = vfmaq_laneq_f32::<2>(all[2 * i + 1][half], first[half], x);
            }
        }
        if T % 2 == 1 {
            for half in 0..2 {
                let sum = vfmaq_n_f32(all[T - 1][half], second[half], last[1]);
                all[T - 1][half] = vfmaq_n_f32(sum, first[half], last[0]);
            }
        }
    }
    for t in 0..T {
        for (out, sum) in sums[t].as_chunks_mut().0.iter_mut().zip(all[t]) {
            store(out, sum);
        }
    }
}

by_rows!("neon", Panel, EIGHT, [f32; 2], 12);

/// Adds `N` pairs of a quarter of each line times the first of `x`. Always inlined: as a function, it would return the sums
/// through memory.
#[inline(always)]
fn add_quarter<const N: usize>(
    lines: &[[u8; LINE]; ROWS],
    quarter: usize,
    x: &[[f32; 2]],
    sums: &mut [float32x4_t; 4],
) {
    let x = &x[..N];
    // SAFETY: every aarch64 has NEON.
    unsafe {
        let pairs = [0, 1, 2, 3].map(|four| four_neon(lines, 4 * four, quarter));
        // Sixteen rows in turn, because an addition waits for the one before it.
        for i in 0..N {
            for four in 0..4 {
                sums[four] = vfmaq_n_f32(sums[four], seconds(pairs[four][i]), x[i][1]);
            }
            for four in 0..4 {
                sums[four] = vfmaq_n_f32(sums[four], firsts(pairs[four][i]), x[i][0]);
            }
        }
    }
}

/// Sixteen rows of weights times a row of activations, at the speed of memory.
#[target_feature(enable = "neon")]
pub(super) fn row(w: &[&[u8]; ROWS], x: &[[f32; 2]]) -> [f32; ROWS] {
    let sums = sum_lines!(w, x, [vdupq_n_f32(0.0); 4]);
    let mut out = [0.0; ROWS];
    for (out, sum) in out.as_chunks_mut().0.iter_mut().zip(sums) {
        store(out, sum);
    }
    out
}
