//! A GGUF file's metadata as the config.json and tokenizer.json that say the same.

use super::weights::gguf::{Header, Value};
use crate::trace::{Level, Report};
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value as Json, json};
use std::collections::HashMap;

/// The config.json that transformers would have for the model.
///
/// # Errors
/// If it is another architecture, a key is missing, or it asks for something that is not implemented.
pub fn config(header: &Header, report: &mut Report) -> Result<Json> {
    let architecture = text(header, "general.architecture")?.context("its metadata lacks general.architecture")?;
    let experts = number(header, "llama.expert_count")?.unwrap_or(0);
    ensure!(
        architecture == "llama" && experts > 0,
        "unsupported architecture `{architecture}` with {experts} experts; mixscope reads `llama` with experts (Mixtral)"
    );
    let need = |key: &str| number(header, key)?.with_context(|| format!("its metadata lacks {key}"));
    let heads = need("llama.attention.head_count")?;
    let d_model = need("llama.embedding_length")?;
    let key_width = number(header, "llama.attention.key_length")?;
    let value_width = number(header, "llama.attention.value_length")?;
    ensure!(
        value_width.is_none() || key_width.is_none() || key_width == value_width,
        "keys and values of different widths ({key_width:?}, {value_width:?}) are not implemented"
    );
    let d_head = key_width.or(value_width).or_else(|| d_model.checked_div(heads)).unwrap_or(0);
    let rotated = number(header, "llama.rope.dimension_count")?.unwrap_or(d_head);
    ensure!(rotated == d_head, "llama.rope.dimension_count is {rotated}, but heads are {d_head} wide: not implemented");
    if let Some(kind) = text(header, "llama.rope.scaling.type")?.filter(|kind| *kind != "none") {
        bail!("llama.rope.scaling.type is `{kind}`; only RoPE without scaling is implemented");
    }
    let theta = match header.get("llama.rope.freq_base") {
        Some(value) => {
            value.number().with_context(|| format!("llama.rope.freq_base is {value:?}, expected a number"))?
        }
        None => {
            let advice = "a wrong base gives fluent short text that decays; Mixtral's is 1000000";
            let found = "none; llama.cpp's default 10000 is used";
            report.add(Level::Warn, "llama.rope.freq_base", "a RoPE base", found, advice);
            10_000.0
        }
    };
    let eps = header.get("llama.attention.layer_norm_rms_epsilon").and_then(Value::number);
    let tensor = |name: &str| header.tensors.iter().find(|tensor| tensor.name == name);
    let rows = tensor("token_embd.weight").and_then(|tensor| tensor.shape.first().copied());
    let vocab = number(header, "llama.vocab_size")?.or(rows.map(|rows| rows as u64));
    let mut config = json!({
        "model_type": "mixtral",
        "architectures": ["MixtralForCausalLM"],
        "hidden_size": d_model,
        "intermediate_size": need("llama.feed_forward_length")?,
        "num_hidden_layers": need("llama.block_count")?,
        "num_attention_heads": heads,
        "num_key_value_heads": number(header, "llama.attention.head_count_kv")?.unwrap_or(heads),
        "num_local_experts": experts,
        "num_experts_per_tok": need("llama.expert_used_count")?,
        "max_position_embeddings": need("llama.context_length")?,
        "rms_norm_eps": eps.context("its metadata lacks llama.attention.layer_norm_rms_epsilon")?,
        "rope_theta": theta,
        "vocab_size": vocab.context("its metadata lacks llama.vocab_size, and there is no token_embd.weight")?,
        "tie_word_embeddings": tensor("output.weight").is_none(),
        "sliding_window": number(header, "llama.attention.sliding_window")?.filter(|window| *window > 0),
    });
    if key_width.or(value_width).is_some() {
        config["head_dim"] = d_head.into();
    }
    for (key, name) in
        [("bos_token_id", "tokenizer.ggml.bos_token_id"), ("eos_token_id", "tokenizer.ggml.eos_token_id")]
    {
        if let Some(id) = number(header, name)? {
            config[key] = id.into();
        }
    }
    Ok(config)
}

