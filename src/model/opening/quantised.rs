//! Weights that another tool quantised: what is stored are not the weights, and running them as if they were gives nonsense.

use super::read_json;
use crate::model::weights::Store;
use anyhow::{Result, bail};
use serde_json::Value;
use std::path::Path;

const ADVICE: &str = "not supported; use the original weights or a GGUF";
/// Files in which tools say how they quantised, and the tools.
const FILES: [(&str, &str); 4] = [
    ("quantize_config.json", "gptq"),
    ("quant_config.json", "awq"),
    ("hf_quant_config.json", "modelopt"),
    ("gptq_model_config.json", "gptq"),
];
/// Last parts of the names of tensors that say how a weight beside them is stored, and the tools that write them.
const TENSORS: [(&str, &str); 24] = [
    ("qweight", "gptq or awq"),
    ("qzeros", "gptq or awq"),
    ("g_idx", "gptq"),
    ("weight_packed", "compressed-tensors"),
    ("weight_scale", "compressed-tensors, fp8 or a like tool"),
    ("weight_scale_2", "modelopt"),
    ("weight_global_scale", "compressed-tensors"),
    ("weight_zero_point", "compressed-tensors"),
    ("input_scale", "fp8 or a like tool"),
    ("weight_scale_inv", "fp8"),
    ("scale_inv", "fp8"),
    ("weight_scales", "a tool that names it weight_scales"),
    ("scale_weight", "fp8"),
    ("scales", "gptq, awq or mlx"),
    ("scale", "a tool that names it scale"),
    ("zeros", "a tool that names it zeros"),
    ("absmax", "bitsandbytes"),
    ("quant_map", "bitsandbytes"),
    ("SCB", "bitsandbytes"),
    ("codebooks", "aqlm"),
    ("codes", "aqlm"),
    ("W_q", "hqq"),
    ("qscale_act", "a like tool"),
    ("SU", "quip#"),
];

/// Refuses a model whose config says that another tool quantised it.
///
/// # Errors
/// If it does; the error names the tool, where that is said, and what to use in its place.
pub fn refuse_config(dir: &Path, json: &Value) -> Result<()> {
    for key in ["quantization_config", "compression_config", "quantization"] {
        let Some(found) = json.get(key).filter(|found| found.as_object().is_some_and(|object| !object.is_empty()))
        else {
            continue;
        };
        bail!("quantised by {} ({key} in config.json), {ADVICE}", tool(key, found));
    }
    for (file, tool) in FILES {
        if dir.join(file).exists() && read_json(&dir.join(file)).is_ok_and(|found| found.is_some()) {
            bail!("quantised by {tool} ({file} beside config.json), {ADVICE}");
        }
    }
    Ok(())
}

/// The tool that a quantisation config names or shows.
fn tool(key: &str, found: &Value) -> String {
    let said = ["quant_method", "method", "quant_algo"].into_iter().find_map(|key| found.get(key)?.as_str());
    let is_true = |key: &str| found.get(key).and_then(Value::as_bool) == Some(true);
    match said {
        Some(name) => name.to_owned(),
        None if is_true("load_in_4bit") || is_true("load_in_8bit") => "bitsandbytes".to_owned(),
        None if key == "quantization" => "mlx".to_owned(),
        None if found.get("zero_point").is_some() => "awq".to_owned(),
        None if found.get("desc_act").is_some() => "gptq".to_owned(),
        None => "another tool".to_owned(),
    }
}

/// Refuses a model whose tensors come with scales, codes or zero points of their own.
///
/// # Errors
/// If they do; the error names such a tensor.
pub fn refuse_tensors(store: &Store) -> Result<()> {
    for name in store.tensors().keys() {
        let Some((module, last)) = name.rsplit_once('.') else { continue };
        // A scale for the cache of keys and values says nothing about weights.
        let said = TENSORS.iter().find(|(part, _)| *part == last || name.contains(".quant_state."));
        let is_weight =
            ["q_proj", "k_proj", "v_proj", "o_proj", "gate", "experts", "lm_head", "embed_tokens", "w1", "w2", "w3"];
        if let Some((_, tool)) = said
            && is_weight.iter().any(|part| module.split('.').any(|name| name == *part))
        {
            let tool = if name.contains(".quant_state.") { "bitsandbytes" } else { tool };
            bail!("quantised by {tool} (its tensor `{name}` says how the weight beside it is stored), {ADVICE}");
        }
    }
    let raw = store.tensors().iter().find(|(_, entry)| {
        let name = entry.type_name.as_str();
        entry.stored.is_none() && (name.starts_with("F8") || name.starts_with("F4") || name.starts_with("F6"))
    });
    if let Some((name, entry)) = raw {
        bail!("quantised to {} (tensor `{name}`), {ADVICE}", entry.type_name);
    }
    Ok(())
}
