//! What a tokenizer.json must hold before the library reads it, which panics on some of it, or takes endlessly.

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::collections::HashSet;

/// How many times as long a normalizer may make a text.
const MOST_GROWTH: f64 = 10_000.0;

/// Checks the parts of a tokenizer.json that contradict each other.
///
/// # Errors
/// If a merge or the post-processor names a token that is missing, or a normalizer multiplies the text.
pub fn check(json: &Value) -> Result<()> {
    check_merges(json.get("model").unwrap_or(&Value::Null))?;
    check_template(json.get("post_processor").unwrap_or(&Value::Null))?;
    for (key, inner) in [("normalizer", "normalizers"), ("pre_tokenizer", "pretokenizers"), ("decoder", "decoders")] {
        let grows = growth(json.get(key).unwrap_or(&Value::Null), inner);
        ensure!(grows <= MOST_GROWTH, "its {key} makes a text up to {grows:.0} times as long");
    }
    Ok(())
}

/// Whether it leaves out merges by chance, as in training.
pub fn has_dropout(json: &Value) -> bool {
    json.pointer("/model/dropout").and_then(Value::as_f64).is_some_and(|chance| chance > 0.0)
}

/// Checks that the two parts of each merge, and what they make, are tokens.
fn check_merges(model: &Value) -> Result<()> {
    let (Some(vocab), Some(merges)) = (model.get("vocab").and_then(Value::as_object), model.get("merges")) else {
        return Ok(());
    };
    let tokens: HashSet<&str> = vocab.keys().map(String::as_str).collect();
    let prefix = model.get("continuing_subword_prefix").and_then(Value::as_str).unwrap_or_default();
    for (rank, merge) in merges.as_array().into_iter().flatten().enumerate() {
        let parts = match merge {
            Value::String(text) => text.split_once(' '),
            Value::Array(parts) => match parts.as_slice() {
                [left, right] => left.as_str().zip(right.as_str()),
                _ => None,
            },
            _ => None,
        };
        // Some files begin with a line for the version.
        if merge.as_str().is_some_and(|text| text.starts_with("#version")) {
            continue;
        }
        let Some((left, right)) = parts else { bail!("its merge {rank} is not two tokens") };
        let rest = right.strip_prefix(prefix);
        let rest =
            rest.with_context(|| format!("its merge {rank} joins `{right}`, which lacks the prefix `{prefix}`"))?;
        let joined = format!("{left}{rest}");
        for token in [left, right, joined.as_str()] {
            ensure!(tokens.contains(token), "its merge {rank} (`{left}` `{right}`) needs `{token}`, which is no token");
        }
    }
    Ok(())
}

/// Checks that the template declares every special token that it names; the library panics otherwise.
fn check_template(processor: &Value) -> Result<()> {
    for inner in processor.get("processors").and_then(Value::as_array).into_iter().flatten() {
        check_template(inner)?;
    }
    let pieces = ["single", "pair"].into_iter().filter_map(|key| processor.get(key)?.as_array()).flatten();
    for id in pieces.filter_map(|piece| piece.pointer("/SpecialToken/id")?.as_str()) {
        let declared = processor.get("special_tokens").is_some_and(|tokens| tokens.get(id).is_some());
        ensure!(declared, "its template names the special token `{id}`, which it does not declare");
    }
    Ok(())
}

/// How many times as long a step, and the steps in it under `inner`, can make a text.
fn growth(step: &Value, inner: &str) -> f64 {
    let of_inner = step.get(inner).and_then(Value::as_array).into_iter().flatten().map(|one| growth(one, inner));
    let own = match step.get("type").and_then(Value::as_str) {
        Some("Replace") => {
            let content = step.get("content").and_then(Value::as_str).unwrap_or_default().len() as f64;
            let pattern = step.pointer("/pattern/String").and_then(Value::as_str).unwrap_or_default().len();
            // A regular expression can match nothing between any two characters.
            if pattern == 0 { content + 1.0 } else { (content / pattern as f64).max(1.0) }
        }
        Some("Prepend") => {
            step.get("prepend").and_then(Value::as_str).map_or(1.0, |text| 1.0 + text.len() as f64 / 64.0)
        }
        _ => 1.0,
    };
    own * of_inner.product::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn contradictions_are_found() {
        let model = |merges: Value| json!({"model": {"vocab": {"a": 0, "b": 1, "ab": 2}, "merges": merges}});
        for sound in [json!(["a b"]), json!([["a", "b"]]), json!([]), json!(["#version: 0.2", "a b"])] {
            check(&model(sound)).unwrap();
        }
        for (bad, what) in [
            (model(json!(["b a"])), "`ba`"),
            (model(json!(["a c"])), "`c`"),
            (model(json!(["ab"])), "two tokens"),
            (model(json!([["a"]])), "two tokens"),
            (json!({"model": {"vocab": {"a": 0}, "merges": ["a a"], "continuing_subword_prefix": "##"}}), "prefix"),
            (
                json!({"post_processor": {"processors": [{"processors": [{"single": [{"SpecialToken": {"id": "x"}}]}]}]}}),
                "`x`",
            ),
        ] {
            assert!(check(&bad).unwrap_err().to_string().contains(what), "{what}");
        }
        let doubles = json!({"type": "Replace", "pattern": {"String": "a"}, "content": "aa"});
        let bomb = json!({"normalizer": {"type": "Sequence", "normalizers": vec![doubles; 40]}});
        assert!(check(&bomb).unwrap_err().to_string().contains("times as long"));
    }
}
