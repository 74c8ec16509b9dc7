//! What was validated, and two runs of the same tokens: A, and B, the run on screen.

pub mod compare;
pub mod flips;
pub mod lab;
pub mod loss;
pub mod validated;

use crate::analysis::diff::{Flip, same_experts};
use crate::state::State;
use crate::state::input::Vertical;
use crate::trace::{Dims, Direction, LensKey};

const NO_OTHER: &str = "there is no second run to compare with yet: p or P reads the tokens under another policy";

/// Why there is nothing to compare.
fn no_other(state: &State) -> Option<&'static str> {
    state.baseline.tokens().is_empty().then_some(NO_OTHER)
}

fn scroll(state: &mut State, to: Vertical) {
    let line = &mut state.pane_mut().scroll;
    *line = if to == Vertical::Up { line.saturating_sub(1) } else { *line + 1 };
}

impl State {
    /// Whether the experts of A and B differ for a token in a layer; `None` if the token of A has not arrived yet, or
    /// if the experts were not captured.
    pub fn experts_differ(&self, pos: usize, layer: usize) -> Option<bool> {
        let (a, b) = (self.baseline.tokens().get(pos)?, self.tokens.get(pos)?);
        same_experts(a, b, layer).map(|same| !same)
    }

    /// Loss of B minus loss of A, nats; `None` if one of them is missing.
    pub fn loss_difference(&self, pos: usize) -> Option<f32> {
        let (a, b) = (self.baseline.tokens().get(pos)?.score?, self.tokens.get(pos)?.score?);
        Some(b.nll - a.nll)
    }

    /// The flip of a token in a layer, if there is one.
    pub fn flip(&self, pos: usize, layer: usize) -> Option<&Flip> {
        self.baseline.diff()?.flip(pos, layer)
    }

    /// Keys of the lens cells of both runs at the cursor, from the last layer down.
    pub fn compared_cells(&self, dims: Dims) -> impl Iterator<Item = LensKey> {
        let (pos, site) = (self.cursor.token, self.pane().lens.site());
        (0..dims.layers).rev().map(move |layer| LensKey { pos, layer, site })
    }
}

/// The positions and layers whose experts differ between A and B.
fn flips(state: &State) -> Vec<(usize, usize)> {
    let layers = state.baseline.diff().map_or(&[][..], |diff| diff.layers()).iter().enumerate();
    layers.flat_map(|(layer, found)| found.flips().iter().map(move |flip| (flip.position, layer))).collect()
}

/// Goes to the next of these flips or to the one before, around the ends.
fn jump_among(state: &mut State, all: Vec<(usize, usize)>, direction: Direction) {
    if state.baseline.diff().is_none() {
        return state.say(NO_OTHER);
    }
    match state.next_place(all, direction) {
        Some(summary) => state.say(format!("flip {summary}")),
        None => state.say("no expert differs between the two runs"),
    }
}

/// Goes to the next flip or to the one before: token by token, and the layers of a token from the first on.
fn jump(state: &mut State, direction: Direction) {
    jump_among(state, flips(state), direction);
}
