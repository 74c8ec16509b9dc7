//! Undo and redo, and what is said of them.

use crate::protocol::{Ask, JobKind, Revision};
use crate::state::{Effect, State};
use crate::trace::{Direction, Prompt};

impl State {
    /// Undoes or redoes an action; pauses long work first.
    pub(in crate::state) fn revise(&mut self, ask: Ask) -> Vec<Effect> {
        if self.is_doing(JobKind::Generation) || self.is_doing(JobKind::Prompt) {
            return self.pause();
        }
        if self.meta().is_some() { self.start_job(ask) } else { Vec::new() }
    }

    /// Takes the prompt of the run that undo or redo has brought back.
    pub(in crate::state) fn on_revised(&mut self, revision: Revision) {
        let Revision { former, direction, prompt, undos, redos } = revision;
        let action = former.action.name();
        self.branches.revised(former, direction);
        self.settle_tree(prompt.clone());
        self.take_prompt(prompt);
        let done = match direction {
            Direction::Back => "undid",
            Direction::Forward => "did again",
        };
        let summary = format!("{done} {action} · {undos} more to undo, {redos} to redo");
        self.say(summary);
    }

    /// Takes the prompt of another run.
    pub(in crate::state) fn take_prompt(&mut self, prompt: Option<Prompt>) {
        self.chat = match &prompt {
            Some(Prompt::Chat(_)) => true,
            Some(Prompt::Text(_)) => false,
            Some(Prompt::Ids(_)) | None => self.chat,
        };
        self.prompt = match &prompt {
            Some(Prompt::Text(text) | Prompt::Chat(text)) => text.clone(),
            Some(Prompt::Ids(_)) | None => String::new(),
        };
        self.start = prompt;
    }
}
