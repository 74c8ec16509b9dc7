//! `run.json`, `lab.json` and `effect.json`.

mod effect;
mod lab;
mod run;

pub use effect::{EffectInfo, effect_json};
pub use lab::{LabInfo, lab_json};
pub use run::{RunInfo, run_json};
