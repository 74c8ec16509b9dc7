//! Rows of the tables that are written to files and copied.

mod two_runs;

pub use two_runs::{FlipRow, LossRow};
