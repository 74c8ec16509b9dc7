//! Which experts read which tokens.

pub mod layer;
pub mod map;
pub mod pairs;
pub mod token;
pub mod usage;

pub use crate::analysis::UsageMeasure;

use super::copy::{Clip, Copied};
use crate::analysis::LayerUsage;
use crate::analysis::routing::TokenRouting;
use crate::analysis::tables::{self, RoutingRow, Row};
use crate::state::State;
use crate::state::input::Extent;
use crate::state::text::before_or_after;
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
        for layer in layers.clone() {
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
    state.usage.layer(layer).filter(|layer| layer.tokens > 0).ok_or_else(|| NOT_CAPTURED.to_owned())
}

impl State {
    /// Goes to the next near-tie in the layer of the cursor, or to the one before.
    pub(in crate::state) fn jump_to_near_tie(&mut self, direction: Direction) {
        let layer = self.cursor.layer;
        let near = self.usage.layer(layer).map_or(&[][..], |usage| &usage.near_ties);
        let at = self.cursor.token;
        let found = match direction {
            Direction::Forward => near.get(near.partition_point(|pos| *pos <= at)),
            Direction::Back => near[..near.partition_point(|pos| *pos < at)].last(),
        };
        match found.copied() {
            Some(pos) => self.go_to(pos),
            None => self.say(format!(
                "no near-tie in layer {layer} {} token {at}; t lists the closest calls of all layers",
                before_or_after(direction)
            )),
        }
    }
}
