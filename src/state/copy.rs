//! What can be copied: the value under the cursor, its row, the view as a table with the columns of the CSV files.

mod attention;
mod fidelity;
mod lens;
mod routing;
mod selection;

use super::text::show_piece;
use super::{Effect, State, Tab};
use crate::protocol::Failure;
use crate::trace::{Candidate, is_obeyed};
use csv::{Terminator, Writer, WriterBuilder};
use serde::Serialize;

/// Bytes that go to the clipboard at most: terminals drop more than 100,000 in base64.
const MOST_BYTES: usize = 74_994;
const TOO_LARGE: &str = "too large for the clipboard (over 75 kB): e writes it to a file";
const UNDERWAY: &str = "not derived yet: try again in a moment";

/// How much is copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// The value under the cursor.
    Cell,
    /// Its row.
    Row,
    /// The view.
    View,
}

/// A text for the clipboard and what it is, or why there is none.
type Copied = Result<(String, String), String>;

/// A table that stops growing where it would be too large.
struct Table {
    writer: Writer<Vec<u8>>,
    rows: usize,
}

impl Table {
    fn new(header: &[&str]) -> Result<Self, String> {
        let mut writer = WriterBuilder::new().has_headers(false).terminator(Terminator::CRLF).from_writer(Vec::new());
        writer.write_record(header).map_err(|error| error.to_string())?;
        Ok(Self { writer, rows: 0 })
    }

    fn add(&mut self, row: impl Serialize) -> Result<(), String> {
        self.rows += 1;
        self.writer.serialize(row).map_err(|error| error.to_string())?;
        if self.writer.get_ref().len() > MOST_BYTES { Err(TOO_LARGE.to_owned()) } else { Ok(()) }
    }

    fn finish(self, what: &str) -> Copied {
        let bytes = self.writer.into_inner().map_err(|error| error.to_string())?;
        let text = String::from_utf8(bytes).map_err(|error| error.to_string())?;
        let what = format!("{what} as CSV, {} rows", self.rows);
        if text.len() > MOST_BYTES { Err(TOO_LARGE.to_owned()) } else { Ok((text, what)) }
    }
}

fn candidate(candidate: &Candidate) -> String {
    format!("{} {}", show_piece(&candidate.piece), candidate.prob)
}

/// `text` with escapes in the place of what a terminal it is pasted into would obey, line ends and tabs aside.
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
    pub(super) fn copy(&mut self, extent: Extent) -> Vec<Effect> {
        let copied = match self.view {
            _ if extent == Extent::Cell && self.selection.is_some() => self.copy_selection(),
            _ if self.tokens.is_empty() && !self.shows_findings() => Err("there is no text yet".to_owned()),
            Tab::Routing => self.copy_routing(extent),
            Tab::Attention => self.copy_attention(extent),
            Tab::Lens => self.copy_lens(extent),
            Tab::Next => self.copy_next(extent),
            Tab::Fidelity => self.copy_fidelity(extent),
        };
        match copied {
            Ok((text, what)) => {
                let how = "it is sent through the terminal (OSC 52): if nothing arrives, allow it there; in tmux: set -g set-clipboard on";
                self.tell(false, Failure { summary: format!("copied {what}"), causes: vec![how.to_owned()] });
                vec![Effect::Copy(disarmed(&text))]
            }
            Err(summary) => {
                self.say(summary);
                Vec::new()
            }
        }
    }

    /// Columns of `candidates.csv`.
    fn copy_next(&self, extent: Extent) -> Copied {
        let c = self.cursor;
        let top = self.token().map_or(&[][..], |token| &token.next.top);
        let rows = match extent {
            Extent::Cell => {
                let text = candidate(top.get(c.candidate).ok_or("there is no candidate here")?);
                return Ok((text.clone(), text));
            }
            Extent::Row => c.candidate..(c.candidate + 1).min(top.len()),
            Extent::View => 0..top.len(),
        };
        let mut table = Table::new(&["position", "k", "token_id", "token", "logit", "prob"])?;
        for k in rows {
            let one = &top[k];
            table.add((c.token, k + 1, one.id, &*one.piece, one.logit, one.prob))?;
        }
        table.finish("candidates")
    }
}
