//! What can be copied: the value under the cursor, its row, the view as a table with the columns of the CSV files.

mod attention;
mod fidelity;
mod lens;
mod routing;
mod selection;

use super::text::show_piece;
use super::{Effect, State, Tab};
use crate::analysis::tables::{CsvWriter, Row, Table, TokenText, candidates};
use crate::protocol::Failure;
use crate::trace::{Candidate, is_obeyed};

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

/// A table for the clipboard, which stops growing where it would be too large.
struct Clip(CsvWriter<Vec<u8>>);

impl Clip {
    fn new(table: &'static Table) -> Result<Self, String> {
        CsvWriter::new(table, Vec::new()).map(Self).map_err(|error| error.to_string())
    }

    fn extend<R: Row>(&mut self, rows: impl IntoIterator<Item = R>) -> Result<(), String> {
        for row in rows {
            self.0.add(row).map_err(|error| error.to_string())?;
            if self.0.output().len() > MOST_BYTES {
                return Err(TOO_LARGE.to_owned());
            }
        }
        Ok(())
    }

    fn finish(self, what: &str) -> Copied {
        let what = format!("{what} as CSV, {} rows", self.0.rows());
        let bytes = self.0.finish().map_err(|error| error.to_string())?;
        let text = String::from_utf8(bytes).map_err(|error| error.to_string())?;
        if text.len() > MOST_BYTES { Err(TOO_LARGE.to_owned()) } else { Ok((text, what)) }
    }
}

/// A whole table for the clipboard, and its description.
fn csv<R: Row>(rows: impl IntoIterator<Item = R>, what: &str) -> Copied {
    let mut clip = Clip::new(R::TABLE)?;
    clip.extend(rows)?;
    clip.finish(what)
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
        let all = self.token().into_iter().flat_map(|token| candidates(token, c.token, TokenText::Exact));
        csv(all.skip(rows.start).take(rows.len()), "candidates")
    }
}
