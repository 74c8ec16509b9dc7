//! A decoded piece of weights, and what adds its products up.

use super::{BLOCK, BLOCKS, Parts};

/// A piece of a row of weights.
pub(super) struct Piece {
    pub weights: [[i16; BLOCK]; BLOCKS],
    /// `[half][block]`; if both halves share a scale, it is the first.
    pub scales: [[f32; BLOCKS]; 2],
    pub minima: [f32; BLOCKS],
}

/// Adds the products of a piece to the lanes of a row of activations.
pub(super) trait Add {
    /// `HALVES`: whether halves of blocks have scales of their own. `MINIMA`: whether blocks have a minimum.
    ///
    /// # Safety
    /// The machine has the instructions.
    unsafe fn add<const HALVES: bool, const MINIMA: bool>(piece: &Piece, x: &Parts, lanes: &mut [f32; BLOCKS]);
}
