use crate::trace::{Records, Sampling, Source, json_text};
use anyhow::Result;
use serde_json::{Value, json};

/// The content of `run.json` apart from the records.
pub struct RunInfo<'a> {
    /// The prompt as text; `None` if it was given as ids.
    pub prompt: Option<&'a str>,
    /// How many tokens the prompt has.
    pub prompt_len: usize,
    /// The text generated after the prompt.
    pub generated: &'a str,
    /// How tokens were chosen.
    pub sampling: &'a Sampling,
    /// Why generation ended.
    pub ended: &'a str,
    /// Name and duration of each phase, ms.
    pub timings: &'a [(&'static str, f64)],
}

/// `run.json`, pretty-printed.
///
/// # Errors
/// Never in practice: only if a number can't be written as JSON.
pub fn run_json(trace: &Records, info: &RunInfo) -> Result<Vec<u8>> {
    let meta = &trace.meta;
    let ids: Vec<u32> = trace.tokens.iter().map(|token| token.id).collect();
    let prompt_len = info.prompt_len.min(ids.len());
    // Forced tokens must not pass for tokens that the model chose.
    let forced = trace.tokens.iter().enumerate().filter(|(_, token)| token.source == Source::Forced);
    let forced: Vec<usize> = forced.map(|(pos, _)| pos).collect();
    let timings: serde_json::Map<String, Value> =
        info.timings.iter().map(|(name, ms)| (format!("{name}_ms"), json!(ms))).collect();
    let run = json!({
        "mixscope": env!("CARGO_PKG_VERSION"),
        "model": meta.model_name(),
        "config": meta.config,
        "dims": meta.dims,
        "precision": meta.policy,
        "weights_dtype": meta.weights_dtype,
        "edits": trace.edit_notes(),
        "compute_dtype": meta.activation_dtype(),
        "device": meta.computed_on(),
        "prompt": info.prompt,
        "prompt_ids": ids[..prompt_len],
        "generated_ids": ids[prompt_len..],
        "generated_text": info.generated,
        "forced_positions": forced,
        "ids": ids,
        "tokens": trace.tokens.len(),
        "sampling": info.sampling,
        "seed": info.sampling.seed,
        "ended": info.ended,
        "mean_loss": crate::analysis::mean_loss(&trace.tokens),
        "timings": timings,
        "validation": meta.report,
    });
    Ok(json_text(&run)?.into_bytes())
}
