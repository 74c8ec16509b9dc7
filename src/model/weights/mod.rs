//! Weights used where they are stored: a mapped file or the program itself.

mod columns;
mod e2m1;
mod folder;
pub mod gguf;
mod map;
mod matrix;
mod mxfp4;
mod names;
mod prefix;
mod safetensors;
mod safetensors_header;
mod store;
mod stored;
mod tally;

pub use folder::what_there_is;
pub use map::{Bytes, Residency};
pub use matrix::{Bias, Matrix, WeightsId};
pub use names::{Naming, Part, Place, Which};
pub(super) use names::{parts, place};
pub use safetensors::{names as names_in, parse_index};
pub use store::{Entry, Store};
pub use stored::Stored;
pub(super) use tally::{Tally, tally};
