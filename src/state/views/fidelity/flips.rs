//! Layers × tokens: where A and B chose other experts.

use super::{NO_OTHER, jump, no_other};
use crate::analysis::tables::{FlipRow, TokenText};
use crate::state::State;
use crate::state::input::Extent;
use crate::state::views::Rules;
use crate::state::views::copy::{Copied, csv};

pub(in crate::state::views) const RULES: Rules =
    Rules { jump, has_contributions: false, missing: no_other, ..Rules::new(copy) };

/// Copies one row per token and layer: of the cursor's cell, of all layers of its token, or of all.
fn copy(state: &State, extent: Extent) -> Copied {
    let (meta, a, b) = (state.meta().ok_or(NO_OTHER)?, state.baseline.tokens(), &state.tokens);
    let (policy, found) = state.baseline.known_policy().zip(state.baseline.diff()).ok_or(NO_OTHER)?;
    let c = state.cursor;
    let positions = if extent == Extent::View { 0..a.len().min(b.len()) } else { c.token..(c.token + 1).min(a.len()) };
    let layers = if extent == Extent::Cell { c.layer..c.layer + 1 } else { 0..meta.dims.layers };
    let places = positions.flat_map(|pos| layers.clone().map(move |layer| (pos, layer)));
    let row = |(pos, layer): (usize, usize)| {
        FlipRow::of([policy, meta.policy], (pos, layer), [&a[pos], &b[pos]], found.dtype(), TokenText::Exact)
    };
    csv(places.filter_map(row), "flips")
}
