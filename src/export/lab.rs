//! The files of the precision lab.

use crate::analysis::diff::Mode;
use crate::analysis::tables::{
    LabFlipRow, LabLayerRow, LabPolicyRow, LabTokenRow, Row, TokenText, lab_flips, lab_layers, lab_policies,
    lab_tokens, write_csv,
};
use crate::analysis::{Lab, LabRow};
use crate::trace::{Device, Dims, Policy, Report};
use anyhow::Result;
use serde_json::{Value, json};

/// Names of the tables of a lab.
pub const LAB_TABLES: [&str; 4] =
    [LabPolicyRow::TABLE.name, LabLayerRow::TABLE.name, LabFlipRow::TABLE.name, LabTokenRow::TABLE.name];

/// The tables of a lab as CSV, by their file names.
///
/// # Errors
/// Never in practice: only if a row can't be written to memory.
pub fn lab_tables(lab: &Lab, text: TokenText) -> Result<[(&'static str, Vec<u8>); 4]> {
    fn csv<R: Row>(rows: impl Iterator<Item = R>) -> Result<(&'static str, Vec<u8>)> {
        let mut out = Vec::new();
        write_csv(rows, &mut out)?;
        Ok((R::TABLE.name, out))
    }
    Ok([csv(lab_policies(lab, text))?, csv(lab_layers(lab))?, csv(lab_flips(lab, text))?, csv(lab_tokens(lab, text))?])
}

/// What `lab.json` says beyond the lab itself.
pub struct LabInfo<'a> {
    /// The model's name.
    pub name: &'a str,
    /// Its config.
    pub config: &'a Value,
    /// Its sizes.
    pub dims: Dims,
    /// How its weights are stored.
    pub weights_dtype: &'a str,
    /// What multiplied by them.
    pub device: Device,
    /// The prompt as text; `None` if it was given as ids.
    pub prompt: Option<&'a str>,
    /// Policies that were left out, and why.
    pub left_out: &'a [(Policy, String)],
    /// The text that each row generated.
    pub generated: &'a [String],
    /// Name of a phase and the time it took, ms.
    pub timings: &'a [(&'static str, f64)],
    /// What loading validated.
    pub report: &'a Report,
}

/// `lab.json`, pretty-printed: everything that was found.
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
        "base": lab.base,
        "left_out": left_out.collect::<Vec<_>>(),
        "rows": rows,
        "timings": timings,
        "validation": info.report,
    });
    let mut bytes = serde_json::to_vec_pretty(&all)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// A row with its totals and the text it generated.
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
