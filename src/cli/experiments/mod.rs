//! Commands that edit the pass and measure what that does: effect, ablate, patch.

mod ablate;
mod effect;
mod patch;
mod setup;

pub use ablate::Ablate;
pub use effect::Effect;
pub use patch::Patch;
pub(in crate::cli) use setup::target;
