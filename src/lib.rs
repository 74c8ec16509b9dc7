//! mixscope: an explorer for the inside of Mixtral-family mixture-of-experts models, in the terminal.
//!
//! The rooms and their arrows, guarded by `tests/rooms/`:
//!
//! ```text
//! main ── cli ──┬──────────────────────────► export ──────┐
//!               └─► app ─┬─► ui ─────► state ─────────────┼─► analysis ─► trace
//!                        └─► engine ─┬─► model ───────────┘       protocol ─► trace
//!                                    └─► hub
//! ```
//!
//! As a library: [`open`] a model, run a prompt, and read or edit every value of the pass by the name of its hook.
//!
//! ```
//! use mixscope::model::at;
//! use mixscope::trace::HookKind;
//!
//! # fn main() -> anyhow::Result<()> {
//! let model = mixscope::open("demo")?;
//! let (logits, cache) = model.run_with_cache("Once upon a time")?;
//! let pattern = cache.get("blocks.0.attn.hook_pattern")?;
//! assert_eq!(pattern.shape, [8, logits.shape[0], logits.shape[0]]);
//!
//! // Head 4 of layer 5 is silenced.
//! let width = model.dims().heads * model.dims().d_head;
//! let mut silence = at(HookKind::Z.at(5), |z, _| {
//!     z.chunks_exact_mut(width).for_each(|row| row[4 * width / 8..5 * width / 8].fill(0.0));
//! });
//! let edited = model.run_with_hooks("Once upon a time", &mut silence)?;
//! assert_ne!(edited, logits);
//! # Ok(())
//! # }
//! ```
//!
//! For hooks other than closures, see [`model::Hooks`]. To read a prompt in parts, use [`model::Model::forward`] with a
//! [`model::KvCache`]. The examples `capture`, `lens`, `edit` and `compare` are programs of some twenty lines.

// Named so that they are linked: candle only declares their functions.
#[cfg(feature = "accelerate")]
extern crate accelerate_src as _;
#[cfg(feature = "mkl")]
extern crate intel_mkl_src as _;

#[doc(hidden)]
pub mod analysis;
#[cfg(feature = "tui")]
#[doc(hidden)]
pub mod app;
#[cfg(feature = "tui")]
#[doc(hidden)]
pub mod cli;
pub mod control;
#[doc(hidden)]
pub mod engine;
#[doc(hidden)]
pub mod export;
#[doc(hidden)]
pub mod hub;
pub mod model;
#[doc(hidden)]
pub mod protocol;
#[cfg(feature = "tui")]
#[doc(hidden)]
pub mod state;
pub mod trace;
#[cfg(feature = "tui")]
#[doc(hidden)]
pub mod ui;

pub use engine::OpenOptions;

/// Opens the model that `name` names: `demo`, a directory with config.json and safetensors files, a .gguf file, or a
/// name on the Hugging Face Hub, from which missing files are downloaded.
///
/// # Errors
/// If a file is missing, can't be read or contradicts another, or the download fails.
pub fn open(name: &str) -> anyhow::Result<model::Loaded> {
    open_with(name, OpenOptions::default())
}

/// [`open`] under another precision policy, dtype or device.
///
/// # Errors
/// As [`open`], or if the device can't be used.
pub fn open_with(name: &str, options: OpenOptions) -> anyhow::Result<model::Loaded> {
    engine::open_model(name, options, &control::Control::none(), &mut |_| {})
}
