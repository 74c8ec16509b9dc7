//! Attribution of a logit to the parts of the model, from what a run keeps.

use super::captured::not_captured;
use crate::analysis::{Attribution, AttributionKey, LayerShares};
use crate::control::{Control, Stopped};
use crate::engine::run::{Live, Run};
use crate::protocol::Derived;
use crate::trace::HookKind;
use anyhow::{Context, Result, ensure};
use std::ops::Range;
use std::sync::Arc;

pub fn derive(run: &Run, key: AttributionKey, control: &Control) -> Result<Derived> {
    let layers = key.layer..key.layer.saturating_add(1);
    Ok(Derived::Attribution(Arc::new(attribution(run.need_live()?, key.pos, key.target, layers, control)?)))
}

/// The contributions to the logit of `target` after position `pos`. Layers in `layers` are split into heads and experts;
/// their chosen experts are read for it.
///
/// # Errors
/// [`Stopped`](crate::control::Stopped) if `control` is cancelled (checked between layers), or if the run no longer has
/// this position; if `target` or `layers` are outside the model; if what it is derived from was not captured.
pub fn attribution(
    live: &Live,
    pos: usize,
    target: u32,
    layers: Range<usize>,
    control: &Control,
) -> Result<Attribution> {
    let (model, dims, precision) = (&live.loaded().model, live.meta().dims, live.precision());
    ensure!(layers.end <= dims.layers, "layer {} is outside the model's {} layers", layers.end - 1, dims.layers);
    let token = live.tokens().get(pos).ok_or(Stopped)?;
    let last = token.row(HookKind::ResidPost, dims.layers - 1).with_context(not_captured)?;
    let direction = model.direction(last, target, precision)?;
    let edits = live.edits().map(|edits| (edits, pos));
    let stream = model.stream_shares(token, edits, &direction, precision).with_context(not_captured)?;
    let mut details = Vec::with_capacity(layers.len());
    for layer in layers {
        control.check()?;
        let cuts = live.edits().and_then(|edits| edits.cuts(layer));
        let run = (live.tokens(), live.cache());
        let mut heads =
            model.head_shares(run, (pos, layer), &direction, precision, cuts.as_ref()).with_context(not_captured)?;
        control.check()?;
        let has_router = dims.has_router(layer);
        let mut experts = match has_router {
            true => model.expert_shares(token, layer, &direction, precision)?.with_context(not_captured)?,
            false => Vec::new(),
        };
        let mut bias = model.bias_share(layer, &direction);
        let mut shared = match has_router && dims.d_shared > 0 {
            true => Some(model.shared_share(token, layer, &direction, precision)?.with_context(not_captured)?),
            false => None,
        };
        if let Some(edits) = live.edits() {
            // What is left of a block's output is left of its parts.
            let kept = |kind: HookKind| edits.streamed(kind.at(layer), pos).kept;
            let (of_heads, of_experts) = (kept(HookKind::AttnOut), kept(HookKind::MlpOut));
            heads.iter_mut().for_each(|share| *share *= of_heads);
            experts.iter_mut().for_each(|expert| expert.keep(of_experts));
            bias *= of_heads;
            shared = shared.map(|share| share * of_experts);
        }
        let heads_remainder = stream.attn[layer] - bias - heads.iter().sum::<f64>();
        let of_experts = experts.iter().map(|expert| expert.share).chain(shared).sum::<f64>();
        let experts_remainder = if has_router { stream.mlp[layer] - of_experts } else { 0.0 };
        details.push(LayerShares { layer, heads, bias, heads_remainder, experts, shared, experts_remainder });
    }
    let mut whole = Attribution {
        pos,
        target,
        piece: live.piece(target),
        logit: direction.logit,
        scale: direction.scale,
        embed: stream.embed,
        attn: stream.attn,
        mlp: stream.mlp,
        edits: stream.edits,
        remainder: 0.0,
        details,
    };
    whole.remainder = f64::from(whole.logit) - whole.sum();
    Ok(whole)
}
