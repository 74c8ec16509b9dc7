//! A token's text.

use serde::{Serialize, Serializer};
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// A token in its tokenizer's spelling, and how that is to be read. It derefs to the spelling.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Piece {
    spelling: Arc<str>,
    is_byte_level: bool,
}

impl Piece {
    /// The spelling of a byte-level tokenizer (GPT-2 and most after it), which has a character for every byte: `Ġthe`.
    pub fn byte_level(spelling: &str) -> Self {
        Self { spelling: spelling.into(), is_byte_level: true }
    }

    /// The tokenizer's spelling.
    pub fn spelling(&self) -> &str {
        &self.spelling
    }

    /// Whether each character stands for a byte.
    pub fn is_byte_level(&self) -> bool {
        self.is_byte_level
    }

    /// The bytes of a token of a byte-level tokenizer; `None` for others, and for added tokens with other characters.
    pub fn bytes(&self) -> Option<Vec<u8>> {
        if !self.is_byte_level {
            return None;
        }
        self.spelling.chars().map(byte_of).collect()
    }

    /// The text, with what is no character as `‹C3›`.
    pub fn text(&self) -> String {
        match self.bytes() {
            Some(bytes) => readable(&bytes),
            None => match byte_name(&self.spelling) {
                Some(byte) => readable(&[byte]),
                None => self.spelling.replace('▁', " "),
            },
        }
    }
}

/// The byte that a spelling such as `<0x0A>` names.
pub fn byte_name(spelling: &str) -> Option<u8> {
    let hex = spelling.strip_prefix("<0x")?.strip_suffix('>')?;
    u8::from_str_radix(hex, 16).ok()
}

fn readable(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        text += chunk.valid();
        chunk.invalid().iter().for_each(|byte| text += &format!("‹{byte:02X}›"));
    }
    text
}

/// The byte for which a byte-level tokenizer writes `c` (GPT-2's `bytes_to_unicode`): printable ones of Latin-1 stand for
/// themselves, and those from U+0100 on for the others, in their order.
fn byte_of(c: char) -> Option<u8> {
    let is_itself = |byte: u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    match u32::from(c) {
        code @ 0..=0xff => u8::try_from(code).ok().filter(|byte| is_itself(*byte)),
        code => (0..=u8::MAX).filter(|byte| !is_itself(*byte)).nth(code.checked_sub(0x100)? as usize),
    }
}

impl Deref for Piece {
    type Target = str;

    fn deref(&self) -> &str {
        &self.spelling
    }
}

impl From<&str> for Piece {
    fn from(spelling: &str) -> Self {
        Self { spelling: spelling.into(), is_byte_level: false }
    }
}

impl From<String> for Piece {
    fn from(spelling: String) -> Self {
        spelling.as_str().into()
    }
}

impl fmt::Display for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.spelling)
    }
}

impl Serialize for Piece {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.spelling)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_of_byte_level_tokenizers_are_bytes() {
        for (spelling, text) in [
            ("Ġthe", " the"),
            ("cafÃ©", "café"),
            ("Ċ", "\n"),
            ("Ã", "‹C3›"),
            ("aÃ", "a‹C3›"),
            ("<|im_end|>", "<|im_end|>"),
            ("ł", "‹A0›"),
            ("Ń", "‹AD›"),
        ] {
            assert_eq!(Piece::byte_level(spelling).text(), text, "{spelling}");
        }
        let mut seen: Vec<u8> = (0..0x400).filter_map(|code| byte_of(char::from_u32(code)?)).collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..=255).collect::<Vec<u8>>(), "one character for each byte");
        // An added token may hold any character.
        assert_eq!(Piece::byte_level("<｜end｜>").text(), "<｜end｜>");
    }

    #[test]
    fn sentence_pieces_are_texts() {
        for (spelling, text) in [("▁the", " the"), ("é", "é"), ("<0x0A>", "\n"), ("<0xC3>", "‹C3›"), ("Ġ", "Ġ")]
        {
            assert_eq!(Piece::from(spelling).text(), text, "{spelling}");
        }
    }
}
