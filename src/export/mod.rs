//! Files from a trace: the same trace always gives the same bytes.

pub mod csv;
mod json;

pub use json::{RunInfo, run_json};
