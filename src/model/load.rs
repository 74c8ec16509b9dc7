//! Opening a model: files, validation, and the report of it.

use super::chat::ChatTemplate;
use super::config::{Config, token_ids};
use super::forward::Mixtral;
use super::tokenizer::Tokenizer;
use super::weights::{Store, gguf, parts};
use super::{contract, demo, gguf_config, gguf_tokenizer, validate};
use crate::trace::{Device, Dims, Dtype, Finding, Level, Meta, Policy, Report};
use anyhow::{Context, Result, anyhow, bail, ensure};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where a model is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// The one in the program.
    Demo,
    /// A directory with config.json and safetensors files.
    Dir(PathBuf),
    /// A GGUF file, or the first of its parts.
    Gguf(PathBuf),
}

impl Location {
    /// The model at `path`.
    ///
    /// # Errors
    /// If there is neither a directory nor a GGUF file.
    pub fn at(path: &Path) -> Result<Self> {
        let name = path.display();
        if path.is_dir() {
            return Ok(Self::Dir(path.to_path_buf()));
        }
        ensure!(path.exists(), "there is no file or directory {name}");
        ensure!(path.is_file(), "{name} is neither a directory nor a regular file");
        let mut magic = [0u8; 4];
        let read = std::fs::File::open(path).and_then(|mut file| std::io::Read::read(&mut file, &mut magic));
        let read = read.with_context(|| format!("cannot read {name}"))?;
        let is_gguf = &magic[..read] == b"GGUF" || path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gguf"));
        if !is_gguf {
            bail!("{name} is not a GGUF file; of a safetensors model give the directory that holds config.json");
        }
        Ok(Self::Gguf(path.to_path_buf()))
    }
}

/// An opened model.
pub struct Loaded {
    /// The forward pass.
    pub model: Mixtral,
    /// Its tokenizer; without one prompts can only be given as ids.
    pub tokenizer: Option<Tokenizer>,
    /// How a conversation is written for it.
    pub chat: Option<ChatTemplate>,
    /// What its files say it is.
    pub config: Config,
    /// Its tensors.
    pub store: Store,
    /// What is known of it.
    pub meta: Arc<Meta>,
}

