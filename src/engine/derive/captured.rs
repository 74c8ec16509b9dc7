//! What derivations read of a token's record.

use crate::trace::{HookKind, LensSite, TokenRecord};
use anyhow::{Context, Result};

/// The residual that a lens reads `[d_model]`.
///
/// # Errors
/// If it was not captured.
pub fn residual(token: &TokenRecord, layer: usize, site: LensSite) -> Result<&[f32]> {
    let kind = match site {
        LensSite::ResidMid => HookKind::ResidMid,
        LensSite::ResidPost => HookKind::ResidPost,
    };
    token.row(kind, layer).with_context(not_captured)
}

/// The error of a derivation whose activations the run does not keep.
pub fn not_captured() -> String {
    "the activations that this view is derived from were not captured".to_owned()
}
