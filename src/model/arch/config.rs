//! A config.json: its family, and the keys that are not part of the architecture.

use super::axes::Arch;
use super::keys::{Keys, token_ids};
use super::{common, gpt_oss, granite, mixtral, olmoe, qwen};
use crate::trace::{Dtype, Report};
use anyhow::{Result, ensure};
use serde_json::Value;

/// A family of models: its names in config.json, and its reader.
struct Family {
    title: &'static str,
    model_type: &'static str,
    architecture: &'static str,
    /// The architecture without a head, under which some checkpoints with one were saved.
    base: &'static str,
    read: fn(&Keys, &mut Report) -> Result<Arch>,
    /// Notes which constants are unusual for the family.
    constants: fn(&Keys, &Arch, &mut Report),
}

/// All families that can be read.
const FAMILIES: [Family; 6] = [
    Family {
        title: "Mixtral",
        model_type: "mixtral",
        architecture: "MixtralForCausalLM",
        base: "MixtralModel",
        read: mixtral::read,
        constants: mixtral::constants,
    },
    Family {
        title: "OLMoE",
        model_type: "olmoe",
        architecture: "OlmoeForCausalLM",
        base: "OlmoeModel",
        read: olmoe::read,
        constants: common::constants,
    },
    Family {
        title: "Qwen2-MoE",
        model_type: "qwen2_moe",
        architecture: "Qwen2MoeForCausalLM",
        base: "Qwen2MoeModel",
        read: qwen::read_qwen2,
        constants: common::constants,
    },
    Family {
        title: "Qwen3-MoE",
        model_type: "qwen3_moe",
        architecture: "Qwen3MoeForCausalLM",
        base: "Qwen3MoeModel",
        read: qwen::read_qwen3,
        constants: common::constants,
    },
    Family {
        title: "Granite-MoE",
        model_type: "granitemoe",
        architecture: "GraniteMoeForCausalLM",
        base: "GraniteMoeModel",
        read: granite::read,
        constants: common::constants,
    },
    Family {
        title: "gpt-oss",
        model_type: "gpt_oss",
        architecture: "GptOssForCausalLM",
        base: "GptOssModel",
        read: gpt_oss::read,
        constants: common::constants,
    },
];

/// The families that can be read: name, `model_type` and architecture in config.json.
pub fn families() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    FAMILIES.iter().map(|family| (family.title, family.model_type, family.architecture))
}

/// A model's config.json.
#[derive(Clone, Debug)]
pub struct Config {
    /// The name of its family.
    pub family: &'static str,
    /// How the model computes.
    pub arch: Arch,
    /// The dtype of the weights according to the config.
    pub dtype: Option<Dtype>,
    /// Tokens that end a generation.
    pub eos: Vec<u32>,
}

impl Config {
    /// Reads a config.json, or an equivalent from a file called `origin`. `report` gets every value that was missing or
    /// contradicts another.
    ///
    /// # Errors
    /// If it is of an unknown family, a key is missing or has an impossible value, or it asks for something that is not
    /// implemented.
    pub fn parse(json: &Value, origin: &str, report: &mut Report) -> Result<Self> {
        let family = family(json, origin)?;
        let keys = Keys { json, origin };
        let arch = (family.read)(&keys, report)?;
        let (dtype, eos) = (keys.dtype(report), token_ids(json.get("eos_token_id")));
        (family.constants)(&keys, &arch, report);
        Ok(Self { family: family.title, arch, dtype, eos })
    }
}

