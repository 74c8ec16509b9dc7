//! Values computed again from what a run keeps, bit for bit those of the pass.

mod attribution;
mod heads;

pub use attribution::{Direction, StreamShares};
pub use heads::{HeadReader, derive_pattern, derive_z};
