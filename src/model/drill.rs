//! The fault drill: known ways to compute a Mixtral wrongly, as switches of debug builds. Tests show that `check` finds
//! each of them.

use crate::model::arch::{Arch, Dispatch, Moe};
use crate::model::pass::{Model, Variation};
use crate::model::precision::Rounding;
use crate::trace::{Level, Report};
use anyhow::{Result, bail};

/// The environment variable that names the fault.
pub const FAULT: &str = "MIXSCOPE_DRILL";

/// Names of all faults.
pub const FAULTS: [&str; 8] = [
    "rope-base",
    "no-renormalisation",
    "whole-sequence-dispatch",
    "swapped-w1-w3",
    "router-softmax-bf16",
    "sliding-window",
    "permuted-qk",
    "norm-eps",
];

/// `model` with the fault that the environment names, if it names one.
///
/// # Errors
/// If there is no such fault.
pub fn injected(model: Model, report: &mut Report) -> Result<Model> {
    let Ok(name) = std::env::var(FAULT) else { return Ok(model) };
    report.add(Level::Warn, FAULT, "nothing", name.as_str(), "this debug build computes the model wrongly on purpose");
    let with = |moe: Moe| model.with_arch(Arch { moe, ..model.arch.clone() });
    Ok(match name.as_str() {
        // The base of Llama, which ports used that did not read Mixtral's.
        "rope-base" => model.varied(Variation::RopeBase(if model.arch.rope.base == 1e4 { 1e6 } else { 1e4 })),
        "no-renormalisation" => model.varied(Variation::NoRenormalisation),
        "swapped-w1-w3" => model.varied(Variation::SwappedGateUp),
        "sliding-window" => model.varied(Variation::Window(Some(32))),
        "permuted-qk" => model.varied(Variation::PermutedHeads),
        "norm-eps" => model.varied(Variation::NormEps(1e-3)),
        "whole-sequence-dispatch" => with(Moe { dispatch: Dispatch::WholeSequence, ..model.arch.moe }),
        "router-softmax-bf16" => with(Moe { softmax: Rounding::Bf16, ..model.arch.moe }),
        _ => bail!("{FAULT}: there is no fault `{name}`; faults are {}", FAULTS.join(", ")),
    })
}
