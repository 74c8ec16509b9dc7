//! Formats of blocks of 32 weights.

use super::super::blocks::Block;
use super::super::format::{part, widen_f16};
use super::super::isa::{Isa, per_isa};
use super::super::plain_blocks::{Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, fifth};
use super::super::table_blocks::{E2M1, Iq4Nl, Mxfp4, UNEVEN, half_of_e8m0};
use super::activations::{SMALL, Small};

/// Blocks of `N` bytes.
pub(super) trait Integers<const N: usize> {
    /// The weights as integers.
    fn integers(block: &[u8; N]) -> [i8; SMALL];

    /// What a block adds to a row's sum: `sum` is that of its integer products.
    fn term(block: &[u8; N], sum: i32, x: &Small) -> f32;
}

/// The integers of four bits, the low ones first.
#[inline(always)]
pub(super) fn nibbles(q: &[u8; SMALL / 2], of: impl Fn(u8) -> i8) -> [i8; SMALL] {
    let mut out = [0; SMALL];
    for i in 0..SMALL / 2 {
        out[i] = of(q[i] & 15);
        out[i + SMALL / 2] = of(q[i] >> 4);
    }
    out
}

/// The integers of five bits.
#[inline(always)]
fn fives(q: &[u8; SMALL / 2], high: u32, less: i32) -> [i8; SMALL] {
    let mut out = [0; SMALL];
    for i in 0..SMALL / 2 {
        let [a, b] = fifth(q[i], high, i);
        (out[i], out[i + SMALL / 2]) = ((a - less) as i8, (b - less) as i8);
    }
    out
}

/// `sum · (d · e)`.
#[inline(always)]
fn scaled(d: f32, sum: i32, x: &Small) -> f32 {
    sum as f32 * (d * x.scale)
}

/// `(d · e) · sum + m · t`.
#[inline(always)]
fn scaled_from(d: f32, m: f32, sum: i32, x: &Small) -> f32 {
    (d * x.scale) * sum as f32 + m * x.sum
}

impl Integers<34> for Q8_0 {
    #[inline(always)]
    fn integers(block: &[u8; 34]) -> [i8; SMALL] {
        let mut out = [0; SMALL];
        for (out, byte) in out.iter_mut().zip(part::<SMALL, _>(block, 2)) {
            *out = byte.cast_signed();
        }
        out
    }

    #[inline(always)]
    fn term(block: &[u8; 34], sum: i32, x: &Small) -> f32 {
        scaled(widen_f16(*part(block, 0)), sum, x)
    }
}

impl Integers<18> for Q4_0 {
    #[inline(always)]
    fn integers(block: &[u8; 18]) -> [i8; SMALL] {
        nibbles(part(block, 2), |q| q as i8 - 8)
    }

    #[inline(always)]
    fn term(block: &[u8; 18], sum: i32, x: &Small) -> f32 {
        sum as f32 * widen_f16(*part(block, 0)) * x.scale
    }
}

impl Integers<20> for Q4_1 {
    #[inline(always)]
    fn integers(block: &[u8; 20]) -> [i8; SMALL] {
        nibbles(part(block, 4), |q| q as i8)
    }

    #[inline(always)]
    fn term(block: &[u8; 20], sum: i32, x: &Small) -> f32 {
        scaled_from(widen_f16(*part(block, 0)), widen_f16(*part(block, 2)), sum, x)
    }
}

impl Integers<22> for Q5_0 {
    #[inline(always)]
    fn integers(block: &[u8; 22]) -> [i8; SMALL] {
        fives(part(block, 6), u32::from_le_bytes(*part(block, 2)), 16)
    }

    #[inline(always)]
    fn term(block: &[u8; 22], sum: i32, x: &Small) -> f32 {
        scaled(widen_f16(*part(block, 0)), sum, x)
    }
}

impl Integers<24> for Q5_1 {
    #[inline(always)]
    fn integers(block: &[u8; 24]) -> [i8; SMALL] {
        fives(part(block, 8), u32::from_le_bytes(*part(block, 4)), 0)
    }

    #[inline(always)]
    fn term(block: &[u8; 24], sum: i32, x: &Small) -> f32 {
        scaled_from(widen_f16(*part(block, 0)), widen_f16(*part(block, 2)), sum, x)
    }
}

impl Integers<18> for Iq4Nl {
    #[inline(always)]
    fn integers(block: &[u8; 18]) -> [i8; SMALL] {
        nibbles(part(block, 2), |q| UNEVEN[usize::from(q)] as i8)
    }

    #[inline(always)]
    fn term(block: &[u8; 18], sum: i32, x: &Small) -> f32 {
        scaled(widen_f16(*part(block, 0)), sum, x)
    }
}

impl Integers<17> for Mxfp4 {
    #[inline(always)]
    fn integers(block: &[u8; 17]) -> [i8; SMALL] {
        nibbles(part(block, 1), |q| E2M1[usize::from(q)] as i8)
    }

    #[inline(always)]
    fn term(block: &[u8; 17], sum: i32, x: &Small) -> f32 {
        scaled(half_of_e8m0(block[0]), sum, x)
    }
}

#[inline(always)]
fn row<F: Integers<N>, const N: usize>(w: &[u8], x: &[Small]) -> f32 {
    let mut sum = 0.0;
    for (block, x) in w.as_chunks::<N>().0.iter().zip(x) {
        let w = F::integers(block);
        let mut products = 0;
        for i in 0..SMALL {
            products += i32::from(w[i]) * i32::from(x.numbers[i]);
        }
        sum += F::term(block, products, x);
    }
    sum
}

#[inline(always)]
fn row_of(block: Block, w: &[u8], x: &[Small]) -> f32 {
    match block {
        Block::Q4_0 => row::<Q4_0, 18>(w, x),
        Block::Q4_1 => row::<Q4_1, 20>(w, x),
        Block::Q5_0 => row::<Q5_0, 22>(w, x),
        Block::Q5_1 => row::<Q5_1, 24>(w, x),
        Block::Iq4Nl => row::<Iq4Nl, 18>(w, x),
        Block::Mxfp4 => row::<Mxfp4, 17>(w, x),
        _ => row::<Q8_0, 34>(w, x),
    }
}

per_isa!(dot / dot_avx2 / dot_avx512: (block: Block, w: &[u8], x: &[Small]) -> f32 = row_of(block, w, x));
