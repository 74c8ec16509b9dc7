//! What a config or a GGUF header alone says of a model, before its weights are there.

use super::config::Config;
use super::gguf_config;
use super::load::count_params;
use super::weights::Stored;
use super::weights::gguf::{self, Header};
use crate::trace::{Dims, Dtype, Report};
use anyhow::{Context, Result};
use serde_json::Value;

/// A model without its weights.
pub struct Described {
    /// Its config.json, or what a GGUF's metadata say in its place.
    pub json: Value,
    /// Sizes.
    pub dims: Dims,
    /// How the weights are stored.
    pub weights_dtype: String,
    /// Bytes of every storage type, most first; empty if unknown.
    pub stored: Vec<(String, u64)>,
    /// The dtype it is computed in.
    pub compute: Dtype,
    /// All parameters, and those that one token uses.
    pub params: (u64, u64),
    /// Bytes of the weights that one token reads.
    pub touched_bytes: u64,
    /// Entries of the tokenizer, if known.
    pub tokenizer: Option<usize>,
    /// Whether there is a chat template, as far as is known.
    pub has_chat: bool,
    /// Tokens that end a text.
    pub eos: Vec<u32>,
}

impl Described {
    /// From a config.json; the weights' dtype is what it says.
    pub fn from_config(json: Value, config: &Config) -> Self {
        let dtype = config.dtype.unwrap_or(Dtype::F32);
        let params = count_params(config.dims, config.tied);
        let table = if config.tied { 0 } else { (config.dims.vocab as u64 - 1) * config.dims.d_model as u64 };
        Self {
            json,
            dims: config.dims,
            weights_dtype: config.dtype.map_or_else(|| "unknown".to_owned(), |dtype| dtype.to_string()),
            stored: Vec::new(),
            compute: dtype,
            params,
            touched_bytes: params.1.saturating_sub(table).saturating_mul(dtype.size() as u64),
            tokenizer: None,
            has_chat: false,
            eos: config.eos.clone(),
        }
    }
}

/// Whether `bytes`, the start of a GGUF file of `size` bytes, hold all of its header.
///
/// # Errors
/// If they don't, or the header is damaged.
pub fn check_gguf_header(bytes: &[u8], size: u64) -> Result<()> {
    Header::read(bytes, size).map(drop)
}

/// What the headers of a GGUF file's parts say; of each part its start and its size in bytes.
///
/// # Errors
/// If a header is damaged or not whole, or of a model that can't be run.
pub fn describe_gguf(parts: &[(&[u8], u64)], report: &mut Report) -> Result<Described> {
    let headers = parts.iter().map(|(bytes, size)| Header::read(bytes, *size)).collect::<Result<Vec<_>>>()?;
    let header = headers.first().context("a GGUF file without parts")?;
    let tensors = || headers.iter().flat_map(|header| &header.tensors);
    let rows = |name: &str| tensors().find(|tensor| tensor.name == name)?.shape.first().copied();
    let json = gguf_config::config(header, rows, report)?;
    let config = Config::parse(&json, "metadata", report)?;
    let mut stored = std::collections::BTreeMap::<Option<Stored>, u64>::new();
    let (mut shared, mut experts) = (0u64, 0u64);
    for tensor in tensors() {
        *stored.entry(gguf::stored(tensor.kind)).or_default() += tensor.len as u64;
        let is_expert = ["ffn_gate", "ffn_up", "ffn_down"].iter().any(|part| tensor.name.contains(part));
        if is_expert && !tensor.name.contains("ffn_gate_inp") {
            experts += tensor.len as u64;
        } else if tensor.name == "token_embd.weight" && !config.tied {
            shared += tensor.len as u64 / config.dims.vocab.max(1) as u64;
        } else {
            shared += tensor.len as u64;
        }
    }
    let mut stored: Vec<(Option<Stored>, u64)> = stored.into_iter().collect();
    stored.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    let main = stored.first().and_then(|(stored, _)| *stored).map_or_else(|| "unknown".to_owned(), |s| s.to_string());
    let named = |(stored, bytes): (Option<Stored>, u64)| (stored.map_or("unknown", Stored::name).to_owned(), bytes);
    Ok(Described {
        dims: config.dims,
        weights_dtype: gguf_config::file_type(header).map_or(main, str::to_owned),
        stored: stored.into_iter().map(named).collect(),
        compute: Dtype::F32,
        params: count_params(config.dims, config.tied),
        touched_bytes: shared + (u128::from(experts) * config.dims.top_k as u128 / config.dims.experts as u128) as u64,
        tokenizer: header.get("tokenizer.ggml.tokens").and_then(gguf::Value::array).map(|tokens| tokens.len()),
        has_chat: header.get("tokenizer.chat_template").is_some(),
        eos: config.eos,
        json,
    })
}