fn number(header: &Header, key: &str) -> Result<Option<u64>> {
    let Some(value) = header.get(key) else { return Ok(None) };
    let number = value.unsigned();
    Ok(Some(number.with_context(|| format!("{key} is {}, expected a whole number", show(value)))?))
}

fn text<'a>(header: &Header<'a>, key: &str) -> Result<Option<&'a str>> {
    let Some(value) = header.get(key) else { return Ok(None) };
    Ok(Some(value.text().with_context(|| format!("{key} is {}, expected text", show(value)))?))
}

fn show(value: Value) -> String {
    match value {
        Value::Array(array) => format!("an array of {}", array.len()),
        Value::Text(bytes) => format!("`{}`", bytes.escape_ascii().to_string().chars().take(40).collect::<String>()),
        Value::Unsigned(n) => n.to_string(),
        Value::Signed(n) => n.to_string(),
        Value::Float(x) => x.to_string(),
        Value::Bool(is) => is.to_string(),
    }
}

/// What llama.cpp's converter called the mixture of types (`general.file_type`, llama.cpp's `LLAMA_FTYPE_*`).
pub fn file_type(header: &Header) -> Option<&'static str> {
    Some(match header.get("general.file_type")?.unsigned()? {
        0 => "F32",
        1 => "F16",
        2 => "Q4_0",
        3 => "Q4_1",
        7 => "Q8_0",
        8 => "Q5_0",
        9 => "Q5_1",
        10 => "Q2_K",
        11 => "Q3_K_S",
        12 => "Q3_K_M",
        13 => "Q3_K_L",
        14 => "Q4_K_S",
        15 => "Q4_K_M",
        16 => "Q5_K_S",
        17 => "Q5_K_M",
        18 => "Q6_K",
        32 => "BF16",
        _ => return None,
    })
}

/// Token types of ggml's `llama_token_type`.
const UNKNOWN: u64 = 2;
const CONTROL: u64 = 3;
const USER_DEFINED: u64 = 4;
const BYTE: u64 = 6;

