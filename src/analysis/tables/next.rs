use super::row::table;
use super::text::TokenText;
use crate::trace::TokenRecord;
use std::borrow::Cow;

table! {
    "candidates.csv";
    /// One row for each token and one of the best candidates for the token after it, before temperature.
    pub struct CandidateRow<'a> {
        /// Position of the token, from 0; the candidates are for the token at the next position.
        position: usize,
        /// Rank of the candidate, from 1.
        k: usize,
        /// Id of the candidate.
        token_id: u32,
        /// The tokenizer's spelling of it.
        token: Cow<'a, str>,
        /// Its logit.
        logit: f32,
        /// Its probability at temperature 1.
        prob: f32,
        /// The text that it stands for: control characters as `\\n`, `\\t`, `\\u{1b}`, bytes that are no character as `‹C3›`.
        text: String,
    }
}

/// The rows of `candidates.csv` after one token, best candidate first.
pub fn candidates(token: &TokenRecord, position: usize, text: TokenText) -> impl Iterator<Item = CandidateRow<'_>> {
    token.next.top.iter().enumerate().map(move |(i, candidate)| CandidateRow {
        position,
        k: i + 1,
        token_id: candidate.id,
        token: text.cell(&candidate.piece),
        logit: candidate.logit,
        prob: candidate.prob,
        text: text.text(&candidate.piece),
    })
}
