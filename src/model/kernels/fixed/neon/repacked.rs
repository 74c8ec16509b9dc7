//! 256 weights of a row as signed bytes, repacked: a register holds a quad, four neighbouring weights, of four blocks.

use super::super::super::format::{part, widen_f16};
use super::super::super::k_blocks::packed_scales_and_minima;
use super::super::{BLOCK, BLOCKS};
use std::arch::aarch64::*;
use std::arch::asm;

/// Groups of four blocks of a piece.
pub(super) const FOURS: usize = BLOCKS / 4;

/// Four weights of each of four blocks.
pub(super) type Quad = [u8; 16];

/// A piece of a row.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Repacked {
    /// `[group of four blocks][quad]`.
    pub quads: [[Quad; BLOCK / 4]; FOURS],
    /// `[half][block]`; if both halves share a scale, it is the first.
    pub scales: [[f32; BLOCKS]; 2],
    pub minima: [f32; BLOCKS],
}

impl Repacked {
    pub const ZERO: Self =
        Self { quads: [[[0; 16]; BLOCK / 4]; FOURS], scales: [[0.0; BLOCKS]; 2], minima: [0.0; BLOCKS] };

    /// Interleaves the same half of four blocks.
    #[inline]
    #[target_feature(enable = "neon")]
    fn put(&mut self, group: usize, half: usize, blocks: [uint8x16_t; 4]) {
        let [a, b, c, d] = blocks.map(|block| vreinterpretq_u32_u8(block));
        let out: &mut [Quad; 4] = &mut self.quads[group].as_chunks_mut().0[half];
        // SAFETY: 64 bytes are written to four quads.
        unsafe { vst4q_u32(out.as_mut_ptr().cast(), uint32x4x4_t(a, b, c, d)) }
    }
}

/// A format that stores 256 weights in `N` bytes.
pub(super) trait Format<const N: usize> {
    /// Whether each half of a block (16 weights) has its own scale.
    const HALVES: bool = false;
    /// Whether blocks have a minimum.
    const MINIMA: bool = false;
    /// Whether weights have six bits at most.
    const SMALL: bool = true;

    /// Repacks a piece.
    ///
    /// # Safety
    /// The machine has NEON.
    unsafe fn repack(piece: &[u8; N], out: &mut Repacked);
}

pub(super) struct Q8_0;
pub(super) struct Q4K;
pub(super) struct Q6K;

#[inline]
#[target_feature(enable = "neon")]
fn load<const N: usize>(piece: &[u8; N], at: usize) -> uint8x16_t {
    // SAFETY: 16 bytes are read from 16, at any alignment.
    unsafe { vld1q_u8(part::<16, _>(piece, at).as_ptr()) }
}

#[inline]
#[target_feature(enable = "neon")]
fn and(bytes: uint8x16_t, bits: u8) -> uint8x16_t {
    vandq_u8(bytes, vdupq_n_u8(bits))
}

/// Writes numbers of blocks 0 to 3 and 4 to 7.
#[inline]
#[target_feature(enable = "neon")]
fn store(out: &mut [f32; BLOCKS], numbers: [float32x4_t; FOURS]) {
    for (out, numbers) in out.as_chunks_mut::<4>().0.iter_mut().zip(numbers) {
        // SAFETY: 16 bytes are written to 4 numbers.
        unsafe { vst1q_f32(out.as_mut_ptr(), numbers) }
    }
}

/// Four f16 as f32. The intrinsic is not stable.
#[inline]
#[target_feature(enable = "neon")]
fn widen(four: uint16x4_t) -> float32x4_t {
    let wide;
    // SAFETY: the instruction only writes its register, and every aarch64 has it.
    unsafe {
        asm!(
            "fcvtl {wide:v}.4s, {four:v}.4h",
            wide = out(vreg) wide,
            four = in(vreg) four,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    wide
}

/// A block's own scale times eight integers.
#[inline]
#[target_feature(enable = "neon")]
fn times(own: f32, eight: int16x8_t) -> [float32x4_t; FOURS] {
    let (low, high) = (vmovl_s16(vget_low_s16(eight)), vmovl_high_s16(eight));
    [vmulq_n_f32(vcvtq_f32_s32(low), own), vmulq_n_f32(vcvtq_f32_s32(high), own)]
}

impl Format<272> for Q8_0 {
    const SMALL: bool = false;

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn repack(piece: &[u8; 272], out: &mut Repacked) {
        let d = |block: usize| u64::from(u16::from_le_bytes(*part(piece, 34 * block)));
        let four = |at: usize| widen(vcreate_u16(d(at) | d(at + 1) << 16 | d(at + 2) << 32 | d(at + 3) << 48));
        store(&mut out.scales[0], [four(0), four(4)]);
        for group in 0..FOURS {
            for half in 0..2 {
                let at = |block: usize| load(piece, 34 * (4 * group + block) + 2 + 16 * half);
                out.put(group, half, [at(0), at(1), at(2), at(3)]);
            }
        }
    }
}

impl Format<144> for Q4K {
    const MINIMA: bool = true;

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn repack(piece: &[u8; 144], out: &mut Repacked) {
        let (scales, minima) = packed_scales_and_minima(part(piece, 4));
        let wide = |own: f32, eight: u64| times(own, vreinterpretq_s16_u16(vmovl_u8(vcreate_u8(eight))));
        store(&mut out.scales[0], wide(widen_f16(*part(piece, 0)), scales));
        store(&mut out.minima, wide(widen_f16(*part(piece, 2)), minima));
        for group in 0..FOURS {
            for half in 0..2 {
                // Blocks 2p and 2p + 1 are the low and high bits of the same bytes.
                let packed = |p: usize| load(piece, 16 + 32 * (2 * group + p) + 16 * half);
                let (first, second) = (packed(0), packed(1));
                let high = |bytes: uint8x16_t| vshrq_n_u8::<4>(bytes);
                out.put(group, half, [and(first, 15), high(first), and(second, 15), high(second)]);
            }
        }
    }
}

impl Format<210> for Q6K {
    const HALVES: bool = true;

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn repack(piece: &[u8; 210], out: &mut Repacked) {
        let d = widen_f16(*part(piece, 208));
        let scales = vreinterpretq_s16_u8(load(piece, 192));
        store(&mut out.scales[0], times(d, vshrq_n_s16::<8>(vshlq_n_s16::<8>(scales))));
        store(&mut out.scales[1], times(d, vshrq_n_s16::<8>(scales)));
        for group in 0..FOURS {
            for half in 0..2 {
                let (low, next) = (load(piece, 64 * group + 16 * half), load(piece, 64 * group + 32 + 16 * half));
                let high = load(piece, 128 + 32 * group + 16 * half);
                let join = |four: uint8x16_t, two: uint8x16_t| vsubq_u8(vorrq_u8(four, and(two, 0x30)), vdupq_n_u8(32));
                let blocks = [
                    join(and(low, 15), vshlq_n_u8::<4>(high)),
                    join(and(next, 15), vshlq_n_u8::<2>(high)),
                    join(vshrq_n_u8::<4>(low), high),
                    join(vshrq_n_u8::<4>(next), vshrq_n_u8::<2>(high)),
                ];
                out.put(group, half, blocks);
            }
        }
    }
}
