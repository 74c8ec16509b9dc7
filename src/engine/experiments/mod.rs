//! Experiments: runs under edits, compared with the run without them.

mod ablate;
mod effect;
mod measure;
mod null;
mod patch;

pub use crate::analysis::{How, PatchOver};
pub use ablate::{Ablation, Over, ablate};
pub(super) use ablate::{ablated, cells};
pub use effect::{EffectPlan, effect};
pub(super) use measure::compare;
pub use measure::{Baseline, Target, measure};
pub use null::NoCounterpart;
pub use patch::{PatchPlan, Patches, Patching, patch};
