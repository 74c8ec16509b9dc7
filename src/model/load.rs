//! Opening a model: files, validation, and the report of it.

use super::config::{Config, token_ids};
use super::forward::Mixtral;
use super::tokenizer::Tokenizer;
use super::weights::Store;
use super::{demo, validate};
use crate::trace::{Dims, Dtype, Finding, Level, Meta, Policy, Report};
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
}

impl Location {
    /// Understands the MODEL argument.
    ///
    /// # Errors
    /// If it is neither `demo` nor a directory.
    pub fn parse(model: &str) -> Result<Self> {
        if model == "demo" {
            return Ok(Self::Demo);
        }
        let path = PathBuf::from(model);
        if path.is_dir() {
            return Ok(Self::Dir(path));
        }
        if path.is_file() {
            bail!("{model} is a file; give the directory that holds config.json and the safetensors files");
        }
        bail!("there is no directory {model}; MODEL is `demo` or a directory with config.json and safetensors files")
    }
}

/// An opened model.
pub struct Loaded {
    /// The forward pass.
    pub model: Mixtral,
    /// Its tokenizer; without one prompts can only be given as ids.
    pub tokenizer: Option<Tokenizer>,
    /// What is known of it.
    pub meta: Arc<Meta>,
}

/// What [`open`] reads before the weights are taken.
struct Parts {
    name: String,
    title: String,
    json: Value,
    config: Config,
    store: Store,
    tokenizer: Option<Tokenizer>,
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
    };
    let weights_dtype = validate::check(&parts.config, &parts.store, &mut report);
    check_vocabulary(&parts, &mut report);
    refuse(&report).with_context(|| format!("cannot open {}", parts.name))?;
    let compute = dtype.unwrap_or(weights_dtype);
    if compute != weights_dtype {
        let found = format!("{weights_dtype} weights, rounded to {compute} as they are read");
        report.add(Level::Note, "compute dtype", "", found, "asked for by --dtype");
    }
    parts.config.eos.sort_unstable();
    parts.config.eos.dedup();
    let meta = Meta {
        dims: parts.config.dims,
        weights_dtype,
        compute_dtype: compute,
        policy,
        params: count_params(parts.config.dims, parts.config.tied),
        weight_bytes: parts.store.total_bytes(),
        config: parts.json,
        eos: parts.config.eos.clone(),
        report,
        name: parts.name,
        title: parts.title,
    };
    let model = Mixtral::new(parts.config, &parts.store, compute)?;
    Ok(Loaded { model, tokenizer: parts.tokenizer, meta: Arc::new(meta) })
}

fn read_demo(report: &mut Report) -> Result<Parts> {
    let json: Value = serde_json::from_slice(demo::CONFIG)?;
    let mut config = Config::parse(&json, report)?;
    config.eos.extend(token_ids(json.get("eos_token_id")));
    Ok(Parts {
        name: "demo".to_owned(),
        title: "demo (small model trained for mixscope)".to_owned(),
        json,
        config,
        store: Store::embedded(demo::WEIGHTS)?,
        tokenizer: Some(Tokenizer::parse(demo::TOKENIZER, "the demo's tokenizer.json")?),
    })
}

fn read_dir(dir: &Path, ids_only: bool, report: &mut Report) -> Result<Parts> {
    let json = read_json(&dir.join("config.json"))?.with_context(|| {
        format!("no config.json in {}; a model directory holds config.json and safetensors files", dir.display())
    })?;
    let mut config = Config::parse(&json, report)?;
    if let Some(generation) = read_json(&dir.join("generation_config.json"))? {
        config.eos.extend(token_ids(generation.get("eos_token_id")));
    }
    let store = Store::open(dir, report)?;
    let tokenizer = match read_tokenizer(&dir.join("tokenizer.json")) {
        Ok(tokenizer) => Some(tokenizer),
        Err(error) if ids_only => {
            report.add(
                Level::Warn,
                "tokenizer.json",
                "a tokenizer",
                format!("{error:#}"),
                "tokens are shown by their ids",
            );
            None
        }
        Err(error) => return Err(error),
    };
    let name = dir.display().to_string();
    let title = dir.file_name().map_or_else(|| name.clone(), |last| last.to_string_lossy().into_owned());
    Ok(Parts { name, title, json, config, store, tokenizer })
}

fn read_tokenizer(path: &Path) -> Result<Tokenizer> {
    let bytes = std::fs::read(path).with_context(|| {
        format!("cannot read {} (without it prompts can only be given with --prompt-ids)", path.display())
    })?;
    Tokenizer::parse(&bytes, &path.display().to_string())
}

/// A JSON file; `None` if there is none.
fn read_json(path: &Path) -> Result<Option<Value>> {
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
    if has > embeds {
        let advice = "some text will give ids that the model lacks: the tokenizer belongs to another model";
        report.add(Level::Warn, "tokenizer.json", format!("at most {embeds} tokens"), has.to_string(), advice);
    } else {
        report.add(Level::Ok, "tokenizer.json", "", format!("{has} tokens for {embeds} embeddings"), "");
    }
}

/// Turns findings that forbid running into one error.
fn refuse(report: &Report) -> Result<()> {
    let refused: Vec<&Finding> = report.of(Level::Refuse).collect();
    ensure!(refused.is_empty(), anyhow!(refused.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")));
    Ok(())
}

/// All parameters, and those that one token uses.
fn count_params(d: Dims, tied: bool) -> (u64, u64) {
    let [layers, d_model, d_ff, vocab] = [d.layers, d.d_model, d.d_ff, d.vocab].map(|n| n as u64);
    let attention = 2 * d_model * (d.heads * d.d_head) as u64 + 2 * d_model * (d.kv_heads * d.d_head) as u64;
    let shared = attention + 2 * d_model + d_model * d.experts as u64;
    let expert = 3 * d_model * d_ff;
    let ends = vocab * d_model * if tied { 1 } else { 2 } + d_model;
    let with = |experts: usize| layers * (shared + expert * experts as u64) + ends;
    (with(d.experts), with(d.top_k))
}
