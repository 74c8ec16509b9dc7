//! What a trace file's metadata say of the model and of how the run was made.

use crate::model::{Config, Described};
use crate::trace::Prompt;
use crate::trace::{
    Device, Dtype, Level, Meta, Piece, Policy, Recording, Report, Sampling, Scores, Spelling, TraceFile,
};
use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::Value;
use std::collections::HashMap;

/// The model of a run that is called `name`; `report` holds what was found in its config.
///
/// # Errors
/// If the precision policy is missing or unknown.
pub fn meta(file: &TraceFile, name: &str, json: Value, config: &Config, mut report: Report) -> Result<Meta> {
    let text = |key: &str| file.metadata.get(key).map_or("", String::as_str);
    let policy: Policy = text("precision").parse().context("metadata `precision`")?;
    let provenance: Value = match serde_json::from_str(text("provenance")) {
        Ok(value) => value,
        Err(_) => {
            let advice = "who made the run, and how, is not known";
            report.add(Level::Note, "metadata `provenance`", "a JSON object", "none that can be read", advice);
            Value::Null
        }
    };
    let said = |key: &str| provenance.get(key).and_then(Value::as_str);
    // Traces of the first versions name one dtype for both.
    let compute = said("router_dtype").or(said("compute_dtype")).and_then(|dtype| dtype.parse().ok());
    let compute_dtype = compute.or_else(|| stored_dtype(file)).or(config.dtype).unwrap_or(Dtype::F32);
    let edits = match text("edits") {
        "" => Vec::new(),
        edits => serde_json::from_str(edits).unwrap_or_else(|_| {
            let advice = "how the pass was edited is not known";
            report.add(
                Level::Warn,
                "metadata `edits`",
                "a list of edits with their sites",
                "none that can be read",
                advice,
            );
            Vec::new()
        }),
    };
    let recording = Recording {
        edits,
        made_by: made_by(&provenance),
        provenance: provenance.clone(),
        model: text("model").to_owned(),
        prompt: said("prompt").map(|text| match provenance.get("chat") {
            Some(Value::Bool(true)) => Prompt::Chat(text.to_owned()),
            _ => Prompt::Text(text.to_owned()),
        }),
        sampling: provenance.get("sampling").and_then(|sampling| Sampling::deserialize(sampling).ok()),
        ..Recording::default()
    };
    let title = said("title").unwrap_or(&recording.model);
    let described = Described::from_config(json, config);
    Ok(Meta {
        name: name.to_owned(),
        title: if title.is_empty() { name.to_owned() } else { title.to_owned() },
        dims: described.dims,
        scores: Scores { scale: config.arch.attn.scale, sinks: [].into() },
        weights_dtype: said("weights_dtype").map_or(described.weights_dtype, str::to_owned),
        stored: Vec::new(),
        compute_dtype,
        policy,
        edits: recording.edits.iter().filter_map(|note| note.edit.parse().ok()).collect(),
        device: Device::Cpu,
        params: described.params,
        weight_bytes: 0,
        touched_bytes: described.touched_bytes,
        has_chat: false,
        config: described.json,
        report: with_recorded(report, text("validation")),
        eos: described.eos,
        recording: Some(recording),
    })
}

/// The program that made the trace, e.g. `mixscope 0.1.0`. If the program states no version, the version of a library
/// that the trace names.
fn made_by(provenance: &Value) -> String {
    let said = |key: &str| provenance.get(key).and_then(Value::as_str);
    let Some(engine) = said("engine") else { return "an unknown program".to_owned() };
    match said("version").or_else(|| engine.split_whitespace().find_map(said)) {
        Some(version) => format!("{engine} {version}"),
        None => engine.to_owned(),
    }
}

/// The dtype of the activations in the file.
fn stored_dtype(file: &TraceFile) -> Option<Dtype> {
    let activations = ["hook_resid_post", "hook_resid_mid", "hook_resid_pre", "hook_embed", "hook_out"];
    let is_one = |name: &str| activations.iter().any(|end| name.ends_with(end));
    file.tensors.iter().find(|(name, _)| is_one(name)).map(|(_, tensor)| tensor.dtype)
}

/// The validation report recorded in the trace; if there is none, the report of its config, with recorded checks as notes.
fn with_recorded(config: Report, recorded: &str) -> Report {
    if let Ok(report) = serde_json::from_str::<Report>(recorded) {
        return report;
    }
    let mut report = config;
    if let Ok(Value::Object(checks)) = serde_json::from_str(recorded) {
        for (name, value) in checks {
            report.add(Level::Note, format!("recorded check {name}"), "", value.to_string(), "");
        }
    }
    report
}

/// The spelling of tokens, from the texts of the run's tokens and from the spellings stored with the tables.
///
/// # Errors
/// If the file has texts, but not one per token, or the spellings can't be read.
pub fn spelling(file: &TraceFile, ids: &[u32]) -> Result<Spelling> {
    let mut all_texts = HashMap::<u32, String>::new();
    if let Some(text) = file.metadata.get("mixscope.spelling") {
        let all: HashMap<u32, String> =
            serde_json::from_str(text).context("metadata `mixscope.spelling` is not an object from ids to texts")?;
        all_texts.extend(all);
    }
    let texts: Vec<String> = match file.metadata.get("token_texts") {
        Some(text) => serde_json::from_str(text).context("metadata `token_texts` is not a JSON list of texts")?,
        None => Vec::new(),
    };
    let (expected, found) = (ids.len(), texts.len());
    ensure!(found == expected || found == 0, "metadata `token_texts`: expected {expected} texts, found {found}");
    all_texts.extend(ids.iter().copied().zip(texts));
    // The space of byte-level tokenizers, which others hardly ever write; these have another mark of it.
    let has = |mark: char| all_texts.values().any(|text| text.contains(mark));
    let is_byte_level = has('Ġ') && !has('▁');
    let piece = |text: String| if is_byte_level { Piece::byte_level(&text) } else { text.into() };
    Ok(all_texts.into_iter().map(|(id, text)| (id, piece(text))).collect())
}

/// Notes the tensors that are neither hooks nor tables.
pub fn note_unknown(file: &TraceFile, report: &mut Report) {
    let Some(first) = file.tensors.keys().next() else { return };
    let more = match file.tensors.len() - 1 {
        0 => String::new(),
        n => format!(" and {n} more"),
    };
    let found = format!("{first}{more}");
    report.add(Level::Note, "tensors that are not known", "", found, "they are not shown");
}
