use super::row::table;
use super::text::TokenText;
use crate::trace::{Records, Source};
use std::borrow::Cow;

table! {
    "tokens.csv";
    /// One row for each token.
    pub struct TokenRow<'a> {
        /// Position of the token, from 0.
        position: usize,
        /// Id of the token.
        token_id: u32,
        /// The tokenizer's spelling of the token.
        token: Cow<'a, str>,
        /// `prompt`, `generated`, or `forced` (chosen in the explorer).
        source: Source,
        /// Loss: -log p of this token given those before it, in nats; empty at position 0.
        nll: Option<f32>,
        /// Entropy of the distribution that predicted the token, in nats; empty at position 0.
        entropy: Option<f32>,
        /// Rank of the token in that distribution, from 1; empty at position 0.
        rank: Option<u32>,
        /// The text that it stands for: control characters as `\\n`, `\\t`, `\\u{1b}`, bytes that are no character as `‹C3›`.
        text: String,
    }
}

/// The rows of `tokens.csv`.
pub fn tokens(records: &Records, text: TokenText) -> impl Iterator<Item = TokenRow<'_>> {
    records.tokens.iter().enumerate().map(move |(position, token)| TokenRow {
        position,
        token_id: token.id,
        token: text.cell(&token.piece),
        source: token.source,
        nll: token.score.map(|score| score.nll),
        entropy: token.score.map(|score| score.entropy),
        rank: token.score.map(|score| score.rank),
        text: text.text(&token.piece),
    })
}
