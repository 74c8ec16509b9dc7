//! The difference of two runs of the same tokens: where they choose other experts, and how their losses and values
//! differ.
//!
//! A is the baseline (a reference), B the run that is compared with it. Two *recordings* are compared hook by hook, with a
//! tolerance and a verdict. Two *live* runs are compared token by token as they grow ([`RunDiff`]). Both share one notion
//! of a flip, of its margin in ulps, of what rounding can explain, and of the mean losses.
//!
//! Values are widened to f32 first. *Equal* then means the same number (+0 = -0). NaN and infinity are never equal to
//! anything. An ulp is one unit in the last place of the coarser of two dtypes, at the larger magnitude of two values.

mod comparer;
mod comparison;
mod config;
mod flip;
mod hook;
mod loss;
mod operation;
mod routing;
mod run;
#[cfg(test)]
mod tests;
mod tokens;
mod tolerance;
mod traces;
mod values;
mod verdict;

pub use comparer::Comparer;
pub use comparison::{Comparison, Place};
pub use config::{ConfigDiff, config_differences};
pub use flip::{Flip, RouterInput, WITHIN_ROUNDING, same_set};
pub use hook::HookDiff;
pub use loss::{LossDiff, Predictions};
pub use operation::{Gap, Limit, Operation};
pub use routing::LayerRouting;
pub use run::{LayerFlips, RunDiff, same_experts};
pub use tokens::{CommonPrefix, shared};
pub use tolerance::{Mode, Tolerance};
pub use traces::{Facts, compare_traces, recorded_predictions};
