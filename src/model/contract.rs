//! What a Mixtral's files promise beyond shapes and dtypes: constants, the experts' roles, special tokens.

use super::config::{Config, token_ids};
use super::tokenizer::Tokenizer;
use super::weights::{Naming, Part, Store, Which, place};
use crate::trace::{Level, Report};
use serde_json::Value;
use std::ops::RangeInclusive;

/// Epsilons that norms of trained models have; Mixtral's is 1e-5.
const EPS: RangeInclusive<f64> = 1e-8..=1e-4;

/// Notes in `report` how the config's constants stand to a Mixtral's.
pub fn constants(json: &Value, origin: &str, config: &Config, report: &mut Report) {
    let eps = config.rms_norm_eps;
    let (level, advice) = match EPS.contains(&eps) {
        true => (Level::Ok, ""),
        false => (Level::Warn, "every norm is computed with it: check it against the model's source"),
    };
    report.add(level, format!("{origin}: rms_norm_eps"), "1e-8 to 1e-4", format!("{:e}", eps as f32), advice);
    let subject = "mixing weights";
    let expected = "divided by their sum";
    match json.get("norm_topk_prob").and_then(Value::as_bool) {
        Some(false) => report.add(
            Level::Warn,
            format!("{origin}: norm_topk_prob"),
            expected,
            "false",
            "it is ignored, as transformers' Mixtral does: a model trained without is not a Mixtral",
        ),
        _ => report.add(Level::Ok, subject, expected, "renormalised, as in every Mixtral", ""),
    }
}

/// Says which tensors play the roles of an expert's three matrices: shapes don't tell gate from up.
pub fn roles(config: &Config, naming: Naming, report: &mut Report) {
    let name = |which| place(Part::Expert(0, 0, which), config, naming).name;
    let short = |name: String| {
        let name = name.trim_end_matches(".weight").to_owned();
        name.rsplit('.').next().unwrap_or_default().to_owned()
    };
    let [gate, down, up] = [Which::W1, Which::W2, Which::W3].map(name).map(short);
    let found = match gate == up {
        true => format!("`{gate}` (gate first, then up), `{down}`"),
        false => format!("`{gate}`, `{up}`, `{down}`, by their names"),
    };
    report.add(Level::Ok, "experts' tensors", "w1 gate, w3 up, w2 down", found, "");
}

/// Says whether the unembedding has a tensor of its own.
pub fn unembedding(config: &Config, store: &Store, report: &mut Report) {
    let name = place(Part::Unembed, config, store.naming()).name;
    let (expected, found) = match config.tied {
        true => ("the embedding, as tied", "the embedding".to_owned()),
        false => ("a tensor of its own, as not tied", format!("`{name}`")),
    };
    report.add(Level::Ok, "unembedding", expected, found, "");
}

/// Whether the special tokens that the config names exist in model and tokenizer.
pub fn special_tokens(json: &Value, config: &Config, tokenizer: Option<&Tokenizer>, report: &mut Report) {
    let vocab = config.dims.vocab;
    for key in ["bos_token_id", "eos_token_id"] {
        let ids = token_ids(json.get(key));
        let subject = format!("special token {}", key.trim_end_matches("_token_id").to_uppercase());
        let expected = format!("below {vocab}, in the tokenizer");
        if ids.is_empty() {
            let advice = if key == "eos_token_id" { "generation ends only at its limit" } else { "" };
            report.add(Level::Note, subject, expected, format!("no {key}"), advice);
            continue;
        }
        let known = |id: &u32| (*id as usize) < vocab && tokenizer.is_none_or(|tokenizer| tokenizer.has(*id));
        let spelled: Vec<String> = ids
            .iter()
            .map(|id| tokenizer.map_or_else(|| id.to_string(), |tokenizer| format!("{id} `{}`", tokenizer.piece(*id))))
            .collect();
        let (level, advice) = match ids.iter().all(known) {
            true => (Level::Ok, ""),
            false => (Level::Warn, "config and tokenizer belong to different models"),
        };
        report.add(level, subject, expected, spelled.join(", "), advice);
    }
    let Some(tokenizer) = tokenizer else { return };
    let bos = token_ids(json.get("bos_token_id"));
    let first = tokenizer.encode("", true).ok().and_then(|ids| ids.first().copied());
    let (level, found, advice) = match first {
        Some(id) if bos.contains(&id) => (Level::Ok, "BOS".to_owned(), ""),
        Some(id) => (Level::Note, format!("{id} `{}`", tokenizer.piece(id)), "Mixtral was trained with BOS"),
        None => (Level::Note, "nothing".to_owned(), "Mixtral was trained with BOS: losses are higher without"),
    };
    report.add(level, "before every prompt", "BOS", found, advice);
}
