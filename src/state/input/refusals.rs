//! Sentences that say why an action means nothing now.

use super::action::Action;
use crate::analysis::view::Tab;
use crate::state::{State, StripColour};

/// The refusal of actions that need a model.
const SAVED: &str = "this is a saved run without a model: o opens a model";

impl State {
    /// Why an action means nothing now. Some actions check that themselves.
    pub fn refusal(&self, action: Action) -> Option<String> {
        if !self.overlays.is_empty() {
            return None;
        }
        let general =
            self.without_model(action).or_else(|| self.without_run(action)).or_else(|| self.without_room(action));
        general.or_else(|| self.refusal_in_view(action))
    }

    fn without_model(&self, action: Action) -> Option<String> {
        let runs = match action {
            Action::EditPrompt
            | Action::Generate
            | Action::Go
            | Action::RunCount
            | Action::Back
            | Action::Rewind
            | Action::Undo
            | Action::Redo
            | Action::Branches
            | Action::ForceText
            | Action::CyclePolicy
            | Action::Policies
            | Action::Edits
            | Action::FlipEdits
            | Action::SecondPrompt
            | Action::TypeTarget => true,
            Action::ForceCandidate => self.enter_runs(),
            // Before a model is open, the values can be set for it.
            Action::Sampling => self.meta().is_some(),
            _ => false,
        };
        let looks = matches!(action, Action::CloseCalls | Action::Search | Action::ToggleBookmark | Action::ListEdits);
        // A saved run names its edits; they can't be changed.
        let lists = action == Action::ListEdits && self.edits.list.is_empty();
        match self.meta() {
            Some(meta) if meta.recording.is_some() && lists => Some(SAVED.to_owned()),
            Some(meta) if meta.recording.is_some() && runs => Some(SAVED.to_owned()),
            None if (runs || looks) && self.opening.is_some() => Some("the model is still being opened".to_owned()),
            None if runs || looks => Some("no model is open: o opens one".to_owned()),
            _ => None,
        }
    }

    fn without_run(&self, action: Action) -> Option<String> {
        let (len, at, busy) = (self.tokens.len(), self.cursor.token, self.is_busy());
        let sentence = match action {
            Action::Back if len <= 1 && !busy => "there is nothing to step back from",
            Action::Rewind if at + 1 >= len && !busy => "nothing comes after the cursor",
            Action::ToggleBookmark if len == 0 => "there is no token to mark yet",
            Action::PinTarget | Action::SecondPrompt if len == 0 => "there is no token yet: i types a prompt",
            Action::Causes if self.last_message().is_none() => "there is no message to show",
            Action::HeadsTogether | Action::FlipSide
                if self.panes.showing(Tab::Attention).is_none() && self.strip_colour() != StripColour::Attention =>
            {
                "heads are shown in Attention: 2 shows it"
            }
            _ => return None,
        };
        Some(sentence.to_owned())
    }

    /// Details are shown only next to a single view.
    fn without_room(&self, action: Action) -> Option<String> {
        if !matches!(action, Action::ToggleDetails | Action::ToggleContributions) {
            return None;
        }
        if action == Action::ToggleDetails && !self.has_details() {
            // The view has its own sentence.
            return None;
        }
        if self.panes.zoomed {
            Some("the view has all the room: w z brings back what is around it".to_owned())
        } else if self.panes.all().len() > 1 {
            Some("details are shown next to a single view only: w s ends the split".to_owned())
        } else {
            None
        }
    }
}
