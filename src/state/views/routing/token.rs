//! Layers × experts of the token at the cursor.

use super::{copy_choices, layers};
use crate::state::State;
use crate::state::input::Extent;
use crate::state::views::Rules;
use crate::state::views::copy::Copied;

pub(in crate::state::views) const RULES: Rules = Rules::new(copy);

fn copy(state: &State, extent: Extent) -> Copied {
    let pos = state.cursor.token;
    copy_choices(state, extent, (pos..pos + 1, layers(state), "the token's routing"))
}
