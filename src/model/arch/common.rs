//! What all families' readers share.

use super::axes::{Arch, Attn, Dispatch, Glu, Moe, Multipliers, Rope};
use super::keys::Keys;
use super::names::Names;
use crate::model::precision::{NormRounding, Rounding};
use crate::trace::{Dims, LayerSet, Level, Report};
use anyhow::{Result, bail, ensure};
use std::ops::RangeInclusive;

/// The most parameters. The sizes of a larger model could overflow when they are multiplied.
const MAX_PARAMETERS: f64 = (1u64 << 56) as f64;
/// Epsilons that norms of trained models have.
const EPS: RangeInclusive<f64> = 1e-8..=1e-4;

/// transformers' defaults of a family, and its names of keys.
pub struct Family {
    /// The family's name in sentences.
    pub name: &'static str,
    /// Key of the width of an expert's hidden layer.
    pub d_ff: &'static str,
    /// Keys of the number of experts: names of one number.
    pub experts: &'static [&'static str],
    /// Default number of experts; `None`: the key is needed.
    pub default_experts: Option<u64>,
    /// Default number of experts of a token.
    pub top_k: u64,
    /// Default number of key-value heads; `None`: as many as there are heads.
    pub kv_heads: Option<u64>,
    /// Default context.
    pub context: u64,
    /// Default epsilon of the norms.
    pub eps: f64,
    /// Default base of RoPE.
    pub rope: f64,
    /// Types of RoPE besides `default`.
    pub scalings: &'static [&'static str],
    /// The experts of a token in the family's own models; `None` if they vary.
    pub own_top_k: Option<usize>,
}

/// The architecture without what only some families have: renormalised weights, no window.
///
/// # Errors
/// If a key is missing or has an impossible value, or the config asks for something that is not implemented.
pub fn read(keys: &Keys, family: &Family, names: Names, report: &mut Report) -> Result<Arch> {
    let origin = keys.origin;
    let heads = keys.size("num_attention_heads", None, report)?;
    let d_model = keys.size("hidden_size", None, report)?;
    let d_head = keys.d_head(d_model, heads, report)?;
    let kv_heads = match (keys.get("num_key_value_heads"), family.kv_heads) {
        (None, None) => heads,
        _ => keys.size("num_key_value_heads", family.kv_heads, report)?,
    };
    let dims = Dims {
        layers: keys.size("num_hidden_layers", None, report)?,
        d_model,
        d_ff: keys.size(family.d_ff, None, report)?,
        heads,
        kv_heads,
        d_head,
        experts: keys.size_of_any(family.experts, family.default_experts, report)?,
        top_k: keys.size("num_experts_per_tok", Some(family.top_k), report)?,
        vocab: keys.size("vocab_size", None, report)?,
        context: keys.context(family.context, report)?,
        ..Dims::default()
    };
    ensure!(
        heads % dims.kv_heads == 0,
        "{origin}: num_attention_heads {heads} is not a multiple of num_key_value_heads {}",
        dims.kv_heads
    );
    ensure!(
        dims.top_k <= dims.experts,
        "{origin}: num_experts_per_tok {} exceeds {} {}",
        dims.top_k,
        family.experts[0],
        dims.experts
    );
    let found = format!("top-{} of {}", dims.top_k, dims.experts);
    match family.own_top_k {
        Some(own) => {
            let level = if dims.top_k == own { Level::Ok } else { Level::Note };
            let expected = format!("top-{own}, as in {}'s own models", family.name);
            report.add(level, keys.subject("experts"), expected, found, "");
        }
        None => report.add(Level::Ok, keys.subject("experts"), "no more than there are", found, ""),
    }
    let found = format!("{} tokens", dims.context);
    report.add(Level::Ok, keys.subject("max_position_embeddings"), "a context", found, "");
    if let Some(other) = keys.get("hidden_act").filter(|act| !matches!(act.as_str(), Some("silu" | "swish"))) {
        bail!("{origin}: hidden_act {other} is not supported; {}'s experts use silu", family.name);
    }
    Ok(Arch {
        dims,
        eps: keys.eps(family.eps, report)?,
        norm: NormRounding::Twice,
        tied: keys.flag("tie_word_embeddings", false)?,
        rope: Rope { base: keys.rope_base(family.rope, family.scalings, report)?, yarn: None },
        attn: Attn::default(),
        moe: Moe {
            softmax: Rounding::None,
            renormalise: true,
            weights_as_logits: false,
            dispatch: Dispatch::Chosen,
            activation: Glu::Silu,
            bias: false,
        },
        multipliers: Multipliers::default(),
        names,
    })
}

