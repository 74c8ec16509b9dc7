//! Products as llama.cpp's code for CPUs computes them, with activations in 8 bits.
//!
//! Activations: a block has one scale. Weights in blocks of 32 meet blocks of 32 activations (ggml's Q8_0 and Q8_1):
//! with `a` the largest absolute value, each is multiplied by `127 / a` and rounded to the nearest integer, ties to even,
//! as ggml does on x86 (its reference multiplies by `1 / (a / 127)` and rounds ties away from zero). The scale is
//! `a / 127`, rounded to f16. For Q4_1 and Q5_1 the sum of the integers times `a / 127` is rounded to f16 too. Weights in
//! blocks of 256 meet blocks of 256 (Q8_K): with `m` the first value of the largest size, each is multiplied by
//! `-127 / m` and rounded likewise; the scale is the inverse of `-127 / m` in f32. A block with an infinity or a NaN has a
//! scale of NaN.
//!
//! Products: integers are multiplied and added exactly. What follows is in f32 as ggml's scalar code is written, each
//! product and each sum rounded, block after block; `d` is the weights' scale, `e` that of the activations, `s` an
//! integer sum:
//!
//! | weights | a block adds |
//! |---|---|
//! | Q8_0, Q5_0, IQ4_NL, MXFP4 | `s · (d · e)` |
//! | Q4_0 | `(s · d) · e` |
//! | Q4_1, Q5_1 | `(d · e) · s + m · t`, `t` the f16 sum of the activations |
//! | Q2_K | `(e · d) · s − (e · dmin) · s'`, both sums over the whole block with the small scales and minima |
//! | IQ4_XS | for each 32 in turn `((d · e) · small scale) · s` |
//! | Q3_K, Q4_K, Q5_K, Q6_K | to each of eight sums `(d · e) · s`, over the values whose place is that one modulo 8, with the small scales; Q4_K and Q5_K subtract `(dmin · e) · s'` from a ninth sum |
//!
//! At the end of a row the eight sums are added to the ninth in their order. ggml's code for one instruction set adds in
//! other orders, so that its rows differ by rounding in f32, which is far less than that to 8 bits.
//!
//! `small` and `large` are the definition. `tile` computes the same bits for several rows at once, on x86-64 with AVX2 or
//! AVX-512: a piece of 256 weights of each row is decoded into a panel, four bytes of each row side by side, and
//! multiplied by every row of activations. A single row of activations is multiplied by blocks of Q4_K and Q6_K as they
//! are stored (`one`), because nothing would share the panel.

mod activations;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod fill;
#[cfg(target_arch = "x86_64")]
mod fill_large;
#[cfg(target_arch = "x86_64")]
mod lanes;
mod large;
#[cfg(target_arch = "x86_64")]
mod one;
#[cfg(target_arch = "x86_64")]
mod panel;
mod small;
#[cfg(target_arch = "x86_64")]
mod tile;
#[cfg(target_arch = "x86_64")]
mod vnni;

use super::blocks::Block;
use super::isa::Isa;

pub(super) use activations::Operands;
#[cfg(target_arch = "x86_64")]
pub(super) use tile::{Scratch, multiply};

/// How activations meet weights of a format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meets {
    /// In blocks of 32.
    Small,
    /// In blocks of 256.
    Large,
}

/// How activations meet weights of this format; `None` for those that llama.cpp doesn't multiply by.
pub(super) fn meets(block: Block) -> Option<Meets> {
    Some(match block {
        Block::Q8_1 | Block::Q8K => return None,
        Block::Q4_0 | Block::Q4_1 | Block::Q5_0 | Block::Q5_1 | Block::Q8_0 | Block::Iq4Nl | Block::Mxfp4 => {
            Meets::Small
        }
        Block::Q2K | Block::Q3K | Block::Q4K | Block::Q5K | Block::Q6K | Block::Iq4Xs => Meets::Large,
    })
}

/// A row of weights times row `row` of activations.
pub(super) fn dot(isa: Isa, block: Block, w: &[u8], x: &Operands, row: usize) -> f32 {
    match meets(block) {
        Some(Meets::Small) => small::dot(isa, block, w, x.small(row)),
        _ => large::dot(isa, block, w, x.large(row)),
    }
}

#[cfg(test)]
mod tests;
