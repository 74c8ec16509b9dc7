//! A GGUF file's metadata as the equivalent config.json.

use crate::model::weights::gguf::{Header, Value};
use crate::trace::{Level, Report};
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value as Json, json};

/// The config.json that transformers would have for the model. `rows` returns the number of rows of a tensor, in whichever
/// part of the file it is.
///
/// # Errors
/// If it is of an unknown architecture, a key is missing, or it asks for something that is not implemented.
pub fn config(header: &Header, rows: impl Fn(&str) -> Option<usize>, report: &mut Report) -> Result<Json> {
    if let Some(kind) = header.text("general.type")?.filter(|kind| *kind != "model") {
        match kind {
            "adapter" => bail!(
                "it is an adapter (LoRA), not a model: merge it into its base model (llama-export-lora), and open the result"
            ),
            "imatrix" => {
                bail!("it is an importance matrix, which is read when a model is quantised; open the model itself")
            }
            "mmproj" => bail!("it holds the projector of a multimodal model; open the language model's own file"),
            "vocab" => bail!("it holds a vocabulary without weights; open the model itself"),
            other => bail!("it is a GGUF of type `{other}`, not a model; open the model itself"),
        }
    }
    let architecture = header.text("general.architecture")?.context("its metadata lacks general.architecture")?;
    let experts = header.number("llama.expert_count")?.unwrap_or(0);
    ensure!(
        architecture == "llama" && experts > 0,
        "unsupported architecture `{architecture}` with {experts} experts; mixscope reads `llama` with experts (Mixtral)"
    );
    let need = |key: &str| header.number(key)?.with_context(|| format!("its metadata lacks {key}"));
    let heads = need("llama.attention.head_count")?;
    let d_model = need("llama.embedding_length")?;
    let key_width = header.number("llama.attention.key_length")?;
    let value_width = header.number("llama.attention.value_length")?;
    ensure!(
        value_width.is_none() || key_width.is_none() || key_width == value_width,
        "keys and values of different widths ({key_width:?}, {value_width:?}) are not implemented"
    );
    let d_head = key_width.or(value_width).or_else(|| d_model.checked_div(heads)).unwrap_or(0);
    let rotated = header.number("llama.rope.dimension_count")?.unwrap_or(d_head);
    ensure!(rotated == d_head, "llama.rope.dimension_count is {rotated}, but heads are {d_head} wide: not implemented");
    // In llama.cpp 0 is no factor.
    let factor = |key: &str| header.get(key).and_then(Value::number).filter(|factor| *factor != 0.0);
    let factor = factor("llama.rope.scaling.factor").or(factor("llama.rope.scale_linear"));
    if let Some(kind) = header.text("llama.rope.scaling.type")?.filter(|kind| *kind != "none") {
        // A factor of 1 leaves every angle as it is.
        let is_none = factor == Some(1.0) && matches!(kind, "linear" | "yarn") || factor.is_none() && kind == "linear";
        ensure!(is_none, "llama.rope.scaling.type is `{kind}`; only RoPE without scaling is implemented");
    }
    // llama.cpp's LLAMA_EXPERT_GATING_FUNC_TYPE_SOFTMAX is 1; 0 means not given.
    if let Some(function) = header.number("llama.expert_gating_func")?.filter(|function| *function > 1) {
        bail!("llama.expert_gating_func is {function}; only softmax (1) is implemented");
    }
    if let Some(scale) = header.positive("llama.expert_weights_scale")?.filter(|scale| *scale != 1.0) {
        bail!("llama.expert_weights_scale is {scale}; expert weights are not scaled in a Mixtral");
    }
    if header.get("llama.expert_weights_norm").and_then(Value::bool) == Some(false) {
        bail!("llama.expert_weights_norm is false; Mixtral's expert weights are renormalised");
    }
    for key in ["llama.rope.scaling.factor", "llama.rope.scale_linear"] {
        if let Some(factor) = header.get(key).and_then(Value::number).filter(|factor| ![0.0, 1.0].contains(factor)) {
            bail!("{key} is {factor}; only RoPE without scaling is implemented");
        }
    }
    ensure!(rows("rope_freqs.weight").is_none(), "it scales RoPE by rope_freqs.weight, which is not implemented");
    let theta = header.positive("llama.rope.freq_base")?.unwrap_or_else(|| {
        let advice = "a wrong base gives fluent short text that decays; Mixtral's is 1000000";
        let found = "none; llama.cpp's default 10000 is used";
        report.add(Level::Warn, "llama.rope.freq_base", "a RoPE base", found, advice);
        10_000.0
    });
    let eps = header.positive("llama.attention.layer_norm_rms_epsilon")?;
    let vocab = header.number("llama.vocab_size")?.or(rows("token_embd.weight").map(|rows| rows as u64));
    let mut config = json!({
        "model_type": "mixtral",
        "architectures": ["MixtralForCausalLM"],
        "hidden_size": d_model,
        "intermediate_size": need("llama.feed_forward_length")?,
        "num_hidden_layers": need("llama.block_count")?,
        "num_attention_heads": heads,
        "num_key_value_heads": header.number("llama.attention.head_count_kv")?.unwrap_or(heads),
        "num_local_experts": experts,
        "num_experts_per_tok": need("llama.expert_used_count")?,
        "max_position_embeddings": need("llama.context_length")?,
        "rms_norm_eps": eps.context("its metadata lacks llama.attention.layer_norm_rms_epsilon")?,
        "rope_theta": theta,
        "vocab_size": vocab.context("its metadata lacks llama.vocab_size, and there is no token_embd.weight")?,
        "tie_word_embeddings": rows("output.weight").is_none(),
        "sliding_window": header.number("llama.attention.sliding_window")?.filter(|window| *window > 0),
    });
    if key_width.or(value_width).is_some() {
        config["head_dim"] = d_head.into();
    }
    for (key, name) in
        [("bos_token_id", "tokenizer.ggml.bos_token_id"), ("eos_token_id", "tokenizer.ggml.eos_token_id")]
    {
        if let Some(id) = header.number(name)? {
            config[key] = id.into();
        }
    }
    Ok(config)
}

/// The name that llama.cpp's converter gives the mixture of types (`general.file_type`, llama.cpp's `LLAMA_FTYPE_*`).
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
        19 => "IQ2_XXS",
        20 => "IQ2_XS",
        21 => "Q2_K_S",
        22 => "IQ3_XS",
        23 => "IQ3_XXS",
        24 => "IQ1_S",
        25 => "IQ4_NL",
        26 => "IQ3_S",
        27 => "IQ3_M",
        28 => "IQ2_S",
        29 => "IQ2_M",
        30 => "IQ4_XS",
        31 => "IQ1_M",
        32 => "BF16",
        36 => "TQ1_0",
        37 => "TQ2_0",
        38 => "MXFP4_MOE",
        _ => return None,
    })
}