/// Refuses sizes that no model has.
///
/// # Errors
/// If the number of parameters could not be counted.
pub fn check_size(keys: &Keys, d: Dims) -> Result<()> {
    let [layers, d_model, d_ff, experts, vocab] = [d.layers, d.d_model, d.d_ff, d.experts, d.vocab].map(|n| n as f64);
    let heads = (d.heads + d.kv_heads) as f64 * d.d_head as f64;
    let mlps = 3.0 * (experts * d_ff + (d.d_shared + d.d_dense) as f64);
    let parameters = layers * d_model * (2.0 * heads + mlps) + 2.0 * vocab * d_model;
    let origin = keys.origin;
    ensure!(parameters < MAX_PARAMETERS, "{origin}: its sizes make {parameters:.1e} parameters, which no model has");
    Ok(())
}

/// The layers without a router: those that `mlp_only_layers` lists, and those that `decoder_sparse_step` skips.
///
/// # Errors
/// If a value is impossible, or no layer has a router.
pub fn dense_layers(keys: &Keys, layers: usize, report: &mut Report) -> Result<LayerSet> {
    let step = match keys.get("decoder_sparse_step") {
        None => 1,
        Some(_) => keys.size("decoder_sparse_step", None, report)?,
    };
    let subject = keys.subject("mlp_only_layers");
    let listed = match keys.get("mlp_only_layers") {
        None => Vec::new(),
        Some(list) => {
            let layer = |value: &serde_json::Value| value.as_u64().and_then(|layer| usize::try_from(layer).ok());
            let list: Option<Vec<usize>> = list.as_array().and_then(|list| list.iter().map(layer).collect());
            list.ok_or_else(|| anyhow::anyhow!("{subject}: expected a list of layers, found another value"))?
        }
    };
    if step == 1 && listed.is_empty() {
        return Ok(LayerSet::NONE);
    }
    let most = LayerSet::MOST;
    ensure!(
        layers <= most,
        "{subject}: some of {layers} layers without a router are not supported, only of up to {most}"
    );
    let is_dense = |layer: &usize| listed.contains(layer) || !(layer + 1).is_multiple_of(step);
    let dense: Vec<usize> = (0..layers).filter(is_dense).collect();
    ensure!(dense.len() < layers, "{subject}: no layer has a router; mixscope shows mixtures of experts");
    if !dense.is_empty() {
        let numbers = dense.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
        report.add(Level::Ok, subject, "some layers with a router", format!("layers {numbers} have none"), "");
    }
    Ok(dense.into_iter().collect())
}

/// Notes in `report` which constants are unusual, and how mixing weights are made.
pub fn constants(keys: &Keys, arch: &Arch, report: &mut Report) {
    eps(keys, arch, report);
    let found = if arch.moe.renormalise { "divided by their sum" } else { "probabilities over all experts" };
    report.add(Level::Ok, "mixing weights", "as the config says", found, "");
}

/// Notes in `report` whether the epsilon of the norms is unusual.
pub fn eps(keys: &Keys, arch: &Arch, report: &mut Report) {
    let (level, advice) = match EPS.contains(&arch.eps) {
        true => (Level::Ok, ""),
        false => (Level::Warn, "every norm is computed with it: check it against the model's source"),
    };
    report.add(level, keys.subject("rms_norm_eps"), "1e-8 to 1e-4", format!("{:e}", arch.eps as f32), advice);
}
