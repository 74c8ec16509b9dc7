//! Writing files.

use super::save::{Save, ViewFiles};
use crate::analysis::view::{FileOrder, Tab, ViewSpec};
use crate::analysis::{MeasuredOn, UsageMeasure};
use crate::protocol::Failure;
use crate::state::{Effect, Pane, State};

impl State {
    /// The view with the focus, for a file.
    pub fn view_spec(&self) -> ViewSpec {
        self.spec_of(self.pane())
    }

    /// The view of a pane, for a file.
    fn spec_of(&self, pane: &Pane) -> ViewSpec {
        let cursor = self.cursor;
        ViewSpec {
            view: pane.view(),
            pos: cursor.token,
            layer: cursor.layer,
            head: pane.heads.pick(cursor.head),
            measure: pane.heads.measure,
            on: pane.heads.on,
            sorted: pane.heads.sorted,
            site: pane.lens.site,
            lens: pane.lens.measure,
            targets: self.plotted(),
            map: pane.effects.of(pane.view()),
            effect: self.map_measure(),
            // A selection is not part of a file, which then holds every measure.
            usage: Some(self.usage_measure(pane)).filter(|usage| *usage != UsageMeasure::Difference),
        }
    }

    /// The tokens of the curves: the final answer, then the targets.
    fn plotted(&self) -> Vec<u32> {
        let answer = self.token().and_then(|token| token.next.top.first()).map(|answer| answer.id);
        let targets = self.targets.iter().map(|target| target.id).filter(|id| Some(*id) != answer);
        answer.into_iter().chain(targets).collect()
    }

    pub(in crate::state) fn save_view(&mut self, order: FileOrder) -> Vec<Effect> {
        let (own, view) = (self.view(), order.view.unwrap_or(self.view()));
        if let Some(missing) = self.is_missing(view) {
            self.say(missing);
            return Vec::new();
        }
        // With the choices of the pane that shows it, if one does.
        let pane = self.panes.all().iter().find(|pane| pane.view() == view).filter(|_| view != own);
        let pane = pane.unwrap_or(self.pane());
        let spec = ViewSpec { view, map: pane.effects.of(view), ..self.spec_of(pane) };
        if view.tab() == Tab::Attention && spec.on == MeasuredOn::Repeated && self.derived.scores().is_none() {
            self.say(match self.derived.scores_failed() {
                true => "heads could not be measured on random tokens; R measures them on the text",
                false => "the scores on random tokens are not there yet",
            });
            return Vec::new();
        }
        // The map of another view may watch something that was not computed.
        if view != own && spec.map.is_some() {
            self.say(format!("{view} is written from its own view, where its map is computed"));
            return Vec::new();
        }
        self.save(Save::View(Box::new(ViewFiles { spec, formats: order.formats(), look: order.look })))
    }

    pub(in crate::state) fn save(&mut self, what: Save) -> Vec<Effect> {
        if self.tokens.is_empty() && what != Save::Screen {
            self.say("there is no run to write yet");
            return Vec::new();
        }
        if self.saving.is_some() {
            self.say("files are being written already; esc stops that");
            return Vec::new();
        }
        self.message = None;
        self.saving = Some(String::new());
        self.warned_of_saving = false;
        vec![Effect::Save(what)]
    }

    /// Leaves; while files are being written, warns first that they would be lost.
    pub(in crate::state) fn quit(&mut self) -> Vec<Effect> {
        if self.saving.is_some() && !std::mem::replace(&mut self.warned_of_saving, true) {
            self.say("files are still being written: the same key again leaves without them");
            return Vec::new();
        }
        vec![Effect::Quit]
    }

    pub(in crate::state) fn on_saved(&mut self, result: Result<String, Failure>) {
        self.saving = None;
        match result {
            Ok(what) => self.say(what),
            Err(failure) => self.fail(failure),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{Event, update};
    use crate::trace::{Policy, Sampling};

    fn state() -> State {
        State::new(None, Sampling::default(), Policy::Hf, Vec::new())
    }

    #[test]
    fn leaving_while_files_are_written_is_warned_of_once() {
        let mut state = state();
        assert_eq!(state.save(Save::Screen), [Effect::Save(Save::Screen)]);
        assert_eq!(state.save(Save::Screen), [], "one after the other");
        assert_eq!(state.quit(), []);
        assert!(state.message.as_ref().unwrap().failure.summary.contains("still being written"));
        assert_eq!(state.quit(), [Effect::Quit]);
        update(&mut state, Event::Saved(Ok("wrote it".to_owned())));
        assert_eq!(state.saving, None);
        assert_eq!(state.quit(), [Effect::Quit], "nothing is being written");
        state.save(Save::Screen);
        assert_eq!(state.quit(), [], "other files: said again");
    }

    #[test]
    fn escape_stops_the_writing() {
        let mut state = state();
        state.save(Save::Screen);
        update(&mut state, Event::Saving("heads 3/48".to_owned()));
        assert_eq!(state.saving.as_deref(), Some("heads 3/48"));
        assert_eq!(update(&mut state, Event::Key("esc".parse().unwrap())), [Effect::StopSaving]);
    }
}
