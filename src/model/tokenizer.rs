//! The model's tokenizer.json.

use anyhow::{Result, anyhow, ensure};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// Text to ids and back.
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
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
        let inner = tokenizers::Tokenizer::from_bytes(bytes)
            .map_err(|error| anyhow!("{error}").context(format!("{name} is not a readable tokenizer.json")))?;
        Ok(Self { inner, pieces: Mutex::new(HashMap::new()) })
    }

    /// The ids of `text`; `special` adds what the tokenizer's template puts around a text (BOS).
    ///
    /// # Errors
    /// If the tokenizer can't encode it.
    pub fn encode(&self, text: &str, special: bool) -> Result<Vec<u32>> {
        let encoding =
            self.inner.encode_fast(text, special).map_err(|error| anyhow!("cannot tokenise the text: {error}"))?;
        Ok(encoding.get_ids().to_vec())
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

    /// Entries of the vocabulary, added tokens included.
    pub fn vocab_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }
}

fn spell(inner: &tokenizers::Tokenizer, id: u32) -> Arc<str> {
    inner.id_to_token(id).map_or_else(|| format!("<id {id}>").into(), Into::into)
}

/// The spelling of a token when there is no tokenizer.
pub fn bare_piece(id: u32) -> Arc<str> {
    format!("<id {id}>").into()
}
