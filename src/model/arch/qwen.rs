//! The config.json of Qwen2-MoE (Qwen1.5-MoE too) and Qwen3-MoE.

use super::axes::{Arch, Attn, QkNorm};
use super::common::{self, Family};
use super::keys::Keys;
use super::names::Names;
use crate::trace::{LayerSet, Level, Report};
use anyhow::{Context, Result, ensure};
use serde_json::Value;

const QWEN2: Family = Family {
    name: "Qwen2-MoE",
    d_ff: "moe_intermediate_size",
    experts: &["num_experts", "num_local_experts"],
    default_experts: Some(60),
    top_k: 4,
    kv_heads: Some(16),
    context: 32_768,
    eps: 1e-6,
    rope: 10_000.0,
    scalings: &["yarn"],
    own_top_k: None,
};

const QWEN3: Family = Family { name: "Qwen3-MoE", default_experts: Some(128), top_k: 8, kv_heads: Some(4), ..QWEN2 };

/// Reads Qwen2-MoE: biases of queries, keys and values, and a shared expert with a gate.
///
/// # Errors
/// If a key is missing or has an impossible value, or the config asks for something that is not implemented.
pub fn read_qwen2(keys: &Keys, report: &mut Report) -> Result<Arch> {
    let mut arch = shared(keys, &QWEN2, report)?;
    arch.attn.qkv_bias = keys.flag("qkv_bias", true)?;
    arch.dims.d_shared = keys.size("shared_expert_intermediate_size", Some(5632), report)?;
    if keys.flag("use_sliding_window", false)? {
        arch.dims.window = sliding_window(keys, report)?;
        arch.dims.unwindowed = match keys.get("layer_types") {
            Some(_) => unwindowed(keys, arch.dims.layers)?,
            None => {
                let (layers, most) = (arch.dims.layers, LayerSet::MOST);
                ensure!(
                    layers <= most,
                    "{}: windows in {layers} layers are not supported, only in up to {most}",
                    keys.origin
                );
                let below = keys.size("max_window_layers", Some(28), report)?;
                let has_window = |layer: &usize| (layer + 1) % 2 == 1 && *layer < below;
                (0..arch.dims.layers).filter(|layer| !has_window(layer)).collect()
            }
        };
    }
    common::check_size(keys, arch.dims)?;
    Ok(arch)
}

/// Reads Qwen3-MoE: queries and keys of each head are normed.
///
/// # Errors
/// As [`read_qwen2`].
pub fn read_qwen3(keys: &Keys, report: &mut Report) -> Result<Arch> {
    let mut arch = shared(keys, &QWEN3, report)?;
    arch.dims.qk_norm = true;
    let bias = keys.flag("attention_bias", false)?;
    arch.attn = Attn { qk_norm: Some(QkNorm::Head), qkv_bias: bias, o_bias: bias, ..arch.attn };
    if keys.flag("use_sliding_window", false)? {
        arch.dims.window = sliding_window(keys, report)?;
    }
    common::check_size(keys, arch.dims)?;
    Ok(arch)
}

/// What both have.
fn shared(keys: &Keys, family: &Family, report: &mut Report) -> Result<Arch> {
    let mut arch = common::read(keys, family, Names::MLP, report)?;
    arch.moe.renormalise = keys.flag("norm_topk_prob", false)?;
    arch.moe.weights_as_logits = true;
    arch.dims.dense = common::dense_layers(keys, arch.dims.layers, report)?;
    if !arch.dims.dense.is_empty() {
        arch.dims.d_dense = keys.size("intermediate_size", None, report)?;
    }
    arch.rope.yarn = keys.yarn(arch.dims.context)?;
    Ok(arch)
}

fn sliding_window(keys: &Keys, report: &mut Report) -> Result<Option<usize>> {
    let window = keys.size("sliding_window", Some(4096), report)?;
    let found = format!("a token sees the last {window} tokens, itself included");
    report.add(Level::Ok, keys.subject("sliding_window"), "used, as use_sliding_window says", found, "");
    Ok(Some(window))
}

/// The layers that `layer_types` does not give a sliding window.
///
/// # Errors
/// If it does not name a known type for each layer.
pub fn unwindowed(keys: &Keys, layers: usize) -> Result<LayerSet> {
    let subject = keys.subject("layer_types");
    let types =
        keys.get("layer_types").and_then(Value::as_array).with_context(|| format!("{subject}: expected a list"))?;
    ensure!(types.len() == layers, "{subject}: expected {layers} types, one for each layer, found {}", types.len());
    ensure!(layers <= LayerSet::MOST, "{subject}: windows of more than {} layers are not supported", LayerSet::MOST);
    let mut full = Vec::new();
    for (layer, kind) in types.iter().enumerate() {
        match kind.as_str() {
            Some("full_attention") => full.push(layer),
            Some("sliding_attention") => {}
            _ => anyhow::bail!(
                "{subject}: layer {layer} is of type {kind}; `full_attention` and `sliding_attention` are implemented"
            ),
        }
    }
    Ok(full.into_iter().collect())
}
