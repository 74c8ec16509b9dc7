//! The keys of a config.json that families share, as transformers from 4.36 to 5.x writes them (REFERENCE: "which
//! transformers writes what").

use super::axes::Yarn;
use crate::trace::{Dtype, Level, Report};
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

/// Larger sizes than any model has are refused before anything is computed with them.
const MAX_SIZE: u64 = 1 << 31;
/// The values that a window may have.
const OR_WINDOW: &str = "null, as in Mixtral's own models";

/// A config.json, or an equivalent, and the name of its file in messages.
#[derive(Clone, Copy)]
pub struct Keys<'a> {
    pub json: &'a Value,
    pub origin: &'a str,
}

impl<'a> Keys<'a> {
    /// The value of `key`; `None` if it is missing or null.
    pub fn get(&self, key: &str) -> Option<&'a Value> {
        self.json.get(key).filter(|value| !value.is_null())
    }

    /// The subject of findings about `key`.
    pub fn subject(&self, key: &str) -> String {
        format!("{}: {key}", self.origin)
    }

    /// A positive number; `default` if the key is missing.
    pub fn size(&self, key: &str, default: Option<u64>, report: &mut Report) -> Result<usize> {
        let subject = self.subject(key);
        let value = match (self.get(key), default) {
            (Some(value), _) => {
                value.as_u64().with_context(|| format!("{subject} is {value}, expected a whole number"))?
            }
            (None, Some(default)) => {
                let found = format!("missing; transformers' default {default} is used");
                report.add(Level::Note, &subject, "", found, "");
                default
            }
            (None, None) => bail!("{subject} is missing"),
        };
        ensure!((1..MAX_SIZE).contains(&value), "{subject} is {value}, which no model has");
        Ok(value as usize)
    }

    /// As [`Keys::size`], under the first of `keys` that is there. The others are other names of the same.
    ///
    /// # Errors
    /// If two of them say something else.
    pub fn size_of_any(&self, keys: &[&str], default: Option<u64>, report: &mut Report) -> Result<usize> {
        let found: Vec<&str> = keys.iter().copied().filter(|key| self.get(key).is_some()).collect();
        let (first, others) = found.split_first().unwrap_or((&keys[0], &[]));
        for other in others {
            let [a, b] = [first, other].map(|key| self.get(key));
            ensure!(
                a == b,
                "{}: {first} and {other} are two names of the same number, and say something else",
                self.origin
            );
        }
        self.size(first, default, report)
    }

    /// `max_position_embeddings`: of any size.
    pub fn context(&self, default: u64, report: &mut Report) -> Result<usize> {
        let (key, subject) = ("max_position_embeddings", self.subject("max_position_embeddings"));
        match self.get(key).and_then(Value::as_f64) {
            Some(huge) if huge >= MAX_SIZE as f64 => {
                let found = format!("{huge:e}: as good as none");
                report.add(Level::Note, subject, "a context", found, "it ends only where memory does");
                Ok(MAX_SIZE as usize - 1)
            }
            _ => self.size(key, Some(default), report),
        }
    }

    /// `head_dim`, or else `hidden_size` divided by the heads. It is even, because RoPE rotates pairs.
    pub fn d_head(&self, d_model: usize, heads: usize, report: &mut Report) -> Result<usize> {
        let origin = self.origin;
        let (d_head, found) = match self.get("head_dim") {
            Some(_) => {
                let explicit = self.size("head_dim", None, report)?;
                (explicit, format!("{explicit}, given explicitly"))
            }
            None => {
                ensure!(
                    d_model.is_multiple_of(heads),
                    "{origin}: hidden_size {d_model} is not divisible by num_attention_heads {heads} and head_dim is not given"
                );
                (d_model / heads, format!("{} = hidden_size / heads", d_model / heads))
            }
        };
        report.add(Level::Ok, self.subject("head_dim"), "even", found, "");
        ensure!(d_head % 2 == 0, "{origin}: head_dim {d_head} is odd; RoPE rotates pairs");
        Ok(d_head)
    }

    /// `rms_norm_eps`.
    pub fn eps(&self, default: f64, report: &mut Report) -> Result<f64> {
        let subject = self.subject("rms_norm_eps");
        match self.get("rms_norm_eps") {
            Some(eps) => eps
                .as_f64()
                .filter(|eps| eps.is_finite() && *eps >= 0.0)
                .with_context(|| format!("{subject} is {eps}, expected a small positive number")),
            None => {
                let found = format!("missing; transformers' default {default:e} is used");
                report.add(Level::Note, subject, "", found, "");
                Ok(default)
            }
        }
    }

    /// `sliding_window`; `None` where every token sees all before it.
    pub fn window(&self, report: &mut Report) -> Result<Option<usize>> {
        let subject = &self.subject("sliding_window");
        match self.json.get("sliding_window") {
            None => {
                let advice =
                    "transformers 4.36 would have used 4096; add the key if the model was trained with a window";
                report.add(Level::Note, subject, "", "missing: no window", advice);
                Ok(None)
            }
            Some(Value::Null) => {
                report.add(Level::Ok, subject, OR_WINDOW, "null: every token sees all before it", "");
                Ok(None)
            }
            Some(value) => {
                let window = value.as_u64().filter(|w| *w > 0);
                let window =
                    window.with_context(|| format!("{subject} is {value}, expected null or a positive number"))?;
                let found = format!("a token sees the last {window} tokens, itself included");
                let advice = "early configs had 4096 by mistake; the self-test's texts are too short to see it";
                let (level, advice) = if window > 512 { (Level::Note, advice) } else { (Level::Ok, "") };
                report.add(level, subject, OR_WINDOW, found, advice);
                Ok(Some(window as usize))
            }
        }
    }

    /// A yes or no; `default` if the key is missing.
    pub fn flag(&self, key: &str, default: bool) -> Result<bool> {
        let Some(value) = self.get(key) else { return Ok(default) };
        value.as_bool().with_context(|| format!("{} is {value}, expected true or false", self.subject(key)))
    }

    /// A number above 0; `default` if the key is missing.
    pub fn positive(&self, key: &str, default: f64) -> Result<f64> {
        let Some(value) = self.get(key) else { return Ok(default) };
        let number = value.as_f64().filter(|number| number.is_finite() && *number > 0.0);
        number.with_context(|| format!("{} is {value}, expected a number above 0", self.subject(key)))
    }

    /// The types of RoPE that the config asks for, with their parameters: `default` is none.
    fn rope_types(&self) -> impl Iterator<Item = (&'static str, &'a Value, &'a str)> {
        let keys = ["rope_parameters", "rope_scaling"].map(|key| (key, self.get(key)));
        keys.into_iter().filter_map(|(key, value)| {
            let value = value?;
            let kind = ["rope_type", "type"].into_iter().find_map(|key| value.get(key)?.as_str())?;
            (kind != "default").then_some((key, value, kind))
        })
    }

    /// YaRN's parameters, where the config asks for it.
    ///
    /// # Errors
    /// If one is missing or impossible.
    pub fn yarn(&self, context: usize) -> Result<Option<Yarn>> {
        let found = self.rope_types().find(|(_, value, kind)| *kind == "yarn" && !is_no_scaling(kind, value));
        let Some((key, value, _)) = found else { return Ok(None) };
        let given = Keys { json: value, origin: &format!("{}: {key}", self.origin) };
        let original = given.positive("original_max_position_embeddings", context as f64)?;
        let factor = given.positive("factor", context as f64 / original)?;
        // transformers' `get_mscale`: how much the scores of a longer context are raised.
        let raised = |by: f64| if factor <= 1.0 { 1.0 } else { 0.1 * by * factor.ln() + 1.0 };
        let [mscale, all] = ["mscale", "mscale_all_dim"]
            .map(|key| value.get(key).and_then(Value::as_f64).filter(|scale| *scale != 0.0));
        let default = mscale.zip(all).map_or(raised(1.0), |(mscale, all)| raised(mscale) / raised(all));
        Ok(Some(Yarn {
            factor,
            beta_fast: given.positive("beta_fast", 32.0)?,
            beta_slow: given.positive("beta_slow", 1.0)?,
            original,
            truncate: given.flag("truncate", true)?,
            attention_factor: given.positive("attention_factor", default)?,
        }))
    }

    /// RoPE's base, or else `default`. `scalings` are the types besides `default` that the family may have.
    ///
    /// # Errors
    /// If the config asks for another type, or its places of the base disagree.
    pub fn rope_base(&self, default: f64, scalings: &[&str], report: &mut Report) -> Result<f64> {
        let origin = self.origin;
        for (key, value, kind) in self.rope_types() {
            if is_no_scaling(kind, value) {
                let found = format!("`{kind}` by a factor of 1, which changes nothing");
                report.add(Level::Note, self.subject(key), "no scaling", found, "");
                continue;
            }
            if scalings.contains(&kind) {
                continue;
            }
            let known = [&["default"], scalings].concat().join("`, `");
            bail!("{origin}: {key} asks for RoPE of type `{kind}`; only `{known}` is implemented, and scaling by 1");
        }
        let read = |value: Option<&Value>, key: &str| -> Result<Option<f64>> {
            let Some(value) = value.filter(|v| !v.is_null()) else { return Ok(None) };
            let base = value.as_f64().filter(|base| base.is_finite() && *base > 1.0);
            Ok(Some(base.with_context(|| format!("{origin}: {key} is {value}, expected a number above 1"))?))
        };
        let within = |key: &str| self.get(key).and_then(|value| value.get("rope_theta"));
        let mut found = Vec::new();
        for (key, value) in [
            ("rope_scaling.rope_theta", within("rope_scaling")),
            ("rope_parameters.rope_theta", within("rope_parameters")),
            ("rope_theta", self.json.get("rope_theta")),
        ] {
            found.extend(read(value, key)?.map(|base| (base, key)));
        }
        let (base, from) = match &found[..] {
            [(inner, key), rest @ ..] => {
                if let Some((outer, other)) = rest.iter().find(|(outer, _)| outer != inner) {
                    bail!("{origin}: {other} is {outer}, but {key} is {inner}; remove the wrong one");
                }
                (*inner, *key)
            }
            [] => {
                let found = format!("none; transformers' default {default} is used");
                let advice = "a wrong base gives fluent short text that decays; check it against the model's source";
                report.add(Level::Warn, self.subject("rope_theta"), "a RoPE base", found, advice);
                return Ok(default);
            }
        };
        report.add(Level::Ok, self.subject("rope base"), "above 1, in one place", format!("{base}, from {from}"), "");
        Ok(base)
    }

    /// The dtype that the config gives the weights; `None` if it is missing or unknown.
    pub fn dtype(&self, report: &mut Report) -> Option<Dtype> {
        let value = self.get("dtype").or_else(|| self.get("torch_dtype"))?.as_str()?;
        let parsed = value.trim_start_matches("torch.").parse().ok();
        if parsed.is_none() {
            let expected = "float32, float16 or bfloat16";
            report.add(Level::Warn, self.subject("dtype"), expected, value, "the files' own dtype is used");
        }
        parsed
    }
}

/// Whether a scaling of RoPE leaves every angle as it is: of these types a factor of 1 does.
fn is_no_scaling(kind: &str, value: &Value) -> bool {
    let number = |key: &str| value.get(key).and_then(Value::as_f64);
    // YaRN also scales the scores, by 1 for this factor unless it is told otherwise.
    let scores = ["attention_factor", "mscale", "mscale_all_dim"].into_iter().filter_map(number);
    matches!(kind, "linear" | "dynamic" | "yarn" | "llama3")
        && number("factor") == Some(1.0)
        && scores.into_iter().all(|factor| factor == 1.0)
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
