//! Activations in 8 bits.

use super::super::isa::{Isa, per_isa};
use super::Meets;
use half::f16;
use rayon::prelude::*;

/// Activations of a small and of a large block.
pub(super) const SMALL: usize = 32;
pub(super) const LARGE: usize = 256;
/// Activations above which several threads round them faster.
const MANY: usize = 1 << 15;
/// The largest integer.
const LARGEST: i32 = 127;

/// A block for weights in blocks of 32.
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "some forms are for its kernels"))]
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C, align(32))]
pub(super) struct Small {
    pub numbers: [i8; SMALL],
    /// f16 as f32.
    pub scale: f32,
    /// The sum of the activations, f16 as f32.
    pub sum: f32,
    /// That of the integers.
    pub total: i32,
    /// The integers after and before two zeros.
    pub padded: [i8; SMALL + 4],
}

/// A block for weights in blocks of 256.
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "some forms are for its kernels"))]
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C, align(64))]
pub(super) struct Large {
    pub numbers: [i8; LARGE],
    /// For each 32 and each place modulo 8 the four integers there.
    pub spread: [[[i8; 4]; 8]; 8],
    /// The sums of the first and of the last two of them, times [`LESS`].
    pub less: [[[i16; 2]; 8]; 8],
    /// Sums of the integers, 16 each.
    pub sums: [i16; LARGE / 16],
    pub scale: f32,
    /// Sums of the integers, 32 each.
    pub totals: [[i16; 2]; 4],
}

/// What is added to weights with signs so that they have none.
pub(super) const LESS: u8 = 32;

/// Rows of activations in the blocks that some weights meet.
#[derive(Default)]
pub(in super::super) struct Operands {
    k: usize,
    small: Vec<Small>,
    large: Vec<Large>,
}

impl Operands {
    /// Rounds rows `x` `[rows, k]` to the blocks that are said. `k` is a multiple of their width.
    pub fn of(isa: Isa, x: &[f32], k: usize, small: bool, large: bool) -> Self {
        let of = |meets: Meets| if meets == Meets::Small { small } else { large };
        Self {
            k,
            small: if of(Meets::Small) { blocks(isa, x, Small::ZERO, smalls) } else { Vec::new() },
            large: if of(Meets::Large) { blocks(isa, x, Large::ZERO, larges) } else { Vec::new() },
        }
    }

    /// The number of rows.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn rows(&self) -> usize {
        (self.small.len() * SMALL).max(self.large.len() * LARGE) / self.k.max(1)
    }

    pub(super) fn small(&self, row: usize) -> &[Small] {
        let n = self.k / SMALL;
        &self.small[row * n..][..n]
    }

    pub(super) fn large(&self, row: usize) -> &[Large] {
        let n = self.k / LARGE;
        &self.large[row * n..][..n]
    }
}

/// All blocks of `x`, on all threads if there are many.
fn blocks<B: Copy + Send, const N: usize>(
    isa: Isa,
    x: &[f32],
    zero: B,
    round: fn(Isa, &[[f32; N]], &mut [B]),
) -> Vec<B> {
    let x = x.as_chunks::<N>().0;
    let mut out = vec![zero; x.len()];
    if x.len() * N > MANY {
        let piece = MANY / N / 8;
        x.par_chunks(piece).zip(out.par_chunks_mut(piece)).for_each(|(x, out)| round(isa, x, out));
    } else {
        round(isa, x, &mut out);
    }
    out
}

/// The size of the largest value as bits; sizes of infinities and NaN are the largest of all.
#[inline(always)]
fn largest<const N: usize>(x: &[f32; N]) -> f32 {
    let mut largest = 0;
    for x in x {
        largest = largest.max(x.to_bits() & 0x7fff_ffff);
    }
    f32::from_bits(largest)
}

/// The first value of this size; `None` if all are zero.
#[inline(always)]
fn first_of<const N: usize>(x: &[f32; N], size: f32) -> Option<f32> {
    for x in x {
        if x.abs() == size && size != 0.0 {
            return Some(*x);
        }
    }
    None
}

