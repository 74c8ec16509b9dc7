//! The precision lab: policies side by side.

use super::scroll;
use crate::analysis::tables::lab_end_to_end;
use crate::protocol::Ask;
use crate::state::input::Extent;
use crate::state::views::copy::{Copied, csv};
use crate::state::views::{Enter, Rules};
use crate::state::{Effect, State};

/// Tokens that the lab generates, as `mixscope lab` does by default.
const STEPS: usize = 16;
const NOT_RUN: &str = "the precision lab has not been run yet: enter runs it";

pub(in crate::state::views) const RULES: Rules = Rules {
    vertical: scroll,
    shows_layers: false,
    enter: Some(Enter { run: State::run_lab, refusal }),
    has_details: false,
    has_contributions: false,
    missing: |state| state.lab.is_none().then_some(NOT_RUN),
    ..Rules::new(copy)
};

fn refusal(state: &State) -> Option<&'static str> {
    state.tokens.is_empty().then_some("there is no token to read yet")
}

impl State {
    /// Reads the tokens under every policy; the run stays as it is.
    fn run_lab(&mut self) -> Vec<Effect> {
        if self.is_busy() {
            return self.pause();
        }
        self.start_job(Ask::Lab { steps: STEPS })
    }
}

/// Copies one row per policy, end to end.
fn copy(state: &State, extent: Extent) -> Copied {
    let lab = state.lab.as_ref().ok_or(NOT_RUN)?;
    if extent != Extent::View {
        return Err("nothing is under a cursor here: y v copies the whole table".to_owned());
    }
    csv(lab_end_to_end(lab), "the lab")
}
