//! The model's tokenizer.

mod bounded;
mod byte_level;
mod chat;
mod checked;
mod declared;
mod gguf;
mod leftmost;
mod pieces;
mod sentencepiece;

pub use chat::{ChatTemplate, LocalTime, SpecialTokens};
pub(super) use gguf::check_scores as check_gguf_scores;

use self::bounded::bounded;
use self::declared::Declared;
use self::leftmost::Leftmost;
use super::stand_in::stand_in;
use super::weights::gguf::Header;
use crate::trace::{Level, Piece, Report};
use anyhow::{Context, Result, anyhow, bail, ensure};
use serde_json::Value;
use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokenizers::DecoderWrapper;

/// The library's name in messages.
const LIBRARY: &str = "the tokenizer library";
/// How long the library may take for a file, a short text, and each further byte of a text: a hundred times what sound
/// tokenizers need.
const READING: Duration = Duration::from_secs(60);
const ENCODING: Duration = Duration::from_secs(5);
const ENCODING_BYTE: Duration = Duration::from_micros(10);

/// Text to ids and back.
pub struct Tokenizer {
    inner: Arc<tokenizers::Tokenizer>,
    /// What joins the tokens of `inner`, if it does not.
    leftmost: Option<Leftmost>,
    pieces: Mutex<HashMap<u32, Piece>>,
}

impl Tokenizer {
    fn new(inner: tokenizers::Tokenizer, leftmost: Option<Leftmost>) -> Self {
        Self { inner: Arc::new(inner), leftmost, pieces: Mutex::default() }
    }

    /// Reads the bytes of a tokenizer.json called `name` in messages.
    ///
    /// # Errors
    /// If it is empty or not a tokenizer, or contradicts itself.
    pub fn parse(bytes: &[u8], name: &str) -> Result<Self> {
        Ok(Self::new(parse(bytes, name)?.0, None))
    }

    /// The tokenizer of a model directory: tokenizer.json, or else tokenizer.model, with the tokens that the other files
    /// declare. Also returns the special tokens, if the tokenizer knows more of them than those files.
    ///
    /// # Errors
    /// If there is none, or it can't be used.
    pub(super) fn of_dir(dir: &Path, report: &mut Report) -> Result<(Self, Option<SpecialTokens>)> {
        let path = dir.join("tokenizer.json");
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return of_sentencepiece(dir, report),
            Err(error) => return Err(error).with_context(|| unreadable(&path)),
        };
        let (inner, has_dropout) = parse(&bytes, &path.display().to_string())?;
        if has_dropout {
            let advice = "it is left out: the same text gives the same ids each time";
            report.add(Level::Warn, "tokenizer.json", "no dropout of merges, which is for training", "dropout", advice);
        }
        let declared = Declared::of_dir(dir).unwrap_or_else(|error| {
            let advice = "special tokens that only it declares are split like text";
            report.add(Level::Warn, "declared tokens", "files that can be read", format!("{error:#}"), advice);
            Declared::default()
        });
        let mut inner = with_declared(inner, declared, report)?;
        split_special_tokens(&mut inner, dir, report);
        Ok((Self::new(inner, None), None))
    }

    /// The tokenizer in the metadata of a GGUF file.
    ///
    /// # Errors
    /// If the file has none, one of another kind, or a damaged one.
    pub(super) fn of_gguf(header: &Header) -> Result<Self> {
        if header.text("tokenizer.ggml.model")? == Some("gpt2") {
            let json = byte_level::json(header)?;
            checked::check(&json).context("the tokenizer in its metadata can't be used")?;
            let json = serde_json::to_vec(&json)?;
            return Ok(Self::new(read(json)?, None));
        }
        let (inner, leftmost) = gguf::tokenizer(header)?;
        Ok(Self::new(inner, leftmost))
    }

    /// The ids of `text`. `special` adds the special tokens of the tokenizer's template (BOS).
    ///
    /// # Errors
    /// If the tokenizer can't encode it, or takes too long.
    pub fn encode(&self, text: &str, special: bool) -> Result<Vec<u32>> {
        let bytes = u32::try_from(text.len()).unwrap_or(u32::MAX);
        let (inner, text) = (self.inner.clone(), text.to_owned());
        let ids = bounded(LIBRARY, ENCODING + ENCODING_BYTE.saturating_mul(bytes), move || {
            let encoding = inner.encode_fast(text, special).map_err(|error| anyhow!("{error}"))?;
            Ok(encoding.get_ids().to_vec())
        });
        let ids = ids.context("the model's tokenizer cannot tokenise the text")?;
        Ok(self.leftmost.as_ref().map_or_else(|| ids.clone(), |leftmost| leftmost.join(&ids)))
    }

    /// The text of `ids`, special tokens left out.
    ///
    /// # Errors
    /// If the tokenizer can't decode them, or takes too long.
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        let (inner, ids) = (self.inner.clone(), ids.to_vec());
        let text = bounded(LIBRARY, ENCODING, move || inner.decode(&ids, true).map_err(|error| anyhow!("{error}")));
        text.context("the model's tokenizer cannot decode the tokens")
    }

    /// The tokenizer's spelling of a token (`▁the`, `<0x0A>`); `<id N>` for ids that it lacks.
    pub fn piece(&self, id: u32) -> Piece {
        let Ok(mut pieces) = self.pieces.lock() else { return spell(&self.inner, id) };
        pieces.entry(id).or_insert_with(|| spell(&self.inner, id)).clone()
    }

    /// Whether it has a token of this id.
    pub fn has(&self, id: u32) -> bool {
        self.inner.id_to_token(id).is_some()
    }

    /// The largest id of the vocabulary; 0 if that is empty.
    pub fn largest_id(&self) -> u32 {
        self.inner.get_vocab(true).into_values().max().unwrap_or(0)
    }

    /// Entries of the vocabulary, added tokens included.
    pub fn vocab_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }
}

