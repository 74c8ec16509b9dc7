use super::row::table;
use super::text::TokenText;
use crate::analysis::Aligned;
use crate::analysis::diff::same_experts;
use crate::trace::TokenRecord;
use std::borrow::Cow;

table! {
    "compare";
    /// One row for each pair of aligned tokens of two runs A and B: of the same text, or of two prompts. Where one text has no
    /// counterpart, its columns are empty.
    pub struct CompareRow<'a> {
        /// Position in A, from 0.
        position_a: Option<usize>,
        /// Position in B.
        position_b: Option<usize>,
        /// Id of the token of A.
        token_id_a: Option<u32>,
        /// The tokenizer's spelling of it.
        token_a: Option<Cow<'a, str>>,
        /// Id of the token of B.
        token_id_b: Option<u32>,
        /// The tokenizer's spelling of it.
        token_b: Option<Cow<'a, str>>,
        /// Loss of the token in A, in nats; empty if not captured.
        nll_a: Option<f32>,
        /// Loss of the token in B, in nats.
        nll_b: Option<f32>,
        /// KL(A ‖ B) of the distributions after the tokens, in nats; empty if it was not computed.
        kl: Option<f64>,
        /// Layers that chose different sets of experts.
        flips: Option<usize>,
        /// Id of the most probable next token in A.
        next_id_a: Option<u32>,
        /// The tokenizer's spelling of it.
        next_a: Option<Cow<'a, str>>,
        /// Id of the most probable next token in B.
        next_id_b: Option<u32>,
        /// The tokenizer's spelling of it.
        next_b: Option<Cow<'a, str>>,
        /// The text that `token_a` stands for: control characters as `\\n`, `\\t`, `\\u{1b}`, bytes that are no character as `‹C3›`.
        text_a: Option<String>,
        /// The text that `token_b` stands for.
        text_b: Option<String>,
    }
}

impl<'a> CompareRow<'a> {
    /// The row of one pair; `records` are those at its positions, of a model with `layers` layers.
    pub fn of(
        (position_a, position_b): Aligned,
        records: [Option<&'a TokenRecord>; 2],
        kl: Option<f64>,
        layers: usize,
        text: TokenText,
    ) -> Self {
        let [a, b] = records;
        let next = |token: Option<&'a TokenRecord>| token.and_then(|token| token.next.top.first());
        let [next_a, next_b] = records.map(next);
        let flips =
            a.zip(b).map(|(a, b)| (0..layers).filter(|layer| same_experts(a, b, *layer) == Some(false)).count());
        Self {
            position_a,
            position_b,
            token_id_a: a.map(|token| token.id),
            token_a: a.map(|token| text.cell(&token.piece)),
            token_id_b: b.map(|token| token.id),
            token_b: b.map(|token| text.cell(&token.piece)),
            nll_a: a.and_then(|token| token.score).map(|score| score.nll),
            nll_b: b.and_then(|token| token.score).map(|score| score.nll),
            kl,
            flips,
            next_id_a: next_a.map(|next| next.id),
            next_a: next_a.map(|next| text.cell(&next.piece)),
            next_id_b: next_b.map(|next| next.id),
            next_b: next_b.map(|next| text.cell(&next.piece)),
            text_a: a.map(|token| text.text(&token.piece)),
            text_b: b.map(|token| text.text(&token.piece)),
        }
    }
}
