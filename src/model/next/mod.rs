//! The next token: its distribution, and sampling from it.

mod distribution;
pub mod sampling;

pub use distribution::Distribution;
