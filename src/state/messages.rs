//! The message in the footer.

use super::State;
use super::input::Action;
use super::overlays::{Overlay, Topic};
use crate::protocol::Failure;

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Whether something failed.
    pub is_error: bool,
    /// Whether something may be wrong.
    pub is_warning: bool,
    /// The sentence that is shown, and its causes.
    pub failure: Failure,
}

impl State {
    /// Shows a sentence until the next key that does something.
    pub(super) fn say(&mut self, text: impl Into<String>) {
        self.inform(Failure { summary: text.into(), causes: Vec::new() });
    }

    /// The last message, whether it is still shown or not.
    pub fn last_message(&self) -> Option<&Message> {
        self.last_message.as_ref()
    }

    /// Keeps a failure from before the model was opened, and shows it now and once the model is open.
    pub fn trouble_at_start(&mut self, failure: Failure) {
        self.troubles.push(failure.clone());
        self.fail(failure);
    }

    /// Shows the failures from before the model was opened, with its warnings.
    pub(super) fn show_troubles(&mut self, warnings: &[String]) {
        let mut troubles = std::mem::take(&mut self.troubles);
        let Some(Failure { summary, mut causes }) = troubles.pop() else { return };
        for other in troubles {
            causes.push(other.summary);
            causes.extend(other.causes);
        }
        causes.extend_from_slice(warnings);
        self.fail(Failure { summary, causes });
    }

    fn show(&mut self, message: Message) {
        self.last_message = Some(message.clone());
        self.message = Some(message);
    }

    /// Shows a message with its causes until the next key that does something.
    pub(super) fn inform(&mut self, failure: Failure) {
        self.show(Message { is_error: false, is_warning: false, failure });
    }

    /// Shows an error until it is dismissed.
    pub(super) fn fail(&mut self, failure: Failure) {
        self.show(Message { is_error: true, is_warning: false, failure });
    }

    /// Shows a warning until it is dismissed.
    pub(super) fn warn(&mut self, failure: Failure) {
        self.show(Message { is_error: false, is_warning: true, failure });
    }

    /// Removes the message of an earlier action when another action follows.
    pub(super) fn move_on(&mut self, action: Action) {
        let is_read = matches!(self.overlays.last(), Some(Overlay::Page(page)) if page.topic == Topic::Message)
            && action == Action::Escape;
        let looks = matches!(action, Action::Causes | Action::Redraw | Action::Suspend);
        if is_read || self.overlays.is_empty() && !looks {
            self.message.take_if(|message| !message.stays());
        }
    }
}

impl Message {
    /// Whether the message stays until it is dismissed or replaced.
    pub fn stays(&self) -> bool {
        self.is_error || self.is_warning
    }
}
