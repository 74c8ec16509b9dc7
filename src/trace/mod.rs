//! A run as data: sizes, dtypes, policies, hooks, one record per token, and the file that keeps them.
//!
//! Plain numbers and text only. Per-token records are shared behind [`std::sync::Arc`], so keeping a branch or a
//! snapshot costs one pointer per token.

mod device;
mod dims;
mod direction;
mod dtype;
mod edit;
mod file;
mod hooks;
mod json;
mod layer_set;
mod lens;
mod meta;
mod nearest;
mod piece;
mod policy;
mod prompt;
mod record;
mod records;
mod report;
mod sampling;
mod text;
mod variant;

pub use device::Device;
pub use dims::Dims;
pub use direction::Direction;
pub use dtype::Dtype;
pub use edit::{Change, Edit, EditNote, Part, Patched, Picks, Scope, Site, Source as EditSource, Span, parse_edits};
pub use file::{
    Access, ExtraTables, FORMAT, LARGEST_HEADER, LensTable, Spelling, TempFile, TempFolder, TraceFile, TracePlan,
    TraceReader, TraceTensor, Values, hook_values, remove_temporaries, replace_file, token_ids, write_new_file,
};
pub use hooks::{Hook, HookKind, NO_EXPERT};
pub use json::{harmless_json, json_text};
pub use layer_set::LayerSet;
pub use lens::{LensCell, LensKey, LensSite};
pub use meta::{Meta, Recording, Scores};
pub use nearest::nearest;
pub use piece::{Piece, byte_name};
pub use policy::Policy;
pub use prompt::Prompt;
pub use record::{Candidate, HookValues, Prediction, Row, Score, Source, TokenRecord};
pub use records::Records;
pub use report::{Finding, Level, Report};
pub use sampling::Sampling;
pub use text::{duration, is_obeyed, size};
pub use variant::Variant;
