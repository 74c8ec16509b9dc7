//! What a model is, as data: the axes in which families of models differ, and the readers that fill them in.
//!
//! A new family is a reader next to `mixtral.rs`, named in `config.rs`. Where it differs from the others in a way that no
//! axis has yet, `axes.rs` gets one, and the pass reads it. Nothing else knows a family's name.

mod axes;
mod common;
mod config;
mod gguf;
mod gpt_oss;
mod granite;
mod keys;
mod mixtral;
mod names;
mod olmoe;
mod qwen;

pub use axes::{Arch, Attn, Dispatch, Glu, Moe, Multipliers, QkNorm, Rope, Yarn};
pub use config::{Config, families};
pub(super) use gguf::{config as gguf_config, file_type};
pub(super) use keys::token_ids;
pub(super) use names::{GateUp, Names};
