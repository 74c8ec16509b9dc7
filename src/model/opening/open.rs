//! Opening a model: files, validation, and the report.

use super::demo;
use super::json::read_json;
use super::location::Location;
use super::sizes::{count_params, touched_bytes};
use super::{adapters, quantised, tied};
use crate::model::arch::{Config, GateUp, file_type, gguf_config, token_ids};
use crate::model::kernels::Isa;

use crate::model::pass::Model;
use crate::model::tokenizer::{ChatTemplate, SpecialTokens, Tokenizer, check_gguf_scores};
use crate::model::validate;
use crate::model::weights::{Store, gguf, names_in, what_there_is};
use crate::trace::{Device, Dtype, Finding, Level, Meta, Policy, Report, Scores};
use anyhow::{Context, Result, anyhow, ensure};
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;

/// The special tokens of a chat template, and the metadata of a GGUF file that names them.
const GGUF_SPECIAL: [(&str, &str); 7] = [
    ("bos_token", "tokenizer.ggml.bos_token_id"),
    ("eos_token", "tokenizer.ggml.eos_token_id"),
    ("unk_token", "tokenizer.ggml.unknown_token_id"),
    ("pad_token", "tokenizer.ggml.padding_token_id"),
    // Spelled so in the format.
    ("sep_token", "tokenizer.ggml.seperator_token_id"),
    ("cls_token", "tokenizer.ggml.cls_token_id"),
    ("mask_token", "tokenizer.ggml.mask_token_id"),
];

/// An opened model.
pub struct Loaded {
    /// The weights and the forward pass.
    pub model: Model,
    /// Its tokenizer; without one prompts can only be given as ids.
    pub tokenizer: Option<Tokenizer>,
    /// The format of a conversation.
    pub chat: Option<ChatTemplate>,
    /// Its config.json, or the equivalent from the metadata of a GGUF file.
    pub config: Config,
    /// Its tensors.
    pub store: Store,
    /// Its description for views and traces.
    pub meta: Arc<Meta>,
}

impl Loaded {
    /// The same model with products computed on `device`, to which weights are copied when they are first used.
    ///
    /// # Errors
    /// If this build or this machine has no such device, or it can't hold these weights.
    pub fn on(mut self, device: Device) -> Result<Self> {
        self.meta.policy.check_on(device)?;
        self.model.compute_on(device).with_context(|| format!("cannot compute on the device {device}"))?;
        Arc::make_mut(&mut self.meta).device = device;
        Ok(self)
    }
}

/// What [`open`] reads before the weights are taken.
struct Parts {
    name: String,
    title: String,
    json: Value,
    config: Config,
    store: Store,
    tokenizer: Option<Tokenizer>,
    chat: Option<ChatTemplate>,
    /// The name of the mixture of quantised types.
    file_type: Option<&'static str>,
}

