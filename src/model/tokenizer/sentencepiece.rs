//! The tokenizer in `tokenizer.model`, as transformers makes it of a SentencePiece model.

mod proto;

use super::chat::{SpecialTokens, config_of_dir};
use super::declared::Declared;
use super::pieces::{CONTROL, USER_DEFINED};
use anyhow::{Context, Result, bail, ensure};
use proto::{Model, UNIGRAM};
use serde_json::{Map, Value as Json, json};
use std::path::Path;

/// A tokenizer.json, the tokens to add to it, and the special tokens that a template can write.
pub struct Converted {
    /// The tokenizer without added tokens.
    pub json: Json,
    /// Tokens to add.
    pub declared: Declared,
    /// Special tokens by name.
    pub tokens: SpecialTokens,
    /// Whether BOS and EOS are put around a text.
    pub around: (bool, bool),
}

/// The tokenizer of a directory with `tokenizer.model`, with what its other files say.
///
/// # Errors
/// If the file is damaged, or its model is neither BPE nor Unigram.
pub fn of_dir(dir: &Path, bytes: &[u8]) -> Result<Converted> {
    let model = Model::parse(bytes)?;
    let config = config_of_dir(dir)?;
    let mut tokens = SpecialTokens::of_config(&config);
    for (name, piece) in model.special() {
        tokens.add_default(name, piece);
    }
    let mut declared = Declared::of_dir(dir)?;
    if model.adds_space {
        declared.match_raw_text();
    }
    for text in tokens.texts().map(str::to_owned).collect::<Vec<_>>() {
        declared.add_special(&text);
    }
    for text in model.pieces.of_kinds(&[CONTROL]) {
        declared.add_special(text);
    }
    let is = |key: &str, default: bool| config.get(key).and_then(Json::as_bool).unwrap_or(default);
    let json = converted(&model, &declared, is("legacy", true))?;
    Ok(Converted { json, declared, tokens, around: (is("add_bos_token", false), is("add_eos_token", false)) })
}

fn converted(model: &Model, declared: &Declared, is_legacy: bool) -> Result<Json> {
    // Placeholders get the names that other files give them, unless these belong to a piece that keeps its id.
    let mut texts = model.pieces.texts.clone();
    let renamed: Map<String, Json> = declared.by_id().map(|(id, text)| (id.to_string(), text.into())).collect();
    let keeps = |text: &str| {
        let at = model.pieces.texts.iter().position(|piece| piece == text);
        at.is_some_and(|id| !renamed.contains_key(&id.to_string()))
    };
    for (id, text) in declared.by_id() {
        if let Some(piece) = usize::try_from(id).ok().and_then(|id| texts.get_mut(id)).filter(|_| !keeps(text)) {
            text.clone_into(piece);
        }
    }
    let by_id = model.pieces.kinds.iter().zip(&texts);
    let user_defined = by_id.filter(|(kind, _)| **kind == USER_DEFINED).map(|(_, text)| text.clone());
    let mut user_defined: Vec<String> = user_defined.collect();
    // Longer ones first; Rust's regular expressions, as Python's, take the first that fits.
    user_defined.sort_by_key(|text| std::cmp::Reverse(text.chars().count()));
    let renamed = super::pieces::Pieces::new(
        texts,
        model.pieces.scores.clone(),
        model.pieces.kinds.clone(),
        ("tokenizer.model", "tokenizer.model"),
    )?;
    let bpe_or_unigram = if model.kind == UNIGRAM {
        let vocab: Vec<(&String, f64)> = model.pieces.texts.iter().zip(model.pieces.scores.iter().copied()).collect();
        json!({"type": "Unigram", "unk_id": model.unk_id, "vocab": vocab, "byte_fallback": model.byte_fallback})
    } else {
        let vocab: std::collections::BTreeMap<String, u32> = renamed.vocab().into_iter().collect();
        json!({
            "type": "BPE", "dropout": null, "unk_token": model.unk_piece, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": true, "byte_fallback": model.byte_fallback,
            "ignore_merges": !user_defined.is_empty(), "vocab": vocab, "merges": renamed.merges_of_normal()?,
        })
    };
    Ok(json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
        "normalizer": normalizer(model, is_legacy),
        "pre_tokenizer": pre_tokenizer(model, is_legacy, &user_defined),
        "post_processor": null,
        "decoder": decoder(model),
        "model": bpe_or_unigram,
    }))
}

