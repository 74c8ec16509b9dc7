//! The sentence in the status line: who says it, and how long it stays.

use super::State;
use super::input::Action;
use super::overlays::{Overlay, Page};
use crate::protocol::Failure;

/// A sentence in the status line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Whether something failed.
    pub is_error: bool,
    /// Whether something may be wrong.
    pub is_warning: bool,
    /// The sentence and its causes.
    pub failure: Failure,
}

impl State {
    /// Says a sentence in the status line, which goes with the next key that does something.
    pub(super) fn say(&mut self, text: impl Into<String>) {
        self.tell(false, Failure { summary: text.into(), causes: Vec::new() });
    }

    /// The same, with what belongs to it; what failed stays until it is put away.
    pub(super) fn tell(&mut self, is_error: bool, failure: Failure) {
        self.message = Some(Message { is_error, is_warning: false, failure });
    }

    /// Says what may be wrong, and stays until it is put away.
    pub(super) fn warn(&mut self, failure: Failure) {
        self.message = Some(Message { is_error: false, is_warning: true, failure });
    }

    /// Takes away what was said of an earlier key, now that another one does something.
    pub(super) fn move_on(&mut self, action: Action) {
        let is_read = matches!(self.overlays.last(), Some(Overlay::Page(Page::Message(_)))) && action == Action::Escape;
        let looks = matches!(action, Action::Causes | Action::Redraw | Action::Suspend);
        if is_read || self.overlays.is_empty() && !looks {
            self.message.take_if(|message| !message.stays());
        }
    }
}

impl Message {
    /// Whether it stays until it is put away or another one comes.
    pub fn stays(&self) -> bool {
        self.is_error || self.is_warning
    }
}
