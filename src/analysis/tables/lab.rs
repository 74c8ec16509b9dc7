use super::row::table;
use super::spaced;
use super::text::TokenText;
use crate::analysis::diff::Mode;
use crate::analysis::lab::{Lab, LabLayer, LabRow};
use crate::trace::{HookKind, Policy};
use std::borrow::Cow;

table! {
    "lab.csv";
    /// One row for each policy, compared with the base.
    pub struct LabPolicyRow<'a> {
        /// The precision policy.
        policy: Policy,
        /// Mean loss, in nats; empty with one token.
        mean_loss: Option<f64>,
        /// Mean loss minus that of the base, in nats.
        loss_change: Option<f64>,
        /// Tokens and layers whose set of experts is not the base's, end to end.
        flips: usize,
        /// Flips that rounding can explain (a margin of at most 4 ulps), end to end.
        near_ties: usize,
        /// Share of the values of attn_out that equal the base's bit for bit, 0 to 1, end to end.
        attn_out: f64,
        /// The same for router_logits.
        router_logits: f64,
        /// The same for mlp_out.
        mlp_out: f64,
        /// The same for resid_post.
        resid_post: f64,
        /// Flips where each layer alone reads the base's input.
        isolated_flips: usize,
        /// Those of these flips that rounding can explain.
        isolated_near_ties: usize,
        /// Share of equal values of attn_out where each layer alone reads the base's input, 0 to 1.
        isolated_attn_out: f64,
        /// The same for router_logits.
        isolated_router_logits: f64,
        /// The same for mlp_out.
        isolated_mlp_out: f64,
        /// The same for resid_post.
        isolated_resid_post: f64,
        /// Tokens and layers that were compared.
        choices: usize,
        /// The first generated token that is not the base's, from 0; empty if none differs.
        differs_at: Option<usize>,
        /// Id of that token; empty if the text ended before it.
        token_id: Option<u32>,
        /// The tokenizer's spelling of it.
        token: Option<Cow<'a, str>>,
        /// Id of the base's token there; empty if the base's text ended before it.
        base_token_id: Option<u32>,
        /// The tokenizer's spelling of it.
        base_token: Option<Cow<'a, str>>,
        /// The text that `token` stands for: control characters as `\\n`, `\\t`, `\\u{1b}`, bytes that are no character as `‹C3›`.
        text: Option<String>,
        /// The text that `base_token` stands for.
        base_text: Option<String>,
    }
}

/// Flips, those within rounding, and the share of equal values of each of [`Lab::COMPONENTS`], over all layers.
fn totals(row: &LabRow, mode: Mode) -> (usize, usize, [f64; 4]) {
    let within_rounding = row.layers(mode).iter().map(|layer| layer.within_rounding).sum();
    (row.flips(mode), within_rounding, Lab::COMPONENTS.map(|hook| row.equal(mode, hook).share()))
}

/// The rows of `lab.csv`.
pub fn lab_policies(lab: &Lab, text: TokenText) -> impl Iterator<Item = LabPolicyRow<'_>> {
    let of_base = lab.base_row().map_or(&[][..], |base| &base.generated);
    lab.rows.iter().map(move |row| {
        let (flips, near_ties, [attn_out, router_logits, mlp_out, resid_post]) = totals(row, Mode::EndToEnd);
        let (isolated_flips, isolated_near_ties, isolated) = totals(row, Mode::Isolated);
        let [isolated_attn_out, isolated_router_logits, isolated_mlp_out, isolated_resid_post] = isolated;
        let own = row.differs_at.and_then(|at| row.generated.get(at));
        let base = row.differs_at.and_then(|at| of_base.get(at));
        LabPolicyRow {
            policy: row.policy,
            mean_loss: row.mean_loss,
            loss_change: lab.loss_change(row),
            flips,
            near_ties,
            attn_out,
            router_logits,
            mlp_out,
            resid_post,
            isolated_flips,
            isolated_near_ties,
            isolated_attn_out,
            isolated_router_logits,
            isolated_mlp_out,
            isolated_resid_post,
            choices: row.end_to_end.iter().map(|layer| layer.choices).sum(),
            differs_at: row.differs_at,
            token_id: own.map(|token| token.id),
            token: own.map(|token| text.cell(&token.piece)),
            base_token_id: base.map(|token| token.id),
            base_token: base.map(|token| text.cell(&token.piece)),
            text: own.map(|token| text.text(&token.piece)),
            base_text: base.map(|token| text.text(&token.piece)),
        }
    })
}

