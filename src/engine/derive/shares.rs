//! Contributions of all layers to a logit, or to the difference of two.

use super::attribution::attribution;
use crate::analysis::{ModelShares, Watch};
use crate::control::Control;
use crate::engine::run::Live;
use anyhow::Result;

/// The contributions of every head and every chosen expert.
///
/// # Errors
/// As [`attribution`].
pub fn model_shares(live: &Live, watch: Watch, control: &Control) -> Result<ModelShares> {
    let layers = live.meta().dims.layers;
    let of = |token: u32| attribution(live, watch.position, token, 0..layers, control);
    Ok(ModelShares { watch, target: of(watch.token)?, foil: watch.foil.map(of).transpose()? })
}
