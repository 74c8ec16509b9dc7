//! Lens cells of the run under another policy.

use super::lens::compute;
use super::variant::VariantRun;
use crate::control::Control;
use crate::protocol::Derived;
use crate::trace::{LensKey, Policy};
use anyhow::Result;

/// Tokens kept of every cell.
const TOP: usize = 1;

pub fn derive(variant: &VariantRun, policy: Policy, cells: &[LensKey], control: &Control) -> Result<Derived> {
    // An error, because the screen would request the cells of an empty answer again.
    Ok(Derived::VariantLens(policy, compute(variant.under(policy)?, cells, TOP, control)?))
}
