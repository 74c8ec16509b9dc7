//! The candidates for the next token.

use super::copy::{Copied, candidate, csv};
use super::{Enter, Rules};
use crate::analysis::tables::{TokenText, candidates};
use crate::protocol::Ask;
use crate::state::input::{Extent, Vertical};
use crate::state::{Effect, State};

pub(super) const RULES: Rules = Rules {
    vertical,
    shows_layers: false,
    enter: Some(Enter { run: State::force_candidate, refusal }),
    to_follow: Some(|state| state.token()?.next.top.get(state.cursor.candidate)),
    ..Rules::new(copy)
};

fn vertical(state: &mut State, to: Vertical) {
    let candidate = &mut state.cursor.candidate;
    *candidate = if to == Vertical::Up { candidate.saturating_sub(1) } else { *candidate + 1 };
}

fn refusal(state: &State) -> Option<&'static str> {
    state.token().is_none_or(|token| token.next.top.is_empty()).then_some("there is no candidate here")
}

/// Copies candidates with the columns of `candidates.csv`.
fn copy(state: &State, extent: Extent) -> Copied {
    let c = state.cursor;
    let top = state.token().map_or(&[][..], |token| &token.next.top);
    let rows = match extent {
        Extent::Cell => {
            let text = candidate(top.get(c.candidate).ok_or("there is no candidate here")?);
            return Ok((text.clone(), text));
        }
        Extent::Row => c.candidate..(c.candidate + 1).min(top.len()),
        Extent::View => 0..top.len(),
    };
    let all = state.token().into_iter().flat_map(|token| candidates(token, c.token, TokenText::Exact));
    csv(all.skip(rows.start).take(rows.len()), "candidates")
}

impl State {
    /// Makes the model read the candidate at the cursor next.
    fn force_candidate(&mut self) -> Vec<Effect> {
        let Some(candidate) = self.token().and_then(|token| token.next.top.get(self.cursor.candidate)) else {
            return Vec::new();
        };
        let token = candidate.id;
        let len = self.cursor.token + 1;
        if self.is_busy() {
            return self.pause();
        }
        let ask = if len < self.tokens.len() { Ask::Branch { len, token } } else { Ask::ForceToken(token) };
        self.start_job(ask)
    }
}
