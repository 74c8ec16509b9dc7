//! The sizes of a model in parameters and bytes.

use crate::model::arch::Arch;
use crate::model::weights::{Part, Store, parts};
use crate::trace::{Dims, LayerSet};
use anyhow::Result;

/// The number of parameters: all, and those that one token uses. Biases and the norms of queries and keys are not counted.
pub fn count_params(d: Dims, tied: bool) -> (u64, u64) {
    // In floating point, because sizes that were not compared with weights yet may be too large for integers.
    let [layers, d_model, vocab] = [d.layers, d.d_model, d.vocab].map(|n| n as f64);
    let attention = 2.0 * d_model * d.d_head as f64 * (d.heads as f64 + d.kv_heads as f64);
    let mlp = |width: usize| 3.0 * d_model * width as f64;
    let gates = d.experts as f64 + if d.d_shared > 0 { 1.0 } else { 0.0 };
    let [dense, routed] =
        [false, true].map(|has| (0..d.layers.min(LayerSet::MOST)).filter(|l| d.has_router(*l) == has).count() as f64);
    let routed = routed + (layers - (dense + routed)).max(0.0);
    let shared = routed * (d_model * gates + mlp(d.d_shared)) + dense * mlp(d.d_dense);
    let ends = vocab * d_model * if tied { 1.0 } else { 2.0 } + d_model;
    let all = layers * (attention + 2.0 * d_model) + shared + ends;
    let with = |experts: usize| (all + routed * mlp(d.d_ff) * experts as f64) as u64;
    (with(d.experts), with(d.top_k))
}

/// Bytes of the weights that one token reads: one row of the embedding, the chosen share of the experts, all others.
///
/// # Errors
/// If a tensor is missing or has another shape or type.
pub fn touched_bytes(arch: &Arch, store: &Store) -> Result<u64> {
    let d = arch.dims;
    let (mut shared, mut experts) = (0u64, 0u64);
    for part in parts(arch) {
        let matrix = store.matrix(part, arch)?;
        match part {
            Part::Expert(..) | Part::ExpertBias(..) => experts += matrix.len() as u64,
            Part::Embed if !arch.tied => shared += (matrix.len() / matrix.rows().max(1)) as u64,
            _ => shared += matrix.len() as u64,
        }
    }
    Ok(shared + experts * d.top_k as u64 / d.experts as u64)
}
