use crate::analysis::diff::Mode;
use crate::analysis::{Lab, LabRow};
use crate::trace::{Device, Dims, Policy, Report, json_text};
use anyhow::Result;
use serde_json::{Value, json};

/// The content of `lab.json` apart from the lab itself.
pub struct LabInfo<'a> {
    /// The model's name.
    pub name: &'a str,
    /// Its config.
    pub config: &'a Value,
    /// Its sizes.
    pub dims: Dims,
    /// The storage type of its weights.
    pub weights_dtype: &'a str,
    /// The device that computed the matrix products.
    pub device: Device,
    /// The prompt as text; `None` if it was given as ids.
    pub prompt: Option<&'a str>,
    /// Policies that were left out, and the reasons.
    pub left_out: &'a [(Policy, String)],
    /// The edits of every pass.
    pub edits: Vec<String>,
    /// The generated text of each row.
    pub generated: &'a [String],
    /// Name and duration of each phase, ms.
    pub timings: &'a [(&'static str, f64)],
    /// The report of opening the model.
    pub report: &'a Report,
}

/// `lab.json`, pretty-printed.
///
/// # Errors
/// Never in practice: only if a number can't be written as JSON.
pub fn lab_json(lab: &Lab, info: &LabInfo) -> Result<Vec<u8>> {
    let left_out = info.left_out.iter().map(|(policy, why)| json!({"policy": policy, "why": why}));
    let timings: serde_json::Map<String, Value> =
        info.timings.iter().map(|(name, ms)| (format!("{name}_ms"), json!(ms))).collect();
    let mut rows = Vec::with_capacity(lab.rows.len());
    for (i, row) in lab.rows.iter().enumerate() {
        rows.push(json_row(lab, row, info.generated.get(i))?);
    }
    let all = json!({
        "mixscope": env!("CARGO_PKG_VERSION"),
        "model": info.name,
        "config": info.config,
        "dims": info.dims,
        "weights_dtype": info.weights_dtype,
        "compute_dtype": lab.dtype,
        "device": info.device,
        "prompt": info.prompt,
        "prompt_ids": lab.tokens.iter().map(|token| token.id).collect::<Vec<_>>(),
        "tokens": lab.tokens,
        "steps": lab.steps,
        "edits": info.edits,
        "base": lab.base,
        "left_out": left_out.collect::<Vec<_>>(),
        "rows": rows,
        "timings": timings,
        "validation": info.report,
    });
    Ok(json_text(&all)?.into_bytes())
}

/// A row with its totals and its generated text.
fn json_row(lab: &Lab, row: &LabRow, generated: Option<&String>) -> Result<Value> {
    let mut value = serde_json::to_value(row)?;
    value["about"] = json!(row.policy.about());
    value["loss_change"] = json!(lab.loss_change(row));
    value["generated_text"] = json!(generated);
    for mode in Mode::ALL {
        let mut totals = json!({"flips": row.flips(mode)});
        for hook in Lab::COMPONENTS {
            totals[hook.short_name()] = json!(row.equal(mode, hook).share());
        }
        value["totals"][mode.key()] = totals;
    }
    Ok(value)
}