table! {
    "lab";
    /// One row for each policy, compared with the base end to end: the columns of `lab.csv` that the explorer copies.
    pub struct LabEndToEndRow {
        /// The precision policy.
        policy: Policy,
        /// Mean loss, in nats; empty with one token.
        mean_loss: Option<f64>,
        /// Mean loss minus that of the base, in nats.
        loss_change: Option<f64>,
        /// Tokens and layers whose set of experts is not the base's.
        flips: usize,
        /// Share of the values of attn_out that equal the base's bit for bit, 0 to 1.
        attn_out: f64,
        /// The same for router_logits.
        router_logits: f64,
        /// The same for mlp_out.
        mlp_out: f64,
        /// The same for resid_post.
        resid_post: f64,
        /// The first generated token that is not the base's, from 0; empty if none differs.
        differs_at: Option<usize>,
    }
}

/// The rows of a lab that the explorer copies.
pub fn lab_end_to_end(lab: &Lab) -> impl Iterator<Item = LabEndToEndRow> {
    lab_policies(lab, TokenText::Exact).map(|row| LabEndToEndRow {
        policy: row.policy,
        mean_loss: row.mean_loss,
        loss_change: row.loss_change,
        flips: row.flips,
        attn_out: row.attn_out,
        router_logits: row.router_logits,
        mlp_out: row.mlp_out,
        resid_post: row.resid_post,
        differs_at: row.differs_at,
    })
}

table! {
    "lab_layers.csv";
    /// One row for each policy, mode and layer.
    pub struct LabLayerRow {
        /// The precision policy.
        policy: Policy,
        /// `end_to_end`, or `isolated`: each layer alone reads the base's input.
        mode: &'static str,
        /// Decoder layer, from 0.
        layer: usize,
        /// Tokens whose set of experts is not the base's.
        flips: usize,
        /// Tokens that were compared.
        choices: usize,
        /// Flips that rounding can explain (a margin of at most 4 ulps).
        near_ties: usize,
        /// Values of attn_out that equal the base's bit for bit.
        attn_out_equal: Option<usize>,
        /// Values of attn_out that were compared.
        attn_out_values: Option<usize>,
        /// Values of router_logits that equal the base's bit for bit.
        router_logits_equal: Option<usize>,
        /// Values of router_logits that were compared.
        router_logits_values: Option<usize>,
        /// Values of mlp_out that equal the base's bit for bit.
        mlp_out_equal: Option<usize>,
        /// Values of mlp_out that were compared.
        mlp_out_values: Option<usize>,
        /// Values of resid_post that equal the base's bit for bit.
        resid_post_equal: Option<usize>,
        /// Values of resid_post that were compared.
        resid_post_values: Option<usize>,
    }
}

/// The rows of `lab_layers.csv`.
pub fn lab_layers(lab: &Lab) -> impl Iterator<Item = LabLayerRow> {
    let modes = lab.rows.iter().flat_map(|row| Mode::ALL.map(|mode| (row, mode)));
    modes.flat_map(|(row, mode)| {
        let layers = row.layers(mode).iter().enumerate();
        layers.map(move |(layer, found)| layer_row((row.policy, mode, layer), found))
    })
}

fn layer_row((policy, mode, layer): (Policy, Mode, usize), found: &LabLayer) -> LabLayerRow {
    let counts = |hook: HookKind| found.equal(hook).map(|found| (found.equal, found.values)).unzip();
    let [attn_out, router_logits, mlp_out, resid_post] = Lab::COMPONENTS.map(counts);
    LabLayerRow {
        policy,
        mode: mode.key(),
        layer,
        flips: found.flips,
        choices: found.choices,
        near_ties: found.within_rounding,
        attn_out_equal: attn_out.0,
        attn_out_values: attn_out.1,
        router_logits_equal: router_logits.0,
        router_logits_values: router_logits.1,
        mlp_out_equal: mlp_out.0,
        mlp_out_values: mlp_out.1,
        resid_post_equal: resid_post.0,
        resid_post_values: resid_post.1,
    }
}

