//! The lab's numbers for each layer, from the comparison with the base.

use crate::analysis::diff::{Comparison, Flip};
use crate::analysis::{Lab, LabEqual, LabFlip, LabLayer, LabToken};
use crate::trace::Dims;

/// The base compared with itself, over `n` tokens `[layers]`.
pub fn same(dims: Dims, n: usize) -> Vec<LabLayer> {
    let equal = Lab::COMPONENTS.map(|hook| {
        let values = hook.shape(dims, n).iter().product();
        LabEqual { hook, equal: values, values }
    });
    vec![LabLayer { flips: 0, choices: n, within_rounding: 0, exact_ties: 0, equal: equal.to_vec() }; dims.layers]
}

/// A policy compared with the base `[layers]`.
pub fn layers(found: &Comparison, layers: usize) -> Vec<LabLayer> {
    let of = |layer: usize| {
        let equal = Lab::COMPONENTS.iter().filter_map(|hook| {
            let diff = found.hook(hook.at(layer))?;
            Some(LabEqual { hook: *hook, equal: diff.equal, values: diff.values })
        });
        let mut one = LabLayer { equal: equal.collect(), ..LabLayer::default() };
        if let Some(routing) = found.routing.iter().find(|routing| routing.layer as usize == layer) {
            (one.flips, one.choices) = (routing.flips, routing.tokens);
            (one.within_rounding, one.exact_ties) = (routing.within_rounding, routing.exact_ties);
        }
        one
    };
    (0..layers).map(of).collect()
}

/// Every flip, by layer and position.
pub fn flips(found: &Comparison) -> Vec<LabFlip> {
    let one = |flip: &Flip| {
        let [base, own] = &flip.experts;
        let without = |of: &[u32], others: &[u32]| of.iter().filter(|e| !others.contains(e)).copied().collect();
        // A flip means that some experts were rejected, so there are gaps.
        let [margin_base, margin] = flip.gaps.map(|gap| gap.unwrap_or(f32::NAN));
        let (layer, position) = (flip.layer, flip.position);
        LabFlip {
            layer,
            position,
            margin_base,
            margin,
            left: without(base, own),
            came: without(own, base),
            exact_tie: flip.exact_tie,
        }
    };
    found.routing.iter().flat_map(|routing| &routing.at).map(one).collect()
}

/// Index of the first token that is not the same in both.
pub fn first_difference(base: &[LabToken], own: &[LabToken]) -> Option<usize> {
    let all = base.len().max(own.len());
    (0..all).find(|i| base.get(*i) != own.get(*i))
}
