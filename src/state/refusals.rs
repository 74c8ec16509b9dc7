//! Why a key means nothing now: a sentence instead of silence.

use super::keys::Action;
use super::{LensLayout, RoutingLens, State, StripColour, Tab};

/// What only a model can do.
const SAVED: &str = "this is a saved run without a model: o opens a model";

impl State {
    /// Why an action means nothing now; those that say so themselves are not here.
    pub(super) fn refusal(&self, action: Action) -> Option<String> {
        if !self.overlays.is_empty() {
            return None;
        }
        self.without_model(action).or_else(|| self.without_run(action)).or_else(|| self.in_this_view(action))
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
            | Action::ForceText
            | Action::CyclePolicy
            | Action::Policies
            | Action::TypeTarget => true,
            Action::ForceCandidate => self.view == Tab::Next || self.shows_lab(),
            // Without a model there is nothing yet that could be sampled; the values wait for it.
            Action::Sampling => self.meta().is_some(),
            _ => false,
        };
        let looks = matches!(action, Action::CloseCalls | Action::Search | Action::ToggleBookmark);
        match self.meta() {
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
            Action::Rewind if at + 1 >= len && !busy => "nothing stands after the cursor",
            Action::ForceCandidate if self.shows_lab() && len == 0 => "there is no token to read yet",
            Action::ToggleBookmark if len == 0 => "there is no token to mark yet",
            Action::ForceCandidate
                if self.view == Tab::Next && self.token().is_none_or(|token| token.next.top.is_empty()) =>
            {
                "there is no candidate here"
            }
            Action::Causes if self.message.is_none() => "there is no message to show",
            _ => return None,
        };
        Some(sentence.to_owned())
    }

    fn in_this_view(&self, action: Action) -> Option<String> {
        let name = self.view.name();
        let other = self.other.map(|other| other.pane.view);
        let shows = |view: Tab| self.view == view || other == Some(view);
        let has_scale = self.view == Tab::Attention || self.view == Tab::Lens && self.lens == LensLayout::Plot;
        let sentence = match action {
            Action::CycleLens if self.view == Tab::Next => {
                format!("{name} has one layout only")
            }
            Action::NextMeasure if self.view == Tab::Routing && self.routing != RoutingLens::Load => {
                "this layout has one measure only: v leads to the load, which has three".to_owned()
            }
            Action::NextMeasure if matches!(self.view, Tab::Next | Tab::Fidelity) => {
                format!("{name} has one measure only; Routing's load, Attention and Lens have several")
            }
            Action::ToggleDetails if self.view == Tab::Fidelity && !self.fidelity.shows_two() => {
                "this layout has no details: v leads to those that have".to_owned()
            }
            Action::ToggleDetails | Action::ToggleContributions if self.zoomed => {
                "the view has all the room: w z brings back what is around it".to_owned()
            }
            Action::ToggleDetails | Action::ToggleContributions if self.other.is_some() => {
                "details are shown beside one view only: w s ends the split".to_owned()
            }
            Action::ToggleLog if !has_scale => "the scale changes in Attention and in the plot of Lens only".to_owned(),
            Action::HeadsTogether | Action::FlipSide
                if !shows(Tab::Attention) && self.strip_colour() != StripColour::Attention =>
            {
                "heads are shown in Attention: 2 shows it".to_owned()
            }
            _ => return None,
        };
        Some(sentence)
    }
}
