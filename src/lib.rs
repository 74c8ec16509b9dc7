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
//! The hooked forward pass can be used on its own. Every value of the trace table can be observed, or replaced by
//! returning another tensor:
//!
//! ```
//! use candle_core::Tensor;
//! use mixscope::model::{Location, Precision, Taps, open};
//! use mixscope::trace::{Hook, HookKind, Policy};
//!
//! /// Silences head 4 of layer 5.
//! struct Silence;
//!
//! impl Taps for Silence {
//!     fn wants(&self, hook: Hook) -> bool {
//!         hook == HookKind::Z.at(5)
//!     }
//!     fn tap(&mut self, _: Hook, z: &Tensor) -> anyhow::Result<Option<Tensor>> {
//!         let (pos, _, d_head) = z.dims3()?;
//!         let nothing = Tensor::zeros((pos, 1, d_head), z.dtype(), z.device())?;
//!         Ok(Some(Tensor::cat(&[&z.narrow(1, 0, 4)?, &nothing, &z.narrow(1, 5, 3)?], 1)?))
//!     }
//! }
//!
//! # fn main() -> anyhow::Result<()> {
//! let loaded = open(&Location::Demo, Policy::Hf, None, false)?;
//! let precision = Precision::new(loaded.meta.policy, loaded.meta.compute_dtype);
//! let logits = loaded.model.forward(&[1, 357, 702], &mut loaded.model.new_cache(), precision, &mut Silence)?;
//! assert_eq!(logits.dims(), [3, loaded.meta.dims.vocab]);
//! # Ok(())
//! # }
//! ```

#![warn(missing_docs, clippy::missing_errors_doc, clippy::needless_pass_by_value, clippy::cloned_instead_of_copied)]

// Named so that they are linked: candle only declares what they hold.
#[cfg(feature = "accelerate")]
extern crate accelerate_src as _;
#[cfg(feature = "mkl")]
extern crate intel_mkl_src as _;

pub mod analysis;
pub mod app;
pub mod cli;
pub mod control;
pub mod engine;
pub mod export;
pub mod hub;
pub mod model;
pub mod protocol;
pub mod state;
pub mod trace;
pub mod ui;
