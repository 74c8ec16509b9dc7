//! Products of quantised weights as they are stored, Q8_0, Q4_K and Q6_K, and activations in fixed point.
//!
//! Activations: each block of 32 has a step, the power of two with which its largest value has 22 bits. Values are
//! rounded to the nearest multiple of the step, so none is off by more than 2⁻²² of the largest, if that is from 2⁻⁹⁰
//! to 2¹²⁰ (below, products may become zero). Each multiple is an upper part times 256 plus a lower part from −128 to
//! 127.
//!
//! Products: weights that share a scale (32 of a block, 16 in Q6_K) are multiplied as the integers they are stored as.
//! Their products with the upper parts are added up exactly, and so are those with the lower parts. Both sums are
//! converted to f32 and joined by one fma; for Q4_K and Q6_K that is the exact sum, rounded once. The result times the
//! stored scale times the step is added to lane `i % 8` for block `i` (fma). Q4_K then subtracts from that lane the
//! block's minimum times the sum of the block's activations (fma). At the end the lanes are folded in halves.
//!
//! `portable` is the definition. `vnni`, `avx2` and `neon` repack a piece of 256 weights of some rows and multiply it by all
//! rows of activations. `one_vnni` and `one_avx2` multiply by a single row, and keep nothing.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(target_arch = "x86_64")]
mod one;
#[cfg(target_arch = "x86_64")]
mod one_avx2;
#[cfg(target_arch = "x86_64")]
mod one_digits;
#[cfg(target_arch = "x86_64")]
mod one_vnni;
mod piece;
mod portable;
#[cfg(target_arch = "x86_64")]
mod repacked;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod vnni;

use super::blocks::Block;
use super::isa::{Isa, per_isa};
use piece::{Pairs, place};
use rayon::prelude::*;

/// Activations that have a step in common.
const BLOCK: usize = 32;
/// Blocks of a piece, each with a lane of its own.
const BLOCKS: usize = 8;
const PIECE: usize = BLOCK * BLOCKS;
/// Pieces above which several threads pack them faster.
const MANY: usize = 1 << 7;
/// Bound of every activation, in steps.
const LARGEST: i32 = 1 << 22;

/// Whether this module computes products with weights of this format.
pub(super) fn is_for(block: Block) -> bool {
    matches!(block, Block::Q8_0 | Block::Q4K | Block::Q6K)
}

/// Rows of activations, in steps.
pub(super) struct Fixed {
    isa: Isa,
    /// Pieces of a row; blocks missing in the last are zero.
    pieces: usize,
    packed: Packed,
    /// For a single row.
    #[cfg(target_arch = "x86_64")]
    one: Vec<one_digits::Digits>,
}

/// `[row][piece]`, for products of bytes (`vnni`, `neon`) or for all others.
enum Packed {
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    Digits(Vec<Digits>),
    Parts(Vec<Parts>),
}

/// Memory that a thread keeps from task to task.
#[derive(Default)]
pub(super) struct Scratch {
    #[cfg(target_arch = "x86_64")]
    vnni: vnni::Scratch,
    #[cfg(target_arch = "x86_64")]
    avx2: avx2::Scratch,
    #[cfg(target_arch = "aarch64")]
    neon: neon::Scratch,
}

/// A piece of activations in digits to the base 256, from −128 to 127.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[derive(Clone, Copy, Default)]
#[repr(C, align(64))]
pub(super) struct Digits {
    /// The highest first: `[digit][four activations][block]`.
    digits: [[[[u8; 4]; BLOCKS]; BLOCK / 4]; 3],
    /// Corrections of the upper and the lower sum of each block: for each half if its weights are 32 too high, and for
    /// both if they are 128 too high.
    #[cfg(target_arch = "x86_64")]
    excess: [[[i32; BLOCKS]; 2]; 3],
    steps: [f32; BLOCKS],
    /// Sums of the activations.
    totals: [f32; BLOCKS],
}

/// A piece of activations in an upper and a lower part.
#[derive(Clone, Copy, Default)]
#[repr(C, align(64))]
pub(super) struct Parts {
    upper: Pairs,
    lower: Pairs,
    steps: [f32; BLOCKS],
    /// Sums of the activations.
    totals: [f32; BLOCKS],
}

