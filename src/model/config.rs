//! config.json as every transformers version from 4.36 to 5.x writes it (REFERENCE: "which transformers writes what").

use super::contract;
use crate::trace::{Dims, Dtype, Level, Report};
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

/// A Mixtral configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// The sizes.
    pub dims: Dims,
    /// RoPE base.
    pub rope_theta: f64,
    /// Added to the mean square in RMSNorm.
    pub rms_norm_eps: f64,
    /// Whether the unembedding is the embedding.
    pub tied: bool,
    /// What the config says the weights are.
    pub dtype: Option<Dtype>,
    /// Tokens that end a generation.
    pub eos: Vec<u32>,
}

/// Larger sizes than any model has are refused before anything is computed with them.
const MAX_SIZE: u64 = 1 << 31;
/// The same for all together: no number of bytes that follows from the sizes overflows.
const MAX_PARAMETERS: f64 = (1u64 << 56) as f64;

impl Config {
    /// Reads a config.json, or what says the same in a file called `origin`, noting in `report` what was defaulted or contradicts itself.
    ///
    /// # Errors
    /// If it is another architecture, a key is missing or has an impossible value, or it asks for something
    /// that is not implemented.
    pub fn parse(json: &Value, origin: &str, report: &mut Report) -> Result<Self> {
        check_architecture(json, origin)?;
        let heads = size((json, origin), "num_attention_heads", None, report)?;
        let d_model = size((json, origin), "hidden_size", None, report)?;
        let d_head = match json.get("head_dim").filter(|v| !v.is_null()) {
            Some(_) => {
                let explicit = size((json, origin), "head_dim", None, report)?;
                report.add(
                    Level::Ok,
                    format!("{origin}: head_dim"),
                    "even",
                    format!("{explicit}, given explicitly"),
                    "",
                );
                explicit
            }
            None => {
                ensure!(
                    d_model % heads == 0,
                    "{origin}: hidden_size {d_model} is not divisible by num_attention_heads {heads} and head_dim is not given"
                );
                report.add(
                    Level::Ok,
                    format!("{origin}: head_dim"),
                    "even",
                    format!("{} = hidden_size / heads", d_model / heads),
                    "",
                );
                d_model / heads
            }
        };
        ensure!(d_head % 2 == 0, "{origin}: head_dim {d_head} is odd; RoPE rotates pairs");
        let dims = Dims {
            layers: size((json, origin), "num_hidden_layers", None, report)?,
            d_model,
            d_ff: size((json, origin), "intermediate_size", None, report)?,
            heads,
            kv_heads: size((json, origin), "num_key_value_heads", Some(8), report)?,
            d_head,
            experts: size((json, origin), "num_local_experts", Some(8), report)?,
            top_k: size((json, origin), "num_experts_per_tok", Some(2), report)?,
            vocab: size((json, origin), "vocab_size", None, report)?,
            context: size((json, origin), "max_position_embeddings", Some(131_072), report)?,
            window: window(json, origin, report)?,
        };
        ensure!(
            heads % dims.kv_heads == 0,
            "{origin}: num_attention_heads {heads} is not a multiple of num_key_value_heads {}",
            dims.kv_heads
        );
        ensure!(
            dims.top_k <= dims.experts,
            "{origin}: num_experts_per_tok {} exceeds num_local_experts {}",
            dims.top_k,
            dims.experts
        );
        let numbers = parameters(dims);
        ensure!(numbers < MAX_PARAMETERS, "{origin}: its sizes make {numbers:.1e} parameters, which no model has");
        let found = format!("top-{} of {}", dims.top_k, dims.experts);
        let level = if dims.top_k == 2 { Level::Ok } else { Level::Note };
        report.add(level, format!("{origin}: experts"), "top-2, as in Mixtral's own models", found, "");
        let found = format!("{} tokens", dims.context);
        report.add(Level::Ok, format!("{origin}: max_position_embeddings"), "a context", found, "");
        if let Some(other) = present(json, "hidden_act").filter(|act| !matches!(act.as_str(), Some("silu" | "swish"))) {
            bail!("{origin}: hidden_act {other} is not supported; Mixtral's experts use silu");
        }
        let rms_norm_eps = match present(json, "rms_norm_eps") {
            Some(eps) => eps
                .as_f64()
                .filter(|eps| eps.is_finite() && *eps >= 0.0)
                .with_context(|| format!("{origin}: rms_norm_eps is {eps}, expected a small positive number"))?,
            None => {
                report.add(
                    Level::Note,
                    format!("{origin}: rms_norm_eps"),
                    "",
                    "missing; transformers' default 1e-5 is used",
                    "",
                );
                1e-5
            }
        };
        let tied = match present(json, "tie_word_embeddings") {
            Some(tied) => tied
                .as_bool()
                .with_context(|| format!("{origin}: tie_word_embeddings is {tied}, expected true or false"))?,
            None => false,
        };
        let config = Self {
            dims,
            rope_theta: rope_theta(json, origin, report)?,
            rms_norm_eps,
            tied,
            dtype: dtype(json, origin, report),
            eos: token_ids(json.get("eos_token_id")),
        };
        contract::constants(json, origin, &config, report);
        Ok(config)
    }
}