/// The tokenizer.json (SentencePiece BPE with byte fallback, in the layout of the official Mixtral file) that gives the
/// ids of the tokenizer in the metadata; the error says why there is none.
///
/// # Errors
/// If the file has no tokenizer, one of another kind, or a damaged one.
pub fn tokenizer(header: &Header) -> Result<Json> {
    let model = text(header, "tokenizer.ggml.model")?.context("it holds no tokenizer (tokenizer.ggml.model)")?;
    ensure!(model == "llama", "its tokenizer is of the kind `{model}`; only `llama` (SentencePiece BPE) can be read");
    let array = |key: &str| {
        let array = header.get(key).and_then(Value::array);
        array.with_context(|| format!("its tokenizer lacks {key}"))
    };
    let pieces: Option<Vec<&str>> = array("tokenizer.ggml.tokens")?.iter().map(Value::text).collect();
    let pieces = pieces.context("tokenizer.ggml.tokens holds something that is no UTF-8 text")?;
    let scores: Vec<f64> = array("tokenizer.ggml.scores")?.iter().filter_map(Value::number).collect();
    let kinds: Vec<u64> = array("tokenizer.ggml.token_type")?.iter().filter_map(Value::unsigned).collect();
    ensure!(
        !pieces.is_empty() && scores.len() == pieces.len() && kinds.len() == pieces.len(),
        "its tokenizer has {} tokens, {} scores and {} types; it is damaged",
        pieces.len(),
        scores.len(),
        kinds.len()
    );
    ensure!(scores.iter().all(|score| !score.is_nan()), "tokenizer.ggml.scores holds NaN");
    let ids: HashMap<&str, usize> = pieces.iter().enumerate().map(|(id, piece)| (*piece, id)).collect();
    ensure!(ids.len() == pieces.len(), "its tokenizer holds {} tokens twice", pieces.len() - ids.len());
    let id = |key: &str| -> Result<Option<usize>> {
        let id = number(header, key)?.map(|id| usize::try_from(id).unwrap_or(usize::MAX));
        if let Some(id) = id {
            ensure!(id < pieces.len(), "{key} is {id}, but there are {} tokens", pieces.len());
        }
        Ok(id)
    };
    let is = |key: &str, default: bool| header.get(key).and_then(Value::bool).unwrap_or(default);
    let bos = id("tokenizer.ggml.bos_token_id")?.filter(|_| is("tokenizer.ggml.add_bos_token", true));
    let eos = id("tokenizer.ggml.eos_token_id")?.filter(|_| is("tokenizer.ggml.add_eos_token", false));
    let unknown = id("tokenizer.ggml.unknown_token_id")?.or_else(|| kinds.iter().position(|kind| *kind == UNKNOWN));
    let added = (0..pieces.len()).filter(|id| matches!(kinds[*id], UNKNOWN | CONTROL | USER_DEFINED)).map(|id| {
        json!({"id": id, "content": pieces[id], "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": kinds[id] != USER_DEFINED})
    });
    let mut normalizers = vec![json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"})];
    let mut decoders = vec![
        json!({"type": "Replace", "pattern": {"String": "▁"}, "content": " "}),
        json!({"type": "ByteFallback"}),
        json!({"type": "Fuse"}),
    ];
    if is("tokenizer.ggml.add_space_prefix", true) {
        normalizers.insert(0, json!({"type": "Prepend", "prepend": "▁"}));
        decoders.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
    }
    Ok(json!({
        "version": "1.0", "truncation": null, "padding": null,
        "added_tokens": added.collect::<Vec<_>>(),
        "normalizer": {"type": "Sequence", "normalizers": normalizers},
        "pre_tokenizer": null,
        "post_processor": template(&pieces, bos, eos),
        "decoder": {"type": "Sequence", "decoders": decoders},
        "model": {
            "type": "BPE", "dropout": null, "unk_token": unknown.map(|id| pieces[id]),
            "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": true, "byte_fallback": true,
            "vocab": ids, "merges": merges(&pieces, &ids, &scores, &kinds),
        },
    }))
}

/// BOS and EOS around a text.
fn template(pieces: &[&str], bos: Option<usize>, eos: Option<usize>) -> Json {
    if bos.is_none() && eos.is_none() {
        return Json::Null;
    }
    let special = |id: usize| json!({"SpecialToken": {"id": pieces[id], "type_id": 0}});
    let around = |name: &str| -> Vec<Json> {
        let text = json!({"Sequence": {"id": name, "type_id": 0}});
        bos.map(special).into_iter().chain([text]).chain(eos.map(special)).collect()
    };
    let named = |id: usize| (pieces[id].to_owned(), json!({"id": pieces[id], "ids": [id], "tokens": [pieces[id]]}));
    let tokens: serde_json::Map<String, Json> = bos.into_iter().chain(eos).map(named).collect();
    let pair = [around("A"), around("B")].concat();
    json!({"type": "TemplateProcessing", "single": around("A"), "pair": pair, "special_tokens": tokens})
}

/// SentencePiece joins the neighbours whose joint piece has the best score; as merges, in the order in which
/// transformers' `SentencePieceExtractor` lists them: by score, then by the lengths of the halves, longest first.
fn merges(pieces: &[&str], ids: &HashMap<&str, usize>, scores: &[f64], kinds: &[u64]) -> Vec<[String; 2]> {
    let mut all = Vec::new();
    for (id, piece) in pieces.iter().enumerate() {
        if matches!(kinds[id], UNKNOWN | CONTROL | BYTE) {
            continue;
        }
        let mut splits: Vec<(usize, usize, &str, &str)> = Vec::new();
        for (at, _) in piece.char_indices().skip(1) {
            let (left, right) = piece.split_at(at);
            if let (Some(l), Some(r)) = (ids.get(left), ids.get(right)) {
                splits.push((*l, *r, left, right));
            }
        }
        splits.sort_unstable();
        all.extend(splits.into_iter().map(|(_, _, left, right)| (scores[id], left, right)));
    }
    let chars = |text: &str| text.chars().count();
    all.sort_by(|a, b| {
        let lengths = |m: &(f64, &str, &str)| (chars(m.1), chars(m.2));
        b.0.total_cmp(&a.0).then_with(|| lengths(b).cmp(&lengths(a)))
    });
    all.into_iter().map(|(_, left, right)| [left.to_owned(), right.to_owned()]).collect()
}
