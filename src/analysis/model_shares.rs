//! Contributions of the heads and experts of all layers to a logit, or to the difference of two.

use super::attribution::{Attribution, LayerShares};
use super::effect_map::Watch;
use std::fmt;

/// What a block adds beside its parts is rounding up to this share of a logit.
const LEAST_REST: f64 = 0.1;

/// A part of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ModelPart {
    /// The token embedding.
    Embed,
    /// A head of a layer.
    Head(usize, usize),
    /// An expert of a layer.
    Expert(usize, usize),
    /// The shared expert of a layer.
    Shared(usize),
    /// What the attention block of a layer adds beside its heads: a bias, or what an edit of the whole block changed.
    AttnRest(usize),
    /// What the MLP block of a layer adds beside its experts: all of it in a layer without a router, or what an edit of the
    /// whole block changed.
    MlpRest(usize),
    /// What an edit put into the residual stream of a layer, by its place among such edits.
    Edit(usize, usize),
}

impl fmt::Display for ModelPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&match self {
            Self::Embed => "embed".to_owned(),
            Self::Head(layer, head) => format!("L{layer}.H{head}"),
            Self::Expert(layer, expert) => format!("L{layer}.E{expert}"),
            Self::Shared(layer) => format!("L{layer}.shared"),
            Self::AttnRest(layer) => format!("L{layer}.attn"),
            Self::MlpRest(layer) => format!("L{layer}.mlp"),
            Self::Edit(layer, _) => format!("L{layer} edit"),
        })
    }
}

/// The contribution of one part.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    /// The part.
    pub part: ModelPart,
    /// To the target's logit.
    pub target: f64,
    /// To the foil's logit; `None` without a foil.
    pub foil: Option<f64>,
}

impl Share {
    /// Its contribution to logit(target) − logit(foil); without a foil, to the target's logit.
    pub fn value(&self) -> f64 {
        self.target - self.foil.unwrap_or(0.0)
    }
}

/// The contributions of all parts.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelShares {
    /// The logits that are attributed.
    pub watch: Watch,
    /// The attribution of the target, all layers in detail.
    pub target: Attribution,
    /// That of the foil.
    pub foil: Option<Attribution>,
}

impl ModelShares {
    /// All parts in the order of the pass.
    pub fn all(&self) -> Vec<Share> {
        let foil = self.foil.as_ref();
        let share = |part, target: f64, of_foil: Option<f64>| Share { part, target, foil: foil.and(of_foil) };
        let mut all = vec![share(ModelPart::Embed, self.target.embed, foil.map(|foil| foil.embed))];
        for (at, edit) in self.target.edits.iter().enumerate() {
            let other = foil.and_then(|foil| foil.edits.get(at)).map(|edit| edit.share);
            all.push(share(ModelPart::Edit(edit.layer, at), edit.share, other));
        }
        for of_layer in &self.target.details {
            let layer = of_layer.layer;
            let others = foil.and_then(|foil| foil.layer(layer));
            for (head, value) in of_layer.heads.iter().enumerate() {
                let other = others.and_then(|others| others.heads.get(head).copied());
                all.push(share(ModelPart::Head(layer, head), *value, other));
            }
            let of_attn = |shares: &LayerShares| shares.heads_remainder + shares.bias;
            let of_mlp = |found: &Attribution, shares: &LayerShares| match shares.experts.is_empty() {
                true => found.mlp[layer],
                false => shares.experts_remainder,
            };
            let rest_of_foil = foil.zip(others).map(|(foil, others)| of_mlp(foil, others));
            let rests = [
                (ModelPart::AttnRest(layer), of_attn(of_layer), others.map(of_attn)),
                (ModelPart::MlpRest(layer), of_mlp(&self.target, of_layer), rest_of_foil),
            ];
            // Below this they are rounding.
            let is_more = |rest: f64| rest.abs() > LEAST_REST;
            let rests =
                rests.into_iter().filter(|(_, of_target, of_foil)| is_more(*of_target) || of_foil.is_some_and(is_more));
            all.extend(rests.map(|(part, of_target, of_foil)| share(part, of_target, of_foil)));
            for (slot, expert) in of_layer.experts.iter().enumerate() {
                let other = others.and_then(|others| others.experts.get(slot)).map(|expert| expert.share);
                all.push(share(ModelPart::Expert(layer, expert.expert as usize), expert.share, other));
            }
            if let Some(value) = of_layer.shared {
                all.push(share(ModelPart::Shared(layer), value, others.and_then(|others| others.shared)));
            }
        }
        all
    }

    /// All parts, the largest absolute contribution first.
    pub fn ranked(&self) -> Vec<Share> {
        let mut all = self.all();
        all.sort_by(|a, b| b.value().abs().total_cmp(&a.value().abs()));
        all
    }

    /// logit(target) − logit(foil), as the model computes it; without a foil, the target's logit.
    pub fn logit(&self) -> f64 {
        f64::from(self.target.logit) - self.foil.as_ref().map_or(0.0, |foil| f64::from(foil.logit))
    }
}
