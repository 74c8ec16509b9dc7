//! What is known of a model on the Hub before it is downloaded.

use super::target::or_path;
use crate::hub::{RepoId, Settings, Survey, survey};
use crate::model::{Config, Described, check_gguf_header, describe_gguf};
use crate::trace::{Device, Dtype, Level, Meta, Policy, Report, Scores};
use anyhow::{Context, Result, bail};

/// The most bytes that are read from the start of a GGUF file for its header, which holds the tokenizer.
const LARGEST_HEADER: u64 = 32 << 20;

/// A model on the Hub.
pub struct Remote {
    /// What its config or header says.
    pub meta: Meta,
    /// Entries of the tokenizer, where that is known without downloading it.
    pub tokenizer: Option<usize>,
    /// The commit that was read.
    pub commit: String,
    /// The files that opening it would download, and their sizes in bytes.
    pub files: Vec<(String, u64)>,
}

/// Asks the Hub for the repo that `name` names.
///
/// # Errors
/// If it can't be reached, the repo holds no model that can be read, or its config is refused.
pub fn look_up(name: &str, repo: &RepoId, settings: &Settings, policy: Policy, dtype: Option<Dtype>) -> Result<Remote> {
    let found = survey(repo, settings).map_err(|error| or_path(name, error))?;
    let files: Vec<(String, u64)> = found.files.iter().map(|file| (file.name.clone(), file.size)).collect();
    let total = |end: &str| files.iter().filter(|(name, _)| name.ends_with(end)).map(|(_, size)| size).sum::<u64>();
    let mut report = Report::default();
    let described = match &found.gguf {
        Some(_) => {
            // Parts are listed in order.
            let parts = files.iter().filter(|(name, _)| name.ends_with(".gguf"));
            let starts = parts.map(|(name, size)| Ok((read_header(&found, name, *size)?, *size)));
            let starts = starts.collect::<Result<Vec<_>>>()?;
            let starts: Vec<(&[u8], u64)> = starts.iter().map(|(bytes, size)| (bytes.as_slice(), *size)).collect();
            describe_gguf(&starts, &mut report).with_context(|| format!("{repo} can't be used"))?
        }
        None => {
            let json =
                serde_json::from_slice(&found.read_all("config.json")?).context("config.json is not valid JSON")?;
            let config = Config::parse(&json, "config.json", &mut report)?;
            let has_chat = has_chat(&found)?;
            Described { has_chat, ..Described::from_config(json, &config) }
        }
    };
    let weight_bytes = total(".gguf") + total(".safetensors");
    report.add(Level::Note, "weights", "", "not checked: they are on the Hub", "checked when it is opened");
    let name = repo.to_string();
    let meta = Meta {
        title: name.clone(),
        name,
        dims: described.dims,
        scores: Scores::default(),
        weights_dtype: described.weights_dtype,
        stored: described.stored,
        compute_dtype: dtype.unwrap_or(described.compute),
        policy,
        edits: [].into(),
        device: Device::Cpu,
        params: described.params,
        weight_bytes,
        touched_bytes: described.touched_bytes,
        has_chat: described.has_chat,
        config: described.json,
        report,
        eos: described.eos,
        recording: None,
    };
    Ok(Remote { meta, tokenizer: described.tokenizer, commit: found.commit.clone(), files })
}

/// Whether a repo of safetensors has a chat template.
fn has_chat(found: &Survey) -> Result<bool> {
    let has = |name: &str| found.files.iter().any(|file| file.name == name);
    if has("chat_template.jinja") || !has("tokenizer_config.json") {
        return Ok(has("chat_template.jinja"));
    }
    let config: serde_json::Value = serde_json::from_slice(&found.read_all("tokenizer_config.json")?)
        .context("tokenizer_config.json is not valid JSON")?;
    Ok(config.get("chat_template").is_some_and(|template| !template.is_null()))
}

/// Reads as much of a GGUF file's start as its header takes.
fn read_header(found: &Survey, file: &str, size: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut want = 1 << 20;
    loop {
        let end = size.min(want);
        bytes.extend(found.read(file, bytes.len() as u64..end)?);
        let Err(error) = check_gguf_header(&bytes, size) else { return Ok(bytes) };
        if (bytes.len() as u64) < end {
            bail!("the Hub sent less of {file} than was requested");
        }
        if end == size || want >= LARGEST_HEADER || !bytes.starts_with(b"GGUF") {
            return Err(error.context(format!("the header of {file} can't be used")));
        }
        want *= 2;
    }
}
