//! The types of stored numbers.

use super::e2m1;
use crate::model::kernels::{Block, widen_bf16};
use crate::trace::Dtype;
use half::f16;
use half::slice::HalfFloatSliceExt;
use std::fmt;

/// The type of a tensor's stored numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stored {
    /// 32-bit floating-point numbers.
    F32,
    /// 16-bit floating-point numbers, IEEE half precision.
    F16,
    /// 16-bit floating-point numbers, bfloat16.
    Bf16,
    /// 4-bit numbers (E2M1), two in a byte, whose scales are apart: MXFP4 in safetensors.
    Mxfp4,
    /// Quantised in blocks along a row.
    Blocks(Block),
}

impl Stored {
    /// Bytes of `n` numbers of one row; `None` if they don't fill whole blocks, or if that overflows.
    pub fn bytes(self, n: usize) -> Option<usize> {
        match self {
            Self::F32 => n.checked_mul(4),
            Self::F16 | Self::Bf16 => n.checked_mul(2),
            Self::Mxfp4 => n.is_multiple_of(e2m1::GROUP).then_some(n / 2),
            Self::Blocks(block) => {
                n.is_multiple_of(block.width()).then(|| (n / block.width()).checked_mul(block.bytes()))?
            }
        }
    }

    /// The name in file formats.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::Bf16 => "BF16",
            Self::Mxfp4 => "MXFP4",
            Self::Blocks(block) => block.name(),
        }
    }

    /// The floating-point type; `None` for blocks.
    pub fn dtype(self) -> Option<Dtype> {
        match self {
            Self::F32 => Some(Dtype::F32),
            Self::F16 => Some(Dtype::F16),
            Self::Bf16 => Some(Dtype::Bf16),
            Self::Mxfp4 | Self::Blocks(_) => None,
        }
    }
}

impl From<Dtype> for Stored {
    fn from(dtype: Dtype) -> Self {
        match dtype {
            Dtype::F32 => Self::F32,
            Dtype::F16 => Self::F16,
            Dtype::Bf16 => Self::Bf16,
        }
    }
}

impl fmt::Display for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mxfp4 | Self::Blocks(_) => f.pad(self.name()),
            plain => match plain.dtype() {
                Some(dtype) => dtype.fmt(f),
                None => Ok(()),
            },
        }
    }
}

/// Replaces `out` with the numbers stored in `bytes`.
pub(super) fn widen(bytes: &[u8], stored: Stored, out: &mut Vec<f32>) {
    out.clear();
    match stored {
        Stored::F32 => out.extend(bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b))),
        Stored::Bf16 => out.extend(bytes.as_chunks().0.iter().map(|b| widen_bf16(*b))),
        Stored::F16 => {
            let half: Vec<f16> = bytes.as_chunks().0.iter().map(|b| f16::from_le_bytes(*b)).collect();
            out.resize(half.len(), 0.0);
            half.convert_to_f32_slice(out);
        }
        // Numbers without their scales; see `Matrix::widen_row`.
        Stored::Mxfp4 => e2m1::widen(bytes, &vec![127; bytes.len() / 16], out),
        Stored::Blocks(block) => {
            out.resize(bytes.len() / block.bytes() * block.width(), 0.0);
            block.dequantize(bytes, out);
        }
    }
}
