//! The model's tokenizer.

mod bounded;
mod chat;
mod gguf;
mod leftmost;

pub use chat::{ChatTemplate, LocalTime, SpecialTokens};
pub(super) use gguf::check_scores as check_gguf_scores;

use self::leftmost::Leftmost;
use super::weights::gguf::Header;
use anyhow::{Context, Result, anyhow, ensure};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// Text to ids and back.
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    /// What joins the tokens of `inner`, if it does not.
    leftmost: Option<Leftmost>,
    pieces: Mutex<HashMap<u32, Arc<str>>>,
}

impl Tokenizer {
    /// Reads the bytes of a tokenizer.json called `name` in messages.
    ///
    /// # Errors
    /// If it is empty or not a tokenizer.
    pub fn parse(bytes: &[u8], name: &str) -> Result<Self> {
        ensure!(
            !bytes.is_empty(),
            "{name} is empty; download it again (a prompt given as token ids needs no tokenizer)"
        );
        let unreadable = || format!("{name} is not a readable tokenizer.json");
        let json: Value = serde_json::from_slice(bytes).with_context(unreadable)?;
        check_template(&json).with_context(unreadable)?;
        // The library panics on some inputs that are well-formed JSON.
        let read = std::panic::catch_unwind(|| tokenizers::Tokenizer::from_bytes(bytes));
        let read = read.unwrap_or_else(|_| Err("the tokenizer library failed on it".into()));
        let mut inner = read.map_err(|error| anyhow!("{error}")).with_context(unreadable)?;
        // Left over from training in some files; transformers switches both off for every call as well.
        inner.with_truncation(None).map_err(|error| anyhow!("{error}")).with_context(unreadable)?;
        inner.with_padding(None);
        Ok(Self { inner, leftmost: None, pieces: Mutex::new(HashMap::new()) })
    }

    /// The tokenizer in the metadata of a GGUF file.
    ///
    /// # Errors
    /// If the file has none, one of another kind, or a damaged one.
    pub(super) fn of_gguf(header: &Header) -> Result<Self> {
        let (inner, leftmost) = gguf::tokenizer(header)?;
        Ok(Self { inner, leftmost, pieces: Mutex::new(HashMap::new()) })
    }

    /// The ids of `text`. `special` adds the special tokens of the tokenizer's template (BOS).
    ///
    /// # Errors
    /// If the tokenizer can't encode it.
    pub fn encode(&self, text: &str, special: bool) -> Result<Vec<u32>> {
        let encoding =
            self.inner.encode_fast(text, special).map_err(|error| anyhow!("cannot tokenise the text: {error}"))?;
        let ids = encoding.get_ids();
        Ok(self.leftmost.as_ref().map_or_else(|| ids.to_vec(), |leftmost| leftmost.join(ids)))
    }

    /// The text of `ids`, special tokens left out.
    ///
    /// # Errors
    /// If the tokenizer can't decode them.
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        self.inner.decode(ids, true).map_err(|error| anyhow!("cannot decode the tokens: {error}"))
    }

    /// The tokenizer's spelling of a token (`▁the`, `<0x0A>`); `<id N>` for ids that it lacks.
    pub fn piece(&self, id: u32) -> Arc<str> {
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

/// Checks that the template declares every special token that it names; the library panics otherwise.
fn check_template(json: &Value) -> Result<()> {
    let processor = json.get("post_processor").unwrap_or(&Value::Null);
    let inner = processor.get("processors").and_then(Value::as_array);
    for processor in inner.into_iter().flatten().chain([processor]) {
        let pieces = ["single", "pair"].into_iter().filter_map(|key| processor.get(key)?.as_array()).flatten();
        for id in pieces.filter_map(|piece| piece.pointer("/SpecialToken/id")?.as_str()) {
            let declared = processor.get("special_tokens").is_some_and(|tokens| tokens.get(id).is_some());
            ensure!(declared, "its template names the special token `{id}`, which it does not declare");
        }
    }
    Ok(())
}

fn spell(inner: &tokenizers::Tokenizer, id: u32) -> Arc<str> {
    inner.id_to_token(id).map_or_else(|| format!("<id {id}>").into(), Into::into)
}

/// The spelling of a token when there is no tokenizer.
pub fn bare_piece(id: u32) -> Arc<str> {
    format!("<id {id}>").into()
}
