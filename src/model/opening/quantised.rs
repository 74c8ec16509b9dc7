//! Weights that another tool quantised: what is stored are not the weights, and running them as if they were gives nonsense.

use super::read_json;
use crate::model::weights::Store;
use crate::trace::{Level, Report};
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
const TENSORS: [(&str, &str); 37] = [
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
    ("_data", "quanto"),
    ("_scale", "quanto"),
    ("_shift", "quanto"),
    ("output_scale", "quanto"),
    ("weight:_data", "torchao"),
    ("weight:qdata", "torchao"),
    ("weight:scale", "torchao"),
    ("_weight_qdata", "torchao"),
    ("_weight_scale", "torchao"),
    ("gate_up_proj_blocks", "mxfp4"),
    ("gate_up_proj_scales", "mxfp4"),
    ("down_proj_blocks", "mxfp4"),
    ("centroids", "vptq"),
];

/// Refuses a model whose config says that another tool quantised it. `reads_mxfp4` says whether experts in MXFP4 are read.
///
/// # Errors
/// If it does; the error names the tool, where that is said, and what to use in its place.
pub fn refuse_config(dir: &Path, json: &Value, reads_mxfp4: bool, report: &mut Report) -> Result<()> {
    for key in ["quantization_config", "compression_config", "quantization"] {
        let Some(found) = json.get(key).filter(|found| found.as_object().is_some_and(|object| !object.is_empty()))
        else {
            continue;
        };
        if reads_mxfp4 && found.get("quant_method").and_then(Value::as_str) == Some("mxfp4") {
            report.add(Level::Ok, format!("config.json: {key}"), "none, or mxfp4 of the experts", "mxfp4", "");
            continue;
        }
        if let Some((what, advice)) = leaves_weights(found) {
            report.add(Level::Note, format!("config.json: {key}"), "", what, advice);
            continue;
        }
        bail!("quantised by {} ({key} in config.json), {ADVICE}", tool(key, found));
    }
    for (file, tool) in FILES {
        if dir.join(file).exists() && read_json(&dir.join(file)).is_ok_and(|found| found.is_some()) {
            bail!("quantised by {tool} ({file} beside config.json), {ADVICE}");
        }
    }
    Ok(())
}

/// What a quantisation config says that leaves the stored weights as they are, and what to know; `None` if it does not.
fn leaves_weights(found: &Value) -> Option<(&'static str, &'static str)> {
    let method = found.get("quant_method").and_then(Value::as_str);
    let is_empty = |key: &str| match found.get(key) {
        None | Some(Value::Null) => true,
        Some(Value::Object(object)) => object.is_empty(),
        Some(_) => false,
    };
    let is_cache = !is_empty("kv_cache_scheme") && is_empty("config_groups") && is_empty("sparsity_config");
    if method == Some("compressed-tensors") && is_cache {
        return Some(("only the cache of keys and values is quantised", "mixscope keeps keys and values unquantised"));
    }
    let is_off = |key: &str| found.get(key).is_none_or(|value| matches!(value, Value::Null | Value::Bool(false)));
    let is_said = ["load_in_4bit", "load_in_8bit"].iter().any(|key| found.get(key).is_some());
    if method.is_none_or(|name| name == "bitsandbytes") && is_said && is_off("load_in_4bit") && is_off("load_in_8bit") {
        return Some(("neither load_in_4bit nor load_in_8bit", "the weights are not quantised"));
    }
    None
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
        entry.stored.is_none()
            && name != "F64"
            && (name.starts_with("F8") || name.starts_with("F4") || name.starts_with("F6"))
    });
    if let Some((name, entry)) = raw {
        bail!("quantised to {} (tensor `{name}`), {ADVICE}", entry.type_name);
    }
    Ok(())
}
