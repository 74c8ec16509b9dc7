//! The files of the precision lab.

use super::csv::{Text, table};
use crate::analysis::diff::Mode;
use crate::analysis::{Lab, LabEqual, LabLayer, LabRow, LabToken};
use crate::trace::{Device, Dims, HookKind, Policy, Report};
use anyhow::Result;
use serde_json::{Value, json};
use std::io::Write;

/// A table of the lab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LabTable {
    /// One row a policy.
    Policies,
    /// One row a policy, mode and layer.
    Layers,
    /// One row a flip end to end.
    Flips,
    /// One row a policy and token of the prompt.
    Tokens,
}

const MODES: [(Mode, &str); 2] = [(Mode::EndToEnd, "end_to_end"), (Mode::Isolated, "isolated")];

impl LabTable {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Policies, Self::Layers, Self::Flips, Self::Tokens];

    /// The file's name.
    pub fn file(self) -> &'static str {
        match self {
            Self::Policies => "lab.csv",
            Self::Layers => "lab_layers.csv",
            Self::Flips => "lab_flips.csv",
            Self::Tokens => "lab_tokens.csv",
        }
    }

    /// Writes the table as CSV:
    ///
    /// | file | columns |
    /// |---|---|
    /// | lab.csv | `policy,mean_loss,loss_change`, then once end to end and once with `isolated_` before each name `flips,near_ties,attn_out,router_logits,mlp_out,resid_post` (shares of equal values), then `choices,differs_at,token_id,token,base_token_id,base_token` (of the first generated token that is not the base's: its place after the prompt, from 0; empty if none differs) |
    /// | lab_layers.csv | `policy,mode,layer,flips,choices,near_ties`, then `_equal` and `_values` of each component; mode is end_to_end or isolated |
    /// | lab_flips.csv | `policy,layer,position,token_id,token,margin_base,margin,left,came` (experts with spaces between them) |
    /// | lab_tokens.csv | `policy,position,token_id,token,nll` (nats; empty at position 0) |
    ///
    /// # Errors
    /// If `out` can't be written to.
    pub fn write(self, lab: &Lab, text: Text, out: impl Write) -> Result<()> {
        match self {
            Self::Policies => policies(lab, text, out),
            Self::Layers => layers(lab, out),
            Self::Flips => flips(lab, text, out),
            Self::Tokens => tokens(lab, text, out),
        }
    }
}

fn policies(lab: &Lab, text: Text, out: impl Write) -> Result<()> {
    let measures = || ["flips", "near_ties"].into_iter().chain(Lab::COMPONENTS.map(HookKind::short_name));
    let mut header: Vec<String> = ["policy", "mean_loss", "loss_change"].map(str::to_owned).into();
    header.extend(measures().map(str::to_owned));
    header.extend(measures().map(|name| format!("isolated_{name}")));
    let parting = ["choices", "differs_at", "token_id", "token", "base_token_id", "base_token"];
    header.extend(parting.map(str::to_owned));
    let mut writer = table(out, &header.iter().map(String::as_str).collect::<Vec<_>>())?;
    for row in &lab.rows {
        let of = |mode: Mode| {
            let near_ties: usize = row.layers(mode).iter().map(|layer| layer.within_rounding).sum();
            let shares = Lab::COMPONENTS.map(|hook| row.equal(mode, hook).share());
            (row.flips(mode), near_ties, shares)
        };
        let choices: usize = row.end_to_end.iter().map(|layer| layer.choices).sum();
        let of_base = lab.base_row().map_or(&[][..], |base| &base.generated);
        let at = |tokens: &[LabToken]| {
            let token = row.differs_at.and_then(|at| tokens.get(at));
            (token.map(|token| token.id), token.map(|token| text.cell(&token.piece).into_owned()))
        };
        let loss = (row.policy, row.mean_loss, lab.loss_change(row));
        let parting = (choices, row.differs_at, at(&row.generated), at(of_base));
        writer.serialize((loss, of(Mode::EndToEnd), of(Mode::Isolated), parting))?;
    }
    Ok(writer.flush()?)
}

fn layers(lab: &Lab, out: impl Write) -> Result<()> {
    let mut header: Vec<String> =
        ["policy", "mode", "layer", "flips", "choices", "near_ties"].map(str::to_owned).into();
    for name in Lab::COMPONENTS.map(HookKind::short_name) {
        header.extend([format!("{name}_equal"), format!("{name}_values")]);
    }
    let mut writer = table(out, &header.iter().map(String::as_str).collect::<Vec<_>>())?;
    for (row, (mode, name)) in lab.rows.iter().flat_map(|row| MODES.map(|mode| (row, mode))) {
        for (l, layer) in row.layers(mode).iter().enumerate() {
            let LabLayer { flips, choices, within_rounding: near_ties, .. } = layer;
            let counts =
                Lab::COMPONENTS.map(|hook| layer.equal(hook).map(|LabEqual { equal, values, .. }| (equal, values)));
            let counts = counts.map(|counts| (counts.map(|(equal, _)| equal), counts.map(|(_, values)| values)));
            writer.serialize((row.policy, name, l, flips, choices, near_ties, counts))?;
        }
    }
    Ok(writer.flush()?)
}

fn flips(lab: &Lab, text: Text, out: impl Write) -> Result<()> {
    let header = ["policy", "layer", "position", "token_id", "token", "margin_base", "margin", "left", "came"];
    let mut writer = table(out, &header)?;
    let spaced = |experts: &[u32]| experts.iter().map(u32::to_string).collect::<Vec<_>>().join(" ");
    for (row, flip) in lab.rows.iter().flat_map(|row| row.flips.iter().map(move |flip| (row, flip))) {
        let token = lab.tokens.get(flip.position);
        let token = (token.map(|token| token.id), token.map(|token| text.cell(&token.piece)));
        let margins = (flip.margin_base, flip.margin);
        let experts = (spaced(&flip.left), spaced(&flip.came));
        writer.serialize((row.policy, flip.layer, flip.position, token, margins, experts))?;
    }
    Ok(writer.flush()?)
}

fn tokens(lab: &Lab, text: Text, out: impl Write) -> Result<()> {
    let mut writer = table(out, &["policy", "position", "token_id", "token", "nll"])?;
    for row in &lab.rows {
        for (position, token) in lab.tokens.iter().enumerate() {
            let nll = position.checked_sub(1).and_then(|i| row.nll.get(i));
            writer.serialize((row.policy, position, token.id, text.cell(&token.piece), nll))?;
        }
    }
    Ok(writer.flush()?)
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
    for (mode, name) in MODES {
        let mut totals = json!({"flips": row.flips(mode)});
        for hook in Lab::COMPONENTS {
            totals[hook.short_name()] = json!(row.equal(mode, hook).share());
        }
        value["totals"][name] = totals;
    }
    Ok(value)
}
