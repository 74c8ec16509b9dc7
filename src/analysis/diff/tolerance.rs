use crate::trace::{Dtype, HookKind as K};
use serde::Serialize;
use std::fmt;

/// How the values of B were computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Each layer reads the output of the layer before it, so differences accumulate.
    EndToEnd,
    /// Each layer reads A's input of that layer.
    Isolated,
}

/// The largest difference that two recordings may have. The numbers were measured with transformers in f64, f32 and
/// bf16.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Tolerance {
    /// Every value within `within`, and the same experts in the same order.
    Given {
        /// Largest absolute difference.
        within: f32,
    },
    /// Both are f32: |a - b| ≤ 1e-4 + 2e-5·|a|, probabilities within 2e-5, the same experts in the same order.
    F32,
    /// Both have the same 16-bit dtype. Each layer alone, and the first layer end to end: 95 % of a tensor's values are
    /// equal and none is further apart than 8 ulps. Later layers end to end: only loss and flips count, because a
    /// difference in the last bit spreads.
    Half {
        /// The dtype of both.
        dtype: Dtype,
    },
    /// The dtypes differ. Each layer alone: tensors are within 8 units of the coarser dtype's precision (relative L2).
    /// End to end: only loss and flips count.
    Mixed {
        /// The coarser dtype.
        dtype: Dtype,
    },
}

/// Share of values that must be equal where a layer of a 16-bit model reads the same input.
pub const EQUAL_SHARE: f64 = 0.95;
/// This many values may always be unequal, because the router logits of a few tokens are few values.
pub const FEW: usize = 2;
/// 16-bit values may differ by this many ulps, at the tensor's scale or the value's own if that is larger.
pub const MOST_ULPS: f32 = 8.0;
/// Share of choices that may flip end to end where numbers are rounded to 16 bits.
pub const FLIPS: f64 = 0.05;
/// Mean losses may differ by this where numbers are rounded to 16 bits, nats.
pub const HALF_LOSS: f64 = 0.05;
/// Mean losses may differ by this in f32, nats.
pub const F32_LOSS: f64 = 1e-4;

impl Tolerance {
    /// The default tolerance for recordings whose activations are exact in these dtypes.
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
            Self::Half { dtype } | Self::Mixed { dtype } => {
                gap <= MOST_ULPS * dtype.ulp(a.abs().max(b.abs()).max(scale))
            }
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

    /// The tolerance in one line.
    pub fn words(self, mode: Mode) -> String {
        let equal = EQUAL_SHARE * 100.0;
        let statistics = format!("flips {} %, mean loss {HALF_LOSS} nats", FLIPS * 100.0);
        match (self, mode) {
            (Self::Given { within }, _) => format!("every value within {within:e}, the same experts in the same order"),
            (Self::F32, _) => "1e-4 + 2e-5·|a|, probabilities 2e-5, the same experts, mean loss 1e-4 nats".to_owned(),
            (Self::Half { dtype }, Mode::Isolated) => {
                format!(
                    "{equal} % of each tensor equal, none beyond {MOST_ULPS} {dtype} ulp, flips only within rounding"
                )
            }
            (Self::Half { dtype }, Mode::EndToEnd) => {
                format!("layer 0: {equal} % equal, none beyond {MOST_ULPS} {dtype} ulp; {statistics}")
            }
            (Self::Mixed { dtype }, Mode::Isolated) => {
                format!("each tensor within {MOST_ULPS} units of {dtype} (relative L2), flips only within rounding")
            }
            (Self::Mixed { .. }, Mode::EndToEnd) => statistics,
        }
    }
}

impl Mode {
    /// Both, end to end first.
    pub const ALL: [Self; 2] = [Self::EndToEnd, Self::Isolated];

    /// Its name in the tables and the JSON file of the precision lab.
    pub fn key(self) -> &'static str {
        match self {
            Self::EndToEnd => "end_to_end",
            Self::Isolated => "isolated",
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
