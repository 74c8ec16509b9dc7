use serde::{Deserialize, Serialize};

/// A prompt: text, ids, or a message for the chat template.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Prompt {
    /// Tokenised by the model's tokenizer, special tokens added.
    Text(String),
    /// Used without the tokenizer.
    Ids(Vec<u32>),
    /// A message of the user, put into the model's chat template.
    Chat(String),
}

impl From<&str> for Prompt {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<&[u32]> for Prompt {
    fn from(ids: &[u32]) -> Self {
        Self::Ids(ids.to_vec())
    }
}
