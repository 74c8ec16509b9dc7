//! The precision lab: one prompt under several precision policies. One policy is the base; each is compared with it.

use super::diff::Mode;
use crate::trace::{Dtype, HookKind, Piece, Policy};
use serde::{Serialize, Serializer};

/// One prompt under several precision policies.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Lab {
    /// The model in one line.
    pub model: String,
    /// The policy that all others are compared with.
    pub base: Policy,
    /// The dtype in which the `hf` policies round.
    pub dtype: Dtype,
    /// The prompt, BOS included.
    pub tokens: Vec<LabToken>,
    /// Tokens to generate after the prompt, greedily. A row has fewer if its text ended earlier.
    pub steps: usize,
    /// One row per policy: the base first, then the others in the requested order.
    pub rows: Vec<LabRow>,
}

/// A token of the prompt or of the generated text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LabToken {
    /// Token id.
    pub id: u32,
    /// The tokenizer's spelling; untrusted text.
    #[serde(rename = "token")]
    pub piece: Piece,
}

/// The prompt under one policy, compared with the base.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LabRow {
    /// The policy.
    pub policy: Policy,
    /// Mean loss, nats; `None` with one token.
    pub mean_loss: Option<f64>,
    /// Loss of each token but the first, nats `[pos - 1]`.
    pub nll: Vec<f32>,
    /// The layers end to end: each reads the output of the layer before it, so differences accumulate `[layers]`.
    pub end_to_end: Vec<LabLayer>,
    /// The layers alone: each reads the base's input of that layer `[layers]`.
    pub isolated: Vec<LabLayer>,
    /// All flips end to end, by layer and position.
    pub flips: Vec<LabFlip>,
    /// The greedy continuation of the prompt.
    pub generated: Vec<LabToken>,
    /// Index into `generated` of the first token that is not the base's; `None` if there is none.
    pub differs_at: Option<usize>,
}

/// One layer under a policy, compared with the base.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LabLayer {
    /// Tokens whose set of experts differs.
    pub flips: usize,
    /// Tokens compared.
    pub choices: usize,
    /// Flips that rounding can explain, see [`Flip::is_within_rounding`](super::diff::Flip::is_within_rounding).
    #[serde(rename = "near_ties")]
    pub within_rounding: usize,
    /// Those of them where the scores are equal.
    pub exact_ties: usize,
    /// Equal values of each hook of [`Lab::COMPONENTS`], in that order.
    pub equal: Vec<LabEqual>,
}

/// How many values of a hook equal the base's, bit for bit (and +0 = -0).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct LabEqual {
    /// The hook.
    #[serde(serialize_with = "as_name")]
    pub hook: HookKind,
    /// Equal values.
    pub equal: usize,
    /// Values compared.
    pub values: usize,
}

/// A token whose set of experts is not the base's, end to end.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LabFlip {
    /// The decoder layer.
    pub layer: u32,
    /// Position of the token, from 0.
    pub position: usize,
    /// Margin under the base: router logit of the last chosen expert minus that of the best rejected one.
    pub margin_base: f32,
    /// Margin under the policy.
    pub margin: f32,
    /// Experts that only the base chose, best first.
    pub left: Vec<u32>,
    /// Experts that only the policy chose, best first.
    pub came: Vec<u32>,
    /// Whether the last chosen and a rejected expert have the same score, under the base or the policy.
    pub exact_tie: bool,
}

impl Lab {
    /// The hooks whose equal values are counted, in the order of the forward pass.
    pub const COMPONENTS: [HookKind; 4] =
        [HookKind::AttnOut, HookKind::RouterLogits, HookKind::MlpOut, HookKind::ResidPost];

    /// The row that all others are compared with.
    pub fn base_row(&self) -> Option<&LabRow> {
        self.rows.iter().find(|row| row.policy == self.base)
    }

    /// Mean loss of `row` minus that of the base, nats; `None` with one token.
    pub fn loss_change(&self, row: &LabRow) -> Option<f64> {
        Some(row.mean_loss? - self.base_row()?.mean_loss?)
    }

    /// The number of tokens that the longest generated text has: at most `steps`, fewer where the text ends.
    pub fn generated(&self) -> usize {
        self.rows.iter().map(|row| row.generated.len()).max().unwrap_or(0)
    }

    /// Layers of the model.
    pub fn layers(&self) -> usize {
        self.rows.first().map_or(0, |row| row.end_to_end.len())
    }
}

impl LabRow {
    /// The layers in a mode `[layers]`.
    pub fn layers(&self, mode: Mode) -> &[LabLayer] {
        match mode {
            Mode::EndToEnd => &self.end_to_end,
            Mode::Isolated => &self.isolated,
        }
    }

    /// Flips of all layers.
    pub fn flips(&self, mode: Mode) -> usize {
        self.layers(mode).iter().map(|layer| layer.flips).sum()
    }

    /// Equal values of a hook over all layers; zeros if the hook is not one of [`Lab::COMPONENTS`].
    pub fn equal(&self, mode: Mode, hook: HookKind) -> LabEqual {
        let all = self.layers(mode).iter().filter_map(|layer| layer.equal(hook));
        all.fold(LabEqual { hook, equal: 0, values: 0 }, |sum, one| LabEqual {
            hook,
            equal: sum.equal + one.equal,
            values: sum.values + one.values,
        })
    }
}

impl LabLayer {
    /// The equal values of a hook, if they are counted.
    pub fn equal(&self, hook: HookKind) -> Option<LabEqual> {
        self.equal.iter().find(|equal| equal.hook == hook).copied()
    }
}

impl LabEqual {
    /// Share of equal values, 0 to 1; 1 if there is no value.
    pub fn share(&self) -> f64 {
        if self.values == 0 { 1.0 } else { self.equal as f64 / self.values as f64 }
    }
}

fn as_name<S: Serializer>(hook: &HookKind, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(hook.short_name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_sums_over_layers_and_names_are_those_of_the_tables() {
        let layer = |flips, equal| LabLayer {
            flips,
            choices: 4,
            within_rounding: 1,
            exact_ties: 0,
            equal: Lab::COMPONENTS.map(|hook| LabEqual { hook, equal, values: 8 }).to_vec(),
        };
        let row = LabRow {
            policy: Policy::F32Router,
            mean_loss: None,
            nll: Vec::new(),
            end_to_end: vec![layer(1, 8), layer(2, 3)],
            isolated: vec![layer(0, 8), layer(1, 8)],
            flips: Vec::new(),
            generated: Vec::new(),
            differs_at: None,
        };
        assert_eq!((row.flips(Mode::EndToEnd), row.flips(Mode::Isolated)), (3, 1));
        assert_eq!(row.equal(Mode::EndToEnd, HookKind::MlpOut).share(), 11.0 / 16.0);
        assert_eq!(row.equal(Mode::EndToEnd, HookKind::Q).values, 0);
        let names: Vec<&str> = Lab::COMPONENTS.map(HookKind::short_name).to_vec();
        assert_eq!(names, ["attn_out", "router_logits", "mlp_out", "resid_post"]);
        let json = serde_json::to_value(&row).unwrap();
        assert_eq!(json["policy"], "f32-router");
        assert_eq!(json["end_to_end"][1]["equal"][0]["hook"], "attn_out");
    }
}
