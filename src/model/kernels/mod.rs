//! Matrix products over weights that stay where they are, in an order of additions that is the same everywhere.
//!
//! Products of bf16 weights add up as `pairs` says, those of Q8_0, Q4_K and Q6_K as `fixed` says. Every other dot product
//! adds up in lanes and then folds the lanes in halves: element `i` in lane `i % 32` (of short vectors, as a head's,
//! `i % 8`), products rounded before they are added. Neither the number of rows, threads or chunks nor the instruction
//! set changes that order, so a value is bit for bit the same in prefill, step by step, and on every machine; only of
//! bf16 numbers below 2⁻¹²⁶ does it depend on the instruction whether they count.

mod blocks;
mod dot;
#[cfg(target_arch = "x86_64")]
mod dpbf16;
#[allow(clippy::needless_range_loop, reason = "of iterators over registers the compiler makes memory")]
mod fixed;
mod k_blocks;
mod linear;
mod pairs;
mod stream;
mod turn;

pub use blocks::Block;
pub use dot::{add_scaled_x4, dot_small, dot_small_x4, widen_bf16};
pub use linear::{linear, linears};
pub use stream::stream;
