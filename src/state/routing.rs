//! Moving through routing: its lenses, what Load shows, near-ties, and the list of the closest calls.

use super::keys::Edit;
use super::{FidelityLens, Overlay, State, Tab};
use crate::analysis::routing::{CloseCall, close_calls, keep_narrowest};
use crate::trace::{Direction, TokenRecord};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Ways to look at routing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RoutingLens {
    /// Layers × experts for the token at the cursor.
    Token,
    /// Experts × tokens of the layer at the cursor.
    Layer,
    /// Layers × tokens, coloured by the chosen experts.
    Map,
    /// Layers × experts over the whole run.
    Load,
    /// Experts × experts of the layer at the cursor: which are chosen together.
    Pairs,
}

impl RoutingLens {
    /// The one after it.
    pub(super) fn next(self) -> Self {
        match self {
            Self::Token => Self::Layer,
            Self::Layer => Self::Map,
            Self::Map => Self::Load,
            Self::Load => Self::Pairs,
            Self::Pairs => Self::Token,
        }
    }
}

/// What a cell of the load shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LoadMeasure {
    /// Share of tokens whose first choice the expert was.
    #[default]
    First,
    /// Share of all choices that fell on it.
    Chosen,
    /// Mean renormalised weight where it was chosen.
    Weight,
}

impl LoadMeasure {
    /// The one after it.
    pub(super) fn next(self) -> Self {
        match self {
            Self::First => Self::Chosen,
            Self::Chosen => Self::Weight,
            Self::Weight => Self::First,
        }
    }
}

/// Rows of the list at most.
const MOST_CALLS: usize = 500;

/// The list of the closest calls of the run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CloseCalls {
    /// Narrowest first.
    pub calls: Vec<CloseCall>,
    /// The marked row.
    pub at: usize,
}

impl CloseCalls {
    pub(super) fn edit(&mut self, edit: Edit) {
        match edit {
            Edit::Up => self.step(-1),
            Edit::Down => self.step(1),
            Edit::PageUp => self.step(-10),
            Edit::PageDown => self.step(10),
            Edit::LineStart => self.step(isize::MIN),
            Edit::LineEnd => self.step(isize::MAX),
            _ => {}
        }
    }

    fn step(&mut self, by: isize) {
        self.at = self.at.saturating_add_signed(by).min(self.calls.len().saturating_sub(1));
    }
}

impl State {
    fn calls_of(&self, tokens: &[Arc<TokenRecord>], first: usize) -> Vec<CloseCall> {
        close_calls(tokens, first, self.stats.layers().len(), self.stats.dtype(), MOST_CALLS)
    }

    pub(super) fn open_close_calls(&mut self) {
        if self.meta().is_some() {
            let calls = self.calls_of(&self.tokens, 0);
            self.overlays.push(Overlay::CloseCalls(CloseCalls { calls, at: 0 }));
        }
    }

    /// Keeps an open list in step with a run of which the first `unchanged` tokens stand.
    pub(super) fn renew_close_calls(&mut self, unchanged: usize, before: usize) {
        let Some(at) = self.overlays.iter().position(|overlay| matches!(overlay, Overlay::CloseCalls(_))) else {
            return;
        };
        // Where something was forgotten, what had no room may have come up.
        let from = if unchanged < before { 0 } else { unchanged };
        let new = self.calls_of(&self.tokens[from..], from);
        let Some(Overlay::CloseCalls(list)) = self.overlays.get_mut(at) else { return };
        let marked = list.calls.get(list.at).copied();
        if from == 0 {
            list.calls.clear();
        }
        list.calls.extend(new);
        keep_narrowest(&mut list.calls, MOST_CALLS);
        let is_marked = |call: &CloseCall| marked.is_some_and(|old| (old.pos, old.layer) == (call.pos, call.layer));
        list.at = list.calls.iter().position(is_marked).unwrap_or(list.at);
        list.step(0);
    }

    /// Goes to the marked call; the list closes.
    pub(super) fn jump_to_call(&mut self) {
        let Some(Overlay::CloseCalls(list)) = self.overlays.last() else { return };
        let call = list.calls.get(list.at).copied();
        self.overlays.pop();
        let Some(call) = call else { return };
        if self.view == Tab::Next || self.view == Tab::Fidelity && self.fidelity != FidelityLens::Flips {
            self.view = Tab::Routing;
        }
        self.go_to(call.pos);
        self.cursor.layer = call.layer;
        self.cursor.expert = call.kept;
    }

    /// Goes to the near-tie before or after the cursor in its layer.
    pub(super) fn jump_to_near_tie(&mut self, direction: Direction) {
        let layer = self.cursor.layer;
        let near = self.stats.layer(layer).map_or(&[][..], |stats| &stats.near_ties);
        let at = self.cursor.token;
        let (found, place) = match direction {
            Direction::Back => (near[..near.partition_point(|pos| *pos < at)].last(), "before"),
            Direction::Forward => (near.get(near.partition_point(|pos| *pos <= at)), "after"),
        };
        if let Some(pos) = found.copied() {
            self.go_to(pos);
            return;
        }
        let summary =
            format!("no near-tie in layer {layer} {place} token {at}; t lists the closest calls of all layers");
        self.say(summary);
    }

    /// What the cells of the view show.
    pub(super) fn next_measure(&mut self) {
        match self.view {
            Tab::Routing if self.routing == RoutingLens::Load => self.load = self.load.next(),
            Tab::Attention => self.next_head_measure(),
            Tab::Lens => self.cycle_lens_measure(),
            _ => {}
        }
    }
}
