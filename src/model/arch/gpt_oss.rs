//! The config.json of gpt-oss.

use super::axes::{Arch, Attn, Glu, Yarn};
use super::common::{self, Family};
use super::keys::Keys;
use super::names::Names;
use super::qwen::unwindowed;
use crate::model::precision::NormRounding;
use crate::trace::{LayerSet, Level, Report};
use anyhow::{Result, ensure};

const FAMILY: Family = Family {
    name: "gpt-oss",
    d_ff: "intermediate_size",
    experts: &["num_local_experts", "num_experts"],
    default_experts: Some(128),
    top_k: 4,
    kv_heads: Some(8),
    context: 131_072,
    eps: 1e-5,
    rope: 150_000.0,
    scalings: &["yarn"],
    own_top_k: Some(4),
};

/// Reads the architecture: biases everywhere, attention sinks, windows in some layers, YaRN, and clamped experts. A softmax over
/// the chosen experts is a softmax over all of them, renormalised.
///
/// # Errors
/// If a key is missing or has an impossible value, or the config asks for something that is not implemented.
pub fn read(keys: &Keys, report: &mut Report) -> Result<Arch> {
    let mut arch = common::read(keys, &FAMILY, Names::GPT_OSS, report)?;
    let bias = keys.flag("attention_bias", true)?;
    arch.attn = Attn { qkv_bias: bias, o_bias: bias, sinks: true, ..arch.attn };
    arch.norm = NormRounding::Once;
    arch.moe.weights_as_logits = true;
    arch.moe.bias = true;
    arch.moe.activation = Glu::Clamped {
        alpha: keys.positive("swiglu_alpha", 1.702)? as f32,
        limit: keys.positive("swiglu_limit", 7.0)? as f32,
    };
    arch.dims.window = match keys.json.get("sliding_window") {
        Some(serde_json::Value::Null) => None,
        _ => Some(keys.size("sliding_window", Some(128), report)?),
    };
    let (layers, most) = (arch.dims.layers, LayerSet::MOST);
    ensure!(layers <= most, "{}: {layers} layers of gpt-oss are not supported, only up to {most}", keys.origin);
    arch.dims.unwindowed = match keys.get("layer_types") {
        Some(_) => unwindowed(keys, arch.dims.layers)?,
        // transformers gives every second layer a window, from the first on.
        None => (0..arch.dims.layers).filter(|layer| layer % 2 == 1).collect(),
    };
    if let Some(window) = arch.dims.window {
        let found = format!(
            "a token sees the last {window} tokens in {} of {} layers",
            (0..arch.dims.layers).filter(|layer| arch.dims.window_at(*layer).is_some()).count(),
            arch.dims.layers
        );
        report.add(Level::Ok, keys.subject("sliding_window"), "by layer_types", found, "");
    }
    arch.rope.yarn = match keys.get("rope_parameters").or_else(|| keys.get("rope_scaling")) {
        Some(_) => keys.yarn(arch.dims.context)?,
        None => {
            let found = "missing; transformers' default, YaRN by 32 from 4096 tokens, is used";
            report.add(Level::Note, keys.subject("rope_parameters"), "", found, "");
            Some(Yarn {
                factor: 32.0,
                beta_fast: 32.0,
                beta_slow: 1.0,
                original: 4096.0,
                truncate: false,
                attention_factor: 0.1 * 32f64.ln() + 1.0,
            })
        }
    };
    common::check_size(keys, arch.dims)?;
    Ok(arch)
}
