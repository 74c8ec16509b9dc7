//! The places where values are rounded, and the dtype they are rounded to.

use crate::trace::{Dtype, Policy};
use half::f16;

/// Rounding of f32 carriers to a narrower dtype, to nearest even.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rounding {
    /// Stays f32.
    None,
    /// To the nearest f16.
    F16,
    /// To the nearest bf16.
    Bf16,
    /// Stays f32, but products read it rounded as llama.cpp's code for CPUs does: to 8 bits where weights are in
    /// blocks, otherwise to the weights' dtype, and to f16 in attention.
    Operands,
}

impl Rounding {
    /// Rounding to the values of `dtype`.
    pub fn to(dtype: Dtype) -> Self {
        match dtype {
            Dtype::F32 => Self::None,
            Dtype::F16 => Self::F16,
            Dtype::Bf16 => Self::Bf16,
        }
    }

    /// This rounding, or `other` if this is none.
    pub fn or(self, other: Self) -> Self {
        if self == Self::None { other } else { self }
    }

    /// The rounding of queries, keys, values and patterns when they are multiplied.
    pub fn in_attention(self) -> Self {
        if self == Self::Operands { Self::F16 } else { Self::None }
    }

    /// Whether values keep all that f32 has.
    pub fn keeps_f32(self) -> bool {
        matches!(self, Self::None | Self::Operands)
    }

    /// Rounds one value.
    #[inline(always)]
    pub fn one(self, x: f32) -> f32 {
        match self {
            Self::None | Self::Operands => x,
            Self::F16 => f16::from_f32(x).to_f32(),
            Self::Bf16 => round_bf16(x),
        }
    }

    /// Rounds every value.
    pub fn slice(self, values: &mut [f32]) {
        match self {
            Self::None | Self::Operands => {}
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

/// The form in which the router's weights are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// As they are stored.
    Stored,
    /// Quantised in a format of ggml.
    Quantised(GateBlock),
}

/// Formats in which a policy can quantise the router's weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GateBlock {
    /// 8 bits per weight.
    Q8_0,
    /// 4 bits per weight.
    Q4_0,
}

impl GateBlock {
    /// Weights of a block; a row has a whole number of blocks.
    pub const VALUES: usize = 32;
}

/// The roundings of the sum over the chosen experts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mixture {
    /// Each weighted output.
    pub product: Rounding,
    /// The sum after each of them; `None` adds in f32 and rounds once, as the module's output.
    pub sum: Option<Rounding>,
}

/// Where RMSNorm rounds in a narrow dtype.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NormRounding {
    /// Before the gain, and after it.
    Twice,
    /// After the gain.
    Once,
}

/// A precision policy made concrete for one compute dtype.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Precision {
    /// Every module output (REFERENCE: "where HF rounds").
    pub module: Rounding,
    /// Router logits.
    pub router: Rounding,
    /// The router's weights.
    pub gate: Gate,
    /// The router's softmax, and the sum by which weights are renormalised.
    pub choice: Rounding,
    /// The mixing weights.
    pub weights: Rounding,
    /// Frequencies and angles of RoPE. Their cosines and sines are module outputs.
    pub angles: Rounding,
    /// The sum over the chosen experts.
    pub mixture: Mixture,
    /// Where RMSNorm rounds: the same under every policy.
    pub norm: NormRounding,
}

impl Precision {
    /// Whether the router's weights are quantised.
    pub fn quantises(&self) -> bool {
        self.gate != Gate::Stored
    }

    /// The rounding points of `policy` when the weights are of dtype `compute`.
    pub fn new(policy: Policy, compute: Dtype) -> Self {
        let of = |module: Rounding| Self {
            module,
            router: module,
            gate: Gate::Stored,
            choice: Rounding::None,
            weights: Rounding::None,
            angles: Rounding::None,
            mixture: Mixture { product: Rounding::None, sum: None },
            norm: NormRounding::Twice,
        };
        let hf = of(Rounding::to(compute));
        let eager = Mixture { product: hf.module, sum: Some(hf.module) };
        match policy {
            Policy::Hf => hf,
            Policy::F32 => of(Rounding::None),
            Policy::Ggml => of(Rounding::Operands),
            Policy::F32Router => Self { router: Rounding::None, ..hf },
            Policy::Bf16 => of(Rounding::Bf16),
            Policy::RouterSoftmaxBf16 => Self {
                choice: Rounding::Bf16,
                weights: Rounding::Bf16,
                // bf16 weights times outputs are bf16 products.
                mixture: Mixture { product: hf.module, sum: None },
                ..hf
            },
            Policy::RopeBf16 => Self { angles: Rounding::Bf16, ..hf },
            Policy::RouterQ8 => Self { gate: Gate::Quantised(GateBlock::Q8_0), ..hf },
            Policy::RouterQ4 => Self { gate: Gate::Quantised(GateBlock::Q4_0), ..hf },
            Policy::EagerExperts => Self { mixture: eager, ..hf },
            Policy::Hf4 => Self { weights: hf.module, mixture: eager, ..hf },
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
