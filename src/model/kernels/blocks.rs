//! The blocks of a GGUF file, decoded where they are stored.

use super::dot::{LANES, fold};
use super::format::{Format, Sink};
use super::isa::{Isa, isa, per_isa};
use super::k_blocks::{Q2K, Q3K, Q4K, Q5K, Q6K, Q8K};
use super::plain_blocks::{Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q8_1};
use super::table_blocks::{Iq4Nl, Iq4Xs, Mxfp4};
use std::sync::atomic::{Ordering, compiler_fence};

/// The formats of a GGUF file's blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Block {
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q8_1,
    Q2K,
    Q3K,
    Q4K,
    Q5K,
    Q6K,
    Q8K,
    Iq4Nl,
    Iq4Xs,
    Mxfp4,
}

impl Block {
    /// The format of a type id of ggml.
    pub fn from_ggml(id: u32) -> Option<Self> {
        Some(match id {
            2 => Self::Q4_0,
            3 => Self::Q4_1,
            6 => Self::Q5_0,
            7 => Self::Q5_1,
            8 => Self::Q8_0,
            9 => Self::Q8_1,
            10 => Self::Q2K,
            11 => Self::Q3K,
            12 => Self::Q4K,
            13 => Self::Q5K,
            14 => Self::Q6K,
            15 => Self::Q8K,
            20 => Self::Iq4Nl,
            23 => Self::Iq4Xs,
            39 => Self::Mxfp4,
            _ => return None,
        })
    }

    /// The formats that can be read, by name.
    pub const NAMES: &'static str = "F32, F16, BF16, Q4_0 to Q8_1, Q2_K to Q8_K, IQ4_NL, IQ4_XS and MXFP4";

    /// The name ggml gives it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Q4_0 => "Q4_0",
            Self::Q4_1 => "Q4_1",
            Self::Q5_0 => "Q5_0",
            Self::Q5_1 => "Q5_1",
            Self::Q8_0 => "Q8_0",
            Self::Q8_1 => "Q8_1",
            Self::Q2K => "Q2_K",
            Self::Q3K => "Q3_K",
            Self::Q4K => "Q4_K",
            Self::Q5K => "Q5_K",
            Self::Q6K => "Q6_K",
            Self::Q8K => "Q8_K",
            Self::Iq4Nl => "IQ4_NL",
            Self::Iq4Xs => "IQ4_XS",
            Self::Mxfp4 => "MXFP4",
        }
    }

    /// Values in a block.
    pub fn width(self) -> usize {
        match self {
            Self::Q4_0 | Self::Q4_1 | Self::Q5_0 | Self::Q5_1 | Self::Q8_0 | Self::Q8_1 | Self::Iq4Nl | Self::Mxfp4 => {
                32
            }
            Self::Q2K | Self::Q3K | Self::Q4K | Self::Q5K | Self::Q6K | Self::Q8K | Self::Iq4Xs => 256,
        }
    }

    /// Bytes of a block.
    pub fn bytes(self) -> usize {
        match self {
            Self::Q4_0 => 18,
            Self::Q4_1 => 20,
            Self::Q5_0 => 22,
            Self::Q5_1 => 24,
            Self::Q8_0 => 34,
            Self::Q8_1 => 36,
            Self::Q2K => 84,
            Self::Q3K => 110,
            Self::Q4K => 144,
            Self::Q5K => 176,
            Self::Q6K => 210,
            Self::Q8K => 292,
            Self::Iq4Nl => 18,
            Self::Iq4Xs => 136,
            Self::Mxfp4 => 17,
        }
    }

    /// Replaces `out` with the values of the blocks in `bytes`, bit for bit those of ggml's `dequantize_row_*`.
    pub fn dequantize(self, bytes: &[u8], out: &mut [f32]) {
        debug_assert_eq!(bytes.len() / self.bytes() * self.width(), out.len());
        widen_blocks(isa(), self, bytes, out);
    }
}

struct Store<'a>(&'a mut [f32]);

