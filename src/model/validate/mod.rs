//! Files against each other: config, weights, tokenizer.

mod contract;
mod scan;
mod tensors;

pub(super) use contract::special_tokens;
pub use scan::{FINITE, scan, scanned_on_opening};
pub(super) use tensors::check;
