//! One row of activations times rows of weights, as when a token is generated. Each row of weights is read once, so that
//! its bytes are put next to those of other blocks in as few moves as possible, and not kept.

use super::super::dot::fold;
use super::super::isa::Isa;
use super::one_digits::{Digits, ROWS, place};
use super::{BLOCKS, Block, one_avx2, one_vnni};

/// Whether there are products for this instruction set and format. With AVX2, those of Q8_0 don't fit 16 bits.
pub(super) fn is_for(isa: Isa, block: Block) -> bool {
    match isa {
        Isa::Portable => false,
        Isa::Avx2 | Isa::Avx512 => block != Block::Q8_0,
        Isa::Avx512Vnni | Isa::Avx512Bf16 => true,
    }
}

/// Rows of weights times one row of activations. `w` gives the rows from 0 on, also some after the last of `n`; `put` gets the
/// number of a row and results from there on.
pub(super) fn multiply<'w>(
    isa: Isa,
    block: Block,
    (w, n): (&impl Fn(usize) -> &'w [u8], usize),
    x: &[Digits],
    mut put: impl FnMut(usize, &[f32]),
) {
    for at in (0..n).step_by(ROWS) {
        let (rows, after) = (std::array::from_fn(|i| w(at + i)), w(at + ROWS));
        // SAFETY: callers pass an `Isa` that `isa()` or `supported()` found on this machine.
        let lanes = unsafe {
            match isa {
                Isa::Avx512Vnni | Isa::Avx512Bf16 => one_vnni::multiply(block, &rows, after, x),
                _ => one_avx2::multiply(block, &rows, after, x),
            }
        };
        let mut sums = [0.0; ROWS];
        for (sum, lanes) in sums.iter_mut().zip(lanes) {
            *sum = folded(lanes);
        }
        put(at, &sums[..ROWS.min(n - at)]);
    }
}

/// The sum of lanes in [`Digits`]' order of blocks.
fn folded(lanes: [f32; BLOCKS]) -> f32 {
    let mut in_order = [0.0; BLOCKS];
    for block in 0..BLOCKS {
        in_order[block] = lanes[place(block)];
    }
    fold(in_order)
}
