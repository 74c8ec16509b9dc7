//! tokenizer.json: copied, or as the sentencepiece list of a GGUF file.

use super::gguf_writer::Value;
use anyhow::{Context, Result, ensure};
use serde_json::Value as Json;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Token types of GGUF.
const NORMAL: i32 = 1;
const UNKNOWN: i32 = 2;
const CONTROL: i32 = 3;
const USER_DEFINED: i32 = 4;
const UNUSED: i32 = 5;
const BYTE: i32 = 6;

/// The file that `--tokenizer` means: itself, or the tokenizer.json of a directory.
pub fn locate(path: &Path) -> PathBuf {
    if path.is_dir() { path.join("tokenizer.json") } else { path.to_owned() }
}

/// Copies the file, and the tokenizer_config.json beside it, into `dir`.
pub fn copy(file: &Path, dir: &Path) -> Result<()> {
    let config = file.with_file_name("tokenizer_config.json");
    let config = config.is_file().then_some((config.as_path(), "tokenizer_config.json"));
    for (from, name) in [(file, "tokenizer.json")].into_iter().chain(config) {
        // Not `fs::copy`: a read-only original would make a read-only copy.
        let text = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
        fs::write(dir.join(name), text).with_context(|| format!("cannot write {name}"))?;
    }
    Ok(())
}

/// Reads the file and checks that a model of `vocab` tokens has them all.
pub fn read(file: &Path, vocab: usize) -> Result<Json> {
    let text = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let json: Json = serde_json::from_slice(&text).with_context(|| format!("{} is no JSON", file.display()))?;
    let largest = tokens(&json).map(|(_, id)| id).max().with_context(|| format!("{} has no tokens", file.display()))?;
    ensure!(largest < vocab, "{} goes up to token {largest}, --vocab is {vocab}", file.display());
    Ok(json)
}

/// GGUF's tokenizer keys; nothing for a tokenizer that is not laid out as Llama's.
pub fn metadata(json: &Json, vocab: usize) -> Option<Vec<(String, Value)>> {
    let model = &json["model"];
    let llama = model["type"] == "BPE" && model["byte_fallback"] == true;
    let id = |content: &str| tokens(json).find(|(piece, _)| *piece == content).map(|(_, id)| id as u32);
    let (bos, eos, unk) = (id("<s>")?, id("</s>")?, id(model["unk_token"].as_str()?)?);
    if !llama {
        return None;
    }

    // Sentencepiece merges to the piece of the highest score, tokenizer.json by the order of its merges.
    let merges = model["merges"].as_array()?;
    let mut ranks: HashMap<String, usize> = HashMap::with_capacity(merges.len());
    for (rank, merge) in merges.iter().enumerate() {
        let piece = match merge {
            Json::String(pair) => pair.replacen(' ', "", 1),
            pair => pair[0].as_str()?.to_owned() + pair[1].as_str()?,
        };
        ranks.entry(piece).or_insert(rank);
    }

    let mut pieces: Vec<String> = (0..vocab).map(|id| format!("[PAD{id}]")).collect();
    let mut scores = vec![0f32; vocab];
    let mut types = vec![UNUSED; vocab];
    for (piece, id) in tokens(json) {
        pieces[id] = piece.to_owned();
        types[id] = if is_byte(piece) { BYTE } else { NORMAL };
        if types[id] == NORMAL {
            scores[id] = 0.0 - ranks.get(piece).copied().unwrap_or(merges.len()) as f32;
        }
    }
    for token in added(json) {
        let id = token["id"].as_u64()? as usize;
        scores[id] = 0.0;
        types[id] = if token["special"] == true { CONTROL } else { USER_DEFINED };
    }
    types[unk as usize] = UNKNOWN;

    let keys = [
        ("model", Value::from("llama")),
        ("pre", Value::from("default")),
        ("tokens", Value::array(pieces.iter().map(String::as_str))),
        ("scores", Value::array(scores)),
        ("token_type", Value::array(types)),
        ("bos_token_id", Value::from(bos)),
        ("eos_token_id", Value::from(eos)),
        ("unknown_token_id", Value::from(unk)),
        ("add_bos_token", Value::from(true)),
        ("add_eos_token", Value::from(false)),
    ];
    Some(keys.into_iter().map(|(key, value)| (format!("tokenizer.ggml.{key}"), value)).collect())
}

fn added(json: &Json) -> impl Iterator<Item = &Json> {
    json["added_tokens"].as_array().into_iter().flatten()
}

/// All pieces with their ids; a token that is in the vocabulary and among the added ones comes twice.
fn tokens(json: &Json) -> impl Iterator<Item = (&str, usize)> {
    let vocab = json["model"]["vocab"].as_object().into_iter().flatten();
    let vocab = vocab.filter_map(|(piece, id)| Some((piece.as_str(), id.as_u64()? as usize)));
    vocab.chain(added(json).filter_map(|token| Some((token["content"].as_str()?, token["id"].as_u64()? as usize))))
}

/// `<0x41>`
fn is_byte(piece: &str) -> bool {
    let digits = piece.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>'));
    digits.is_some_and(|digits| digits.len() == 2 && u8::from_str_radix(digits, 16).is_ok())
}
