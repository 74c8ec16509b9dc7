use super::row::table;
use super::text::TokenText;
use crate::analysis::routing::exchange;
use crate::analysis::{Measures, ModelPart, ModelShares, Share};
use crate::trace::{Edit, TokenRecord};
use std::borrow::Cow;
use std::sync::Arc;

table! {
    "effects.routing";
    /// One row for each token and layer: what would follow if the best rejected expert had won over the last chosen one.
    pub struct RerouteRow<'a> {
        /// Position of the token, from 0.
        position: usize,
        /// Id of the token.
        token_id: u32,
        /// The tokenizer's spelling of it.
        token: Cow<'a, str>,
        /// Decoder layer, from 0.
        layer: usize,
        /// The last chosen expert, which loses.
        expert: u32,
        /// The best rejected expert, which wins instead.
        instead: usize,
        /// Logit of the first minus that of the second: how narrow the choice was.
        margin: Option<f32>,
        /// Change of the loss of the token that came next, in nats; empty at the last position.
        loss_change: Option<f64>,
        /// KL(as it was ‖ as it would be) of the distribution after the token, in nats.
        kl: f64,
        /// Layers above that choose other experts for the token then.
        flips: usize,
        /// The text that `token` stands for: control characters as `\\n`, `\\t`, `\\u{1b}`, bytes that are no character as `‹C3›`.
        text: String,
    }
}

impl<'a> RerouteRow<'a> {
    /// The row of one place; `None` if no expert was rejected there.
    pub fn of(
        tokens: &'a [Arc<TokenRecord>],
        (layer, position): (usize, usize),
        (found, edits): (&Measures, &[Edit]),
        text: TokenText,
    ) -> Option<Self> {
        let token = tokens.get(position)?;
        let exchange = exchange(token, layer, edits)?;
        Some(Self {
            position,
            token_id: token.id,
            token: text.cell(&token.piece),
            layer,
            expert: exchange.loser,
            instead: exchange.winner,
            margin: exchange.margin,
            loss_change: found.loss_change,
            kl: found.kl,
            flips: found.flips,
            text: text.text(&token.piece),
        })
    }
}

table! {
    "effects.contributions";
    /// One row for each head and each chosen expert of all layers, and one for the embedding: its contribution to a logit, with
    /// the scale of the final norm frozen. The largest come first.
    pub struct ShareRow<'a> {
        /// Position whose distribution is read, from 0.
        position: usize,
        /// Id of the target.
        target_id: u32,
        /// The tokenizer's spelling of it.
        target: Cow<'a, str>,
        /// Id of the foil; empty without one.
        foil_id: Option<u32>,
        /// The tokenizer's spelling of it.
        foil: Option<Cow<'a, str>>,
        /// `embed`, `head`, `expert`, `shared` (the shared expert), `edit` (what an edit put into the residual stream), or what a
        /// block adds beside its heads or experts: `attn` or `mlp` (a bias, an MLP without a router, an edit of the whole block;
        /// rounding if it is small).
        part: &'static str,
        /// Decoder layer, from 0; empty for `embed`.
        layer: Option<usize>,
        /// Head or expert, from 0; for `edit`, its place among such edits; empty for the others.
        index: Option<usize>,
        /// Contribution to the target's logit.
        share_target: f64,
        /// Contribution to the foil's logit; empty without one.
        share_foil: Option<f64>,
        /// The first minus the second: the contribution to logit(target) − logit(foil).
        share: f64,
        /// The text that `target` stands for: control characters as `\\n`, `\\t`, `\\u{1b}`, bytes that are no character as `‹C3›`.
        text: String,
        /// The text that `foil` stands for.
        foil_text: Option<String>,
    }
}

impl<'a> ShareRow<'a> {
    /// The row of one part.
    pub fn of(found: &'a ModelShares, share: &Share, text: TokenText) -> Self {
        let (part, layer, index) = match share.part {
            ModelPart::Embed => ("embed", None, None),
            ModelPart::Head(layer, head) => ("head", Some(layer), Some(head)),
            ModelPart::Expert(layer, expert) => ("expert", Some(layer), Some(expert)),
            ModelPart::AttnRest(layer) => ("attn", Some(layer), None),
            ModelPart::Shared(layer) => ("shared", Some(layer), None),
            ModelPart::MlpRest(layer) => ("mlp", Some(layer), None),
            ModelPart::Edit(layer, at) => ("edit", Some(layer), Some(at)),
        };
        let foil = found.foil.as_ref();
        Self {
            position: found.watch.position,
            target_id: found.target.target,
            target: text.cell(&found.target.piece),
            foil_id: foil.map(|foil| foil.target),
            foil: foil.map(|foil| text.cell(&foil.piece)),
            part,
            layer,
            index,
            share_target: share.target,
            share_foil: share.foil,
            share: share.value(),
            text: text.text(&found.target.piece),
            foil_text: foil.map(|foil| text.text(&foil.piece)),
        }
    }
}
