//! The list of precision policies.

use super::Overlay;
use crate::state::input::TextEdit;
use crate::state::{Effect, State};
use crate::trace::Policy;

/// The list of policies under which the same tokens can be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policies {
    /// The marked row of [`Policy::all`].
    pub at: usize,
}

impl Policies {
    /// The number of policies.
    pub fn count() -> usize {
        Policy::all().count()
    }

    pub(in crate::state) fn edit(&mut self, edit: TextEdit) {
        let by = match edit {
            TextEdit::Up => -1,
            TextEdit::Down => 1,
            TextEdit::LineStart | TextEdit::PageUp => isize::MIN,
            TextEdit::LineEnd | TextEdit::PageDown => isize::MAX,
            _ => 0,
        };
        self.at = self.at.saturating_add_signed(by).min(Self::count().saturating_sub(1));
    }
}

impl State {
    /// Opens the list of policies at the current one.
    pub(in crate::state) fn open_policies(&mut self) {
        let active = self.meta().map(|meta| meta.policy);
        let at = Policy::all().position(|policy| Some(policy) == active).unwrap_or(0);
        self.overlays.push(Overlay::Policies(Policies { at }));
    }

    /// Runs the tokens under the marked policy.
    pub(in crate::state) fn choose_policy(&mut self) -> Vec<Effect> {
        let Some(Overlay::Policies(Policies { at })) = self.overlays.pop() else { return Vec::new() };
        match Policy::all().nth(at) {
            Some(policy) if self.meta().is_some_and(|meta| meta.policy != policy) => self.run_under(policy),
            _ => Vec::new(),
        }
    }
}
