//! A model's values as a trace would hold them.

use crate::trace::{Dtype, Hook, HookKind as K, Meta, TraceTensor, Values};
use std::ops::Range;

/// The dtype in which the model's values of a hook are exact under its policy.
pub fn exact_in(meta: &Meta, kind: K) -> Dtype {
    let f32_router = kind == K::RouterLogits && meta.policy.keeps_router_f32();
    if kind.always_f32() || f32_router { Dtype::F32 } else { meta.activation_dtype() }
}

/// A value of the model's pass over `positions`, as a trace would hold it.
pub fn own(meta: &Meta, hook: Hook, values: Values, positions: Range<usize>) -> TraceTensor {
    let len = match &values {
        Values::F32(values) => values.len(),
        Values::U32(values) => values.len(),
    };
    TraceTensor { shape: hook.kind.shape_of(meta.dims, positions, len), dtype: exact_in(meta, hook.kind), values }
}
