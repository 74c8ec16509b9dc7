//! Experts × tokens of the layer at the cursor.

use super::copy_choices;
use crate::state::State;
use crate::state::input::Extent;
use crate::state::views::Rules;
use crate::state::views::copy::Copied;

pub(in crate::state::views) const RULES: Rules = Rules::new(copy);

fn copy(state: &State, extent: Extent) -> Copied {
    let layer = state.cursor.layer;
    copy_choices(state, extent, (0..state.tokens.len(), layer..layer + 1, "the layer's routing"))
}
