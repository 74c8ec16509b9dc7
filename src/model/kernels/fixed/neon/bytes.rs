//! Sums of products of signed bytes, by `sdot` and without it.

use super::repacked::{Format, Quad, Repacked};
use super::{BLOCKS, Digits, Lanes, PAIR, tile};
use std::arch::aarch64::*;
use std::arch::asm;

/// Four activations of each block.
type Activations = [[u8; 4]; BLOCKS];

/// Instructions that multiply bytes.
pub(super) trait Bytes {
    /// Sums of four blocks.
    type Sum: Copy;

    /// Rows of activations of a tile: with more, its sums would not fit into the registers.
    const TOGETHER: usize;

    /// Quads that are added at a time. `small`: weights have six bits.
    fn step(small: bool) -> usize;

    /// # Safety
    /// The machine has the instructions.
    unsafe fn zero() -> Self::Sum;

    /// Adds the products of quads of four blocks: those at `4 * at` of `x`.
    ///
    /// # Safety
    /// As above.
    unsafe fn add(sum: Self::Sum, w: &[Quad], x: &[Activations], at: usize) -> Self::Sum;

    /// The sum of each block.
    ///
    /// # Safety
    /// As above.
    unsafe fn total(sum: Self::Sum) -> int32x4_t;

    /// [`super::tile`].
    ///
    /// # Safety
    /// As above.
    unsafe fn tile<F: Format<N>, const N: usize, const T: usize>(
        w: &[Repacked; PAIR],
        x: [&Digits; T],
        lanes: &mut [Lanes],
        stride: usize,
    );
}

#[inline]
#[target_feature(enable = "neon")]
fn weights(quad: &Quad) -> int8x16_t {
    // SAFETY: 16 bytes are read from 16.
    unsafe { vreinterpretq_s8_u8(vld1q_u8(quad.as_ptr())) }
}

#[inline]
#[target_feature(enable = "neon")]
fn activations(all: &Activations, at: usize) -> int8x16_t {
    // SAFETY: 16 bytes are read from half of 32.
    unsafe { vreinterpretq_s8_u8(vld1q_u8(all.as_flattened().as_chunks::<16>().0[at].as_ptr())) }
}

/// Four products at a time. `vdotq_s32` is not stable.
pub(super) struct Dot;

impl Bytes for Dot {
    type Sum = int32x4_t;
    const TOGETHER: usize = 4;

    #[inline(always)]
    fn step(_small: bool) -> usize {
        1
    }

    #[inline]
    #[target_feature(enable = "neon,dotprod")]
    unsafe fn zero() -> int32x4_t {
        vdupq_n_s32(0)
    }

    #[inline]
    #[target_feature(enable = "neon,dotprod")]
    unsafe fn add(mut sum: int32x4_t, w: &[Quad], x: &[Activations], at: usize) -> int32x4_t {
        for (w, x) in w.iter().zip(x) {
            // SAFETY: the instruction only changes its register, and this function has it.
            unsafe {
                asm!(
                    "sdot {sum:v}.4s, {w:v}.16b, {x:v}.16b",
                    sum = inout(vreg) sum,
                    w = in(vreg) weights(w),
                    x = in(vreg) activations(x, at),
                    options(pure, nomem, nostack, preserves_flags)
                );
            }
        }
        sum
    }

    #[inline]
    #[target_feature(enable = "neon,dotprod")]
    unsafe fn total(sum: int32x4_t) -> int32x4_t {
        sum
    }

    #[inline(never)]
    #[target_feature(enable = "neon,dotprod")]
    unsafe fn tile<F: Format<N>, const N: usize, const T: usize>(
        w: &[Repacked; PAIR],
        x: [&Digits; T],
        lanes: &mut [Lanes],
        stride: usize,
    ) {
        // SAFETY: this function has the instructions.
        unsafe { tile::<Self, F, N, T>(w, x, lanes, stride) }
    }
}

/// Products of 16 bits, added in pairs. Four of them are first added in 16 bits, if weights have six bits: at most
/// 4 · 32 · 128.
pub(super) struct Widening;

impl Bytes for Widening {
    /// Two of each of the blocks 0 and 1, and of 2 and 3.
    type Sum = [int32x4_t; 2];
    const TOGETHER: usize = 2;

    #[inline(always)]
    fn step(small: bool) -> usize {
        if small { 4 } else { 1 }
    }

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn zero() -> Self::Sum {
        [vdupq_n_s32(0); 2]
    }

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn add(sum: Self::Sum, w: &[Quad], x: &[Activations], at: usize) -> Self::Sum {
        let (a, b) = (weights(&w[0]), activations(&x[0], at));
        let mut low = vmull_s8(vget_low_s8(a), vget_low_s8(b));
        let mut high = vmull_high_s8(a, b);
        for (w, x) in w.iter().zip(x).skip(1) {
            let (a, b) = (weights(w), activations(x, at));
            low = vmlal_s8(low, vget_low_s8(a), vget_low_s8(b));
            high = vmlal_high_s8(high, a, b);
        }
        [vpadalq_s16(sum[0], low), vpadalq_s16(sum[1], high)]
    }

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn total([first, second]: Self::Sum) -> int32x4_t {
        vpaddq_s32(first, second)
    }

    #[inline(never)]
    #[target_feature(enable = "neon")]
    unsafe fn tile<F: Format<N>, const N: usize, const T: usize>(
        w: &[Repacked; PAIR],
        x: [&Digits; T],
        lanes: &mut [Lanes],
        stride: usize,
    ) {
        // SAFETY: this function has the instructions.
        unsafe { tile::<Self, F, N, T>(w, x, lanes, stride) }
    }
}
