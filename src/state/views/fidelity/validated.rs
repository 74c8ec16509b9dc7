//! What was validated when the model was opened.

use super::scroll;
use crate::analysis::tables::findings;
use crate::state::State;
use crate::state::input::Extent;
use crate::state::views::Rules;
use crate::state::views::copy::{Copied, csv};

pub(in crate::state::views) const RULES: Rules = Rules {
    vertical: scroll,
    shows_layers: false,
    has_details: false,
    has_contributions: false,
    needs_text: false,
    ..Rules::new(copy)
};

/// Copies the report, one finding per row.
fn copy(state: &State, extent: Extent) -> Copied {
    let meta = state.meta().ok_or("no model is open")?;
    if extent != Extent::View {
        return Err("nothing is under a cursor here: y v copies the whole report".to_owned());
    }
    csv(findings(&meta.report), "what was validated")
}
