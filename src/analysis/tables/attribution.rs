use super::row::table;
use super::text::TokenText;
use crate::analysis::attribution::{Attribution, ExpertShare};
use std::borrow::Cow;

table! {
    "attribution.csv";
    /// One row for each token and part of the model that contributes to the logit of the next token.
    pub struct AttributionRow<'a> {
        /// Position of the token, from 0.
        position: usize,
        /// Id of the token whose logit is attributed: the one that came next; at the last position the most probable one.
        target_id: u32,
        /// The tokenizer's spelling of it.
        target: Cow<'a, str>,
        /// `embed`, `attn`, `mlp`, `head`, `attn_bias` (of the attention's output), `expert`, `shared` (the shared expert),
        /// `remainder` (rounding), or `added` and `patched`: what an edit put into the residual stream.
        component: &'static str,
        /// Decoder layer, from 0; empty for `embed` and `remainder`.
        layer: Option<usize>,
        /// Head or expert, from 0; empty for the other components.
        index: Option<usize>,
        /// Contribution to the logit, with the scale of the final norm frozen. Those of embed, attn, mlp, added, patched and
        /// remainder add up to the logit.
        share: f64,
        /// Norm of the expert's weighted output, ‖w·out‖₂; empty for the other components.
        norm: Option<f64>,
        /// Cosine of the expert's output with the layer's whole MLP output; empty for the other components.
        cosine: Option<f64>,
        /// The text that the token `target` stands for: control characters as `\\n`, `\\t`, `\\u{1b}`, bytes that are no character as `‹C3›`.
        text: String,
    }
}

/// The rows of `attribution.csv` for one token: embed, then attn and mlp of every layer, what edits put in, the remainder,
/// and heads and experts of the layers that were attributed in detail.
pub fn attribution(found: &Attribution, text: TokenText) -> impl Iterator<Item = AttributionRow<'_>> {
    let row = move |component, layer, index, share| AttributionRow {
        position: found.pos,
        target_id: found.target,
        target: text.cell(&found.piece),
        component,
        layer,
        index,
        share,
        norm: None,
        cosine: None,
        text: text.text(&found.piece),
    };
    let blocks = found.attn.iter().zip(&found.mlp).enumerate().flat_map(move |(layer, (attn, mlp))| {
        [row("attn", Some(layer), None, *attn), row("mlp", Some(layer), None, *mlp)]
    });
    let heads = found.details.iter().flat_map(move |of_layer| {
        let heads = of_layer.heads.iter().enumerate();
        heads.map(move |(head, share)| row("head", Some(of_layer.layer), Some(head), *share))
    });
    let biases = found.details.iter().filter(|of_layer| of_layer.bias != 0.0);
    let biases = biases.map(move |of_layer| row("attn_bias", Some(of_layer.layer), None, of_layer.bias));
    let shared = found
        .details
        .iter()
        .filter_map(move |of_layer| Some(row("shared", Some(of_layer.layer), None, of_layer.shared?)));
    let experts = found.details.iter().flat_map(move |of_layer| {
        of_layer.experts.iter().map(move |expert| {
            let ExpertShare { expert, share, norm, cosine, .. } = *expert;
            let row = row("expert", Some(of_layer.layer), Some(expert as usize), share);
            AttributionRow { norm: Some(norm), cosine, ..row }
        })
    });
    let embed = std::iter::once(row("embed", None, None, found.embed));
    let remainder = std::iter::once(row("remainder", None, None, found.remainder));
    let edits = found.edits.iter().map(move |edit| {
        let component = if edit.is_patch { "patched" } else { "added" };
        row(component, Some(edit.layer), None, edit.share)
    });
    embed.chain(blocks).chain(edits).chain(remainder).chain(heads).chain(biases).chain(experts).chain(shared)
}
