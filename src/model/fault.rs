//! The known ways to break a Mixtral, as switches of debug builds: the fault drill shows that `check` names each.

use super::forward::Mixtral;
use super::variation::Variation;
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

/// `model` with the fault that the environment asks for, if it does.
///
/// # Errors
/// If there is no such fault.
pub fn injected(mut model: Mixtral, report: &mut Report) -> Result<Mixtral> {
    let Ok(name) = std::env::var(FAULT) else { return Ok(model) };
    report.add(Level::Warn, FAULT, "nothing", name.as_str(), "this debug build computes the model wrongly on purpose");
    let variation = match name.as_str() {
        // The base of Llama and of the ports that forgot to ask for it.
        "rope-base" => Variation::RopeBase(if model.config().rope_theta == 1e4 { 1e6 } else { 1e4 }),
        "no-renormalisation" => Variation::NoRenormalisation,
        "swapped-w1-w3" => Variation::SwappedGateUp,
        "sliding-window" => Variation::Window(Some(32)),
        "permuted-qk" => Variation::PermutedHeads,
        "norm-eps" => Variation::NormEps(1e-3),
        "whole-sequence-dispatch" => {
            model.quirks.whole_sequence = true;
            return Ok(model);
        }
        "router-softmax-bf16" => {
            model.quirks.bf16_softmax = true;
            return Ok(model);
        }
        _ => bail!("{FAULT}: there is no fault `{name}`; faults are {}", FAULTS.join(", ")),
    };
    Ok(model.varied(variation))
}
