//! The built-in text: plain stories and code that a language model of any size predicts well.

use crate::model::Loaded;

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

/// Why the text can't be read.
pub struct Unreadable {
    /// The reason, as a clause.
    pub why: String,
    /// Whether that is a fault of the model.
    pub is_fault: bool,
}

/// All parts.
///
/// # Errors
/// Says why the model can't read them: no tokenizer, ids without an embedding, or no room for two tokens.
pub fn texts(loaded: &Loaded) -> Result<Vec<Text>, Unreadable> {
    let not = |why: String| Unreadable { why, is_fault: false };
    let Some(tokenizer) = &loaded.tokenizer else {
        return Err(not("there is no tokenizer to cut the text with".to_owned()));
    };
    let dims = loaded.meta.dims;
    let read = |(name, text): (&'static str, &str)| {
        let mut ids =
            tokenizer.encode(text, true).map_err(|error| Unreadable { why: format!("{error:#}"), is_fault: true })?;
        if let Some(id) = ids.iter().find(|id| **id as usize >= dims.vocab) {
            let why = format!(
                "the tokenizer gives the id {id} in plain {name}, but the model has {} embeddings: \
                 the tokenizer belongs to another model",
                dims.vocab
            );
            return Err(Unreadable { why, is_fault: true });
        }
        ids.truncate(dims.context);
        if ids.len() < 2 {
            return Err(not(format!("only {} token of the text fits the context", ids.len())));
        }
        Ok(Text { name, ids, bytes: text.len() })
    };
    TEXTS.into_iter().map(read).collect()
}
