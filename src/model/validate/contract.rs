//! What a model's files promise beyond shapes and dtypes: the experts' roles, the unembedding, special tokens.

use crate::model::arch::{Arch, GateUp, token_ids};
use crate::model::tokenizer::Tokenizer;
use crate::model::weights::{Naming, Part, Store, Which, place};
use crate::trace::{Level, Report};
use serde_json::Value;

/// Notes which tensors play the roles of an expert's three matrices: shapes don't distinguish gate from up.
pub fn roles(arch: &Arch, naming: Naming, report: &mut Report) {
    let layer = arch.dims.routed().next().unwrap_or(0);
    let name = |which| place(Part::Expert(layer, 0, which), arch, naming).name;
    let short = |name: String| {
        let name = name.trim_end_matches(".weight").to_owned();
        name.rsplit('.').next().unwrap_or_default().to_owned()
    };
    let [gate, down, up] = [Which::W1, Which::W2, Which::W3].map(name).map(short);
    let found = match gate == up {
        true if arch.names.gate_up == GateUp::Columns => format!("`{gate}` (gate and up in turn), `{down}`"),
        true => format!("`{gate}` (gate first, then up), `{down}`"),
        false => format!("`{gate}`, `{up}`, `{down}`, by their names"),
    };
    report.add(Level::Ok, "experts' tensors", "w1 gate, w3 up, w2 down", found, "");
}

/// Notes whether the unembedding has a tensor of its own.
pub fn unembedding(arch: &Arch, store: &Store, report: &mut Report) {
    let name = place(Part::Unembed, arch, store.naming()).name;
    let (expected, found) = match arch.tied {
        true => ("the embedding, as tied", "the embedding".to_owned()),
        false => ("a tensor of its own, as not tied", format!("`{name}`")),
    };
    report.add(Level::Ok, "unembedding", expected, found, "");
}

/// Notes whether the special tokens that the config names exist in model and tokenizer.
pub fn special_tokens(
    json: &Value,
    (vocab, family): (usize, &str),
    tokenizer: Option<&Tokenizer>,
    report: &mut Report,
) {
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
    // Only of Mixtral it is known that it needs BOS: some of the others are trained without.
    let (level, found, advice) = match first {
        Some(id) if bos.contains(&id) => (Level::Ok, "BOS".to_owned(), ""),
        None if family != "Mixtral" => (Level::Ok, "nothing, as the tokenizer says".to_owned(), ""),
        Some(id) => (Level::Note, format!("{id} `{}`", tokenizer.piece(id)), "Mixtral was trained with BOS"),
        None => (Level::Note, "nothing".to_owned(), "Mixtral was trained with BOS: losses are higher without"),
    };
    report.add(level, "before every prompt", "BOS", found, advice);
}
