//! Commands that edit the pass and measure what that does: effect, ablate, patch; and what they share with the lab.

mod ablate;
mod effect;
mod patch;
pub mod setup;

pub use ablate::Ablate;
pub use effect::Effect;
pub use patch::Patch;
