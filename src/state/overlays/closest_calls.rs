//! The list of the closest calls of the router, to jump to.

use super::Overlay;
use crate::analysis::routing::{CloseCall, closest_calls, keep_narrowest};
use crate::analysis::view::Tab;
use crate::state::State;
use crate::state::input::TextEdit;
use crate::trace::TokenRecord;
use std::sync::Arc;

/// The most rows of the list.
const MOST_CALLS: usize = 500;

/// The list of the closest calls of the run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClosestCalls {
    /// Narrowest first.
    pub calls: Vec<CloseCall>,
    /// The marked row.
    pub at: usize,
}

impl ClosestCalls {
    pub(in crate::state) fn edit(&mut self, edit: TextEdit) {
        match edit {
            TextEdit::Up => self.step(-1),
            TextEdit::Down => self.step(1),
            TextEdit::PageUp => self.step(-10),
            TextEdit::PageDown => self.step(10),
            TextEdit::LineStart => self.step(isize::MIN),
            TextEdit::LineEnd => self.step(isize::MAX),
            _ => {}
        }
    }

    fn step(&mut self, by: isize) {
        self.at = self.at.saturating_add_signed(by).min(self.calls.len().saturating_sub(1));
    }
}

impl State {
    fn calls_of(&self, tokens: &[Arc<TokenRecord>], first: usize) -> Vec<CloseCall> {
        closest_calls(tokens, first, self.usage.layers().len(), self.usage.dtype(), MOST_CALLS)
    }

    pub(in crate::state) fn open_closest_calls(&mut self) {
        if self.meta().is_some() {
            let calls = self.calls_of(&self.tokens, 0);
            self.overlays.push(Overlay::ClosestCalls(ClosestCalls { calls, at: 0 }));
        }
    }

    /// Updates an open list after the run changed; its first `unchanged` tokens are the same, and it had `before`
    /// tokens.
    pub(in crate::state) fn renew_closest_calls(&mut self, unchanged: usize, before: usize) {
        let Some(at) = self.overlays.iter().position(|overlay| matches!(overlay, Overlay::ClosestCalls(_))) else {
            return;
        };
        // A call that had no room may have room now that others are forgotten.
        let from = if unchanged < before { 0 } else { unchanged };
        let new = self.calls_of(&self.tokens[from..], from);
        let Some(Overlay::ClosestCalls(list)) = self.overlays.get_mut(at) else { return };
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

    /// Closes the list and goes to the marked call.
    pub(in crate::state) fn jump_to_call(&mut self) {
        let Some(Overlay::ClosestCalls(list)) = self.overlays.last() else { return };
        let call = list.calls.get(list.at).copied();
        self.overlays.pop();
        let Some(call) = call else { return };
        if !self.shows_layers() {
            self.pane_mut().show_tab(Tab::Routing);
        }
        self.go_to(call.pos);
        self.cursor.layer = call.layer;
        self.cursor.expert = call.kept;
    }
}
