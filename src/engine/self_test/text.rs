//! The built-in text: plain stories and code that a language model of any size predicts well.

use crate::model::Loaded;
use anyhow::{Result, ensure};

/// Language and text of each part.
const TEXTS: [(&str, &str); 4] = [
    ("English", include_str!("texts/english.txt")),
    ("French", include_str!("texts/french.txt")),
    ("Spanish", include_str!("texts/spanish.txt")),
    ("code", include_str!("texts/code.txt")),
];

/// One part of the text, as the model's tokenizer cuts it.
pub struct Text {
    /// Its language.
    pub name: &'static str,
    /// Ids, BOS included; at most the model's context.
    pub ids: Vec<u32>,
    /// Bytes of the whole part.
    pub bytes: usize,
}

/// All parts.
///
/// # Errors
/// Says why the model can't read them: no tokenizer, ids without an embedding, or no room for two tokens.
pub fn texts(loaded: &Loaded) -> Result<Vec<Text>> {
    let Some(tokenizer) = &loaded.tokenizer else { anyhow::bail!("there is no tokenizer to cut the text with") };
    let dims = loaded.meta.dims;
    let read = |(name, text): (&'static str, &str)| {
        let mut ids = tokenizer.encode(text, true)?;
        if let Some(id) = ids.iter().find(|id| **id as usize >= dims.vocab) {
            anyhow::bail!("the tokenizer gives the id {id}, and the model has {} embeddings", dims.vocab);
        }
        ids.truncate(dims.context);
        ensure!(ids.len() > 1, "of the text only {} token fits", ids.len());
        Ok(Text { name, ids, bytes: text.len() })
    };
    TEXTS.into_iter().map(read).collect()
}