fn unreadable(path: &Path) -> String {
    format!("cannot read {} (without it, `run` and the explorer take prompts only as --prompt-ids)", path.display())
}

/// Reads the bytes of a tokenizer.json. Also returns whether merges were to be left out by chance.
fn parse(bytes: &[u8], name: &str) -> Result<(tokenizers::Tokenizer, bool)> {
    ensure!(!bytes.is_empty(), "{name} is empty; download it again (a prompt given as token ids needs no tokenizer)");
    let unreadable = || format!("{name} is not a readable tokenizer.json");
    if let Some(other) = stand_in(bytes) {
        bail!("{name}: {other}");
    }
    let mut json: Value = serde_json::from_slice(bytes).with_context(unreadable)?;
    checked::check(&json).with_context(unreadable)?;
    let has_dropout = checked::has_dropout(&json);
    if has_dropout {
        json["model"]["dropout"] = Value::Null;
        let bytes = serde_json::to_vec(&json).with_context(unreadable)?;
        return Ok((read(bytes).with_context(unreadable)?, true));
    }
    Ok((read(bytes.to_vec()).with_context(unreadable)?, false))
}

/// Lets the library read a tokenizer.json.
fn read(bytes: Vec<u8>) -> Result<tokenizers::Tokenizer> {
    bounded(LIBRARY, READING, move || {
        let failed = |error: tokenizers::Error| anyhow!("{error}");
        let mut inner = tokenizers::Tokenizer::from_bytes(bytes).map_err(failed)?;
        // Left over from training in some files; transformers switches both off for every call as well.
        inner.with_truncation(None).map_err(failed)?;
        inner.with_padding(None);
        Ok(inner)
    })
}