fn normalizer(model: &Model, is_legacy: bool) -> Json {
    let replace = |pattern: Json, content: &str| json!({"type": "Replace", "pattern": pattern, "content": content});
    let regex = |text: &str| json!({"Regex": text});
    let mut steps = Vec::new();
    if !model.charsmap.is_empty() {
        steps.push(json!({"type": "Precompiled", "precompiled_charsmap": base64(&model.charsmap)}));
    }
    if model.removes_spaces {
        // Only spaces count: SentencePiece leaves other white space, such as newlines, alone.
        steps.push(replace(regex(r"\A +| +\z"), ""));
        steps.push(replace(regex(" {2,}"), " "));
    }
    if model.escapes_spaces {
        steps.push(replace(json!({"String": " "}), "▁"));
    }
    if model.adds_space && is_legacy {
        // Metaspace adds no space where the text begins with one; SentencePiece does.
        steps.push(replace(regex(r"\A▁"), "▁▁"));
    }
    json!({"type": "Sequence", "normalizers": steps})
}

fn pre_tokenizer(model: &Model, is_legacy: bool, user_defined: &[String]) -> Json {
    let mut steps = Vec::new();
    if model.adds_space {
        let scheme = if is_legacy { "always" } else { "first" };
        steps.push(json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": false}));
    }
    if !user_defined.is_empty() {
        // SentencePiece emits user-defined pieces whole and never merges them.
        let pattern = user_defined.iter().map(|text| escaped(text)).collect::<Vec<_>>().join("|");
        steps.push(json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false}));
    }
    if steps.is_empty() { Json::Null } else { json!({"type": "Sequence", "pretokenizers": steps}) }
}

fn decoder(model: &Model) -> Json {
    let mut steps = vec![json!({"type": "Replace", "pattern": {"String": "▁"}, "content": " "})];
    if model.byte_fallback {
        steps.push(json!({"type": "ByteFallback"}));
    }
    if model.adds_space {
        steps.push(json!({"type": "Fuse"}));
        steps.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
    } else if model.byte_fallback {
        steps.push(json!({"type": "Fuse"}));
    }
    json!({"type": "Sequence", "decoders": steps})
}

/// BOS and EOS around a text.
///
/// # Errors
/// If there is no such token.
pub fn post_processor(converted: &Converted, id_of: impl Fn(&str) -> Option<u32>) -> Result<Option<Json>> {
    let of = |is_wanted: bool, name: &str| -> Result<Option<(String, u32)>> {
        let Some(text) = converted.tokens.get(name).filter(|_| is_wanted) else { return Ok(None) };
        let id = id_of(text).with_context(|| format!("{name} is `{text}`, which is no token"))?;
        Ok(Some((text.to_owned(), id)))
    };
    let bos = of(converted.around.0, "bos_token")?;
    let eos = of(converted.around.1, "eos_token")?;
    if bos.is_none() && eos.is_none() {
        return Ok(None);
    }
    let special = |token: &Option<(String, u32)>| {
        token.as_ref().map(|(text, _)| json!({"SpecialToken": {"id": text, "type_id": 0}}))
    };
    let around = |name: &str| -> Vec<Json> {
        let text = json!({"Sequence": {"id": name, "type_id": 0}});
        special(&bos).into_iter().chain([text]).chain(special(&eos)).collect()
    };
    let named = |(text, id): &(String, u32)| (text.clone(), json!({"id": text, "ids": [id], "tokens": [text]}));
    let tokens: Map<String, Json> = bos.iter().chain(&eos).map(named).collect();
    let pair = [around("A"), around("B")].concat();
    Ok(Some(json!({"type": "TemplateProcessing", "single": around("A"), "pair": pair, "special_tokens": tokens})))
}

/// A regular expression that matches only this text.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if "\\.+*?()|[]{}^$#&-~ \t\n\r\x0b\x0c".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let padded = [group[0], group.get(1).copied().unwrap_or(0), group.get(2).copied().unwrap_or(0)];
        let bits = u32::from_be_bytes([0, padded[0], padded[1], padded[2]]);
        for place in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * place)) as usize & 63];
            out.push(if place <= group.len() { char::from(digit) } else { '=' });
        }
    }
    out
}

/// Refuses models that are neither BPE nor Unigram.
fn check_kind(kind: u64) -> Result<()> {
    ensure!(kind != 3, "it is a model of whole words; only BPE and Unigram can be read");
    ensure!(kind != 4, "it is a model of characters; only BPE and Unigram can be read");
    if kind == UNIGRAM || kind == proto::BPE { Ok(()) } else { bail!("it is a model of the unknown kind {kind}") }
}
