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
    let family = FAMILIES.iter().find(|family| family.architecture == architecture);
    let own = Own { header, architecture };
    let experts = own.number("expert_count")?.unwrap_or(0);
    let Some(family) = family.filter(|_| experts > 0) else {
        let others: Vec<String> = FAMILIES[1..].iter().map(|family| format!("`{}`", family.architecture)).collect();
        bail!(
            "unsupported architecture `{architecture}` with {experts} experts; mixscope reads `llama` with experts \
             (Mixtral), {}",
            others.join(", ")
        )
    };
    let heads = own.need("attention.head_count")?;
    let d_model = own.need("embedding_length")?;
    let key_width = own.number("attention.key_length")?;
    let value_width = own.number("attention.value_length")?;
    ensure!(
        value_width.is_none() || key_width.is_none() || key_width == value_width,
        "keys and values of different widths ({key_width:?}, {value_width:?}) are not implemented"
    );
    let d_head = key_width.or(value_width).or_else(|| d_model.checked_div(heads)).unwrap_or(0);
    let rotated = own.number("rope.dimension_count")?.unwrap_or(d_head);
    ensure!(
        rotated == d_head,
        "{architecture}.rope.dimension_count is {rotated}, but heads are {d_head} wide: not implemented"
    );
    let scaling = rope_scaling(&own, family)?;
    // llama.cpp's LLAMA_EXPERT_GATING_FUNC_TYPE_SOFTMAX is 1, and that of a softmax over the chosen 3; 0 means not given.
    let gating = own.number("expert_gating_func")?.unwrap_or(0);
    if gating > 1 && !(family.is_gpt_oss() && gating == 3) {
        bail!("{architecture}.expert_gating_func is {gating}; only softmax (1) is implemented");
    }
    if let Some(scale) = header.positive(&own.key("expert_weights_scale"))?.filter(|scale| *scale != 1.0) {
        bail!("{architecture}.expert_weights_scale is {scale}; expert weights are not scaled in a {}", family.name);
    }
    if header.get(&own.key("expert_weights_norm")).and_then(Value::bool) == Some(!family.renormalises) {
        let (said, fixed) = match family.renormalises {
            true => ("false", "are renormalised"),
            false => ("true", "are not renormalised by llama.cpp"),
        };
        bail!("{architecture}.expert_weights_norm is {said}; {}'s expert weights {fixed}", family.name);
    }
    ensure!(rows("rope_freqs.weight").is_none(), "it scales RoPE by rope_freqs.weight, which is not implemented");
    let theta = header.positive(&own.key("rope.freq_base"))?.unwrap_or_else(|| {
        let advice = match family.architecture {
            "llama" => "a wrong base gives fluent short text that decays; Mixtral's is 1000000",
            _ => "a wrong base gives fluent short text that decays",
        };
        let found = "none; llama.cpp's default 10000 is used";
        report.add(Level::Warn, own.key("rope.freq_base"), "a RoPE base", found, advice);
        10_000.0
    });
    let eps = header.positive(&own.key("attention.layer_norm_rms_epsilon"))?;
    let vocab = own.number("vocab_size")?.or(rows("token_embd.weight").map(|rows| rows as u64));
    let mut config = json!({
        "model_type": family.model_type,
        "architectures": [family.class],
        "hidden_size": d_model,
        "num_hidden_layers": own.need("block_count")?,
        "num_attention_heads": heads,
        "num_key_value_heads": own.number("attention.head_count_kv")?.unwrap_or(heads),
        "num_experts_per_tok": own.need("expert_used_count")?,
        "max_position_embeddings": own.need("context_length")?,
        "rms_norm_eps": eps
            .with_context(|| format!("its metadata lacks {architecture}.attention.layer_norm_rms_epsilon"))?,
        "rope_theta": theta,
        "vocab_size": vocab
            .with_context(|| format!("its metadata lacks {architecture}.vocab_size, and there is no token_embd.weight"))?,
        "tie_word_embeddings": rows("output.weight").is_none(),
    });
    config[family.experts] = experts.into();
    if let Some(mut scaling) = scaling {
        scaling["rope_theta"] = theta.into();
        config["rope_parameters"] = scaling;
    }
    family_keys(&own, family, &rows, &mut config)?;
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

/// What differs between the families in a GGUF file.
struct Family {
    architecture: &'static str,
    name: &'static str,
    model_type: &'static str,
    class: &'static str,
    /// The config's key of the number of experts.
    experts: &'static str,
    /// Whether llama.cpp divides the weights of the chosen experts by their sum: it does not ask the file.
    renormalises: bool,
}

impl Family {
    fn is_gpt_oss(&self) -> bool {
        self.architecture == "gpt-oss"
    }
}

const FAMILIES: [Family; 6] = [
    Family {
        architecture: "llama",
        name: "Mixtral",
        model_type: "mixtral",
        class: "MixtralForCausalLM",
        experts: "num_local_experts",
        renormalises: true,
    },
    Family {
        architecture: "olmoe",
        name: "OLMoE",
        model_type: "olmoe",
        class: "OlmoeForCausalLM",
        experts: "num_experts",
        renormalises: false,
    },
    Family {
        architecture: "qwen2moe",
        name: "Qwen2-MoE",
        model_type: "qwen2_moe",
        class: "Qwen2MoeForCausalLM",
        experts: "num_experts",
        renormalises: false,
    },
    Family {
        architecture: "qwen3moe",
        name: "Qwen3-MoE",
        model_type: "qwen3_moe",
        class: "Qwen3MoeForCausalLM",
        experts: "num_experts",
        renormalises: true,
    },
    Family {
        architecture: "granitemoe",
        name: "Granite-MoE",
        model_type: "granitemoe",
        class: "GraniteMoeForCausalLM",
        experts: "num_local_experts",
        renormalises: true,
    },
    Family {
        architecture: "gpt-oss",
        name: "gpt-oss",
        model_type: "gpt_oss",
        class: "GptOssForCausalLM",
        experts: "num_local_experts",
        renormalises: true,
    },
];

