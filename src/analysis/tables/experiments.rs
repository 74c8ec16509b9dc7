use super::row::table;
use super::text::TokenText;
use crate::analysis::{Found, LayerEffect, Measures, PatchOver, PositionEffect};
use std::borrow::Cow;

table! {
    "ablate.csv";
    /// One row for each part that was edited in turn: what it does to the run. Changes are those of the edited run minus those of
    /// the run without edits.
    pub struct AblationRow {
        /// Decoder layer, from 0.
        layer: usize,
        /// expert, head, attn or mlp.
        part: &'static str,
        /// Expert or head, from 0; 0 for attn and mlp.
        index: usize,
        /// What was done: zero, ban or mean.
        how: &'static str,
        /// Positions at which it changed something.
        sites: usize,
        /// Change of the mean loss, in nats a token; positive is worse; empty with one token.
        loss_change: Option<f64>,
        /// Mean over the positions of KL(without ‖ with the edit) of the next-token distribution, in nats.
        kl: f64,
        /// Change of the target's logit at the last position.
        target_logit_change: f64,
        /// Change of the target's log-probability at the last position, in nats.
        target_logprob_change: f64,
        /// Change of logit(target) − logit(foil); empty without a foil.
        logit_difference_change: Option<f64>,
        /// Tokens of a layer that chose other experts, except where the edit itself chose.
        flips: usize,
    }
}

impl AblationRow {
    /// The row of one part.
    pub fn new((layer, part, index): (usize, &'static str, usize), how: &'static str, found: &Measures) -> Self {
        let Measures { sites, loss_change, kl, target_logit_change, target_logprob_change, .. } = *found;
        let Measures { logit_difference_change, flips, .. } = *found;
        Self {
            layer,
            part,
            index,
            how,
            sites,
            loss_change,
            kl,
            target_logit_change,
            target_logprob_change,
            logit_difference_change,
            flips,
        }
    }
}

table! {
    "patch.csv";
    /// One row for each value of the clean run that was put into the corrupted one.
    pub struct PatchRow {
        /// Decoder layer, from 0.
        layer: usize,
        /// Position of the value; empty for heads and experts, which are patched at all positions.
        position: Option<usize>,
        /// resid_pre, attn_out, mlp_out, head or expert.
        part: &'static str,
        /// Head or expert, from 0; empty for the others.
        index: Option<usize>,
        /// logit(target) − logit(foil) of the patched run at the last position; without a foil, logit(target).
        measure: f64,
        /// (measure − corrupted) / (clean − corrupted): 0 changes nothing, 1 restores the clean run.
        recovery: f64,
    }
}

impl PatchRow {
    /// The row of a place of a map: a layer, and a position, head or expert; `None` where nothing was patched.
    pub fn of(over: PatchOver, (layer, column): (usize, usize), found: &Found) -> Option<Self> {
        let Found::Patched { measure, recovery } = *found else { return None };
        let is_by_position = over.is_by_position();
        Some(Self {
            layer,
            position: is_by_position.then_some(column),
            part: over.part(),
            index: (!is_by_position).then_some(column),
            measure,
            recovery,
        })
    }
}

table! {
    "effect_positions.csv";
    /// One row for each position: the edited run compared with the run without edits.
    pub struct EffectPositionRow<'a> {
        /// Position, from 0.
        position: usize,
        /// Id of the token.
        token_id: u32,
        /// The tokenizer's spelling of it.
        token: Cow<'a, str>,
        /// Change of the token's loss, in nats; empty at position 0.
        loss_change: Option<f64>,
        /// KL(without ‖ with the edits) of the distribution after the token, in nats.
        kl: f64,
        /// Layers in which the edits changed something here.
        sites: usize,
        /// The text that `token` stands for: control characters as `\\n`, `\\t`, `\\u{1b}`, bytes that are no character as `‹C3›`.
        text: String,
    }
}

impl<'a> EffectPositionRow<'a> {
    /// The row of one position.
    pub fn new(found: &'a PositionEffect, text: TokenText) -> Self {
        Self {
            position: found.position,
            token_id: found.token_id,
            token: text.cell(&found.token),
            loss_change: found.loss_change,
            kl: found.kl,
            sites: found.sites,
            text: text.text(&found.token),
        }
    }
}

table! {
    "effect_layers.csv";
    /// One row for each layer: the edited run compared with the run without edits.
    pub struct EffectLayerRow {
        /// Decoder layer, from 0.
        layer: usize,
        /// Positions at which the edits changed something here.
        sites: usize,
        /// Tokens that chose other experts, except where the edits themselves chose.
        flips: usize,
        /// Those of these flips that rounding can explain (a margin of at most 4 ulps).
        near_tie_flips: usize,
        /// L2 norm of the change of `resid_post` over all positions, divided by that of the run without edits.
        residual_change: f64,
    }
}

impl From<LayerEffect> for EffectLayerRow {
    fn from(found: LayerEffect) -> Self {
        let LayerEffect { layer, sites, flips, near_tie_flips, residual_change } = found;
        Self { layer, sites, flips, near_tie_flips, residual_change }
    }
}
