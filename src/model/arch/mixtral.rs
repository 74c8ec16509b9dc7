//! Mixtral's config.json.

use super::axes::{Arch, Dispatch, Moe, Rope};
use super::keys::Keys;
use crate::model::precision::Rounding;
use crate::trace::{Dims, Level, Report};
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::ops::RangeInclusive;

/// The most parameters. The sizes of a larger model could overflow when they are multiplied.
const MAX_PARAMETERS: f64 = (1u64 << 56) as f64;
/// Epsilons that norms of trained models have; Mixtral's is 1e-5.
const EPS: RangeInclusive<f64> = 1e-8..=1e-4;

/// Reads the architecture, and notes in `report` every value that was missing.
///
/// # Errors
/// If a key is missing or has an impossible value, or the config asks for something that is not implemented.
pub fn read(keys: &Keys, report: &mut Report) -> Result<Arch> {
    let origin = keys.origin;
    let heads = keys.size("num_attention_heads", None, report)?;
    let d_model = keys.size("hidden_size", None, report)?;
    let d_head = keys.d_head(d_model, heads, report)?;
    let dims = Dims {
        layers: keys.size("num_hidden_layers", None, report)?,
        d_model,
        d_ff: keys.size("intermediate_size", None, report)?,
        heads,
        kv_heads: keys.size("num_key_value_heads", Some(8), report)?,
        d_head,
        experts: keys.size_of_any(&["num_local_experts", "num_experts"], Some(8), report)?,
        top_k: keys.size("num_experts_per_tok", Some(2), report)?,
        vocab: keys.size("vocab_size", None, report)?,
        context: keys.context(131_072, report)?,
        window: keys.window(report)?,
    };
    ensure!(
        heads % dims.kv_heads == 0,
        "{origin}: num_attention_heads {heads} is not a multiple of num_key_value_heads {}",
        dims.kv_heads
    );
    ensure!(
        dims.top_k <= dims.experts,
        "{origin}: num_experts_per_tok {} exceeds num_local_experts {}",
        dims.top_k,
        dims.experts
    );
    let parameters = parameters(dims);
    ensure!(parameters < MAX_PARAMETERS, "{origin}: its sizes make {parameters:.1e} parameters, which no model has");
    let found = format!("top-{} of {}", dims.top_k, dims.experts);
    let level = if dims.top_k == 2 { Level::Ok } else { Level::Note };
    report.add(level, keys.subject("experts"), "top-2, as in Mixtral's own models", found, "");
    let found = format!("{} tokens", dims.context);
    report.add(Level::Ok, keys.subject("max_position_embeddings"), "a context", found, "");
    if let Some(other) = keys.get("hidden_act").filter(|act| !matches!(act.as_str(), Some("silu" | "swish"))) {
        bail!("{origin}: hidden_act {other} is not supported; Mixtral's experts use silu");
    }
    let eps = eps(keys, report)?;
    let tied = match keys.get("tie_word_embeddings") {
        Some(tied) => tied
            .as_bool()
            .with_context(|| format!("{origin}: tie_word_embeddings is {tied}, expected true or false"))?,
        None => false,
    };
    let rope = Rope { base: keys.rope_base(report)? };
    let moe = Moe { softmax: Rounding::None, renormalise: true, dispatch: Dispatch::Chosen };
    Ok(Arch { dims, eps, tied, rope, moe })
}

fn eps(keys: &Keys, report: &mut Report) -> Result<f64> {
    let subject = keys.subject("rms_norm_eps");
    match keys.get("rms_norm_eps") {
        Some(eps) => eps
            .as_f64()
            .filter(|eps| eps.is_finite() && *eps >= 0.0)
            .with_context(|| format!("{subject} is {eps}, expected a small positive number")),
        None => {
            report.add(Level::Note, subject, "", "missing; transformers' default 1e-5 is used", "");
            Ok(1e-5)
        }
    }
}

/// The approximate number of weights.
fn parameters(d: Dims) -> f64 {
    let [layers, d_model, d_ff, experts, vocab] = [d.layers, d.d_model, d.d_ff, d.experts, d.vocab].map(|n| n as f64);
    let heads = (d.heads + d.kv_heads) as f64 * d.d_head as f64;
    layers * d_model * (2.0 * heads + 3.0 * experts * d_ff) + 2.0 * vocab * d_model
}

/// Notes in `report` whether the constants are those of a Mixtral.
pub fn constants(keys: &Keys, arch: &Arch, report: &mut Report) {
    let (level, advice) = match EPS.contains(&arch.eps) {
        true => (Level::Ok, ""),
        false => (Level::Warn, "every norm is computed with it: check it against the model's source"),
    };
    report.add(level, keys.subject("rms_norm_eps"), "1e-8 to 1e-4", format!("{:e}", arch.eps as f32), advice);
    let expected = "divided by their sum";
    match keys.json.get("norm_topk_prob").and_then(Value::as_bool) {
        Some(false) => report.add(
            Level::Warn,
            keys.subject("norm_topk_prob"),
            expected,
            "false",
            "it is ignored, as transformers' Mixtral does: a model trained without is not a Mixtral",
        ),
        _ => report.add(Level::Ok, "mixing weights", expected, "renormalised, as in every Mixtral", ""),
    }
}
