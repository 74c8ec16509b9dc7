//! What can be copied: the value under the cursor, its row, the view as a table with the columns of the CSV files.

use super::rules;
use crate::analysis::tables::{CsvWriter, Row, Table};
use crate::protocol::Failure;
use crate::state::input::Extent;
use crate::state::text::show_piece;
use crate::state::{Effect, State};
use crate::trace::{Candidate, is_obeyed};

/// Bytes that go to the clipboard at most: terminals drop more than 100,000 in base64.
const MOST_BYTES: usize = 74_994;
const TOO_LARGE: &str = "too large for the clipboard (over 75 kB): e writes it to a file";
pub const UNDERWAY: &str = "not derived yet: try again in a moment";

/// A text for the clipboard and what it is, or why there is none.
pub type Copied = Result<(String, String), String>;

/// A table for the clipboard, which stops growing where it would be too large.
pub struct Clip(CsvWriter<Vec<u8>>);

impl Clip {
    pub fn new(table: &'static Table) -> Result<Self, String> {
        CsvWriter::new(table, Vec::new()).map(Self).map_err(|error| error.to_string())
    }

    pub fn extend<R: Row>(&mut self, rows: impl IntoIterator<Item = R>) -> Result<(), String> {
        for row in rows {
            self.0.add(row).map_err(|error| error.to_string())?;
            if self.0.output().len() > MOST_BYTES {
                return Err(TOO_LARGE.to_owned());
            }
        }
        Ok(())
    }

    pub fn finish(self, what: &str) -> Copied {
        let what = format!("{what} as CSV, {} rows", self.0.rows());
        let bytes = self.0.finish().map_err(|error| error.to_string())?;
        let text = String::from_utf8(bytes).map_err(|error| error.to_string())?;
        if text.len() > MOST_BYTES { Err(TOO_LARGE.to_owned()) } else { Ok((text, what)) }
    }
}

/// A whole table for the clipboard, and its description.
pub fn csv<R: Row>(rows: impl IntoIterator<Item = R>, what: &str) -> Copied {
    let mut clip = Clip::new(R::TABLE)?;
    clip.extend(rows)?;
    clip.finish(what)
}

pub fn candidate(candidate: &Candidate) -> String {
    format!("{} {}", show_piece(&candidate.piece), candidate.prob)
}

/// `text` with escapes for the characters that a terminal would act on if it is pasted there. Line ends and tabs stay.
fn disarmed(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let is_text = match c {
            // Joiners belong to the spelling of emoji and of several scripts.
            '\n' | '\t' | '\u{200c}' | '\u{200d}' => true,
            '\r' => chars.peek() == Some(&'\n'),
            c => !is_obeyed(c),
        };
        if is_text {
            out.push(c);
        } else {
            out.extend(c.escape_unicode());
        }
    }
    out
}

impl State {
    /// The value under the cursor, as it is copied; or why there is none.
    pub fn cell_text(&self) -> Result<String, String> {
        let rules = rules(self.view());
        if rules.needs_text && self.tokens.is_empty() {
            return Err("there is no text yet".to_owned());
        }
        if let Some(missing) = (rules.missing)(self) {
            return Err(missing.to_owned());
        }
        (rules.copy)(self, Extent::Cell).map(|(text, _)| text)
    }

    /// Copies the value under the cursor or the selected text, the row, or the view.
    pub(in crate::state) fn copy(&mut self, extent: Extent) -> Vec<Effect> {
        let rules = rules(self.view());
        let copied = if extent == Extent::Cell && self.selection.is_some() {
            self.copy_selection()
        } else if rules.needs_text && self.tokens.is_empty() {
            Err("there is no text yet".to_owned())
        } else if let Some(missing) = (rules.missing)(self) {
            Err(missing.to_owned())
        } else {
            (rules.copy)(self, extent)
        };
        match copied {
            Ok((text, what)) => {
                let how = "it is sent through the terminal (OSC 52): if nothing arrives, allow it there; in tmux: set -g set-clipboard on";
                self.inform(Failure { summary: format!("copied {what}"), causes: vec![how.to_owned()] });
                vec![Effect::Copy(disarmed(&text))]
            }
            Err(summary) => {
                self.say(summary);
                Vec::new()
            }
        }
    }

    /// Copies the text of the selected tokens, with spaces and bytes in place of the tokenizer's signs for them.
    fn copy_selection(&self) -> Copied {
        let range = self.selected().unwrap_or(0..0);
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
