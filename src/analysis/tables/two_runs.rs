//! Two runs of the same tokens as rows of tables: the columns of files and of what is copied.

use crate::analysis::diff::{Flip, same_experts};
use crate::analysis::routing::TokenRouting;
use crate::trace::{Dtype, Policy, TokenRecord};
use serde::Serialize;
use std::borrow::Cow;

/// One token in one layer; the fields are the columns.
#[derive(Clone, Debug, Serialize)]
pub struct FlipRow<'a> {
    policy_a: &'static str,
    policy_b: &'static str,
    position: usize,
    token_id: u32,
    token: Cow<'a, str>,
    layer: usize,
    /// 1 if the sets of experts differ.
    flipped: u8,
    /// Best first, separated by spaces.
    experts_a: String,
    experts_b: String,
    /// Logit of the last chosen expert minus that of the best not chosen.
    margin_a: Option<f32>,
    margin_b: Option<f32>,
    /// 1 if rounding alone could have turned it; empty where nothing flipped.
    near_tie: Option<u8>,
}

impl<'a> FlipRow<'a> {
    /// The columns' names.
    pub const COLUMNS: [&'static str; 12] = [
        "policy_a",
        "policy_b",
        "position",
        "token_id",
        "token",
        "layer",
        "flipped",
        "experts_a",
        "experts_b",
        "margin_a",
        "margin_b",
        "near_tie",
    ];

    /// Of a token and layer; `None` if a record does not hold the experts.
    pub fn of(
        policies: [Policy; 2],
        position: usize,
        [a, b]: [&TokenRecord; 2],
        token: Cow<'a, str>,
        (layer, dtype): (usize, Dtype),
    ) -> Option<Self> {
        let [of_a, of_b] = [TokenRouting::choice(a, layer)?, TokenRouting::choice(b, layer)?];
        let flip = Flip::of(layer, position, [of_a, of_b], dtype);
        Some(Self {
            policy_a: policies[0].name(),
            policy_b: policies[1].name(),
            position,
            token_id: b.id,
            token,
            layer,
            flipped: u8::from(flip.is_some()),
            experts_a: spaced(of_a.chosen),
            experts_b: spaced(of_b.chosen),
            margin_a: of_a.margin().map(|margin| margin.gap),
            margin_b: of_b.margin().map(|margin| margin.gap),
            near_tie: flip.map(|flip| u8::from(flip.is_within_rounding())),
        })
    }
}

/// One token; the fields are the columns.
#[derive(Clone, Debug, Serialize)]
pub struct LossRow<'a> {
    policy_a: &'static str,
    policy_b: &'static str,
    position: usize,
    token_id: u32,
    token: Cow<'a, str>,
    nll_a: Option<f32>,
    nll_b: Option<f32>,
    /// B minus A, nats.
    difference: Option<f32>,
    /// Layers whose experts differ.
    flips: usize,
    /// The best next token of each.
    next_id_a: Option<u32>,
    next_a: Option<Cow<'a, str>>,
    next_id_b: Option<u32>,
    next_b: Option<Cow<'a, str>>,
}

impl<'a> LossRow<'a> {
    /// The columns' names.
    pub const COLUMNS: [&'static str; 13] = [
        "policy_a",
        "policy_b",
        "position",
        "token_id",
        "token",
        "nll_a",
        "nll_b",
        "difference",
        "flips",
        "next_id_a",
        "next_a",
        "next_id_b",
        "next_b",
    ];

    /// Of a token; `text` says how spellings are written.
    pub fn of(
        policies: [Policy; 2],
        position: usize,
        [a, b]: [&'a TokenRecord; 2],
        layers: usize,
        text: impl Fn(&'a str) -> Cow<'a, str>,
    ) -> Self {
        let [nll_a, nll_b] = [a, b].map(|token| token.score.map(|score| score.nll));
        let [next_a, next_b] = [a, b].map(|token| token.next.top.first());
        Self {
            policy_a: policies[0].name(),
            policy_b: policies[1].name(),
            position,
            token_id: b.id,
            token: text(&b.piece),
            nll_a,
            nll_b,
            difference: nll_a.zip(nll_b).map(|(a, b)| b - a),
            flips: (0..layers).filter(|layer| same_experts(a, b, *layer) == Some(false)).count(),
            next_id_a: next_a.map(|next| next.id),
            next_a: next_a.map(|next| text(&next.piece)),
            next_id_b: next_b.map(|next| next.id),
            next_b: next_b.map(|next| text(&next.piece)),
        }
    }
}

fn spaced(experts: &[u32]) -> String {
    experts.iter().map(u32::to_string).collect::<Vec<_>>().join(" ")
}
