//! Two recordings of the same tokens, compared hook by hook.
//!
//! A is what is compared with (a reference), B what is compared. Values are widened to f32 first; `equal` then means the
//! same number (and +0 = -0). A step is one unit in the last place of the coarser dtype of the two, at the larger
//! magnitude of the two values. NaN and infinity are never equal to anything.

mod cause;
mod comparer;
mod config;
mod judge;
mod loss;
mod routing;
#[cfg(test)]
mod tests;
mod tolerance;
mod traces;
mod values;

pub use cause::{Guilt, guilt};
pub use comparer::Comparer;
pub use config::{ConfigDiff, config_differences};
pub use loss::{LossDiff, Predictions};
pub use routing::{Flip, LayerRouting, RouterInput};
pub use tolerance::{Mode, NEAR_TIE, Tolerance};
pub use traces::{Facts, compare_traces, recorded_predictions, same_tokens};
pub use values::HookDiff;

use crate::trace::{Dtype, Hook};
use serde::{Serialize, Serializer};

/// What was found of two recordings.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// End to end, or each layer alone.
    pub mode: Mode,
    /// What was asked for.
    pub tolerance: Tolerance,
    /// Tokens of the run.
    pub tokens: usize,
    /// The dtypes in which the activations of A and B are exact.
    pub dtypes: [Dtype; 2],
    /// Whether everything that was asked for holds.
    pub ok: bool,
    /// What does not hold, one sentence each.
    pub failures: Vec<String>,
    /// The first hook, in the order of the forward pass, with a value that is not equal.
    pub first_difference: Option<Place>,
    /// The first flip, in the order of the forward pass.
    pub first_flip: Option<Flip>,
    /// Losses, if both recordings tell.
    pub loss: Option<LossDiff>,
    /// The layers whose routing both recordings hold.
    pub routing: Vec<LayerRouting>,
    /// Every hook that both hold, in the order of the forward pass.
    pub hooks: Vec<HookDiff>,
    /// Hooks that only A holds, and hooks that only B holds.
    pub only_in: [Vec<String>; 2],
    /// Layers that could not be given A's input, since A does not hold it; empty end to end.
    pub not_isolated: Vec<usize>,
    /// Whether final norm and logits were computed from A's last residual; true end to end.
    pub final_isolated: bool,
}

/// A hook and a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The hook.
    #[serde(serialize_with = "as_name")]
    pub hook: Hook,
    /// The decoder layer; `None` for hooks that occur once a pass.
    pub layer: Option<u32>,
    /// Position of the token, from 0.
    pub position: usize,
}

impl Comparison {
    /// The comparison of one hook, if both hold it.
    pub fn hook(&self, hook: Hook) -> Option<&HookDiff> {
        self.hooks.iter().find(|diff| diff.hook == hook)
    }

    /// Values that are equal, and values compared.
    pub fn equal(&self) -> (usize, usize) {
        self.hooks.iter().fold((0, 0), |(equal, all), diff| (equal + diff.equal, all + diff.values))
    }

    /// Tokens whose expert set differs, and tokens compared, over all layers.
    pub fn flips(&self) -> (usize, usize) {
        self.routing.iter().fold((0, 0), |(flips, all), layer| (flips + layer.flips, all + layer.tokens))
    }

    /// The hook with the largest difference of a value.
    pub fn largest(&self) -> Option<&HookDiff> {
        self.hooks.iter().max_by(|a, b| a.max_abs.total_cmp(&b.max_abs))
    }
}

/// A hook by its name in the trace.
fn as_name<S: Serializer>(hook: &Hook, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(hook)
}

/// The layer of a hook that has one.
fn layer_of(hook: Hook) -> Option<u32> {
    (!hook.kind.is_global()).then_some(hook.layer)
}
