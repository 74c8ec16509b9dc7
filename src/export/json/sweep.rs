use crate::analysis::sweep::{Phase, Sum, Sweep};
use crate::trace::json_text;
use anyhow::Result;
use serde_json::{Map, Value, json};

/// `sweep.json`, pretty-printed: what the sweep is of, how it was made, and its totals. The same sweep gives the same bytes,
/// so there is no time and no folder in it.
///
/// # Errors
/// Never in practice: only if a number can't be written as JSON.
pub fn sweep_json(sweep: &Sweep, files: &[String]) -> Result<Vec<u8>> {
    let mut all = serde_json::to_value(&sweep.about)?;
    let totals: Map<String, Value> =
        Phase::ALL.into_iter().filter_map(|phase| Some((phase.name().to_owned(), of(sweep, phase)?))).collect();
    all["groups"] = json!(sweep.groups.keys().collect::<Vec<_>>());
    all["totals"] = Value::Object(totals);
    all["files"] = json!(files);
    Ok(json_text(&all)?.into_bytes())
}

/// The totals of a phase over all groups; `None` if nothing was read in it.
fn of(sweep: &Sweep, phase: Phase) -> Option<Value> {
    let counts = || sweep.groups.values().filter_map(|group| group.phases.get(&phase));
    counts().next()?;
    let scored: u64 = counts().map(|counts| counts.scored).sum();
    let loss = counts().fold(Sum::default(), |sum, counts| sum.plus(counts.loss));
    Some(json!({
        "windows": counts().map(|counts| counts.windows).sum::<u64>(),
        "tokens": counts().map(|counts| counts.tokens).sum::<u64>(),
        "scored": scored,
        "loss": loss.mean(scored),
    }))
}
