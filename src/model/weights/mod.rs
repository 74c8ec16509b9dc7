//! Weights used where they are stored: a mapped file or the program itself.

pub mod gguf;
mod map;
mod matrix;
mod names;
mod safetensors;
mod safetensors_header;
mod store;
mod stored;
mod tally;

pub use map::{Bytes, Residency};
pub use matrix::{Matrix, WeightsId};
pub use names::{Naming, Part, Place, Which};
pub(super) use names::{parts, place};
pub use safetensors::parse_index;
pub use store::{Entry, Store};
pub use stored::Stored;
pub(super) use tally::{Tally, tally};
