//! Matrix products over weights that stay where they are, in an order of additions that is the same everywhere.
//!
//! `pairs` describes the order for products of bf16 weights, `fixed` that for Q8_0, Q4_K and Q6_K, `ggml` the products
//! of llama.cpp. Every other dot product is added in lanes: element `i` in lane `i % 32`, or `i % 8` of short vectors
//! such as a head's, each product rounded before it is added. Then the lanes are folded in halves. Neither the number of
//! rows, threads or chunks nor the instruction set changes that order. So a value is bit for bit the same in prefill, step
//! by step, and on every machine. There is one exception: some instructions treat bf16 numbers below 2⁻¹²⁶ as zero.
//!
//! Loops of kernels have plain indices: with iterators the compiler moves registers to memory.

mod blocks;
mod dot;
#[cfg(target_arch = "x86_64")]
mod dpbf16;
#[allow(clippy::needless_range_loop, reason = "see the head of this file")]
mod exp;
#[allow(clippy::needless_range_loop, reason = "see the head of this file")]
mod fixed;
#[cfg(target_arch = "x86_64")]
mod fma_avx2;
#[cfg(target_arch = "x86_64")]
mod fma_avx512;
#[cfg(target_arch = "aarch64")]
#[allow(clippy::needless_range_loop, reason = "see the head of this file")]
mod fma_neon;
mod format;
#[allow(clippy::needless_range_loop, reason = "see the head of this file")]
mod ggml;
mod interleave;
mod isa;
mod k_blocks;
mod linear;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod lines;
#[allow(clippy::needless_range_loop, reason = "see the head of this file")]
mod pairs;
mod plain_blocks;
#[cfg(target_arch = "x86_64")]
mod quads;
mod stream;
mod table_blocks;
#[allow(clippy::needless_range_loop, reason = "see the head of this file")]
mod tiles;

pub use blocks::Block;
pub use dot::{add_scaled_x4, dot_small, dot_small_x4, widen_bf16};
pub use exp::{exp, exp_below, kl_divergence, silu, softmax_sums};
pub use isa::{FORCED, Isa};
pub use linear::{linear, linears};
pub use stream::stream;
