//! The trace file: safetensors with `format = mixscope-trace` in its metadata.

mod by_position;
mod container;
mod extra;
mod foreign;
mod plan;
mod reader;
mod replace;
mod temporary;
mod tensor;

pub use by_position::{hook_values, token_ids};
pub use container::{FORMAT, LARGEST_HEADER};
pub use extra::{ExtraTables, LensTable, Spelling};
pub use plan::TracePlan;
pub use reader::TraceReader;
pub use replace::{replace_file, write_new_file};
pub use temporary::{Access, TempFile, TempFolder, remove_temporaries};
pub use tensor::{TraceFile, TraceTensor, Values};