/// About how many numbers the weights are.
fn parameters(d: Dims) -> f64 {
    let [layers, d_model, d_ff, experts, vocab] = [d.layers, d.d_model, d.d_ff, d.experts, d.vocab].map(|n| n as f64);
    let heads = (d.heads + d.kv_heads) as f64 * d.d_head as f64;
    layers * d_model * (2.0 * heads + 3.0 * experts * d_ff) + 2.0 * vocab * d_model
}

/// The value of a key that is there and not null.
fn present<'a>(json: &'a Value, key: &str) -> Option<&'a Value> {
    json.get(key).filter(|value| !value.is_null())
}

/// One id, a list of ids, or null.
pub fn token_ids(value: Option<&Value>) -> Vec<u32> {
    let one = |v: &Value| v.as_u64().and_then(|id| u32::try_from(id).ok());
    match value {
        Some(Value::Array(ids)) => ids.iter().filter_map(one).collect(),
        Some(value) => one(value).into_iter().collect(),
        None => Vec::new(),
    }
}

fn check_architecture(json: &Value, origin: &str) -> Result<()> {
    ensure!(json.is_object(), "{origin} is not a JSON object");
    let model_type = json.get("model_type").and_then(Value::as_str);
    let architecture = json.pointer("/architectures/0").and_then(Value::as_str);
    let known = match (model_type, architecture) {
        (Some(model_type), Some(architecture)) => model_type == "mixtral" && architecture == "MixtralForCausalLM",
        (Some(model_type), None) => model_type == "mixtral",
        (None, Some(architecture)) => architecture == "MixtralForCausalLM",
        (None, None) => false,
    };
    ensure!(
        known,
        "{origin}: unsupported model_type `{}` / architecture `{}`; mixscope reads `mixtral` / `MixtralForCausalLM`",
        model_type.unwrap_or("none"),
        architecture.unwrap_or("none")
    );
    Ok(())
}

fn size((json, origin): (&Value, &str), key: &str, default: Option<u64>, report: &mut Report) -> Result<usize> {
    let value = match (json.get(key).filter(|v| !v.is_null()), default) {
        (Some(value), _) => {
            value.as_u64().with_context(|| format!("{origin}: {key} is {value}, expected a whole number"))?
        }
        (None, Some(default)) => {
            report.add(
                Level::Note,
                format!("{origin}: {key}"),
                "",
                format!("missing; transformers' default {default} is used"),
                "",
            );
            default
        }
        (None, None) => bail!("{origin}: {key} is missing"),
    };
    ensure!((1..MAX_SIZE).contains(&value), "{origin}: {key} is {value}, which no model has");
    Ok(value as usize)
}

/// What a window may be.
const OR_WINDOW: &str = "null, as in Mixtral's own models";

