//! Layers × tokens: the chosen experts.

use super::{copy_choices, layers};
use crate::state::State;
use crate::state::input::Extent;
use crate::state::views::Rules;
use crate::state::views::copy::Copied;

pub(in crate::state::views) const RULES: Rules = Rules::new(copy);

fn copy(state: &State, extent: Extent) -> Copied {
    copy_choices(state, extent, (0..state.tokens.len(), layers(state), "the run's routing"))
}
