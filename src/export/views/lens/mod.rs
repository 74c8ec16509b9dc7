//! The logit lens.

pub mod grid;
pub mod targets;

use crate::trace::{LensCell, LensKey, LensSite};
use std::collections::BTreeSet;

/// A residual of the forward pass.
type Place = (usize, LensSite);

/// The residuals of these cells, in the order of the forward pass.
fn places<'a>(cells: impl Iterator<Item = (&'a LensKey, &'a LensCell)>) -> Vec<Place> {
    Vec::from_iter(cells.map(|(key, _)| (key.layer, key.site)).collect::<BTreeSet<Place>>())
}
