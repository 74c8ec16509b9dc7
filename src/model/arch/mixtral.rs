//! Mixtral's config.json.

use super::axes::Arch;
use super::common::{self, Family};
use super::keys::Keys;
use super::names::Names;
use crate::trace::{Level, Report};
use anyhow::Result;
use serde_json::Value;

const FAMILY: Family = Family {
    name: "Mixtral",
    d_ff: "intermediate_size",
    experts: &["num_local_experts", "num_experts"],
    default_experts: Some(8),
    top_k: 2,
    kv_heads: Some(8),
    context: 131_072,
    eps: 1e-5,
    rope: 1e6,
    scalings: &[],
    own_top_k: Some(2),
};

/// Reads the architecture, and notes in `report` every value that was missing.
///
/// # Errors
/// If a key is missing or has an impossible value, or the config asks for something that is not implemented.
pub fn read(keys: &Keys, report: &mut Report) -> Result<Arch> {
    let mut arch = common::read(keys, &FAMILY, Names::MIXTRAL, report)?;
    arch.dims.window = keys.window(report)?;
    common::check_size(keys, arch.dims)?;
    Ok(arch)
}

/// Notes in `report` whether the constants are those of a Mixtral.
pub fn constants(keys: &Keys, arch: &Arch, report: &mut Report) {
    common::eps(keys, arch, report);
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
