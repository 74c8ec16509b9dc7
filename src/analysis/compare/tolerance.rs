//! How much two recordings may differ.

use crate::trace::{Dtype, HookKind as K};
use serde::Serialize;
use std::fmt;

/// How the values of B came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Each layer reads what the one before it gave, so differences accumulate.
    EndToEnd,
    /// Each layer reads A's input of that layer.
    Isolated,
}

/// What is asked of two recordings. The numbers are those of the project's reference values, measured over
/// transformers in f64, f32 and bf16.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Tolerance {
    /// Every value within `within`, and the same experts in the same order.
    Given {
        /// Largest absolute difference.
        within: f32,
    },
    /// Both in f32: |a - b| ≤ 1e-4 + 2e-5·|a|, probabilities within 2e-5, the same experts in the same order.
    F32,
    /// Both in the same 16-bit dtype: alone, and in the first layer, 95 % of a tensor's values equal and none further than
    /// 8 steps; further on only loss and flips, as differences of the last bit spread.
    Half {
        /// The dtype of both.
        dtype: Dtype,
    },
    /// In different dtypes: alone, tensors within 8 units of the coarser dtype's precision (relative L2); end to end only
    /// loss and flips.
    Mixed {
        /// The coarser dtype.
        dtype: Dtype,
    },
}

/// Share of values that have to be equal where a layer of a 16-bit model reads the same input.
pub const EQUAL_SHARE: f64 = 0.95;
/// As many values may always be unequal: router logits of a few tokens are few values.
pub const FEW: usize = 2;
/// Steps, at the tensor's scale or the value's own if that is larger, that 16-bit values may be apart.
pub const STEPS: f32 = 8.0;
/// A choice whose margin is below this many steps may flip by rounding alone.
pub const NEAR_TIE: f32 = 4.0;
/// Share of choices that may flip end to end when numbers are rounded to 16 bits.
pub const FLIPS: f64 = 0.05;
/// Mean losses may differ by this when numbers are rounded to 16 bits, nats.
pub const HALF_LOSS: f64 = 0.05;
/// Mean losses may differ by this in f32, nats.
pub const F32_LOSS: f64 = 1e-4;

impl Tolerance {
    /// What is asked by default of recordings whose activations are exact in these dtypes.
    pub fn of(a: Dtype, b: Dtype) -> Self {
        match (a, b) {
            (Dtype::F32, Dtype::F32) => Self::F32,
            (a, b) if a == b => Self::Half { dtype: a },
            (a, b) => Self::Mixed { dtype: a.coarser(b) },
        }
    }

    /// Whether values `a` and `b` of a hook are close enough; `scale` is the root mean square of A's tensor.
    pub(super) fn allows(self, kind: K, a: f32, b: f32, scale: f32) -> bool {
        let gap = (a - b).abs();
        match self {
            Self::Given { within } => gap <= within,
            Self::F32 if matches!(kind, K::Pattern | K::ExpertWeights | K::MixingWeights) => gap <= 2e-5,
            Self::F32 => gap <= 1e-4 + 2e-5 * a.abs(),
            Self::Half { dtype } | Self::Mixed { dtype } => gap <= STEPS * dtype.ulp(a.abs().max(b.abs()).max(scale)),
        }
    }

    /// How far apart two mean losses may be, nats.
    pub fn loss(self) -> Option<f64> {
        match self {
            Self::Given { .. } => None,
            Self::F32 => Some(F32_LOSS),
            Self::Half { .. } | Self::Mixed { .. } => Some(HALF_LOSS),
        }
    }

    /// What is asked, in one line.
    pub fn words(self, mode: Mode) -> String {
        let equal = EQUAL_SHARE * 100.0;
        let statistics = format!("flips {} %, mean loss {HALF_LOSS} nats", FLIPS * 100.0);
        match (self, mode) {
            (Self::Given { within }, _) => format!("every value within {within:e}, the same experts in the same order"),
            (Self::F32, _) => "1e-4 + 2e-5·|a|, probabilities 2e-5, the same experts, mean loss 1e-4 nats".to_owned(),
            (Self::Half { dtype }, Mode::Isolated) => {
                format!("{equal} % of each tensor equal, none beyond {STEPS} {dtype} steps, flips only at near-ties")
            }
            (Self::Half { dtype }, Mode::EndToEnd) => {
                format!("layer 0: {equal} % equal, none beyond {STEPS} {dtype} steps; {statistics}")
            }
            (Self::Mixed { dtype }, Mode::Isolated) => {
                format!("each tensor within {STEPS} units of {dtype} (relative L2), flips only at near-ties")
            }
            (Self::Mixed { .. }, Mode::EndToEnd) => statistics,
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EndToEnd => "end to end",
            Self::Isolated => "each layer alone",
        })
    }
}
