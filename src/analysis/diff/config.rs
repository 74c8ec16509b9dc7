use serde::Serialize;
use serde_json::Value;
use std::fmt;

/// A key of the config whose values differ.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ConfigDiff {
    /// The key.
    pub key: &'static str,
    /// Its value in A and in B, as JSON; `null` if missing.
    pub values: [Value; 2],
}

impl fmt::Display for ConfigDiff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |value: &Value| if value.is_null() { "none".to_owned() } else { value.to_string() };
        let [a, b] = self.values.each_ref().map(word);
        write!(f, "{} is {a} in A's config and {b} in B's", self.key)
    }
}

/// Keys that change the numbers, with their defaults where these are fixed.
const KEYS: [(&str, Option<f64>); 9] = [
    ("rope_theta", Some(1e6)),
    ("sliding_window", None),
    ("num_experts_per_tok", Some(2.0)),
    ("rms_norm_eps", Some(1e-5)),
    ("head_dim", None),
    ("num_attention_heads", None),
    ("num_key_value_heads", None),
    ("hidden_size", None),
    ("num_local_experts", None),
];

/// The keys that change the numbers and whose values differ between the configs of A and B.
pub fn config_differences(a: &Value, b: &Value) -> Vec<ConfigDiff> {
    if !a.is_object() || !b.is_object() {
        return Vec::new();
    }
    let differs = |(key, default): (&'static str, Option<f64>)| {
        let values = [value(a, key), value(b, key)];
        let [a, b] = values.each_ref().map(|value| value.as_f64().or(default.filter(|_| value.is_null())));
        let near = |a: f64, b: f64| (a - b).abs() <= 1e-6 * a.abs().max(b.abs());
        let same = match (a, b) {
            (Some(a), Some(b)) => near(a, b),
            (a, b) => a == b,
        };
        // A missing width of heads follows from the other sizes.
        let unknown = key == "head_dim" && (a.is_none() || b.is_none());
        (!same && !unknown).then_some(ConfigDiff { key, values })
    };
    KEYS.into_iter().filter_map(differs).collect()
}

/// A key at the top level, or among the RoPE parameters, where transformers 5 puts it.
fn value(config: &Value, key: &str) -> Value {
    let nested = || config.get("rope_parameters").and_then(|rope| rope.get(key));
    config.get(key).filter(|value| !value.is_null()).or_else(nested).cloned().unwrap_or(Value::Null)
}
