//! Lens cells of the run under another policy or other edits.

use super::lens::compute;
use super::variant::VariantRun;
use crate::control::Control;
use crate::protocol::Derived;
use crate::trace::{LensKey, Variant};
use anyhow::Result;

/// Tokens kept of every cell.
const TOP: usize = 1;

pub fn derive(runs: &VariantRun, variant: &Variant, cells: &[LensKey], control: &Control) -> Result<Derived> {
    // An error, because the screen would request the cells of an empty answer again.
    Ok(Derived::VariantLens(variant.clone(), compute(runs.of(variant)?, cells, TOP, control)?))
}