/// The metadata of the model's own architecture.
struct Own<'a> {
    header: &'a Header<'a>,
    architecture: &'a str,
}

impl Own<'_> {
    fn key(&self, key: &str) -> String {
        format!("{}.{key}", self.architecture)
    }

    fn number(&self, key: &str) -> Result<Option<u64>> {
        self.header.number(&self.key(key))
    }

    fn need(&self, key: &str) -> Result<u64> {
        self.number(key)?.with_context(|| format!("its metadata lacks {}", self.key(key)))
    }

    /// A floating-point number; `None` if it is missing or 0, which is none in llama.cpp.
    fn factor(&self, key: &str) -> Option<f64> {
        self.header.get(&self.key(key)).and_then(Value::number).filter(|factor| *factor != 0.0)
    }
}

/// The config's `rope_parameters` of a scaling of RoPE; `None` if there is none.
fn rope_scaling(own: &Own, family: &Family) -> Result<Option<Json>> {
    let architecture = own.architecture;
    let factor = own.factor("rope.scaling.factor").or(own.factor("rope.scale_linear"));
    let kind = own.header.text(&own.key("rope.scaling.type"))?.filter(|kind| *kind != "none");
    if kind == Some("yarn") && family.architecture != "llama" && factor.is_some_and(|factor| factor != 1.0) {
        let mut yarn = json!({
            "rope_type": "yarn",
            "factor": factor,
            "original_max_position_embeddings": own.need("rope.scaling.original_context_length")?,
            // gpt-oss was trained with the bounds between fast and slow pairs as they are; the file does not say so.
            "truncate": !family.is_gpt_oss(),
        });
        for (key, name) in [("beta_fast", "rope.scaling.yarn_beta_fast"), ("beta_slow", "rope.scaling.yarn_beta_slow")]
        {
            if let Some(beta) = own.factor(name) {
                yarn[key] = beta.into();
            }
        }
        return Ok(Some(yarn));
    }
    if let Some(kind) = kind {
        // A factor of 1 leaves every angle as it is.
        let is_none = factor == Some(1.0) && matches!(kind, "linear" | "yarn") || factor.is_none() && kind == "linear";
        ensure!(is_none, "{architecture}.rope.scaling.type is `{kind}`; only RoPE without scaling is implemented");
    }
    for key in ["rope.scaling.factor", "rope.scale_linear"] {
        if let Some(factor) = own.factor(key).filter(|factor| *factor != 1.0) {
            bail!("{architecture}.{key} is {factor}; only RoPE without scaling is implemented");
        }
    }
    Ok(None)
}

/// Adds the keys that only some families have.
fn family_keys(own: &Own, family: &Family, rows: impl Fn(&str) -> Option<usize>, config: &mut Json) -> Result<()> {
    let of_tensor = |name: &str| rows(name).map(|rows| rows as u64);
    let expert_width = || -> Result<u64> {
        match own.number("expert_feed_forward_length")? {
            Some(width) => Ok(width),
            None => own.need("feed_forward_length"),
        }
    };
    let has = |name: &str| rows(name).is_some();
    let window = || Ok::<_, anyhow::Error>(own.number("attention.sliding_window")?.filter(|window| *window > 0));
    match family.architecture {
        "llama" => {
            config["intermediate_size"] = own.need("feed_forward_length")?.into();
            config["sliding_window"] = window()?.into();
        }
        "olmoe" => {
            config["intermediate_size"] = expert_width()?.into();
            config["clip_qkv"] = own.factor("attention.clamp_kqv").into();
        }
        "qwen2moe" | "qwen3moe" => {
            config["moe_intermediate_size"] = expert_width()?.into();
            if let Some(dense) = own.number("feed_forward_length")? {
                config["intermediate_size"] = dense.into();
            }
        }
        "granitemoe" => {
            let shared = own.number("expert_shared_feed_forward_length")?.unwrap_or(0);
            ensure!(shared == 0, "it has a shared expert (GraniteMoeShared), which is not implemented");
            config["intermediate_size"] = expert_width()?.into();
            let factors = [
                ("embedding_multiplier", "embedding_scale"),
                ("residual_multiplier", "residual_scale"),
                ("logits_scaling", "logit_scale"),
                ("attention_multiplier", "attention.scale"),
            ];
            for (key, name) in factors {
                config[key] = own.factor(name).into();
            }
            if config["attention_multiplier"].is_null() {
                let d_head = config["hidden_size"].as_f64().zip(config["num_attention_heads"].as_f64());
                config["attention_multiplier"] = d_head.map(|(width, heads)| (heads / width).sqrt()).into();
            }
        }
        _ => {
            config["intermediate_size"] = expert_width()?.into();
            config["sliding_window"] = window()?.into();
        }
    }
    match family.architecture {
        "qwen2moe" => {
            let width = own.number("expert_shared_feed_forward_length")?;
            // Files of the first converter lack it.
            let width = width.or(of_tensor("blk.0.ffn_gate_shexp.weight"));
            config["shared_expert_intermediate_size"] = width.into();
            config["qkv_bias"] = has("blk.0.attn_q.bias").into();
        }
        "olmoe" | "qwen3moe" | "granitemoe" | "gpt-oss" => config["attention_bias"] = has("blk.0.attn_q.bias").into(),
        _ => {}
    }
    if ["olmoe", "qwen2moe", "qwen3moe"].contains(&family.architecture) {
        config["norm_topk_prob"] = family.renormalises.into();
    }
    Ok(())
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