impl Loaded {
    /// The same model with products computed on `device`, to which weights are copied when they are first used.
    ///
    /// # Errors
    /// If this build or this machine has no such device, or it can't hold these weights.
    pub fn on(mut self, device: Device) -> Result<Self> {
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
    /// What the mixture of quantised types is called.
    file_type: Option<&'static str>,
}

/// Opens a model. `ids_only`: a broken or missing tokenizer is only noted, because prompts come as ids.
///
/// # Errors
/// If anything is missing or contradicts the config; the message says what, and what to do.
pub fn open(location: &Location, policy: Policy, dtype: Option<Dtype>, ids_only: bool) -> Result<Loaded> {
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
    contract::special_tokens(&parts.json, &parts.config, parts.tokenizer.as_ref(), &mut report);
    refuse(&report).with_context(|| format!("cannot open {}", parts.name))?;
    let weights_dtype = parts.file_type.map_or_else(|| checked.main.to_string(), str::to_owned);
    let compute = dtype.unwrap_or(checked.compute);
    if compute != checked.compute {
        let found = format!("{weights_dtype} weights, rounded to {compute} as they are read");
        report.add(Level::Note, "compute dtype", "", found, "asked for by --dtype");
    }
    parts.config.eos.sort_unstable();
    parts.config.eos.dedup();
    #[cfg_attr(not(debug_assertions), expect(unused_mut, reason = "only the drill adds to it"))]
    let mut meta = Meta {
        dims: parts.config.dims,
        weights_dtype,
        stored: checked.stored,
        compute_dtype: compute,
        policy,
        device: Device::Cpu,
        params: count_params(parts.config.dims, parts.config.tied),
        weight_bytes: parts.store.total_bytes(),
        touched_bytes: touched_bytes(&parts.config, &parts.store)?,
        config: parts.json,
        eos: parts.config.eos.clone(),
        recording: None,
        has_chat: parts.chat.is_some() && parts.tokenizer.is_some(),
        report,
        name: parts.name,
        title: parts.title,
    };
    let model = Mixtral::new(parts.config.clone(), &parts.store, compute)?;
    #[cfg(debug_assertions)]
    let model = super::fault::injected(model, &mut meta.report)?;
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
    let json = read_json(&dir.join("config.json"))?.with_context(|| {
        format!("no config.json in {}; a model directory holds config.json and safetensors files", dir.display())
    })?;
    let mut config = Config::parse(&json, "config.json", report)?;
    if let Some(generation) = read_json(&dir.join("generation_config.json"))? {
        config.eos.extend(token_ids(generation.get("eos_token_id")));
    }
    let store = Store::open(dir, report)?;
    let tokenizer = or_ids_only(read_tokenizer(&dir.join("tokenizer.json")), "tokenizer.json", ids_only, report)?;
    let chat = ChatTemplate::of_dir(dir).unwrap_or_else(|error| {
        report.add(Level::Warn, "chat template", "", format!("{error:#}"), "prompts can't be put into it");
        None
    });
    let (name, title) = names(dir);
    Ok(Parts { name, title, json, config, store, tokenizer, chat, file_type: None })
}

fn read_gguf(path: &Path, ids_only: bool, report: &mut Report) -> Result<Parts> {
    let gguf::Opened { first, store } = gguf::open(path)?;
    let bytes = first.as_slice();
    let header = gguf::Header::read(bytes, bytes.len() as u64)?;
    let rows = |name: &str| store.tensors().get(name).and_then(|entry| entry.shape.first().copied());
    let json = gguf_config::config(&header, rows, report)?;
    let config = Config::parse(&json, "metadata", report)?;
    let read = gguf_tokenizer::tokenizer(&header)
        .map(Tokenizer::of)
        .context("its tokenizer can't be used (prompts can only be given with --prompt-ids)");
    let tokenizer = or_ids_only(read, "tokenizer.ggml", ids_only, report)?;
    let template = header.get("tokenizer.chat_template").and_then(gguf::Value::text);
    let special = |key: &str| {
        let id = json.get(key).and_then(Value::as_u64).and_then(|id| u32::try_from(id).ok());
        id.zip(tokenizer.as_ref()).map(|(id, tokenizer)| tokenizer.piece(id).to_string()).unwrap_or_default()
    };
    let chat = template.map(|text| ChatTemplate::new(text, &special("bos_token_id"), &special("eos_token_id")));
    let (name, title) = names(path);
    Ok(Parts { name, title, config, store, tokenizer, chat, file_type: gguf_config::file_type(&header), json })
}

/// Path and last part of it.
fn names(path: &Path) -> (String, String) {
    let name = path.display().to_string();
    let title = path.file_name().map_or_else(|| name.clone(), |last| last.to_string_lossy().into_owned());
    (name, title)
}

/// A tokenizer that can't be used is only worth a warning when prompts come as ids.
fn or_ids_only(read: Result<Tokenizer>, what: &str, ids_only: bool, report: &mut Report) -> Result<Option<Tokenizer>> {
    match read {
        Ok(tokenizer) => Ok(Some(tokenizer)),
        Err(error) if ids_only => {
            report.add(Level::Warn, what, "a tokenizer", format!("{error:#}"), "tokens are shown by their ids");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn read_tokenizer(path: &Path) -> Result<Tokenizer> {
    let bytes = std::fs::read(path).with_context(|| {
        format!("cannot read {} (without it prompts can only be given with --prompt-ids)", path.display())
    })?;
    Tokenizer::parse(&bytes, &path.display().to_string())
}

/// A JSON file; `None` if there is none.
pub(super) fn read_json(path: &Path) -> Result<Option<Value>> {
    match std::fs::read(path) {
        Ok(bytes) => {
            Ok(Some(serde_json::from_slice(&bytes).with_context(|| format!("{} is not valid JSON", path.display()))?))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

fn check_vocabulary(parts: &Parts, report: &mut Report) {
    let Some(tokenizer) = &parts.tokenizer else { return };
    let (has, embeds) = (tokenizer.vocab_size(), parts.config.dims.vocab);
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

/// All parameters, and those that one token uses.
pub(super) fn count_params(d: Dims, tied: bool) -> (u64, u64) {
    // In floating point: sizes that were not held against weights yet may be anything.
    let [layers, d_model, d_ff, vocab] = [d.layers, d.d_model, d.d_ff, d.vocab].map(|n| n as f64);
    let attention = 2.0 * d_model * d.d_head as f64 * (d.heads as f64 + d.kv_heads as f64);
    let shared = attention + 2.0 * d_model + d_model * d.experts as f64;
    let expert = 3.0 * d_model * d_ff;
    let ends = vocab * d_model * if tied { 1.0 } else { 2.0 } + d_model;
    let with = |experts: usize| (layers * (shared + expert * experts as f64) + ends) as u64;
    (with(d.experts), with(d.top_k))
}

/// Bytes of the weights that one token reads: of the embedding one row, of the experts the share that is chosen.
fn touched_bytes(config: &Config, store: &Store) -> Result<u64> {
    use super::weights::Part;
    let d = config.dims;
    let (mut shared, mut experts) = (0u64, 0u64);
    for part in parts(config) {
        let matrix = store.matrix(part, config)?;
        match part {
            Part::Expert(..) => experts += matrix.len() as u64,
            Part::Embed if !config.tied => shared += (matrix.len() / matrix.rows().max(1)) as u64,
            _ => shared += matrix.len() as u64,
        }
    }
    Ok(shared + experts * d.top_k as u64 / d.experts as u64)
}
