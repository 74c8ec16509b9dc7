//! One head, or all heads of a layer combined.

use super::{next_scale, row_of};
use crate::analysis::Pick;
use crate::state::State;
use crate::state::input::Extent;
use crate::state::views::copy::{Copied, csv};
use crate::state::views::{Rules, measures};

pub(in crate::state::views) const RULES: Rules =
    Rules { measures: Some(measures::of_heads), next_scale: Some(next_scale), ..Rules::new(copy) };

fn copy(state: &State, extent: Extent) -> Copied {
    super::copy(state, extent, copy_map)
}

/// Copies all weights of the head, if the screen has them unpooled.
fn copy_map(state: &State) -> Copied {
    let pick = state.pane().heads.pick(state.cursor.head);
    let map = state.derived.exact_map(state.cursor.layer, pick, state.tokens.len());
    let map = map.ok_or("the screen has this head pooled or not yet: e writes the exact values to a file")?;
    let looks = (0..map.side).flat_map(|query| (0..=query).map(move |key| (query, key)));
    let weight = |(query, key)| (query, key, map.cells[query * map.side + key]);
    let what = if matches!(pick, Pick::One(_)) { "the head" } else { "the heads combined" };
    csv(looks.map(weight).map(row_of(state, pick)), what)
}
