//! OLMoE's config.json.

use super::axes::{Arch, Attn, QkNorm};
use super::common::{self, Family};
use super::keys::Keys;
use super::names::Names;
use crate::trace::Report;
use anyhow::{Result, ensure};

const FAMILY: Family = Family {
    name: "OLMoE",
    d_ff: "intermediate_size",
    experts: &["num_experts", "num_local_experts"],
    default_experts: Some(64),
    top_k: 8,
    kv_heads: None,
    context: 4096,
    eps: 1e-5,
    rope: 10_000.0,
    scalings: &["yarn"],
    own_top_k: None,
};

/// Reads the architecture: queries and keys are normed over all heads, and clamped where `clip_qkv` says so.
///
/// # Errors
/// If a key is missing or has an impossible value, or the config asks for something that is not implemented.
pub fn read(keys: &Keys, report: &mut Report) -> Result<Arch> {
    let mut arch = common::read(keys, &FAMILY, Names::MLP, report)?;
    let d = &mut arch.dims;
    ensure!(
        d.heads * d.d_head == d.d_model,
        "{}: head_dim {} times num_attention_heads {} is not hidden_size {}, which OLMoE's norm of queries needs",
        keys.origin,
        d.d_head,
        d.heads,
        d.d_model
    );
    d.qk_norm = true;
    let clip = match keys.get("clip_qkv") {
        Some(_) => Some(keys.positive("clip_qkv", 1.0)? as f32),
        None => None,
    };
    let bias = keys.flag("attention_bias", false)?;
    arch.attn = Attn { qk_norm: Some(QkNorm::Projection), clip, qkv_bias: bias, o_bias: bias, ..arch.attn };
    arch.moe.renormalise = keys.flag("norm_topk_prob", false)?;
    arch.moe.weights_as_logits = true;
    arch.rope.yarn = keys.yarn(arch.dims.context)?;
    common::check_size(keys, arch.dims)?;
    Ok(arch)
}
