//! What the model is made to read: prompts, steps, forced tokens, and the way back.

use super::{Effect, FidelityLens, Overlay, State, Tab};
use crate::protocol::{Ask, Revision};
use crate::trace::Policy;
use crate::trace::Prompt;

impl State {
    pub(super) fn pause(&mut self) -> Vec<Effect> {
        self.jobs.last().map(|job| Effect::Cancel(job.id)).into_iter().collect()
    }

    pub(super) fn submit(&mut self, text: String) -> Vec<Effect> {
        let mut effects = Vec::new();
        if !text.is_empty() && self.history.last() != Some(&text) {
            self.history.retain(|old| *old != text);
            self.history.push(text.clone());
            effects.push(Effect::Remember(text.clone()));
        }
        let prompt = if self.uses_chat() { Prompt::Chat(text) } else { Prompt::Text(text) };
        effects.extend(self.run_prompt(prompt));
        effects
    }

    pub(super) fn run_prompt(&mut self, prompt: Prompt) -> Vec<Effect> {
        if let Prompt::Text(text) | Prompt::Chat(text) = &prompt {
            self.prompt.clone_from(text);
        }
        self.start = Some(prompt.clone());
        self.first_run = false;
        // A new prompt replaces what runs.
        let mut effects = self.pause();
        self.cursor.token = self.tokens.len().saturating_sub(1);
        effects.extend(self.start_job(READING, Ask::Prompt(prompt)));
        effects
    }

    /// Generates, or pauses a generation under way. Single steps queue up, so that fast fingers lose nothing.
    pub(super) fn generate(&mut self, count: Option<usize>) -> Vec<Effect> {
        if self.meta().is_none() {
            return Vec::new();
        }
        if self.tokens.is_empty() && !self.is_busy() {
            self.open_prompt();
            if let Some(Overlay::Input(input)) = self.overlays.last_mut() {
                input.note = "there is no text to go on from yet: type a prompt";
            }
            return Vec::new();
        }
        if self.jobs.iter().any(|job| job.what == GENERATING) {
            return self.pause();
        }
        let what = if count == Some(1) { STEPPING } else { GENERATING };
        self.start_job(what, Ask::Step { count, sampling: self.sampling })
    }

    /// Forgets tokens. While a long run is under way it means: stop first.
    pub(super) fn forget(&mut self, ask: Ask) -> Vec<Effect> {
        if self.jobs.iter().any(|job| job.what == GENERATING || job.what == READING || job.what == RESUMING) {
            return self.pause();
        }
        let nothing = match &ask {
            Ask::Truncate { len } => *len >= self.tokens.len(),
            _ => self.tokens.len() <= 1,
        };
        if nothing && !self.is_busy() { Vec::new() } else { self.start_job("stepping back", ask) }
    }

    pub(super) fn force_candidate(&mut self) -> Vec<Effect> {
        if self.view == Tab::Fidelity && self.fidelity == FidelityLens::Lab {
            return self.run_lab();
        }
        if self.view != Tab::Next {
            self.view = Tab::Next;
            return Vec::new();
        }
        let Some(candidate) = self.token().and_then(|token| token.next.top.get(self.cursor.candidate)) else {
            return Vec::new();
        };
        let token = candidate.id;
        let len = self.cursor.token + 1;
        if self.is_busy() {
            return self.pause();
        }
        let ask = if len < self.tokens.len() { Ask::Branch { len, token } } else { Ask::ForceToken(token) };
        self.start_job("forcing", ask)
    }

    /// Reads the tokens under every policy; the run stays as it is.
    fn run_lab(&mut self) -> Vec<Effect> {
        if self.is_busy() {
            return self.pause();
        }
        self.start_job(LAB, Ask::Lab { steps: LAB_STEPS })
    }

    /// Undoes an edit or does it again. While a long run is under way it means: stop first.
    pub(super) fn revise(&mut self, ask: Ask) -> Vec<Effect> {
        if self.jobs.iter().any(|job| job.what == GENERATING || job.what == READING) {
            return self.pause();
        }
        let what = if ask == Ask::Undo { "undoing" } else { "redoing" };
        if self.meta().is_some() { self.start_job(what, ask) } else { Vec::new() }
    }

    /// The run is one of before or after an edit again, and so is its prompt.
    pub(super) fn on_revised(&mut self, revision: Revision) {
        let Revision { former, back, prompt, undos, redos } = revision;
        let action = former.action.name();
        self.branches.revised(former, back);
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
        let done = if back { "undid" } else { "did again" };
        let summary = format!("{done} {action} · {undos} more to undo, {redos} to redo");
        self.say(summary);
    }

    pub(super) fn cycle_policy(&mut self) -> Vec<Effect> {
        let Some(active) = self.meta().map(|meta| meta.policy) else { return Vec::new() };
        let next = match active {
            Policy::Hf => Policy::F32,
            Policy::F32 => Policy::F32Router,
            // From one of the lab's as well.
            _ => Policy::Hf,
        };
        self.run_under(next)
    }
}

/// What a precision lab is called.
pub const LAB: &str = "precision lab";
/// Tokens that a precision lab generates, as `mixscope lab` does by default.
const LAB_STEPS: usize = 16;
/// What a generation of more than one token is called.
pub(super) const GENERATING: &str = "generating";
/// What generating one token is called.
pub(super) const STEPPING: &str = "stepping";
/// What reading the tokens of an earlier session is called.
pub(super) const RESUMING: &str = "reading the session";
/// What reading a prompt is called.
pub(super) const READING: &str = "reading the prompt";
