//! A model's values as a trace would hold them.

use crate::trace::{Dtype, HookKind as K, Meta, TraceTensor, Values};
use anyhow::Result;
use candle_core::{DType, Tensor};

/// The dtype in which the model's values of a hook are exact under its policy.
pub fn exact_in(meta: &Meta, kind: K) -> Dtype {
    let f32_router = kind == K::RouterLogits && meta.policy.keeps_router_f32();
    if kind.always_f32() || f32_router { Dtype::F32 } else { meta.activation_dtype() }
}

/// A value of the model as a trace would hold it.
pub fn own(value: &Tensor, dtype: Dtype) -> Result<TraceTensor> {
    let flat = value.flatten_all()?;
    let values = match value.dtype() {
        DType::U32 => Values::U32(flat.to_vec1()?),
        _ => Values::F32(flat.to_vec1()?),
    };
    Ok(TraceTensor { shape: value.dims().to_vec(), dtype, values })
}
