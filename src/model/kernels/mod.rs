//! Matrix products over weights that stay where they are, in the order of additions that is the same everywhere.
//!
//! Every dot product adds element `i` into lane `i % LANES` and then folds the lanes in halves. Neither the number
//! of rows, threads or chunks nor the instruction set changes that order, and products are never fused into the
//! additions, so a value is bit for bit the same in prefill, step by step, and on every machine.

mod blocks;
mod dot;
mod k_blocks;
mod linear;

pub use blocks::Block;
pub use dot::{dot_small, widen_bf16};
pub use linear::linear;