fn window(json: &Value, origin: &str, report: &mut Report) -> Result<Option<usize>> {
    let subject = &format!("{origin}: sliding_window");
    match json.get("sliding_window") {
        None => {
            let advice = "transformers 4.36 would have used 4096; add the key if the model was trained with a window";
            report.add(Level::Note, subject, "", "missing: no window", advice);
            Ok(None)
        }
        Some(Value::Null) => {
            report.add(Level::Ok, subject, OR_WINDOW, "null: every token sees all before it", "");
            Ok(None)
        }
        Some(value) => {
            let window = value.as_u64().filter(|w| *w > 0);
            let window = window.with_context(|| format!("{subject} is {value}, expected null or a positive number"))?;
            let found = format!("a token sees the last {window} tokens, itself included");
            let advice = "early configs had 4096 by mistake; the self-test's texts are too short to see it";
            let (level, advice) = if window > 512 { (Level::Note, advice) } else { (Level::Ok, "") };
            report.add(level, subject, OR_WINDOW, found, advice);
            Ok(Some(window as usize))
        }
    }
}

fn rope_theta(json: &Value, origin: &str, report: &mut Report) -> Result<f64> {
    let nested = json.get("rope_parameters").filter(|v| !v.is_null());
    for (key, value) in
        [("rope_parameters", nested), ("rope_scaling", json.get("rope_scaling").filter(|v| !v.is_null()))]
    {
        let kind = value.and_then(|v| v.get("rope_type").or_else(|| v.get("type"))).and_then(Value::as_str);
        if value.is_some() && kind.unwrap_or("default") != "default" {
            bail!(
                "{origin}: {key} asks for RoPE of type `{}`; only `default` is implemented",
                kind.unwrap_or_default()
            );
        }
    }
    let read = |value: Option<&Value>, key: &str| -> Result<Option<f64>> {
        let Some(value) = value.filter(|v| !v.is_null()) else { return Ok(None) };
        let theta = value.as_f64().filter(|theta| theta.is_finite() && *theta > 1.0);
        Ok(Some(theta.with_context(|| format!("{origin}: {key} is {value}, expected a number above 1"))?))
    };
    let top = read(json.get("rope_theta"), "rope_theta")?;
    let inner = read(nested.and_then(|v| v.get("rope_theta")), "rope_parameters.rope_theta")?;
    let (theta, from) = match (inner, top) {
        (Some(inner), Some(top)) if inner != top => {
            bail!("{origin}: rope_theta is {top}, but rope_parameters.rope_theta is {inner}; remove the wrong one")
        }
        (Some(theta), _) => (theta, "rope_parameters.rope_theta"),
        (None, Some(theta)) => (theta, "rope_theta"),
        (None, None) => {
            let advice = "a wrong base gives fluent short text that decays; check it against the model's source";
            report.add(
                Level::Warn,
                format!("{origin}: rope_theta"),
                "a RoPE base",
                "none; transformers' default 1000000 is used",
                advice,
            );
            return Ok(1e6);
        }
    };
    report.add(Level::Ok, format!("{origin}: rope base"), "above 1, in one place", format!("{theta}, from {from}"), "");
    Ok(theta)
}

fn dtype(json: &Value, origin: &str, report: &mut Report) -> Option<Dtype> {
    let value = present(json, "dtype").or_else(|| present(json, "torch_dtype"))?.as_str()?;
    let parsed = value.trim_start_matches("torch.").parse().ok();
    if parsed.is_none() {
        report.add(
            Level::Warn,
            format!("{origin}: dtype"),
            "float32, float16 or bfloat16",
            value,
            "the files' own dtype is used",
        );
    }
    parsed
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
        assert_eq!(parse(|_| {}).unwrap().rope_theta, 1e6);
        let modern = |json: &mut Value| {
            json.as_object_mut().unwrap().remove("rope_theta");
            json["rope_parameters"] = json!({"rope_theta": 50000.0, "rope_type": "default"});
        };
        assert_eq!(parse(modern).unwrap().rope_theta, 50000.0);
        let both = parse(|json| json["rope_parameters"] = json!({"rope_theta": 10000.0}));
        assert!(both.unwrap_err().to_string().contains("10000"));
        let yarn = parse(|json| json["rope_scaling"] = json!({"type": "yarn", "factor": 4.0}));
        assert!(yarn.unwrap_err().to_string().contains("yarn"));
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
    fn null_window_is_none_and_head_dim_may_be_null() {
        let config = parse(|json| {
            json["sliding_window"] = Value::Null;
            json["head_dim"] = Value::Null;
        });
        let dims = config.unwrap().dims;
        assert_eq!((dims.window, dims.d_head), (None, 16));
    }
}
