//! A row of activations for the products of `one`.
//!
//! Four numbers of a block fill 32 bits. A register has the first or the second half of such fours of all blocks with
//! even numbers, or of those with odd numbers: in a part of 128 bits, fours at the same place of four blocks.

use super::super::interleave::{LINE, fetch_line};
use super::super::isa::{Isa, per_isa};
use super::{BLOCK, BLOCKS, Pack, pack, parts, total};

/// Rows of weights that are multiplied together.
pub(super) const ROWS: usize = 4;
/// Blocks of even or of odd numbers.
pub(super) const SIDES: usize = 2;
/// Registers of each.
pub(super) const QUADS: usize = BLOCK / 8;

/// A piece of activations in digits to the base 256, from −128 to 127, the highest from −64 to 64.
#[derive(Clone, Copy, Default)]
#[repr(C, align(64))]
pub(super) struct Digits {
    /// The highest first: `[digit][side][register][half of a block, then block of the side]`, four activations.
    pub digits: [[[[[u8; 4]; BLOCKS]; QUADS]; SIDES]; 3],
    /// Corrections of the upper and the lower sum of half blocks if weights are 32 too high: `[part][side]`, then as above.
    pub excess: [[[i32; BLOCKS]; SIDES]; 2],
    /// Of blocks 0, 2, 4, 6, 1, 3, 5 and 7.
    pub steps: [f32; BLOCKS],
    /// Sums of the activations, in the same order.
    pub totals: [f32; BLOCKS],
}

/// The place of a block, those with even numbers first.
#[inline(always)]
pub(super) fn place(block: usize) -> usize {
    block % 2 * (BLOCKS / 2) + block / 2
}

impl Pack for Digits {
    #[inline(always)]
    fn pack(&mut self, at: usize, numbers: &[i32; BLOCK], step: f32) {
        (self.steps[place(at)], self.totals[place(at)]) = (step, total(numbers, step));
        let side = at % 2;
        for half in 0..2 {
            let lane = half * BLOCKS / 2 + at / 2;
            let mut sums = [0; 2];
            for quad in 0..QUADS {
                for i in 0..4 {
                    let (upper, lower) = parts(numbers[half * BLOCK / 2 + 4 * quad + i]);
                    // Adding half of 256 rounds each digit to the nearest.
                    self.digits[0][side][quad][lane][i] = ((upper + 0x80) >> 8) as u8;
                    self.digits[1][side][quad][lane][i] = upper as u8;
                    self.digits[2][side][quad][lane][i] = lower as u8;
                    sums[0] += upper;
                    sums[1] += lower;
                }
            }
            for part in 0..2 {
                self.excess[part][side][lane] = -32 * sums[part];
            }
        }
    }
}

per_isa!(digits_on / digits_avx2 / digits_avx512: (row: &[[f32; BLOCK]], out: &mut [Digits]) -> () = pack(row, out));

/// Asks the second cache to fetch the bytes of the rows after these, in the order of the file, while piece `piece` of these
/// is multiplied.
#[inline(always)]
pub(super) fn fetch<const N: usize>(after: &[u8], piece: usize) {
    for at in (0..ROWS * N).step_by(LINE) {
        fetch_line(after, ROWS * N * piece + at);
    }
}
