//! The byte-level BPE tokenizer in a GGUF file's metadata (`tokenizer.ggml.model` = `gpt2`).

use super::pieces::{CONTROL, USER_DEFINED};
use crate::model::weights::gguf::{Header, Value};
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value as Json, json};

/// The most tokens, and the longest token, bytes.
const MOST: usize = 1 << 20;
const LONGEST: usize = 4096;

/// How a text is cut before tokens are joined, by llama.cpp's name of it (`tokenizer.ggml.pre`).
struct Cut {
    names: &'static [&'static str],
    /// Whether the text is brought to NFC before.
    nfc: bool,
    /// Whether each digit stands alone before the pattern cuts.
    digits: bool,
    /// The pattern; `None`: GPT-2's.
    pattern: Option<&'static str>,
}

/// Patterns as the tokenizer.json of each model has them.
const CUTS: [Cut; 5] = [
    Cut { names: &["gpt-2"], nfc: false, digits: false, pattern: None },
    // GPT-NeoX's tokenizer.
    Cut { names: &["olmo"], nfc: true, digits: false, pattern: None },
    // StarCoder's, which Granite has.
    Cut { names: &["refact", "starcoder", "smollm"], nfc: false, digits: true, pattern: None },
    Cut {
        names: &["qwen2", "deepseek-r1-qwen"],
        nfc: true,
        digits: false,
        pattern: Some(concat!(
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+",
            r"|\s+(?!\S)|\s+"
        )),
    },
    Cut {
        names: &["gpt-4o"],
        nfc: false,
        digits: false,
        pattern: Some(concat!(
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
            r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
            r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
        )),
    },
];

/// The tokenizer.json that gives the ids of the tokenizer in the metadata.
///
/// # Errors
/// If a part is missing or damaged, or texts are cut in a way that is not known.
pub fn json(header: &Header) -> Result<Json> {
    let array = |key: &str| {
        let array = header.get(key).and_then(Value::array);
        array.with_context(|| format!("its tokenizer lacks {key}"))
    };
    let texts = |key: &str| -> Result<Vec<&str>> {
        let texts: Option<Vec<&str>> = array(key)?.iter().map(Value::text).collect();
        texts.with_context(|| format!("{key} holds something else than text"))
    };
    let (tokens, merges) = (texts("tokenizer.ggml.tokens")?, texts("tokenizer.ggml.merges")?);
    let name = header.text("tokenizer.ggml.pre")?.unwrap_or("default");
    let Some(cut) = CUTS.iter().find(|cut| cut.names.contains(&name)) else {
        let known: Vec<String> = CUTS.iter().flat_map(|cut| cut.names).map(|name| format!("`{name}`")).collect();
        bail!("tokenizer.ggml.pre is `{name}`, which is not known; known are {}", known.join(", "));
    };
    let kinds: Vec<u64> = array("tokenizer.ggml.token_type")?.iter().filter_map(Value::unsigned).collect();
    ensure!(
        !tokens.is_empty() && tokens.len() <= MOST && kinds.len() == tokens.len() && merges.len() <= 2 * MOST,
        "its tokenizer has {} tokens, {} types and {} merges; it is damaged",
        tokens.len(),
        kinds.len(),
        merges.len()
    );
    if let Some(long) = tokens.iter().find(|text| text.len() > LONGEST) {
        bail!("tokenizer.ggml.tokens holds a token of {} bytes; it is damaged", long.len());
    }
    let vocab: Map<String, Json> =
        tokens.iter().enumerate().map(|(id, text)| ((*text).to_owned(), Json::from(id))).collect();
    ensure!(vocab.len() == tokens.len(), "tokenizer.ggml.tokens holds a token twice");
    let added = |(id, text): (usize, &&str)| {
        let is_special = kinds[id] == CONTROL;
        (is_special || kinds[id] == USER_DEFINED).then(|| {
            json!({"id": id, "content": text, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": is_special})
        })
    };
    let added: Vec<Json> = tokens.iter().enumerate().filter_map(added).collect();
    Ok(json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added,
        "normalizer": if cut.nfc { json!({"type": "NFC"}) } else { Json::Null },
        "pre_tokenizer": pre_tokenizer(cut),
        "post_processor": post_processor(header, &tokens)?,
        "decoder": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": true},
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "vocab": vocab, "merges": merges},
    }))
}

fn pre_tokenizer(cut: &Cut) -> Json {
    let bytes = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false,
        "use_regex": cut.pattern.is_none()});
    let digits = cut.digits.then(|| json!({"type": "Digits", "individual_digits": true}));
    let split = cut.pattern.map(
        |pattern| json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false}),
    );
    let steps: Vec<Json> = digits.into_iter().chain(split).chain([bytes]).collect();
    json!({"type": "Sequence", "pretokenizers": steps})
}

/// BOS before every text and EOS after it, where the file says so.
fn post_processor(header: &Header, tokens: &[&str]) -> Result<Json> {
    let special = |flag: &str, key: &str| -> Result<Option<Json>> {
        if header.get(flag).and_then(Value::bool) != Some(true) {
            return Ok(None);
        }
        let Some(id) = header.number(key)? else { return Ok(None) };
        let text = usize::try_from(id).ok().and_then(|id| tokens.get(id));
        let text = text.with_context(|| format!("{key} is {id}, but there are {} tokens", tokens.len()))?;
        Ok(Some(json!({"id": text, "ids": [id], "tokens": [text]})))
    };
    let bos = special("tokenizer.ggml.add_bos_token", "tokenizer.ggml.bos_token_id")?;
    let eos = special("tokenizer.ggml.add_eos_token", "tokenizer.ggml.eos_token_id")?;
    if bos.is_none() && eos.is_none() {
        return Ok(json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": true}));
    }
    let one =
        |token: &Option<Json>| token.as_ref().map(|token| json!({"SpecialToken": {"id": token["id"], "type_id": 0}}));
    let around = |name: &str| -> Vec<Json> {
        one(&bos).into_iter().chain([json!({"Sequence": {"id": name, "type_id": 0}})]).chain(one(&eos)).collect()
    };
    let tokens: Map<String, Json> =
        bos.iter().chain(&eos).filter_map(|token| Some((token["id"].as_str()?.to_owned(), token.clone()))).collect();
    let pair = [around("A"), around("B")].concat();
    Ok(json!({"type": "TemplateProcessing", "single": around("A"), "pair": pair, "special_tokens": tokens}))
}
