use super::row::table;
use super::spaced;
use super::text::TokenText;
use crate::analysis::diff::{Flip, same_experts};
use crate::analysis::routing::TokenRouting;
use crate::trace::{Dtype, Policy, TokenRecord};
use std::borrow::Cow;

table! {
    "fidelity.flips";
    /// One row for each token and layer of two runs of the same tokens: A, the baseline, and B.
    pub struct FlipRow<'a> {
        /// Precision policy of A.
        policy_a: Policy,
        /// Precision policy of B.
        policy_b: Policy,
        /// Position of the token, from 0.
        position: usize,
        /// Id of the token.
        token_id: u32,
        /// The tokenizer's spelling of it.
        token: Cow<'a, str>,
        /// Decoder layer, from 0.
        layer: usize,
        /// 1 if A and B chose different sets of experts, else 0.
        flipped: u8,
        /// The experts that A chose, best first, with spaces between them.
        experts_a: String,
        /// The experts that B chose, best first, with spaces between them.
        experts_b: String,
        /// Margin of A: logit of the last chosen expert minus that of the best rejected one; empty if not captured.
        margin_a: Option<f32>,
        /// Margin of B.
        margin_b: Option<f32>,
        /// 1 if rounding can explain the flip (a margin of at most 4 ulps), else 0; empty if nothing flipped.
        near_tie: Option<u8>,
        /// 1 if the last chosen and a rejected expert have the same score, in A or in B; empty if nothing flipped.
        exact_tie: Option<u8>,
        /// The text that the token stands for: control characters as `\\n`, `\\t`, `\\u{1b}`, bytes that are no character as `‹C3›`.
        text: String,
    }
}

impl<'a> FlipRow<'a> {
    /// The row of one token and layer; `None` if a record lacks the experts. Ulps are those of `dtype`.
    pub fn of(
        [policy_a, policy_b]: [Policy; 2],
        (position, layer): (usize, usize),
        [a, b]: [&'a TokenRecord; 2],
        dtype: Dtype,
        text: TokenText,
    ) -> Option<Self> {
        let choices = [TokenRouting::choice(a, layer)?, TokenRouting::choice(b, layer)?];
        let flip = Flip::of(layer, position, choices, dtype);
        let [experts_a, experts_b] = choices.map(|choice| spaced(choice.chosen));
        let [margin_a, margin_b] = choices.map(|choice| choice.margin().map(|margin| margin.gap));
        Some(Self {
            policy_a,
            policy_b,
            position,
            token_id: b.id,
            token: text.cell(&b.piece),
            layer,
            flipped: u8::from(flip.is_some()),
            experts_a,
            experts_b,
            margin_a,
            margin_b,
            near_tie: flip.as_ref().map(|flip| u8::from(flip.is_within_rounding())),
            exact_tie: flip.map(|flip| u8::from(flip.exact_tie)),
            text: text.text(&b.piece),
        })
    }
}

table! {
    "fidelity.loss";
    /// One row for each token of two runs of the same tokens: A, the baseline, and B.
    pub struct LossRow<'a> {
        /// Precision policy of A.
        policy_a: Policy,
        /// Precision policy of B.
        policy_b: Policy,
        /// Position of the token, from 0.
        position: usize,
        /// Id of the token.
        token_id: u32,
        /// The tokenizer's spelling of it.
        token: Cow<'a, str>,
        /// Loss of the token in A, in nats; empty if not captured.
        nll_a: Option<f32>,
        /// Loss of the token in B, in nats; empty if not captured.
        nll_b: Option<f32>,
        /// Loss in B minus loss in A, in nats.
        difference: Option<f32>,
        /// How many layers chose different sets of experts.
        flips: usize,
        /// Id of the most probable next token in A; empty if not captured.
        next_id_a: Option<u32>,
        /// The tokenizer's spelling of it.
        next_a: Option<Cow<'a, str>>,
        /// Id of the most probable next token in B; empty if not captured.
        next_id_b: Option<u32>,
        /// The tokenizer's spelling of it.
        next_b: Option<Cow<'a, str>>,
        /// The text that the token stands for: control characters as `\\n`, `\\t`, `\\u{1b}`, bytes that are no character as `‹C3›`.
        text: String,
        /// The text that `next_a` stands for.
        next_text_a: Option<String>,
        /// The text that `next_b` stands for.
        next_text_b: Option<String>,
    }
}

impl<'a> LossRow<'a> {
    /// The row of one token of a model with `layers` layers.
    pub fn of(
        [policy_a, policy_b]: [Policy; 2],
        position: usize,
        [a, b]: [&'a TokenRecord; 2],
        layers: usize,
        text: TokenText,
    ) -> Self {
        let [nll_a, nll_b] = [a, b].map(|token| token.score.map(|score| score.nll));
        let [next_a, next_b] = [a, b].map(|token| token.next.top.first());
        Self {
            policy_a,
            policy_b,
            position,
            token_id: b.id,
            token: text.cell(&b.piece),
            nll_a,
            nll_b,
            difference: nll_a.zip(nll_b).map(|(a, b)| b - a),
            flips: (0..layers).filter(|layer| same_experts(a, b, *layer) == Some(false)).count(),
            next_id_a: next_a.map(|next| next.id),
            next_a: next_a.map(|next| text.cell(&next.piece)),
            next_id_b: next_b.map(|next| next.id),
            next_b: next_b.map(|next| text.cell(&next.piece)),
            text: text.text(&b.piece),
            next_text_a: next_a.map(|next| text.text(&next.piece)),
            next_text_b: next_b.map(|next| text.text(&next.piece)),
        }
    }
}
