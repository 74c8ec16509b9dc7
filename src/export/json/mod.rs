//! `run.json`, `lab.json`, `effect.json` and `sweep.json`.

mod effect;
mod lab;
mod run;
mod sweep;

pub use effect::{EffectInfo, effect_json};
pub use lab::{LabInfo, lab_json};
pub use run::{RunInfo, run_json};
pub use sweep::sweep_json;
