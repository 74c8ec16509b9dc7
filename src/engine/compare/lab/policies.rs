//! The policies that the lab compares.

use crate::model::{GateBlock, Precision};
use crate::trace::{Device, Meta, Policy};

/// The policies that differ from `base` and from each other on this model; and the skipped policies with the reason, e.g.
/// `= hf`.
pub fn lab_policies(meta: &Meta, base: Policy) -> (Vec<Policy>, Vec<(Policy, String)>) {
    let precision = |policy: Policy| Precision::new(policy, meta.compute_dtype);
    let (mut kept, mut left_out): (Vec<Policy>, Vec<(Policy, String)>) = Default::default();
    for policy in Policy::all().filter(|policy| *policy != base) {
        let same = [base].into_iter().chain(kept.iter().copied()).find(|other| precision(*other) == precision(policy));
        match same {
            _ if policy == Policy::Ggml && meta.device != Device::Cpu => {
                left_out.push((policy, format!("not computed on {}", meta.device)));
            }
            _ if policy == Policy::Ggml && !meta.is_quantised() => {
                left_out.push((policy, "no weights are quantised".to_owned()));
            }
            Some(other) => left_out.push((policy, format!("= {other}"))),
            None if precision(policy).quantises() && !meta.dims.d_model.is_multiple_of(GateBlock::VALUES) => {
                let reason =
                    format!("the router's width {} is not a multiple of {}", meta.dims.d_model, GateBlock::VALUES);
                left_out.push((policy, reason));
            }
            None => kept.push(policy),
        }
    }
    (kept, left_out)
}
