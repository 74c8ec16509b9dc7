//! What a model is, as data: the axes in which families of models differ, and the readers that fill them in.
//!
//! A new family is a reader next to `mixtral.rs`, named in `config.rs`. Where it differs from the others in a way that no
//! axis has yet, `axes.rs` gets one, and the pass reads it. Nothing else knows a family's name.

mod axes;
mod config;
mod gguf;
mod keys;
mod mixtral;

pub use axes::{Arch, Dispatch, Moe, Rope};
pub use config::Config;
pub(super) use gguf::{config as gguf_config, file_type};
pub(super) use keys::token_ids;