/// The tokenizer with the tokens that other files declare.
fn with_declared(
    mut inner: tokenizers::Tokenizer,
    declared: Declared,
    report: &mut Report,
) -> Result<tokenizers::Tokenizer> {
    let added = bounded(LIBRARY, READING, move || {
        let mut found = Report::default();
        declared.add_to(&mut inner, &mut found)?;
        Ok((inner, found))
    });
    let (inner, found) = added.context("cannot add the tokens that tokenizer_config.json declares")?;
    report.findings.extend(found.findings);
    Ok(inner)
}

/// Lets special tokens in a text be text, if tokenizer_config.json asks for that.
fn split_special_tokens(inner: &mut tokenizers::Tokenizer, dir: &Path, report: &mut Report) {
    // A file that can't be read is noted with the declared tokens.
    let config = chat::config_of_dir(dir).unwrap_or_default();
    if config.get("split_special_tokens").and_then(Value::as_bool) == Some(true) {
        inner.set_encode_special_tokens(true);
        let found = "special tokens in a text are split like text";
        let advice = "as in transformers; those of a chat template, too";
        report.add(Level::Note, "split_special_tokens", "", found, advice);
    }
}

/// The tokenizer of a directory that has no tokenizer.json.
fn of_sentencepiece(dir: &Path, report: &mut Report) -> Result<(Tokenizer, Option<SpecialTokens>)> {
    let path = dir.join("tokenizer.model");
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let error = std::io::Error::from(ErrorKind::NotFound);
            let others = ["tekken.json", "vocab.json", "tokenizer.model.v3", "tokenizer.model.v1", "tiktoken.model"];
            let advice = others.iter().find(|name| dir.join(name).exists()).map_or_else(String::new, |name| {
                format!(
                    "; {name} can't be read: let transformers write a tokenizer.json (AutoTokenizer, save_pretrained)"
                )
            });
            return Err(error).with_context(|| unreadable(&dir.join("tokenizer.json")) + &advice);
        }
        Err(error) => return Err(error).with_context(|| unreadable(&path)),
    };
    let name = path.display();
    ensure!(!bytes.is_empty(), "{name} is empty; download it again (a prompt given as token ids needs no tokenizer)");
    let unusable = || format!("{name} is not a readable SentencePiece model, and there is no tokenizer.json");
    let mut converted = sentencepiece::of_dir(dir, &bytes).with_context(unusable)?;
    let inner = read(serde_json::to_vec(&converted.json)?).with_context(unusable)?;
    let mut inner = with_declared(inner, std::mem::take(&mut converted.declared), report)?;
    let processor = sentencepiece::post_processor(&converted, |text| inner.token_to_id(text)).with_context(unusable)?;
    if let Some(processor) = processor {
        let processor: tokenizers::PostProcessorWrapper = serde_json::from_value(processor)?;
        inner.with_post_processor(Some(processor));
    }
    split_special_tokens(&mut inner, dir, report);
    report.add(
        Level::Note,
        "tokenizer",
        "",
        "made of tokenizer.model, as transformers makes it: there is no tokenizer.json",
        "",
    );
    Ok((Tokenizer::new(inner, None), Some(converted.tokens)))
}

fn spell(inner: &tokenizers::Tokenizer, id: u32) -> Piece {
    let is_byte_level = is_byte_level(inner);
    match inner.id_to_token(id) {
        Some(spelling) if is_byte_level => Piece::byte_level(&spelling),
        Some(spelling) => spelling.into(),
        None => bare_piece(id),
    }
}

/// Whether characters of the vocabulary stand for bytes: the decoder, or one of its steps, turns them back.
fn is_byte_level(inner: &tokenizers::Tokenizer) -> bool {
    match inner.get_decoder() {
        Some(DecoderWrapper::ByteLevel(_)) => true,
        Some(DecoderWrapper::Sequence(steps)) => {
            steps.get_decoders().iter().any(|step| matches!(step, DecoderWrapper::ByteLevel(_)))
        }
        _ => false,
    }
}

/// The spelling of a token when there is no tokenizer.
pub fn bare_piece(id: u32) -> Piece {
    format!("<id {id}>").into()
}

#[cfg(test)]
mod tests;
