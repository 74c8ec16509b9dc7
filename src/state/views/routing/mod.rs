//! Which experts read which tokens.

pub mod layer;
pub mod map;
pub mod pairs;
pub mod token;
pub mod usage;

use super::copy::{Clip, Copied};
use crate::analysis::LayerUsage;
use crate::analysis::routing::TokenRouting;
use crate::analysis::tables::{self, RoutingRow, Row};
use crate::state::State;
use crate::state::input::Extent;
use crate::trace::Direction;
use std::ops::Range;

const NOT_CAPTURED: &str = "the routing was not captured";

/// Positions, layers, and what their routing is called.
type Choices = (Range<usize>, Range<usize>, &'static str);

/// Copies probabilities with the columns of `routing.csv`: of the expert at the cursor, of its layer, or of `view`.
fn copy_choices(state: &State, extent: Extent, view: Choices) -> Copied {
    let c = state.cursor;
    let not_captured = || NOT_CAPTURED.to_owned();
    let (positions, layers, what) = match extent {
        Extent::Cell => {
            let routing = state.token().and_then(|token| TokenRouting::of(token, c.layer)).ok_or_else(not_captured)?;
            let text = format!("E{} {}", c.expert, routing.probs.get(c.expert).ok_or_else(not_captured)?);
            return Ok((text.clone(), text));
        }
        Extent::Row => (c.token..c.token + 1, c.layer..c.layer + 1, "the experts of the layer"),
        Extent::View => view,
    };
    let mut clip = Clip::new(RoutingRow::TABLE)?;
    for pos in positions {
        let is_alone = layers.len() == 1;
        let has_router = |layer: &usize| is_alone || state.meta().is_none_or(|meta| meta.dims.has_router(*layer));
        for layer in layers.clone().filter(has_router) {
            clip.extend(tables::routing(&state.tokens[pos], pos, layer).map_err(|_| not_captured())?)?;
        }
    }
    clip.finish(what)
}

fn layers(state: &State) -> Range<usize> {
    0..state.meta().map_or(0, |meta| meta.dims.layers)
}

/// The usage of a layer's experts over the run.
fn layer_usage(state: &State, layer: usize) -> Result<&LayerUsage, String> {
    state.shown_usage().layer(layer).filter(|layer| layer.tokens > 0).ok_or_else(|| NOT_CAPTURED.to_owned())
}

impl State {
    /// Goes to the next near-tie, or to the one before: token by token, and the layers of a token from the first on,
    /// around the ends.
    pub(in crate::state) fn jump_to_near_tie(&mut self, direction: Direction) {
        let layers = self.usage.layers().iter().enumerate();
        let all = layers.flat_map(|(layer, usage)| usage.near_ties.iter().map(move |pos| (*pos, layer)));
        match self.next_place(all.collect(), direction) {
            Some(summary) => self.say(format!("near-tie {summary} · t lists the closest calls")),
            None => self.say("no near-tie in any layer; t lists the closest calls"),
        }
    }

    /// Goes to the nearest of these positions and layers after the cursor or before it, around the ends. Returns which
    /// of them it is, in words; `None` if there are none.
    pub(in crate::state) fn next_place(
        &mut self,
        mut all: Vec<(usize, usize)>,
        direction: Direction,
    ) -> Option<String> {
        all.sort_unstable();
        let here = (self.cursor.token, self.cursor.layer);
        let last = all.len().checked_sub(1)?;
        let at = match direction {
            Direction::Forward => all.partition_point(|place| *place <= here).min(last + 1) % (last + 1),
            Direction::Back => all.partition_point(|place| *place < here).checked_sub(1).unwrap_or(last),
        };
        let (pos, layer) = all[at];
        self.go_to(pos);
        self.cursor.layer = layer;
        Some(format!("{} of {}", at + 1, all.len()))
    }
}
