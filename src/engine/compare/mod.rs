//! A model compared with a recording, and with itself under other precision policies.

mod against;
mod edited;
mod lab;
mod operations;
mod values;

pub use against::{Fidelity, check_against};
pub use lab::{lab, lab_policies};
pub use operations::{Guilt, Verdict};
pub use values::exact_in;
