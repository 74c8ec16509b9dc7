//! The prompt: from an option, a file, token ids, or stdin.

use super::{error, values};
use crate::trace::{Meta, Prompt};
use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use clap::error::ErrorKind;
use std::io::{IsTerminal, Read, stdin};
use std::path::{Path, PathBuf};

/// The file name that means stdin.
const STDIN: &str = "-";

#[derive(Args)]
#[group(multiple = false)]
pub struct PromptArgs {
    /// The prompt. Without any of these options, text that is piped to stdin is the prompt.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, value_parser = values::text)]
    prompt: Option<String>,
    /// Read the prompt from a file, - is stdin (UTF-8, used unchanged, but for a byte order mark, which is dropped).
    #[arg(long, value_name = "FILE")]
    prompt_file: Option<PathBuf>,
    /// The prompt as token ids, used without the tokenizer: 1,422,3.
    #[arg(long, value_name = "IDS", value_delimiter = ',', allow_hyphen_values = true, value_parser = values::token_id)]
    prompt_ids: Option<Vec<u32>>,
}

#[derive(Args)]
pub struct ChatArgs {
    /// Put the prompt into the model's chat template, as the user's message (instruct models).
    #[arg(long, conflicts_with = "prompt_ids")]
    chat: bool,
}

impl PromptArgs {
    /// The prompt that the options give, if any.
    ///
    /// # Errors
    /// If the file can't be read or is not UTF-8.
    pub fn read(&self, chat: &ChatArgs) -> Result<Option<Prompt>> {
        if let Some(path) = &self.prompt_file {
            return Ok(Some(chat.prompt(read_file(path)?)));
        }
        if let Some(ids) = &self.prompt_ids {
            return Ok(Some(Prompt::Ids(ids.clone())));
        }
        Ok(self.prompt.clone().map(|text| chat.prompt(text)))
    }

    /// The prompt that the options give, or else the text that is piped to stdin, if it is not empty.
    ///
    /// # Errors
    /// As [`PromptArgs::read`].
    pub fn read_or_piped(&self, chat: &ChatArgs) -> Result<Option<Prompt>> {
        match self.read(chat)? {
            None => Ok(piped()?.map(|text| chat.prompt(text))),
            prompt => Ok(prompt),
        }
    }

    /// As [`PromptArgs::read_or_piped`], for commands that need a prompt.
    ///
    /// # Errors
    /// If there is none.
    pub fn need(&self, chat: &ChatArgs) -> Result<Prompt> {
        let message = "a prompt is needed: --prompt, --prompt-file, --prompt-ids, or text piped to stdin";
        self.read_or_piped(chat)?.ok_or_else(|| error(ErrorKind::MissingRequiredArgument, message))
    }
}

impl ChatArgs {
    fn prompt(&self, text: String) -> Prompt {
        if self.chat { Prompt::Chat(text) } else { Prompt::Text(text) }
    }
}

/// The text that is piped to stdin; `None` if it is empty, or stdin is a terminal.
///
/// # Errors
/// If it can't be read or is not UTF-8.
pub fn piped() -> Result<Option<String>> {
    if stdin().is_terminal() {
        return Ok(None);
    }
    Ok(Some(read_stdin()?).filter(|text| !text.is_empty()))
}

/// Checks that the model has these token ids.
///
/// # Errors
/// For the first id that it lacks.
pub fn check_ids(prompt: &Prompt, meta: &Meta) -> Result<()> {
    let vocab = meta.dims.vocab;
    let Prompt::Ids(ids) = prompt else { return Ok(()) };
    match ids.iter().find(|id| **id as usize >= vocab) {
        Some(id) => {
            let last = vocab.saturating_sub(1);
            let expected = format!("token ids from 0 to {last}, as the vocabulary has {vocab}");
            Err(error(ErrorKind::ValueValidation, format!("--prompt-ids: expected {expected}, found {id}")))
        }
        None => Ok(()),
    }
}

fn read_file(path: &Path) -> Result<String> {
    if path.as_os_str() == STDIN {
        return read_stdin();
    }
    let bytes = std::fs::read(path).with_context(|| format!("--prompt-file: cannot read {}", path.display()))?;
    text_of(bytes).with_context(|| format!("--prompt-file: {}", path.display()))
}

fn read_stdin() -> Result<String> {
    let mut bytes = Vec::new();
    stdin().lock().read_to_end(&mut bytes).context("cannot read the prompt from stdin")?;
    text_of(bytes).context("the prompt from stdin")
}

/// UTF-8 as text, without a byte order mark.
fn text_of(mut bytes: Vec<u8>) -> Result<String> {
    const UTF_8: &[u8] = b"\xef\xbb\xbf";
    if bytes.starts_with(UTF_8) {
        bytes.drain(..UTF_8.len());
    }
    let is_marked = bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff");
    // Without a mark, Latin text in UTF-16 is a zero after or before every letter, which UTF-8 takes as control characters.
    let start = &bytes[..bytes.len().min(64)];
    let has_zeros = |from: usize| start.iter().skip(from).step_by(2).all(|byte| *byte == 0);
    let is_unmarked = !bytes.is_empty() && bytes.len().is_multiple_of(2) && (has_zeros(0) || has_zeros(1));
    ensure!(
        !is_marked && !is_unmarked,
        "expected UTF-8 text, found UTF-16; save it as UTF-8, or convert it with `iconv -f UTF-16 -t UTF-8`"
    );
    match String::from_utf8(bytes) {
        Ok(text) => Ok(text),
        Err(wrong) => {
            let at = wrong.utf8_error().valid_up_to();
            bail!("expected UTF-8 text, found the byte 0x{:02x} at offset {at}; save it as UTF-8", wrong.as_bytes()[at])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_order_mark_is_dropped_and_utf_16_is_named() {
        let text = |bytes: &[u8]| text_of(bytes.to_vec()).map_err(|error| error.to_string());
        assert_eq!(text(b"\xef\xbb\xbfthe router\r\n").unwrap(), "the router\r\n");
        assert_eq!(text(b"a\0b").unwrap(), "a\0b");
        for bytes in [&b"\xff\xfet\0h\0e\0"[..], b"\xfe\xff\0t\0h\0e", b"t\0h\0e\0"] {
            assert!(text(bytes).unwrap_err().contains("UTF-16"), "{bytes:?}");
        }
        assert!(text(b"caf\xe9").unwrap_err().contains("0xe9 at offset 3"));
        assert_eq!(text(b"").unwrap(), "");
    }
}