/// Opens a model. With `ids_only`, a broken or missing tokenizer is only noted, because prompts are ids.
///
/// # Errors
/// If anything is missing or contradicts the config; the message says what, and what to do.
pub fn open(location: &Location, policy: Policy, dtype: Option<Dtype>, ids_only: bool) -> Result<Loaded> {
    Isa::chosen()?;
    let mut report = Report::default();
    let mut parts = match location {
        Location::Demo => read_demo(&mut report)?,
        Location::Dir(dir) => {
            read_dir(dir, ids_only, &mut report).with_context(|| format!("cannot open {}", dir.display()))?
        }
        Location::Gguf(path) => {
            read_gguf(path, ids_only, &mut report).with_context(|| format!("cannot open {}", path.display()))?
        }
    };
    let checked = validate::check(&parts.config, &parts.store, &mut report);
    check_vocabulary(&parts, &mut report);
    let known = (parts.config.arch.dims.vocab, parts.config.family);
    validate::special_tokens(&parts.json, known, parts.tokenizer.as_ref(), &mut report);
    refuse(&report).with_context(|| format!("cannot open {}", parts.name))?;
    let weights_dtype = parts.file_type.map_or_else(|| checked.main.to_string(), str::to_owned);
    let compute = dtype.unwrap_or(checked.compute);
    if compute != checked.compute {
        let found = format!("{weights_dtype} weights, rounded to {compute} as they are read");
        report.add(Level::Note, "compute dtype", "", found, "requested by --dtype");
    }
    parts.config.eos.sort_unstable();
    parts.config.eos.dedup();
    let mut meta = Meta {
        dims: parts.config.arch.dims,
        scores: Scores::default(),
        weights_dtype,
        stored: checked.stored,
        compute_dtype: compute,
        policy,
        edits: [].into(),
        device: Device::Cpu,
        params: count_params(parts.config.arch.dims, parts.config.arch.tied),
        weight_bytes: parts.store.total_bytes(),
        touched_bytes: touched_bytes(&parts.config.arch, &parts.store)?,
        config: parts.json,
        eos: parts.config.eos.clone(),
        recording: None,
        has_chat: parts.chat.is_some() && parts.tokenizer.is_some(),
        report,
        name: parts.name,
        title: parts.title,
    };
    let model = Model::new(parts.config.arch.clone(), &parts.store, compute)?;
    meta.scores = model.scores().clone();
    #[cfg(debug_assertions)]
    let model = crate::model::drill::injected(model, &mut meta.report)?;
    Ok(Loaded {
        model,
        config: parts.config,
        tokenizer: parts.tokenizer,
        chat: parts.chat,
        store: parts.store,
        meta: Arc::new(meta),
    })
}

fn read_demo(report: &mut Report) -> Result<Parts> {
    let json: Value = serde_json::from_slice(demo::CONFIG)?;
    let mut config = Config::parse(&json, "config.json", report)?;
    config.eos.extend(token_ids(json.get("eos_token_id")));
    Ok(Parts {
        name: "demo".to_owned(),
        title: "demo (small model trained for mixscope)".to_owned(),
        json,
        config,
        store: Store::embedded(demo::WEIGHTS)?,
        tokenizer: Some(Tokenizer::parse(demo::TOKENIZER, "the demo's tokenizer.json")?),
        chat: None,
        file_type: None,
    })
}

fn read_dir(dir: &Path, ids_only: bool, report: &mut Report) -> Result<Parts> {
    let mut json = read_json(&dir.join("config.json"))?.with_context(|| {
        let there_is = names_in(dir).map(|names| what_there_is(&names)).unwrap_or_default();
        format!("no config.json in {}; {there_is}", dir.display())
    })?;
    let mut config = Config::parse(&json, "config.json", report)?;
    match read_json(&dir.join("generation_config.json")) {
        Ok(generation) => {
            config.eos.extend(token_ids(generation.as_ref().and_then(|generation| generation.get("eos_token_id"))))
        }
        Err(error) => {
            let advice = "only the config's own EOS ends a generation";
            report.add(Level::Warn, "generation_config.json", "JSON", format!("{error:#}"), advice);
        }
    }
    let reads_mxfp4 = config.arch.names.gate_up == GateUp::Columns;
    quantised::refuse_config(dir, &json, reads_mxfp4, report)?;
    let mut store = Store::open(dir, report)?;
    adapters::refuse(&store)?;
    store.plain_names(config.arch.names, config.arch.dims.experts, report)?;
    store.join_mxfp4(&config.arch, report)?;
    quantised::refuse_tensors(&store)?;
    adapters::note_leftovers(dir, &store, report);
    store.columns_to_rows(&config.arch, report)?;
    tied::settle(&mut config.arch, &mut store, report);
    if !config.arch.tied && json.get("tie_word_embeddings") == Some(&Value::Bool(true)) {
        // What is computed is what traces and views say.
        json["tie_word_embeddings"] = Value::Bool(false);
    }
    let read = Tokenizer::of_dir(dir, report);
    let (tokenizer, tokens) = or_ids_only(read, "tokenizer.json", ids_only, report)?.unzip();
    let chat = ChatTemplate::of_dir(dir).unwrap_or_else(|error| {
        report.add(Level::Warn, "chat template", "", format!("{error:#}"), "prompts can't be put into it");
        None
    });
    let chat = match tokens.flatten() {
        Some(tokens) => chat.map(|chat| chat.with_tokens(tokens)),
        None => chat,
    };
    let (name, title) = names(dir);
    Ok(Parts { name, title, json, config, store, tokenizer, chat, file_type: None })
}