fn family(json: &Value, origin: &str) -> Result<&'static Family> {
    ensure!(json.is_object(), "{origin} is not a JSON object");
    let model_type = json.get("model_type").and_then(Value::as_str);
    let architecture = json.pointer("/architectures/0").and_then(Value::as_str);
    let is = |family: &&Family| {
        let named = model_type.or(architecture).is_some();
        named
            && model_type.is_none_or(|name| name == family.model_type)
            && architecture.is_none_or(|name| name == family.architecture || name == family.base)
    };
    FAMILIES.iter().find(is).ok_or_else(|| {
        let known: Vec<String> =
            FAMILIES.iter().map(|family| format!("`{}` / `{}`", family.model_type, family.architecture)).collect();
        anyhow::anyhow!(
            "{origin}: unsupported model_type `{}` / architecture `{}`; mixscope reads {}",
            model_type.unwrap_or("none"),
            architecture.unwrap_or("none"),
            known.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn base() -> Value {
        json!({"model_type": "mixtral", "hidden_size": 64, "intermediate_size": 96, "num_attention_heads": 4,
            "num_hidden_layers": 2, "vocab_size": 10, "rope_theta": 1e6, "num_key_value_heads": 2})
    }

    fn parse(change: impl FnOnce(&mut Value)) -> Result<Config> {
        let mut json = base();
        change(&mut json);
        Config::parse(&json, "config.json", &mut Report::default())
    }

    #[test]
    fn every_spelling_of_the_rope_base_is_read() {
        assert_eq!(parse(|_| {}).unwrap().arch.rope.base, 1e6);
        let modern = |json: &mut Value| {
            json.as_object_mut().unwrap().remove("rope_theta");
            json["rope_parameters"] = json!({"rope_theta": 50000.0, "rope_type": "default"});
        };
        assert_eq!(parse(modern).unwrap().arch.rope.base, 50000.0);
        let both = parse(|json| json["rope_parameters"] = json!({"rope_theta": 10000.0}));
        assert!(both.unwrap_err().to_string().contains("10000"));
        // transformers takes it from rope_scaling first.
        let scaling = |base: f64| json!({"rope_type": "default", "rope_theta": base});
        let both = parse(|json| json["rope_scaling"] = scaling(100.0));
        assert!(both.unwrap_err().to_string().contains("rope_scaling.rope_theta is 100"));
        let alone = parse(|json| {
            json.as_object_mut().unwrap().remove("rope_theta");
            json["rope_scaling"] = scaling(100.0);
        });
        assert_eq!(alone.unwrap().arch.rope.base, 100.0);
        let unnamed = json!({"rope_type": null, "type": "linear", "factor": 4.0});
        assert!(parse(|json| json["rope_scaling"] = unnamed).is_err(), "a null type hides no other");
        for kind in ["yarn", "linear", "dynamic", "llama3"] {
            let scaled = |factor: f64| parse(|json| json["rope_scaling"] = json!({"type": kind, "factor": factor}));
            assert!(scaled(4.0).unwrap_err().to_string().contains(kind));
            assert_eq!(scaled(1.0).unwrap().arch.rope.base, 1e6, "{kind} by 1 is no scaling");
        }
        let scores = json!({"rope_type": "yarn", "factor": 1.0, "attention_factor": 1.2});
        assert!(parse(|json| json["rope_scaling"] = scores).is_err(), "scores would be scaled");
    }

    #[test]
    fn impossible_values_are_refused_by_name() {
        let cases: [(&str, Value); 11] = [
            ("hidden_size", json!(0)),
            ("hidden_size", json!(1u64 << 60)),
            ("num_hidden_layers", json!("six")),
            ("num_key_value_heads", json!(3)),
            ("num_experts_per_tok", json!(9)),
            ("head_dim", json!(15)),
            ("sliding_window", json!(0)),
            ("hidden_act", json!("gelu")),
            ("hidden_act", json!(3)),
            ("rms_norm_eps", json!("0.5")),
            ("tie_word_embeddings", json!("no")),
        ];
        for (key, value) in cases {
            let error = parse(|json| json[key] = value.clone()).unwrap_err().to_string();
            assert!(error.contains(key), "{key} = {value}: {error}");
        }
    }

    #[test]
    fn other_names_huge_contexts_and_base_architectures_are_read() {
        let experts = |config: Result<Config>| config.unwrap().arch.dims.experts;
        assert_eq!(experts(parse(|json| json["num_experts"] = json!(3))), 3);
        let both =
            |other: u64| parse(|json| (json["num_experts"], json["num_local_experts"]) = (json!(other), json!(4)));
        assert_eq!(experts(both(4)), 4);
        assert!(both(5).unwrap_err().to_string().contains("num_experts"));
        for huge in [json!(1u64 << 40), json!(1e30), json!(131_072)] {
            assert!(parse(|json| json["max_position_embeddings"] = huge).unwrap().arch.dims.context >= 131_072);
        }
        assert!(parse(|json| json["architectures"] = json!(["MixtralModel"])).is_ok());
        assert!(parse(|json| json["architectures"] = json!(["LlamaModel"])).is_err());
    }

    #[test]
    fn null_window_is_none_and_head_dim_may_be_null() {
        let config = parse(|json| {
            json["sliding_window"] = Value::Null;
            json["head_dim"] = Value::Null;
        });
        let dims = config.unwrap().arch.dims;
        assert_eq!((dims.window, dims.d_head), (None, 16));
    }
}
