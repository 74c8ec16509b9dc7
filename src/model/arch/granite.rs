//! Granite-MoE's config.json.

use super::axes::{Arch, Attn, Multipliers};
use super::common::{self, Family};
use super::keys::Keys;
use super::names::Names;
use crate::trace::Report;
use anyhow::Result;

const FAMILY: Family = Family {
    name: "Granite-MoE",
    d_ff: "intermediate_size",
    experts: &["num_local_experts", "num_experts"],
    default_experts: Some(8),
    top_k: 2,
    kv_heads: None,
    context: 2048,
    eps: 1e-6,
    rope: 10_000.0,
    scalings: &["yarn"],
    own_top_k: None,
};

/// Reads the architecture: constant factors of embedding, scores, residual additions and logits. A softmax over the chosen
/// experts is a softmax over all of them, renormalised.
///
/// # Errors
/// If a key is missing or has an impossible value, or the config asks for something that is not implemented.
pub fn read(keys: &Keys, report: &mut Report) -> Result<Arch> {
    let mut arch = common::read(keys, &FAMILY, Names::GRANITE, report)?;
    let bias = keys.flag("attention_bias", false)?;
    let scale = keys.positive("attention_multiplier", 1.0)? as f32;
    arch.attn = Attn { scale: Some(scale), qkv_bias: bias, o_bias: bias, ..arch.attn };
    arch.multipliers = Multipliers {
        embed: keys.positive("embedding_multiplier", 1.0)? as f32,
        residual: keys.positive("residual_multiplier", 1.0)? as f32,
        logits: keys.positive("logits_scaling", 1.0)? as f32,
    };
    arch.moe.weights_as_logits = true;
    arch.rope.yarn = keys.yarn(arch.dims.context)?;
    common::check_size(keys, arch.dims)?;
    Ok(arch)
}
