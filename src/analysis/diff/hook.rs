use crate::trace::{Dtype, Hook, HookKind};
use serde::Serialize;

/// How the values of one hook differ.
#[derive(Clone, Debug, Serialize)]
pub struct HookDiff {
    /// The hook.
    pub hook: Hook,
    /// The decoder layer; `None` for hooks that occur once per pass.
    pub layer: Option<u32>,
    /// The dtypes in which A and B are stored.
    pub dtypes: [Dtype; 2],
    /// Values compared.
    pub values: usize,
    /// Values that are equal.
    pub equal: usize,
    /// Values that are equal after rounding both to the coarser dtype; `None` if the dtypes are the same.
    pub equal_rounded: Option<usize>,
    /// Largest |a - b| among finite values.
    pub max_abs: f64,
    /// Mean |a - b| among finite values.
    pub mean_abs: f64,
    /// ‖a - b‖₂ / ‖a‖₂ over finite values; infinite if A is zero everywhere and B is not.
    pub relative_l2: f64,
    /// Largest |a - b| in ulps of the coarser dtype, at the largest of |a|, |b| and the root mean square of A's tensor.
    #[serde(rename = "max_steps")]
    pub max_ulps: f64,
    /// How many values are NaN or infinite, in A and in B.
    pub non_finite: [usize; 2],
    /// First position with an unequal value.
    pub first_unequal: Option<usize>,
    /// Values that differ by more than the tolerance. If the tolerance allows flips within rounding, tokens whose experts
    /// differ in this layer are not counted.
    pub beyond: usize,
    /// First position with such a value.
    pub first_beyond: Option<usize>,
    /// Whether the hook is within tolerance; `None` if no tolerance applies.
    pub ok: Option<bool>,
    /// For queries and keys: whether each head holds the same numbers in another order.
    pub reordered: bool,
    /// For mixing weights: the largest distance of the sum of a token's weights from 1, in A and in B.
    pub sums_off: Option<[f64; 2]>,
    #[serde(skip)]
    pub(super) judged: Judged,
}

/// The figures that the verdict is based on: those over tokens whose experts agree.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Judged {
    pub values: usize,
    /// For hooks that are always f32: within 1e-6, because softmax is not bit-equal between programs.
    pub equal: usize,
    pub relative_l2: f64,
}

impl HookDiff {
    pub(super) fn new(hook: Hook, dtypes: [Dtype; 2]) -> Self {
        Self {
            hook,
            layer: hook.decoder_layer(),
            dtypes,
            values: 0,
            equal: 0,
            equal_rounded: None,
            max_abs: 0.0,
            mean_abs: 0.0,
            relative_l2: 0.0,
            max_ulps: 0.0,
            non_finite: [0; 2],
            first_unequal: None,
            beyond: 0,
            first_beyond: None,
            ok: None,
            reordered: false,
            sums_off: None,
            judged: Judged::default(),
        }
    }

    /// The difference, as part of a sentence.
    pub fn words(&self) -> String {
        let hook = self.hook;
        let bad: usize = self.non_finite.iter().sum();
        if bad > 0 {
            let [a, b] = self.non_finite;
            return format!("`{hook}`: NaN or infinity in {a} values of A and {b} of B");
        }
        let different = self.values - self.equal;
        let from = self.first_beyond.or(self.first_unequal).map_or(0, |pos| pos);
        if self.hook.kind == HookKind::ExpertIndices {
            return format!("`{hook}`: {different} of {} experts differ, from position {from} on", self.values);
        }
        let ulps = match self.dtype() {
            Dtype::F32 => String::new(),
            dtype => format!(", {:.0} {dtype} ulp", self.max_ulps),
        };
        format!(
            "`{hook}`: {different} of {} values differ by up to {:.2e}{ulps}, from position {from} on",
            self.values, self.max_abs
        )
    }

    /// The coarser of the two dtypes.
    pub fn dtype(&self) -> Dtype {
        self.dtypes[0].coarser(self.dtypes[1])
    }

    /// Share of equal values, 0 to 1, after rounding to the coarser dtype if the dtypes differ; 1 if there is no value.
    pub fn share(&self) -> f64 {
        share(self.equal_rounded.unwrap_or(self.equal), self.values)
    }
}

/// `part / all`; 1 if `all` is 0.
pub(super) fn share(part: usize, all: usize) -> f64 {
    if all == 0 { 1.0 } else { part as f64 / all as f64 }
}
