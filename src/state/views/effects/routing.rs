//! Layers × positions: what if the next expert had won?

use super::{ENTER, copy_rows, missing, vertical};
use crate::analysis::Found;
use crate::analysis::tables::{RerouteRow, Row, TokenText};
use crate::state::State;
use crate::state::input::Extent;
use crate::state::views::copy::Copied;
use crate::state::views::{Rules, measures};

pub(in crate::state::views) const RULES: Rules = Rules {
    vertical,
    enter: Some(ENTER),
    measures: Some(measures::of_effects),
    has_details: false,
    missing,
    ..Rules::new(copy)
};

/// Copies rows with the columns of the exported view.
fn copy(state: &State, extent: Extent) -> Copied {
    copy_rows(state, extent, RerouteRow::TABLE, |map, layer, column| {
        let Some(Found::Effect(found)) = map.get(layer, column) else { return None };
        RerouteRow::of(&state.tokens, (layer, column), (found, &state.edits_of_run()), TokenText::Exact)
    })
}