fn read_gguf(path: &Path, ids_only: bool, report: &mut Report) -> Result<Parts> {
    let gguf::Opened { first, store } = gguf::open(path, report)?;
    let bytes = first.as_slice();
    let header = gguf::Header::read(bytes, bytes.len() as u64)?;
    let rows = |name: &str| store.tensors().get(name).and_then(|entry| entry.shape.first().copied());
    let json = gguf_config(&header, rows, report)?;
    let config = Config::parse(&json, "metadata", report)?;
    check_gguf_scores(&header, report);
    let read = Tokenizer::of_gguf(&header)
        .context("its tokenizer can't be used (`run` and the explorer take prompts only as --prompt-ids)");
    let tokenizer = or_ids_only(read, "tokenizer.ggml", ids_only, report)?;
    let template = header.get("tokenizer.chat_template").and_then(gguf::Value::text);
    let special = |(name, key): (&str, &str)| {
        let id = header.number(key).ok().flatten().and_then(|id| u32::try_from(id).ok())?;
        let piece = tokenizer.as_ref().filter(|tokenizer| tokenizer.has(id))?.piece(id).to_string();
        Some((name.to_owned(), piece))
    };
    let tokens: SpecialTokens = GGUF_SPECIAL.into_iter().filter_map(special).collect();
    let chat = template.map(|text| ChatTemplate::new(text, "tokenizer.chat_template", tokens));
    let (name, title) = names(path);
    Ok(Parts { name, title, config, store, tokenizer, chat, file_type: file_type(&header), json })
}

/// The path, and its last part.
fn names(path: &Path) -> (String, String) {
    let name = path.display().to_string();
    let last = |path: &Path| path.file_name().map(|last| last.to_string_lossy().into_owned());
    // In the Hub's cache the last part is a commit: `models--owner--name/snapshots/COMMIT`.
    let repo = path.ancestors().nth(2).filter(|_| path.parent().and_then(last).as_deref() == Some("snapshots"));
    let repo = repo.and_then(last).and_then(|name| Some(name.strip_prefix("models--")?.replacen("--", "/", 1)));
    let title = repo.or_else(|| last(path)).unwrap_or_else(|| name.clone());
    (name, title)
}

/// A tokenizer that can't be used; only a warning if prompts are ids.
fn or_ids_only<T>(read: Result<T>, what: &str, ids_only: bool, report: &mut Report) -> Result<Option<T>> {
    match read {
        Ok(tokenizer) => Ok(Some(tokenizer)),
        Err(error) if ids_only => {
            report.add(Level::Warn, what, "a tokenizer", format!("{error:#}"), "tokens are shown by their ids");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn check_vocabulary(parts: &Parts, report: &mut Report) {
    let Some(tokenizer) = &parts.tokenizer else { return };
    let (has, embeds) = (tokenizer.vocab_size(), parts.config.arch.dims.vocab);
    let largest = tokenizer.largest_id() as usize;
    if largest >= embeds && has <= embeds {
        let advice = "some text will give ids that the model lacks: the tokenizer belongs to another model";
        report.add(Level::Warn, "tokenizer", format!("ids below {embeds}"), format!("ids up to {largest}"), advice);
    } else if has > embeds {
        let advice = "some text will give ids that the model lacks: the tokenizer belongs to another model";
        report.add(Level::Warn, "tokenizer", format!("at most {embeds} tokens"), has.to_string(), advice);
    } else {
        report.add(
            Level::Ok,
            "tokenizer",
            "no more tokens than embeddings",
            format!("{has} tokens for {embeds} embeddings"),
            "",
        );
    }
}

/// Turns findings that forbid running into one error.
fn refuse(report: &Report) -> Result<()> {
    let refused: Vec<&Finding> = report.of(Level::Refuse).collect();
    ensure!(refused.is_empty(), anyhow!(refused.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")));
    Ok(())
}
