//! Experiments: runs under edits, compared with the run without them.

mod ablate;
mod effect;
mod measure;
mod null;
mod patch;

pub use ablate::{Ablation, How, Over, ablate};
pub use effect::{EffectPlan, effect};
pub(super) use measure::compare;
pub use measure::{Baseline, Target, measure};
pub use null::NoCounterpart;
pub use patch::{PatchOver, PatchPlan, Patching, patch};
