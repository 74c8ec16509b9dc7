//! `mixscope diff`: two saved runs compared hook by hook.

use super::diff_report::comparison_text;
use super::{harmless, print, values};
use crate::analysis::diff::{compare_traces, config_differences};
use crate::engine::trace_path;
use crate::trace::{EditNote, TraceReader, json_text};
use anyhow::{Result, bail};
use clap::Args;
use serde_json::json;

/// The default tolerances, for `--help`.
pub const TOLERANCES: &str = "\
Tolerance, if --tolerance is not given, by the dtypes in which activations of A and B are exact:
  both f32: |a - b| <= 1e-4 + 2e-5*|a|; probabilities (pattern, expert_weights, mixing_weights)
    within 2e-5; the same experts in the same order; mean loss within 1e-4 nats.
  both bf16 or both f16, each layer alone (`check`) and layer 0 end to end: at least 95 % of a
    tensor's values equal (or all but two), none further apart than 8 ulp of the dtype at the
    tensor's scale; an expert may flip only where the margin is at most 4 ulp (within rounding),
    and the values that follow from such a flip are left out.
    Later layers end to end: a difference in the last bit spreads, so only statistics count:
    at most 5 % of all choices of experts flip, mean loss within 0.05 nats.
  different dtypes: end to end the same statistics; alone each tensor within 8 units of the
    coarser dtype (relative L2), flips as above.
One ulp is one unit in the last place. NaN and infinity equal nothing, and fail. If A or B is known
to round the sum of experts at another place (experts `eager`, transformers 4), mlp_out and
resid_post need not be equal, only within the 8 ulp.
With --tolerance T, every value must be within T, and the experts and their order the same.
With --tolerance 0, everything must be equal.

Exit status: 0 agree within the tolerance, 1 differ or can't be compared, 2 wrong usage.";

#[derive(Args)]
#[command(after_help = TOLERANCES)]
pub struct Diff {
    /// The baseline: trace.safetensors of `mixscope run`, or a recording of another program, such as transformers.
    #[arg(value_name = "A")]
    a: String,
    /// The variant: any subset of the hooks, in any dtype. The tokens with which both begin are compared.
    #[arg(value_name = "B")]
    b: String,
    #[command(flatten)]
    within: ToleranceArg,
    /// Print one JSON object, with everything by hook, instead of text.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub struct ToleranceArg {
    /// Largest allowed difference of any value [default: by dtype, see below].
    #[arg(long, value_name = "T", value_parser = values::at_least_0::<f32>)]
    tolerance: Option<f32>,
}

impl ToleranceArg {
    /// The tolerance, if one was given.
    pub fn get(&self) -> Option<f32> {
        self.tolerance
    }

    pub fn is_given(&self) -> bool {
        self.tolerance.is_some()
    }
}

impl Diff {
    pub fn main(self) -> Result<()> {
        let tolerance = self.within.get();
        let open = |text: &str| TraceReader::open(&trace_path(text)?);
        let (a, b) = (open(&self.a)?, open(&self.b)?);
        let found = compare_traces(&a, &b, tolerance)?;
        let config = |trace: &TraceReader| trace.json("config").unwrap_or_default();
        let configs = config_differences(&config(&a), &config(&b));
        if self.json {
            let all = json!({"a": about(&a), "b": about(&b), "configs": configs, "comparison": found});
            print(&json_text(&all)?)?;
        } else {
            let mut text = format!("A  {}\nB  {}\n", line(&a), line(&b));
            for config in &configs {
                text += &format!("{config}\n");
            }
            if let Some(prefix) = &found.common_prefix {
                text += &format!("{prefix}\n");
            }
            print(&harmless(&format!("{text}\n{}", comparison_text(&found))))?;
        }
        if !found.ok {
            bail!("{} and {} differ: {}", a.name(), b.name(), found.failures.join("; "));
        }
        Ok(())
    }
}

/// A trace in one line, and in one more line for each tensor that was read otherwise than its name says.
pub fn line(trace: &TraceReader) -> String {
    let said = |key: &str| trace.metadata.get(key).map_or("", String::as_str);
    let model = said("model");
    let model = if model.is_empty() { String::new() } else { format!(" · {model}") };
    let made = trace.json("provenance").unwrap_or_default();
    let device = made.get("device").and_then(serde_json::Value::as_str).filter(|device| *device != "cpu");
    let on = device.map(|device| format!(" · device {device}")).unwrap_or_default();
    let notes: String = trace.notes.iter().map(|note| format!("\n   {note}")).collect();
    let precision = match said("precision") {
        "" => String::new(),
        policy => format!(" · precision {policy}"),
    };
    let edits: String = edits(trace).iter().map(|edit| format!("\n   under the edit {edit}")).collect();
    format!("{}{precision}{on}{model}{edits}{notes}", trace.name())
}

/// The edits that a trace names.
pub fn edits(trace: &TraceReader) -> Vec<String> {
    let listed: Vec<EditNote> =
        trace.json("edits").and_then(|list| serde_json::from_value(list).ok()).unwrap_or_default();
    listed.into_iter().map(|note| note.edit).collect()
}

/// A trace's metadata, for JSON.
pub fn about(trace: &TraceReader) -> serde_json::Value {
    let said = |key: &str| trace.metadata.get(key);
    json!({
        "file": trace.name(),
        "model": said("model"),
        "precision": said("precision"),
        "provenance": trace.json("provenance"),
        "edits": trace.json("edits"),
        "notes": trace.notes.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}
