//! A model described by its config or GGUF header alone, before its weights are on this machine.

use super::sizes::count_params;
use crate::model::arch::{Config, file_type, gguf_config};
use crate::model::tokenizer::check_gguf_scores;
use crate::model::weights::Stored;
use crate::model::weights::gguf::{self, Header};
use crate::trace::{Dims, Dtype, Report};
use anyhow::{Context, Result};
use serde_json::Value;

/// A model without its weights.
pub struct Described {
    /// Its config.json, or the equivalent from the metadata of a GGUF file.
    pub json: Value,
    /// Sizes.
    pub dims: Dims,
    /// The type of the weights.
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
    /// The model that a config.json describes, which also gives the weights' dtype.
    pub fn from_config(json: Value, config: &Config) -> Self {
        let dtype = config.dtype.unwrap_or(Dtype::F32);
        let params = count_params(config.arch.dims, config.arch.tied);
        let table =
            if config.arch.tied { 0 } else { (config.arch.dims.vocab as u64 - 1) * config.arch.dims.d_model as u64 };
        Self {
            json,
            dims: config.arch.dims,
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
/// If part of the header is missing or damaged.
pub fn check_gguf_header(bytes: &[u8], size: u64) -> Result<()> {
    Header::read(bytes, size).map(drop)
}

/// The model that the headers of a GGUF file's parts describe. Each part is given by its first bytes and its size.
///
/// # Errors
/// If a header is damaged or incomplete, or the model can't be run.
pub fn describe_gguf(parts: &[(&[u8], u64)], report: &mut Report) -> Result<Described> {
    let headers = parts.iter().map(|(bytes, size)| Header::read(bytes, *size)).collect::<Result<Vec<_>>>()?;
    let header = headers.first().context("a GGUF file without parts")?;
    let tensors = || headers.iter().flat_map(|header| &header.tensors);
    let rows = |name: &str| tensors().find(|tensor| tensor.name == name)?.shape.first().copied();
    let json = gguf_config(header, rows, report)?;
    let config = Config::parse(&json, "metadata", report)?;
    check_gguf_scores(header, report);
    let mut stored = std::collections::BTreeMap::<Option<Stored>, u64>::new();
    let (mut shared, mut experts) = (0u64, 0u64);
    for tensor in tensors() {
        *stored.entry(gguf::stored(tensor.kind)).or_default() += tensor.len as u64;
        // `ffn_up_exps.weight` of all experts, `ffn_up.3.weight` of one; `ffn_up.weight` and `ffn_up_shexp.weight` are read always.
        let of_one = |rest: &str| rest.starts_with('.') && rest[1..].starts_with(|c: char| c.is_ascii_digit());
        let is_expert = ["ffn_gate", "ffn_up", "ffn_down"].iter().any(|part| {
            tensor.name.split_once(part).is_some_and(|(_, rest)| rest.starts_with("_exps") || of_one(rest))
        });
        if is_expert {
            experts += tensor.len as u64;
        } else if tensor.name == "token_embd.weight" && !config.arch.tied {
            shared += tensor.len as u64 / config.arch.dims.vocab.max(1) as u64;
        } else {
            shared += tensor.len as u64;
        }
    }
    let mut stored: Vec<(Option<Stored>, u64)> = stored.into_iter().collect();
    stored.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    let main = stored.first().and_then(|(stored, _)| *stored).map_or_else(|| "unknown".to_owned(), |s| s.to_string());
    let named = |(stored, bytes): (Option<Stored>, u64)| (stored.map_or("unknown", Stored::name).to_owned(), bytes);
    Ok(Described {
        dims: config.arch.dims,
        weights_dtype: file_type(header).map_or(main, str::to_owned),
        stored: stored.into_iter().map(named).collect(),
        compute: Dtype::F32,
        params: count_params(config.arch.dims, config.arch.tied),
        touched_bytes: shared
            + (u128::from(experts) * config.arch.dims.top_k as u128 / config.arch.dims.experts as u128) as u64,
        tokenizer: header.get("tokenizer.ggml.tokens").and_then(gguf::Value::array).map(|tokens| tokens.len()),
        has_chat: header.get("tokenizer.chat_template").is_some(),
        eos: config.eos,
        json,
    })
}
