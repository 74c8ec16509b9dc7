//! What is on screen as a file.

use super::{AttentionLens, Effect, LensLayout, RoutingLens, State, View};
use crate::trace::protocol::Failure;
use crate::trace::view::{ViewKind, ViewSpec};

/// What is to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Save {
    /// The view, as picture and table.
    View(ViewSpec),
    /// The whole run, as `mixscope run` writes it.
    Run,
    /// The screen as it is drawn, as picture.
    Screen,
}

impl State {
    /// The view of the pane with the focus, as a file would hold it; `None` if it has none.
    pub fn view_spec(&self) -> Option<ViewSpec> {
        let kind = match self.view {
            View::Routing => match self.routing {
                RoutingLens::Token => ViewKind::RoutingToken,
                RoutingLens::Layer => ViewKind::RoutingLayer,
                RoutingLens::Map => ViewKind::RoutingMap,
                RoutingLens::Load => ViewKind::RoutingLoad,
                RoutingLens::Pairs => ViewKind::RoutingPairs,
            },
            View::Attention => match self.attention {
                AttentionLens::Grid => ViewKind::AttentionGrid,
                AttentionLens::Head => ViewKind::AttentionHead,
            },
            View::Lens if self.lens == LensLayout::Plot => ViewKind::LensTargets,
            View::Lens => ViewKind::LensGrid,
            View::Next => ViewKind::Next,
            View::Fidelity => return None,
        };
        let cursor = self.cursor;
        Some(ViewSpec {
            kind,
            pos: cursor.token,
            layer: cursor.layer,
            head: cursor.head,
            site: self.lens_site,
            targets: self.plotted(),
        })
    }

    /// The curves of the lens plot: the final answer's, then the targets'.
    fn plotted(&self) -> Vec<u32> {
        let answer = self.token().and_then(|token| token.next.top.first()).map(|answer| answer.id);
        let targets = self.targets.iter().map(|target| target.id).filter(|id| Some(*id) != answer);
        answer.into_iter().chain(targets).collect()
    }

    pub(super) fn save_view(&mut self) -> Vec<Effect> {
        match self.view_spec() {
            Some(spec) => self.save(Save::View(spec)),
            None => {
                self.say("Fidelity has no file of its own: E writes its findings with the run, S the screen");
                Vec::new()
            }
        }
    }

    pub(super) fn save(&mut self, what: Save) -> Vec<Effect> {
        if self.tokens.is_empty() && what != Save::Screen {
            self.say("there is no run to write yet");
            return Vec::new();
        }
        if self.saving {
            self.say("a file is being written already");
            return Vec::new();
        }
        self.message = None;
        self.saving = true;
        vec![Effect::Save(what)]
    }

    pub(super) fn on_saved(&mut self, result: Result<String, Failure>) {
        self.saving = false;
        match result {
            Ok(what) => self.say(what),
            Err(failure) => self.tell(true, failure),
        }
    }
}
