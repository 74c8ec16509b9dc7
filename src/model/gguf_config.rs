//! A GGUF file's metadata as the config.json that says the same.

use super::weights::gguf::{Header, Value};
use crate::trace::{Level, Report};
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value as Json, json};

/// The config.json that transformers would have for the model; `rows` tells how many rows a tensor has, of any part of the
/// model.
///
/// # Errors
/// If it is another architecture, a key is missing, or it asks for something that is not implemented.
pub fn config(header: &Header, rows: impl Fn(&str) -> Option<usize>, report: &mut Report) -> Result<Json> {
    let architecture = text(header, "general.architecture")?.context("its metadata lacks general.architecture")?;
    let experts = number(header, "llama.expert_count")?.unwrap_or(0);
    ensure!(
        architecture == "llama" && experts > 0,
        "unsupported architecture `{architecture}` with {experts} experts; mixscope reads `llama` with experts (Mixtral)"
    );
    let need = |key: &str| number(header, key)?.with_context(|| format!("its metadata lacks {key}"));
    let heads = need("llama.attention.head_count")?;
    let d_model = need("llama.embedding_length")?;
    let key_width = number(header, "llama.attention.key_length")?;
    let value_width = number(header, "llama.attention.value_length")?;
    ensure!(
        value_width.is_none() || key_width.is_none() || key_width == value_width,
        "keys and values of different widths ({key_width:?}, {value_width:?}) are not implemented"
    );
    let d_head = key_width.or(value_width).or_else(|| d_model.checked_div(heads)).unwrap_or(0);
    let rotated = number(header, "llama.rope.dimension_count")?.unwrap_or(d_head);
    ensure!(rotated == d_head, "llama.rope.dimension_count is {rotated}, but heads are {d_head} wide: not implemented");
    if let Some(kind) = text(header, "llama.rope.scaling.type")?.filter(|kind| *kind != "none") {
        bail!("llama.rope.scaling.type is `{kind}`; only RoPE without scaling is implemented");
    }
    // llama.cpp's LLAMA_EXPERT_GATING_FUNC_TYPE_SOFTMAX is 1; 0 means not given.
    if let Some(function) = number(header, "llama.expert_gating_func")?.filter(|function| *function > 1) {
        bail!("llama.expert_gating_func is {function}; only softmax (1) is implemented");
    }
    if let Some(scale) = positive(header, "llama.expert_weights_scale")?.filter(|scale| *scale != 1.0) {
        bail!("llama.expert_weights_scale is {scale}; expert weights are not scaled in a Mixtral");
    }
    if header.get("llama.expert_weights_norm").and_then(Value::bool) == Some(false) {
        bail!("llama.expert_weights_norm is false; Mixtral's expert weights are renormalised");
    }
    for key in ["llama.rope.scaling.factor", "llama.rope.scale_linear"] {
        if let Some(factor) = positive(header, key)?.filter(|factor| *factor != 1.0) {
            bail!("{key} is {factor}; only RoPE without scaling is implemented");
        }
    }
    ensure!(rows("rope_freqs.weight").is_none(), "it scales RoPE by rope_freqs.weight, which is not implemented");
    let theta = positive(header, "llama.rope.freq_base")?.unwrap_or_else(|| {
        let advice = "a wrong base gives fluent short text that decays; Mixtral's is 1000000";
        let found = "none; llama.cpp's default 10000 is used";
        report.add(Level::Warn, "llama.rope.freq_base", "a RoPE base", found, advice);
        10_000.0
    });
    let eps = positive(header, "llama.attention.layer_norm_rms_epsilon")?;
    let vocab = number(header, "llama.vocab_size")?.or(rows("token_embd.weight").map(|rows| rows as u64));
    let mut config = json!({
        "model_type": "mixtral",
        "architectures": ["MixtralForCausalLM"],
        "hidden_size": d_model,
        "intermediate_size": need("llama.feed_forward_length")?,
        "num_hidden_layers": need("llama.block_count")?,
        "num_attention_heads": heads,
        "num_key_value_heads": number(header, "llama.attention.head_count_kv")?.unwrap_or(heads),
        "num_local_experts": experts,
        "num_experts_per_tok": need("llama.expert_used_count")?,
        "max_position_embeddings": need("llama.context_length")?,
        "rms_norm_eps": eps.context("its metadata lacks llama.attention.layer_norm_rms_epsilon")?,
        "rope_theta": theta,
        "vocab_size": vocab.context("its metadata lacks llama.vocab_size, and there is no token_embd.weight")?,
        "tie_word_embeddings": rows("output.weight").is_none(),
        "sliding_window": number(header, "llama.attention.sliding_window")?.filter(|window| *window > 0),
    });
    if key_width.or(value_width).is_some() {
        config["head_dim"] = d_head.into();
    }
    for (key, name) in
        [("bos_token_id", "tokenizer.ggml.bos_token_id"), ("eos_token_id", "tokenizer.ggml.eos_token_id")]
    {
        if let Some(id) = number(header, name)? {
            config[key] = id.into();
        }
    }
    Ok(config)
}

/// A whole number of the metadata.
pub(super) fn number(header: &Header, key: &str) -> Result<Option<u64>> {
    let Some(value) = header.get(key) else { return Ok(None) };
    let number = value.unsigned();
    Ok(Some(number.with_context(|| format!("{key} is {}, expected a whole number", value))?))
}

/// A positive, finite number of the metadata.
fn positive(header: &Header, key: &str) -> Result<Option<f64>> {
    let Some(value) = header.get(key) else { return Ok(None) };
    let number = value.number().filter(|number| number.is_finite() && *number > 0.0);
    Ok(Some(number.with_context(|| format!("{key} is {value}, expected a positive number"))?))
}

/// A text of the metadata.
pub(super) fn text<'a>(header: &Header<'a>, key: &str) -> Result<Option<&'a str>> {
    let Some(value) = header.get(key) else { return Ok(None) };
    Ok(Some(value.text().with_context(|| format!("{key} is {}, expected text", value))?))
}

/// What llama.cpp's converter called the mixture of types (`general.file_type`, llama.cpp's `LLAMA_FTYPE_*`).
pub fn file_type(header: &Header) -> Option<&'static str> {
    Some(match header.get("general.file_type")?.unsigned()? {
        0 => "F32",
        1 => "F16",
        2 => "Q4_0",
        3 => "Q4_1",
        7 => "Q8_0",
        8 => "Q5_0",
        9 => "Q5_1",
        10 => "Q2_K",
        11 => "Q3_K_S",
        12 => "Q3_K_M",
        13 => "Q3_K_L",
        14 => "Q4_K_S",
        15 => "Q4_K_M",
        16 => "Q5_K_S",
        17 => "Q5_K_M",
        18 => "Q6_K",
        32 => "BF16",
        _ => return None,
    })
}
