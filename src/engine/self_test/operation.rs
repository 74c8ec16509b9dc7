//! How far an operation's values are from what their inputs give by definition.

use crate::trace::{Dtype, Hook, HookKind as K};
use serde::Serialize;
use std::collections::BTreeMap;

/// How many ulps a value may be off where numbers have 16 bits, because a rounding inside the operation may go the
/// other way.
const HALF_STEPS: f64 = 4.0;
/// The same in f32, whose sums depend on the order of additions: 1e-4 of the terms.
const F32_STEPS: f64 = 1024.0;
/// A norm's one sum is of squares, so nothing cancels; rounded to 16 bits it has to be equal.
const NORM_F32_STEPS: f64 = 16.0;
/// Share of a norm's values that may differ.
const NORM_SHARE: f64 = 5e-4;
/// Share of values that may be further off: scores at a rounding boundary move whole rows of attention.
const SHARE: f64 = 0.005;
/// This many values may always be further off, because some operations have few values.
const FEW: usize = 2;

/// One operation of the model in all layers.
#[derive(Clone, Debug, Serialize)]
pub struct Operation {
    /// What it is called.
    pub name: &'static str,
    /// What is wrong if it is off.
    pub cause: &'static str,
    /// Values compared.
    pub values: usize,
    /// Values that are equal after rounding.
    pub equal: usize,
    /// Values that are further off than rounding explains.
    pub beyond: usize,
    /// The largest difference, in ulps of the value's dtype at the magnitude of what was added up.
    pub max_steps: f64,
    /// Hook and position of the first value beyond.
    pub first: Option<(String, usize)>,
    /// Values, and values beyond, of each hook: a fault of one layer must not be hidden by the values of other layers.
    #[serde(skip)]
    hooks: BTreeMap<Hook, [usize; 2]>,
}

impl Operation {
    /// Whether it does what it should.
    pub fn ok(&self) -> bool {
        let share = if self.name == OPERATIONS[NORM].0 { NORM_SHARE } else { SHARE };
        self.hooks.values().all(|[values, beyond]| *beyond <= FEW.max((*values as f64 * share) as usize))
    }
}

const NORM: usize = 1;
const PROJECTION: usize = 2;
const ROPE: usize = 3;

/// Names and causes, in the order of the forward pass.
const OPERATIONS: [(&str, &str); 13] = [
    ("embedding", "the embedding's rows are not the tokens'"),
    ("RMSNorm", "the norm's epsilon (rms_norm_eps) or its gain is not the config's"),
    (
        "projections",
        "the rows of q and k are in another order (left permuted as llama.cpp stores them), or weights differ",
    ),
    ("RoPE", "the RoPE base is not the config's, or components are paired otherwise"),
    ("attention", "a sliding window or mask that is not the config's, or the softmax"),
    ("residual sums", "the residual stream is not the sum of its parts"),
    ("router logits", "the router reads other values, or its weights differ"),
    ("router softmax", "the router's softmax is not in f32 over all experts, as transformers has it"),
    ("top-k", "the chosen experts are not the most probable ones"),
    (
        "mixing weights",
        "they are not the chosen experts' probabilities divided by their sum (no renormalisation, or another precision)",
    ),
    ("experts", "the roles of w1, w2 and w3: an expert is w2(silu(w1 x) * (w3 x))"),
    ("mixture", "a token does not get its own experts by its own weights (whole-sequence dispatch)"),
    ("unembedding", "the unembedding's rows are not the tokens'"),
];

fn index(kind: K) -> usize {
    match kind {
        K::Embed => 0,
        K::Ln1Scale | K::Ln1 | K::Ln2Scale | K::Ln2 | K::LnFinalScale | K::LnFinal => NORM,
        K::QNorm | K::KNorm => NORM,
        K::Q | K::K | K::V | K::AttnOut => PROJECTION,
        K::RotQ | K::RotK => ROPE,
        K::Pattern | K::Z => 4,
        K::ResidPre | K::ResidMid | K::ResidPost => 5,
        K::RouterLogits => 6,
        K::ExpertWeights => 7,
        K::ChoiceScores | K::ExpertIndices => 8,
        K::MixingWeights => 9,
        K::ExpertOut | K::SharedOut | K::SharedGate => 10,
        K::MlpOut => 11,
        K::Logits => 12,
    }
}

/// All operations, before any value is compared.
pub fn operations() -> Vec<Operation> {
    let none = |(name, cause)| Operation {
        name,
        cause,
        values: 0,
        equal: 0,
        beyond: 0,
        max_steps: 0.0,
        first: None,
        hooks: BTreeMap::new(),
    };
    OPERATIONS.into_iter().map(none).collect()
}

/// A value by definition, and the magnitude of what was added up to it.
#[derive(Clone, Copy, Debug)]
pub struct Want {
    pub value: f64,
    pub scale: f64,
}

/// Compares what the model has at `hook` and `pos` with what its inputs give; `dtype` is that of the values.
pub fn compare(found: &mut [Operation], hook: Hook, pos: usize, dtype: Dtype, got: &[f32], want: &[Want]) {
    let Some(operation) = found.get_mut(index(hook.kind)) else { return };
    let most = match (index(hook.kind), dtype) {
        (NORM, Dtype::F32) => NORM_F32_STEPS,
        (NORM, _) => 0.0,
        (_, Dtype::F32) => F32_STEPS,
        _ => HALF_STEPS,
    };
    let [values, beyond] = operation.hooks.entry(hook).or_default();
    for (got, want) in got.iter().zip(want) {
        operation.values += 1;
        *values += 1;
        let rounded = dtype.round(want.value as f32);
        if *got == rounded {
            operation.equal += 1;
            continue;
        }
        let steps = f64::from((got - rounded).abs()) / f64::from(dtype.ulp(want.scale.max(want.value.abs()) as f32));
        operation.max_steps = if steps.is_nan() { f64::INFINITY } else { operation.max_steps.max(steps) };
        if steps.is_nan() || steps > most {
            operation.beyond += 1;
            *beyond += 1;
            operation.first.get_or_insert_with(|| (hook.to_string(), pos));
        }
    }
}

/// Counts an exact choice.
pub fn count(found: &mut [Operation], hook: Hook, pos: usize, is_equal: bool) {
    let value = if is_equal { 1.0 } else { f64::INFINITY };
    compare(found, hook, pos, Dtype::F32, &[1.0], &[Want { value, scale: 1.0 }]);
}
