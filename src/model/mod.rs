//! The hooked model: weights used in place, one readable forward pass, every value of it visible and editable.
//!
//! Activations are f32 whose values are rounded where the active precision policy says; matrix products read the weights
//! from where they are stored. Knows no screen and no thread of its own.

mod activations;
mod arch;
mod derive;
#[cfg(debug_assertions)]
mod drill;
mod edits;
#[doc(hidden)]
pub mod kernels;
mod memory;
mod next;
mod opening;
mod pass;
mod precision;
mod products;
mod run;
mod stand_in;
mod tokenizer;
mod validate;
#[doc(hidden)]
pub mod weights;

pub use activations::{Activation, Activations};
pub use arch::{Arch, Attn, Config, Dispatch, Glu, Moe, Multipliers, QkNorm, Rope, Yarn, families};
pub use derive::{Direction, HeadReader, StreamShares, derive_pattern, derive_z};
#[cfg(debug_assertions)]
pub use drill::FAULTS;
pub use edits::{Added, Cuts, EditHooks, Edits, PromptEdits, Rows, Streamed};
pub use memory::available_memory;
pub use next::{Distribution, sampling};
pub use opening::{Described, Loaded, Location, check_gguf_header, demo, describe_gguf, open};
pub use pass::{
    At, AtIds, Hooks, KvCache, Model, NoHooks, Outputs, Paging, Pass, SoftmaxNorm, Tally, Variation, at, at_ids, router,
};
pub use precision::{Gate, GateBlock, Mixture, NormRounding, Precision, Rounding};
pub use tokenizer::{ChatTemplate, LocalTime, SpecialTokens, Tokenizer, bare_piece};
pub use validate::{FINITE, scan, scanned_on_opening};