table! {
    "lab_flips.csv";
    /// One row for each flip, end to end.
    pub struct LabFlipRow<'a> {
        /// The precision policy.
        policy: Policy,
        /// Decoder layer, from 0.
        layer: u32,
        /// Position of the token, from 0.
        position: usize,
        /// Id of the token.
        token_id: Option<u32>,
        /// The tokenizer's spelling of it.
        token: Option<Cow<'a, str>>,
        /// Margin under the base: router logit of the last chosen expert minus that of the best rejected one.
        margin_base: f32,
        /// Margin under the policy.
        margin: f32,
        /// Experts that only the base chose, best first, with spaces between them.
        left: String,
        /// Experts that only the policy chose, best first, with spaces between them.
        came: String,
        /// 1 if the last chosen and a rejected expert have the same score, under the base or the policy, else 0.
        exact_tie: u8,
        /// The text that the token stands for: control characters as `\\n`, `\\t`, `\\u{1b}`, bytes that are no character as `‹C3›`.
        text: Option<String>,
    }
}

/// The rows of `lab_flips.csv`.
pub fn lab_flips(lab: &Lab, text: TokenText) -> impl Iterator<Item = LabFlipRow<'_>> {
    let flips = lab.rows.iter().flat_map(|row| row.flips.iter().map(move |flip| (row.policy, flip)));
    flips.map(move |(policy, flip)| {
        let token = lab.tokens.get(flip.position);
        LabFlipRow {
            policy,
            layer: flip.layer,
            position: flip.position,
            token_id: token.map(|token| token.id),
            token: token.map(|token| text.cell(&token.piece)),
            margin_base: flip.margin_base,
            margin: flip.margin,
            left: spaced(&flip.left),
            came: spaced(&flip.came),
            exact_tie: u8::from(flip.exact_tie),
            text: token.map(|token| text.text(&token.piece)),
        }
    })
}

table! {
    "lab_tokens.csv";
    /// One row for each policy and token of the prompt.
    pub struct LabTokenRow<'a> {
        /// The precision policy.
        policy: Policy,
        /// Position of the token, from 0.
        position: usize,
        /// Id of the token.
        token_id: u32,
        /// The tokenizer's spelling of it.
        token: Cow<'a, str>,
        /// Loss of the token, in nats; empty at position 0.
        nll: Option<f32>,
        /// The text that the token stands for: control characters as `\\n`, `\\t`, `\\u{1b}`, bytes that are no character as `‹C3›`.
        text: String,
    }
}

/// The rows of `lab_tokens.csv`.
pub fn lab_tokens(lab: &Lab, text: TokenText) -> impl Iterator<Item = LabTokenRow<'_>> {
    lab.rows.iter().flat_map(move |row| {
        lab.tokens.iter().enumerate().map(move |(position, token)| LabTokenRow {
            policy: row.policy,
            position,
            token_id: token.id,
            token: text.cell(&token.piece),
            nll: position.checked_sub(1).and_then(|i| row.nll.get(i)).copied(),
            text: text.text(&token.piece),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::tables::Row;

    #[test]
    fn every_component_is_a_column_of_its_name() {
        let names = |row: &[crate::analysis::tables::Column]| row.iter().map(|column| column.name).collect::<Vec<_>>();
        let components = Lab::COMPONENTS.map(HookKind::short_name);
        let policies = names(LabPolicyRow::TABLE.columns);
        assert_eq!(policies[5..9], components);
        assert_eq!(policies[11..15], components.map(|name| format!("isolated_{name}")));
        let layers = names(LabLayerRow::TABLE.columns);
        assert_eq!(layers[6..], components.map(|name| [format!("{name}_equal"), format!("{name}_values")]).concat());
        let copied = names(LabEndToEndRow::TABLE.columns);
        assert!(copied.iter().all(|name| policies.contains(name)), "{copied:?}");
    }
}
