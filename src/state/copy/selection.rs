//! Copying the text of tokens.

use super::{Copied, MOST_BYTES, TOO_LARGE};
use crate::state::State;

impl State {
    /// The text of the selected tokens, as the tokenizer's signs for spaces and bytes mean it.
    pub(super) fn copy_selection(&self) -> Copied {
        let range = self.selection.map_or(0..0, |selection| selection.range());
        let tokens = self.tokens.get(range).ok_or("there is no text there any more")?;
        let mut bytes = Vec::new();
        for token in tokens {
            match token.piece.strip_prefix("<0x").and_then(|hex| u8::from_str_radix(hex.strip_suffix('>')?, 16).ok()) {
                Some(byte) => bytes.push(byte),
                None => bytes.extend(token.piece.replace('▁', " ").into_bytes()),
            }
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if text.len() > MOST_BYTES {
            Err(TOO_LARGE.to_owned())
        } else {
            Ok((text, format!("{} tokens of text", tokens.len())))
        }
    }
}
