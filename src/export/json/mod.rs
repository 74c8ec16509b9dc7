//! `run.json` and `lab.json`.

mod lab;
mod run;

pub use lab::{LabInfo, lab_json};
pub use run::{RunInfo, run_json};
