//! What can be copied: the value under the cursor, its row, the view as a table with the columns of the CSV files.

mod attention;
mod lens;

use super::text::show_piece;
use super::{Effect, RoutingLens, State, View};
use crate::trace::Candidate;
use crate::trace::protocol::Failure;
use crate::trace::routing::TokenRouting;
use csv::{Terminator, Writer, WriterBuilder};
use serde::Serialize;

/// Bytes that go to the clipboard at most: terminals drop what is much larger.
const MOST_BYTES: usize = 100_000;
const TOO_LARGE: &str = "too large for the clipboard (over 100 kB): e writes it to a file";
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

impl State {
    pub(super) fn copy(&mut self, extent: Extent) -> Vec<Effect> {
        let copied = match self.view {
            _ if extent == Extent::Cell && self.selection.is_some() => self.copy_selection(),
            _ if self.tokens.is_empty() && self.view != View::Fidelity => Err("there is no text yet".to_owned()),
            View::Routing => self.copy_routing(extent),
            View::Attention => self.copy_attention(extent),
            View::Lens => self.copy_lens(extent),
            View::Next => self.copy_next(extent),
            View::Fidelity => self.copy_findings(extent),
        };
        match copied {
            Ok((text, what)) => {
                let how = "it is sent through the terminal (OSC 52): if nothing arrives, allow it there; in tmux: set -g set-clipboard on";
                self.tell(false, Failure { summary: format!("copied {what}"), causes: vec![how.to_owned()] });
                vec![Effect::Copy(text)]
            }
            Err(summary) => {
                self.say(summary);
                Vec::new()
            }
        }
    }

    /// The text of the selected tokens, as the tokenizer's signs for spaces and bytes mean it.
    fn copy_selection(&self) -> Copied {
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

    /// Columns of `routing.csv`.
    fn copy_routing(&self, extent: Extent) -> Copied {
        let c = self.cursor;
        let layers = self.meta().map_or(0, |meta| meta.dims.layers);
        let not_captured = || "the routing was not captured".to_owned();
        let (positions, layers, what) = match extent {
            Extent::Cell => {
                let routing =
                    self.token().and_then(|token| TokenRouting::of(token, c.layer)).ok_or_else(not_captured)?;
                let text = format!("E{} {}", c.expert, routing.probs.get(c.expert).ok_or_else(not_captured)?);
                return Ok((text.clone(), text));
            }
            Extent::Row => (c.token..c.token + 1, c.layer..c.layer + 1, "the experts of the layer"),
            Extent::View if self.routing == RoutingLens::Token => {
                (c.token..c.token + 1, 0..layers, "the token's routing")
            }
            Extent::View if self.routing == RoutingLens::Layer => {
                (0..self.tokens.len(), c.layer..c.layer + 1, "the layer's routing")
            }
            Extent::View if self.routing == RoutingLens::Map => (0..self.tokens.len(), 0..layers, "the run's routing"),
            Extent::View => return Err("this layout has no table to copy: e writes it to a file".to_owned()),
        };
        let mut table = Table::new(&["position", "layer", "expert", "logit", "prob", "rank", "weight"])?;
        for pos in positions {
            for layer in layers.clone() {
                let routing = TokenRouting::of(&self.tokens[pos], layer).ok_or_else(not_captured)?;
                let ranking = routing.ranking();
                for (expert, (logit, prob)) in routing.logits.iter().zip(routing.probs).enumerate() {
                    let rank = ranking.iter().position(|ranked| *ranked == expert).map_or(0, |at| at + 1);
                    let weight = routing.weight_of(expert).unwrap_or(0.0);
                    table.add((pos, layer, expert, logit, prob, rank, weight))?;
                }
            }
        }
        table.finish(what)
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

    /// What was validated, one finding a row.
    fn copy_findings(&self, extent: Extent) -> Copied {
        let meta = self.meta().ok_or("no model is open")?;
        if extent != Extent::View {
            return Err("nothing is under a cursor here: y v copies the whole report".to_owned());
        }
        let mut table = Table::new(&["level", "subject", "expected", "found", "advice"])?;
        for finding in &meta.report.findings {
            table.add(finding)?;
        }
        table.finish("what was validated")
    }
}
