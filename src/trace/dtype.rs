use half::{bf16, f16};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Storage or compute type of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// IEEE 754 single precision.
    F32,
    /// IEEE 754 half precision.
    F16,
    /// bfloat16: 8 exponent and 7 mantissa bits.
    Bf16,
}

impl Dtype {
    /// Bytes of one value.
    pub fn size(self) -> usize {
        if self == Self::F32 { 4 } else { 2 }
    }

    /// The dtype with fewer mantissa bits.
    pub fn coarser(self, other: Self) -> Self {
        if self.mantissa_bits() < other.mantissa_bits() { self } else { other }
    }

    /// The value of this type that is nearest to `x`, ties to even.
    pub fn round(self, x: f32) -> f32 {
        match self {
            Self::F32 => x,
            Self::F16 => f16::from_f32(x).to_f32(),
            Self::Bf16 => bf16::from_f32(x).to_f32(),
        }
    }

    /// Stored bits of the mantissa.
    fn mantissa_bits(self) -> i32 {
        match self {
            Self::F32 => 23,
            Self::F16 => 10,
            Self::Bf16 => 7,
        }
    }

    /// The distance between neighbouring values of this type around `x`: one unit in the last place, never 0.
    pub fn ulp(self, x: f32) -> f32 {
        let exponent = ((x.to_bits() >> 23) as i32 & 0xff).max(1) - 127;
        // The gap between subnormal numbers, where the exponent has its smallest value.
        let smallest = match self {
            Self::F32 => f32::from_bits(1),
            Self::F16 => 2f32.powi(-24),
            Self::Bf16 => f32::from_bits(1 << 16),
        };
        2f32.powi(exponent - self.mantissa_bits()).max(smallest)
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
        })
    }
}

impl FromStr for Dtype {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> anyhow::Result<Self> {
        match name.to_ascii_lowercase().as_str() {
            "f32" | "fp32" | "float32" | "float" => Ok(Self::F32),
            "f16" | "fp16" | "float16" | "half" => Ok(Self::F16),
            "bf16" | "bfloat16" => Ok(Self::Bf16),
            _ => anyhow::bail!("`{name}` is not one of f32, f16, bf16"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ulp_is_the_gap_to_the_next_value_of_the_dtype() {
        assert_eq!(Dtype::Bf16.ulp(1.0), 1.0 / 128.0);
        assert_eq!(Dtype::Bf16.ulp(-3.5), 2.0 / 128.0);
        assert_eq!(Dtype::F32.ulp(1.0), f32::EPSILON);
        assert_eq!(Dtype::F16.ulp(0.75), 0.5 / 1024.0);
        let smallest = [Dtype::F32, Dtype::F16, Dtype::Bf16].map(|dtype| dtype.ulp(0.0));
        assert_eq!(smallest, [f32::from_bits(1), 2f32.powi(-24), f32::from_bits(1 << 16)]);
    }
}
