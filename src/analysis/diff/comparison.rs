use super::flip::Flip;
use super::hook::HookDiff;
use super::loss::LossDiff;
use super::routing::LayerRouting;
use super::tokens::CommonPrefix;
use super::tolerance::{Mode, Tolerance};
use crate::trace::{Dtype, Hook};
use serde::Serialize;

/// The differences of two recordings.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// End to end, or each layer alone.
    pub mode: Mode,
    /// The tolerance.
    pub tolerance: Tolerance,
    /// Tokens that were compared.
    pub tokens: usize,
    /// Where the texts differ; `None` if they are the same.
    pub common_prefix: Option<CommonPrefix>,
    /// The dtypes in which the activations of A and B are exact.
    pub dtypes: [Dtype; 2],
    /// Whether everything is within tolerance.
    pub ok: bool,
    /// What is beyond the tolerance, one sentence each.
    pub failures: Vec<String>,
    /// The first hook, in the order of the forward pass, that has an unequal value.
    pub first_difference: Option<Place>,
    /// The first flip, in the order of the forward pass.
    pub first_flip: Option<Flip>,
    /// Losses; `None` if a recording lacks them.
    pub loss: Option<LossDiff>,
    /// The layers whose routing is in both recordings.
    pub routing: Vec<LayerRouting>,
    /// Every hook that is in both recordings, in the order of the forward pass.
    pub hooks: Vec<HookDiff>,
    /// Hooks that are only in A, and hooks that are only in B.
    pub only_in: [Vec<String>; 2],
    /// Layers that could not read A's input, because A does not hold it; empty end to end.
    pub not_isolated: Vec<usize>,
    /// Whether final norm and logits were computed from A's last residual; true end to end.
    pub final_isolated: bool,
}

/// A hook and a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The hook.
    pub hook: Hook,
    /// The decoder layer; `None` for hooks that occur once per pass.
    pub layer: Option<u32>,
    /// Position of the token, from 0.
    pub position: usize,
}

impl Comparison {
    /// The difference in one hook, if both recordings hold it.
    pub fn hook(&self, hook: Hook) -> Option<&HookDiff> {
        self.hooks.iter().find(|diff| diff.hook == hook)
    }

    /// How many values are equal, and how many were compared.
    pub fn equal(&self) -> (usize, usize) {
        self.hooks.iter().fold((0, 0), |(equal, all), diff| (equal + diff.equal, all + diff.values))
    }

    /// How many tokens flip, and how many were compared, over all layers.
    pub fn flips(&self) -> (usize, usize) {
        self.routing.iter().fold((0, 0), |(flips, all), layer| (flips + layer.flips, all + layer.tokens))
    }

    /// The hook with the largest difference of a value.
    pub fn largest(&self) -> Option<&HookDiff> {
        self.hooks.iter().max_by(|a, b| a.max_abs.total_cmp(&b.max_abs))
    }
}
