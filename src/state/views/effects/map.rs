//! Layers × parts: each expert, head or block edited in turn.

use super::{ENTER, copy_rows, missing, vertical};
use crate::analysis::tables::{AblationRow, Row};
use crate::analysis::{Found, MapOf};
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

/// Copies rows with the columns of `ablate.csv`.
fn copy(state: &State, extent: Extent) -> Copied {
    copy_rows(state, extent, AblationRow::TABLE, |map, layer, column| {
        let (MapOf::Parts(over, how), Some(Found::Effect(found))) = (map.key.of, map.get(layer, column)) else {
            return None;
        };
        let (part, index) = over.part(column);
        Some(AblationRow::new((layer, part, index), how.name(), found))
    })
}
