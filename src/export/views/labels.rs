//! Texts and axes that pictures of several views share.

use crate::analysis::view::ViewData;
use crate::export::figure::font::{drawable, fit, label};
use crate::export::figure::{Axis, Turn};
use crate::trace::{Piece, Records, TokenRecord};
use anyhow::Result;

/// The name of an axis of tokens.
pub const TOKENS: &str = "token and its position";
/// Longest prompt in a title, characters.
const PROMPT: usize = 60;
/// Longest token in a label, characters; its position follows it.
pub const PIECE: usize = 14;
/// Tokens from which cells shrink to dots.
pub const MANY: usize = 2048;

/// `demo · hf bf16 · ban L3.E5 · 48 tokens · “Once upon a time…”`
pub fn subtitle(trace: &Records) -> String {
    let meta = &trace.meta;
    let n = trace.tokens.len();
    let start = beginning(trace.tokens.iter().map(|token| &token.piece));
    // The name may be a path on somebody's machine, so it is not shown.
    let model = drawable(&meta.title);
    let tokens = if n == 1 { "1 token".to_owned() } else { format!("{n} tokens") };
    // Nor is the file that an edit reads.
    let edits = match &*meta.edits {
        [] => String::new(),
        [edit] if edit.source().is_none() => format!(" · {edit}"),
        [_] => " · 1 edit".to_owned(),
        edits => format!(" · {} edits", edits.len()),
    };
    format!("{model} · {} {}{edits} · {tokens} · “{start}”", meta.policy, meta.compute_dtype)
}

/// The beginning of the text of these tokens.
pub fn beginning<'a>(pieces: impl Iterator<Item = &'a Piece>) -> String {
    let mut start = String::new();
    for (pos, piece) in pieces.enumerate() {
        // A marker at the start such as <s> is not part of the text.
        let is_marker = pos == 0 && piece.starts_with('<') && piece.ends_with('>');
        if start.trim().chars().count() > PROMPT {
            break;
        }
        if !is_marker {
            start += &label(piece).replace('·', " ");
        }
    }
    fit(start.trim(), PROMPT)
}

/// `·drum 12`
pub fn token_label(token: &TokenRecord, pos: usize) -> String {
    format!("{} {pos}", fit(&label(&token.piece), PIECE))
}

/// `token 12 ‘·drum’`
pub fn token_name(token: &TokenRecord, pos: usize) -> String {
    format!("token {pos} ‘{}’", fit(&label(&token.piece), PIECE))
}

/// An axis of tokens, read upward.
pub fn tokens_across(trace: &Records) -> Axis {
    let labels = trace.tokens.iter().enumerate().map(|(pos, token)| token_label(token, pos)).collect();
    Axis { name: TOKENS.to_owned(), labels, turn: Turn::Upward }
}

/// The token at a position.
///
/// # Errors
/// If the run has none there.
pub fn record(data: &ViewData, pos: usize) -> Result<&TokenRecord> {
    let n = data.trace.tokens.len();
    let token = data.trace.tokens.get(pos);
    token.map(|token| &**token).ok_or_else(|| anyhow::anyhow!("position {pos} is outside the run of {n} tokens"))
}