impl Sink for Store<'_> {
    #[inline(always)]
    fn take<const K: usize, const L: usize>(&mut self, at: usize, stride: usize, values: impl Fn(usize) -> [f32; K]) {
        let out = &mut self.0[at..][..(K - 1) * stride + L];
        for i in 0..L {
            let values = values(i);
            for k in 0..K {
                out[k * stride + i] = values[k];
            }
        }
    }
}

struct Dot<'a> {
    /// By reference: as a value the compiler would carry 32 scalars from block to block, not vectors.
    lanes: &'a mut [f32; LANES],
    x: &'a [f32],
}

impl Sink for Dot<'_> {
    #[inline(always)]
    fn take<const K: usize, const L: usize>(&mut self, at: usize, stride: usize, values: impl Fn(usize) -> [f32; K]) {
        let x = &self.x[at..][..(K - 1) * stride + L];
        for i in 0..L {
            let values = values(i);
            for k in 0..K {
                self.lanes[(at + k * stride) % LANES + i] += values[k] * x[k * stride + i];
            }
        }
    }
}

#[inline(always)]
fn widen<F: Format<N, G>, const N: usize, const G: usize>(bytes: &[u8], out: &mut [f32]) {
    let groups = out.as_chunks_mut::<LANES>().0.as_chunks_mut::<G>().0;
    for (block, out) in bytes.as_chunks::<N>().0.iter().zip(groups) {
        // Emits nothing, but keeps the compiler from vectorising across blocks, with scattered stores.
        compiler_fence(Ordering::SeqCst);
        F::decode(block, &mut Store(out.as_flattened_mut()));
    }
}

#[inline(always)]
fn dot<F: Format<N, G>, const N: usize, const G: usize>(bytes: &[u8], x: &[f32]) -> f32 {
    let groups = x.as_chunks::<LANES>().0.as_chunks::<G>().0;
    let mut lanes = [0f32; LANES];
    for (block, x) in bytes.as_chunks::<N>().0.iter().zip(groups) {
        F::decode(block, &mut Dot { lanes: &mut lanes, x: x.as_flattened() });
    }
    fold(lanes)
}

macro_rules! each {
    ($block:expr, $apply:ident, $a:expr, $b:expr) => {
        match $block {
            Block::Q4_0 => $apply::<Q4_0, 18, 1>($a, $b),
            Block::Q4_1 => $apply::<Q4_1, 20, 1>($a, $b),
            Block::Q5_0 => $apply::<Q5_0, 22, 1>($a, $b),
            Block::Q5_1 => $apply::<Q5_1, 24, 1>($a, $b),
            Block::Q8_0 => $apply::<Q8_0, 34, 1>($a, $b),
            Block::Q8_1 => $apply::<Q8_1, 36, 1>($a, $b),
            Block::Q2K => $apply::<Q2K, 84, 8>($a, $b),
            Block::Q3K => $apply::<Q3K, 110, 8>($a, $b),
            Block::Q4K => $apply::<Q4K, 144, 8>($a, $b),
            Block::Q5K => $apply::<Q5K, 176, 8>($a, $b),
            Block::Q6K => $apply::<Q6K, 210, 8>($a, $b),
            Block::Q8K => $apply::<Q8K, 292, 8>($a, $b),
            Block::Iq4Nl => $apply::<Iq4Nl, 18, 1>($a, $b),
            Block::Iq4Xs => $apply::<Iq4Xs, 136, 8>($a, $b),
            Block::Mxfp4 => $apply::<Mxfp4, 17, 1>($a, $b),
        }
    };
}

per_isa!(widen_blocks / widen_blocks_avx2 / widen_blocks_avx512:
    (block: Block, bytes: &[u8], out: &mut [f32]) -> () = each!(block, widen, bytes, out));
per_isa!(dot_blocks / dot_blocks_avx2 / dot_blocks_avx512:
    (block: Block, bytes: &[u8], x: &[f32]) -> f32 = each!(block, dot, bytes, x));

#[cfg(test)]
mod tests;
