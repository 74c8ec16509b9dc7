//! Where values are rounded, and to what.

use crate::trace::{Dtype, Policy};
use half::f16;

/// Rounding of f32 carriers to a narrower dtype, to nearest even.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// Stays f32.
    None,
    /// To the nearest f16.
    F16,
    /// To the nearest bf16.
    Bf16,
}

impl Rounding {
    /// Rounding to what `dtype` can hold.
    pub fn to(dtype: Dtype) -> Self {
        match dtype {
            Dtype::F32 => Self::None,
            Dtype::F16 => Self::F16,
            Dtype::Bf16 => Self::Bf16,
        }
    }

    /// Rounds one value.
    #[inline]
    pub fn one(self, x: f32) -> f32 {
        match self {
            Self::None => x,
            Self::F16 => f16::from_f32(x).to_f32(),
            Self::Bf16 => round_bf16(x),
        }
    }

    /// Rounds every value.
    pub fn slice(self, values: &mut [f32]) {
        match self {
            Self::None => {}
            Self::F16 => values.iter_mut().for_each(|x| *x = f16::from_f32(*x).to_f32()),
            Self::Bf16 => values.iter_mut().for_each(|x| *x = round_bf16(*x)),
        }
    }
}

/// Branch-free in the common case, so that loops over it vectorise; NaN stays NaN.
#[inline]
fn round_bf16(x: f32) -> f32 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) & 0xffff_0000;
    f32::from_bits(if x.is_nan() { bits | 0x0040_0000 } else { rounded })
}

/// A precision policy made concrete for one compute dtype.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Precision {
    /// Every module output (REFERENCE: "where HF rounds").
    pub module: Rounding,
    /// Router logits.
    pub router: Rounding,
}

impl Precision {
    /// The rounding points of `policy` when the weights are of dtype `compute`.
    pub fn new(policy: Policy, compute: Dtype) -> Self {
        let module = Rounding::to(compute);
        match policy {
            Policy::Hf => Self { module, router: module },
            Policy::F32 => Self { module: Rounding::None, router: Rounding::None },
            Policy::F32Router => Self { module, router: Rounding::None },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use half::bf16;

    #[test]
    fn bf16_rounding_is_to_nearest_even_everywhere() {
        for high in (0..=u16::MAX).step_by(7) {
            for low in [0u32, 1, 0x7fff, 0x8000, 0x8001, 0xffff] {
                let x = f32::from_bits(u32::from(high) << 16 | low);
                let (got, want) = (round_bf16(x), bf16::from_f32(x).to_f32());
                assert!(got.to_bits() == want.to_bits() || got.is_nan() && want.is_nan(), "{x:e}");
            }
        }
    }
}