/// The packed form of a piece of activations.
trait Pack: Default + Copy + Send {
    /// Packs block `at`.
    fn pack(&mut self, at: usize, numbers: &[i32; BLOCK], step: f32);
}

/// A number's upper and lower part.
#[inline(always)]
fn parts(number: i32) -> (i32, i32) {
    ((number + 0x80) >> 8, i32::from(number as i8))
}

#[inline(always)]
fn total(numbers: &[i32; BLOCK], step: f32) -> f32 {
    numbers.iter().sum::<i32>() as f32 * step
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
impl Pack for Digits {
    #[inline(always)]
    fn pack(&mut self, at: usize, numbers: &[i32; BLOCK], step: f32) {
        (self.steps[at], self.totals[at]) = (step, total(numbers, step));
        let mut digits = [[0u8; BLOCK]; 3];
        #[cfg(target_arch = "x86_64")]
        let mut sums = [[0; 2]; 2];
        for half in 0..2 {
            for i in half * BLOCK / 2..(half + 1) * BLOCK / 2 {
                let (upper, lower) = parts(numbers[i]);
                // Adding half of 256 rounds each digit to the nearest.
                digits[0][i] = ((upper + 0x80) >> 8) as u8;
                digits[1][i] = upper as u8;
                digits[2][i] = lower as u8;
                #[cfg(target_arch = "x86_64")]
                {
                    sums[half][0] += upper;
                    sums[half][1] += lower;
                }
            }
        }
        for (out, digits) in self.digits.iter_mut().zip(&digits) {
            for (out, four) in out.iter_mut().zip(digits.as_chunks().0) {
                out[at] = *four;
            }
        }
        #[cfg(target_arch = "x86_64")]
        for part in 0..2 {
            let [first, second] = [sums[0][part], sums[1][part]];
            self.excess[0][part][at] = -32 * first;
            self.excess[1][part][at] = -32 * second;
            self.excess[2][part][at] = -128 * (first + second);
        }
    }
}

impl Pack for Parts {
    #[inline(always)]
    fn pack(&mut self, at: usize, numbers: &[i32; BLOCK], step: f32) {
        (self.steps[at], self.totals[at]) = (step, total(numbers, step));
        for i in 0..BLOCK {
            let (upper, lower) = parts(numbers[i]);
            let (pair, half) = place(i);
            (self.upper[pair][at][half], self.lower[pair][at][half]) = (upper as i16, lower as i16);
        }
    }
}

/// The step of a block whose largest absolute value has these bits: the power of two that puts it from 2²¹ to 2²²
/// (below that if it is less than 2⁻¹⁰⁵, because there are no smaller steps). NaN if it is not finite.
#[inline(always)]
fn step(largest: u32) -> f32 {
    if largest >= f32::INFINITY.to_bits() {
        return f32::NAN;
    }
    f32::from_bits(((largest >> 23).max(22) - 21) << 23)
}

/// A block of activations in steps, and their step.
#[inline(always)]
fn in_steps(x: &[f32; BLOCK], numbers: &mut [i32; BLOCK]) -> f32 {
    // 1.5 · 2²³: adding it rounds to an integer, ties to even, and leaves the integer's bits in place.
    const POINT: f32 = 12_582_912.0;
    let mut largest = 0;
    for x in x {
        largest = largest.max(x.to_bits() & 0x7fff_ffff);
    }
    let size = step(largest);
    let inverse = 1.0 / size;
    for (number, x) in numbers.iter_mut().zip(x) {
        let rounded = (x * inverse + POINT).to_bits().cast_signed() - POINT.to_bits().cast_signed();
        *number = rounded.clamp(1 - LARGEST, LARGEST - 1);
    }
    size
}

/// Packs a row.
#[inline(always)]
fn pack<P: Pack>(row: &[[f32; BLOCK]], out: &mut [P]) {
    let mut numbers = [0; BLOCK];
    for (out, x) in out.iter_mut().zip(row.chunks(BLOCKS)) {
        for (at, x) in x.iter().enumerate() {
            let step = in_steps(x, &mut numbers);
            out.pack(at, &numbers, step);
        }
    }
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
per_isa!(digits_on / digits_avx2 / digits_avx512: (row: &[[f32; BLOCK]], out: &mut [Digits]) -> () = pack(row, out));
per_isa!(parts_on / parts_avx2 / parts_avx512: (row: &[[f32; BLOCK]], out: &mut [Parts]) -> () = pack(row, out));

/// Packs rows `x` `[rows, k]`, on all threads if there are many.
fn packed<P: Pack>(isa: Isa, x: &[f32], k: usize, pack: fn(Isa, &[[f32; BLOCK]], &mut [P])) -> Vec<P> {
    let pieces = k.div_ceil(PIECE).max(1);
    let mut out = vec![P::default(); x.len() / k.max(1) * pieces];
    let pack = |(x, out): (&[f32], &mut [P])| pack(isa, x.as_chunks().0, out);
    if out.len() > MANY {
        x.par_chunks_exact(k).zip(out.par_chunks_exact_mut(pieces)).for_each(pack);
    } else {
        x.chunks_exact(k.max(1)).zip(out.chunks_exact_mut(pieces)).for_each(pack);
    }
    out
}

impl Fixed {
    /// Packs rows of activations `x` `[rows, k]` for weights of some formats; `k` is a multiple of 32.
    pub fn of(isa: Isa, x: &[f32], k: usize, is_with: impl Fn(Block) -> bool) -> Self {
        #[cfg(target_arch = "x86_64")]
        let (one, is_all) = {
            let of = |block| is_with(block) && x.len() == k && one::is_for(isa, block);
            let all = [Block::Q8_0, Block::Q4K, Block::Q6K];
            let one = if all.into_iter().any(of) { packed(isa, x, k, one_digits::digits_on) } else { Vec::new() };
            (one, !all.into_iter().any(|block| is_with(block) && !of(block)))
        };
        #[cfg(not(target_arch = "x86_64"))]
        let is_all = !is_with(Block::Q8_0) && !is_with(Block::Q4K) && !is_with(Block::Q6K);
        let rest = if is_all { &[] } else { x };
        let packed = match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Vnni | Isa::Avx512Bf16 => Packed::Digits(packed(isa, rest, k, digits_on)),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon | Isa::NeonDot => Packed::Digits(packed(isa, rest, k, digits_on)),
            _ => Packed::Parts(packed(isa, rest, k, parts_on)),
        };
        Self {
            isa,
            pieces: k.div_ceil(PIECE),
            packed,
            #[cfg(target_arch = "x86_64")]
            one,
        }
    }

    /// Rows of weights times all rows of activations. `w` gives the rows from 0 on, also some after the last of `n`. `put`
    /// gets the number of a row of activations, that of a row of weights, and results from there on.
    pub fn multiply<'w>(
        &self,
        block: Block,
        (w, n): (impl Fn(usize) -> &'w [u8], usize),
        scratch: &mut Scratch,
        mut put: impl FnMut(usize, usize, &[f32]),
    ) {
        #[cfg(target_arch = "x86_64")]
        if !self.one.is_empty() && one::is_for(self.isa, block) {
            one::multiply(self.isa, block, (&w, n), &self.one, |at, results| put(0, at, results));
            return;
        }
        match (&self.packed, self.isa) {
            #[cfg(target_arch = "x86_64")]
            (Packed::Digits(x), _) => {
                for at in (0..n).step_by(vnni::TILE_ROWS) {
                    let rows = std::array::from_fn(|i| w(at + i));
                    let count = vnni::TILE_ROWS.min(n - at);
                    // SAFETY: digits are made only for instruction sets with VNNI.
                    unsafe {
                        vnni::multiply(block, (&rows, count), (x, self.pieces), &mut scratch.vnni, |row, results| {
                            put(row, at, &results[..count]);
                        });
                    }
                }
            }
            #[cfg(target_arch = "aarch64")]
            (Packed::Digits(x), isa) => {
                let put = |row, i, result| put(row, i, &[result]);
                // SAFETY: callers pass an `Isa` that `isa()` or `supported()` found on this machine.
                unsafe { neon::multiply(isa, block, (w, n), (x, self.pieces), &mut scratch.neon, put) }
            }
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            (Packed::Parts(x), Isa::Avx2 | Isa::Avx512) => unsafe {
                let put = |row, i, result| put(row, i, &[result]);
                avx2::multiply(block, (w, n), (x, self.pieces), &mut scratch.avx2, put);
            },
            (Packed::Parts(x), _) => {
                for i in 0..n {
                    portable::row(block, w(i), x, self.pieces, |row, result| put(row, i, &[result]));
                }
            }
        }
    }
}