/// The nearest integers of `x · by`, ties to even.
#[inline(always)]
fn nearest<const N: usize>(x: &[f32; N], by: f32, out: &mut [i8; N]) {
    // 1.5 · 2²³: adding it rounds to an integer, ties to even, and leaves the integer's bits in place.
    const POINT: f32 = 12_582_912.0;
    for (out, x) in out.iter_mut().zip(x) {
        let number = (x * by + POINT).to_bits().cast_signed().wrapping_sub(POINT.to_bits().cast_signed());
        *out = number.clamp(-LARGEST, LARGEST) as i8;
    }
}

impl Small {
    const ZERO: Self = Self { numbers: [0; SMALL], scale: 0.0, sum: 0.0, total: 0, padded: [0; SMALL + 4] };

    #[inline(always)]
    fn of(x: &[f32; SMALL]) -> Self {
        let size = largest(x);
        if !size.is_finite() {
            return Self { scale: f32::NAN, sum: f32::NAN, ..Self::ZERO };
        }
        let scale = size / LARGEST as f32;
        let mut out = Self { scale: f16::from_f32(scale).to_f32(), ..Self::ZERO };
        if size != 0.0 {
            nearest(x, LARGEST as f32 / size, &mut out.numbers);
        }
        for i in 0..SMALL {
            out.total += i32::from(out.numbers[i]);
        }
        out.sum = f16::from_f32(scale * out.total as f32).to_f32();
        out.padded[2..][..SMALL].copy_from_slice(&out.numbers);
        out
    }
}

impl Large {
    const ZERO: Self = Self {
        numbers: [0; LARGE],
        sums: [0; LARGE / 16],
        scale: 0.0,
        spread: [[[0; 4]; 8]; 8],
        less: [[[0; 2]; 8]; 8],
        totals: [[0; 2]; 4],
    };

    #[inline(always)]
    fn of(x: &[f32; LARGE]) -> Self {
        let size = largest(x);
        if !size.is_finite() {
            return Self { scale: f32::NAN, ..Self::ZERO };
        }
        // Of the values of that size the first gives the sign.
        let Some(first) = first_of(x, size) else { return Self::ZERO };
        let inverse = -(LARGEST as f32) / first;
        let mut out = Self { scale: 1.0 / inverse, ..Self::ZERO };
        nearest(x, inverse, &mut out.numbers);
        for group in 0..LARGE / 16 {
            let mut sum = 0;
            for i in 0..16 {
                sum += i16::from(out.numbers[16 * group + i]);
            }
            out.sums[group] = sum;
        }
        for (part, numbers) in out.numbers.as_chunks::<32>().0.iter().enumerate() {
            for i in 0..8 {
                let four = [numbers[i], numbers[i + 8], numbers[i + 16], numbers[i + 24]];
                let two = |at: usize| i16::from(LESS) * (i16::from(four[at]) + i16::from(four[at + 1]));
                (out.spread[part][i], out.less[part][i]) = (four, [two(0), two(2)]);
            }
            out.totals[part / 2][part % 2] = out.sums[2 * part] + out.sums[2 * part + 1];
        }
        out
    }
}

#[inline(always)]
fn small_blocks(x: &[[f32; SMALL]], out: &mut [Small]) {
    for (x, out) in x.iter().zip(out) {
        *out = Small::of(x);
    }
}

#[inline(always)]
fn large_blocks(x: &[[f32; LARGE]], out: &mut [Large]) {
    for (x, out) in x.iter().zip(out) {
        *out = Large::of(x);
    }
}

per_isa!(smalls / smalls_avx2 / smalls_avx512: (x: &[[f32; SMALL]], out: &mut [Small]) -> () = small_blocks(x, out));
per_isa!(larges / larges_avx2 / larges_avx512: (x: &[[f32; LARGE]], out: &mut [Large]) -> () = large_blocks(x, out));
