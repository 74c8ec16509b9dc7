//! A decoded piece of a row of weights.

use super::{BLOCK, BLOCKS};

/// Pairs of a block of weights or activations.
pub(super) const PAIRS: usize = BLOCK / 2;

/// A pair of each block: of four numbers in a row, first those with even places, then the others, so that SIMD code can
/// unpack them from bytes by shifting.
pub(super) type Pairs = [[[i16; 2]; BLOCKS]; PAIRS];

/// The pair, and its half, in which number `i` of a block is.
#[inline(always)]
pub(super) fn place(i: usize) -> (usize, usize) {
    (i / 4 * 2 + i % 2, i % 4 / 2)
}

/// A piece of a row of weights.
pub(super) struct Piece {
    pub weights: Pairs,
    /// `[half][block]`; if both halves share a scale, it is the first.
    pub scales: [[f32; BLOCKS]; 2],
    pub minima: [f32; BLOCKS],
}

impl Piece {
    pub const ZERO: Self =
        Self { weights: [[[0; 2]; BLOCKS]; PAIRS], scales: [[0.0; BLOCKS]; 2], minima: [0.0; BLOCKS] };

    /// Puts weight `i` of block `b` in its place.
    #[inline(always)]
    pub fn put(&mut self, b: usize, i: usize, weight: i16) {
        let (pair, half) = place(i);
        self.weights[pair][b][half] = weight;
    }
}

/// Piece number `piece` of a row, of which blocks are missing: they are zero.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub(super) fn last<const N: usize>(row: &[u8], piece: usize) -> [u8; N] {
    let mut filled = [0; N];
    let rest = row.get(piece * N..).unwrap_or_default();
    filled[..rest.len()].copy_from_slice(rest);
    filled
}
