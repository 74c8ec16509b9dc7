//! Work on the run: prompts, steps, forced tokens.

use super::work::{Job, Pace};
use crate::protocol::{Ask, JobKind};
use crate::state::overlays::Overlay;
use crate::state::{Effect, State};
use crate::trace::{Policy, Prompt, Source};

impl State {
    /// Whether work of this kind is pending.
    pub(in crate::state) fn is_doing(&self, kind: JobKind) -> bool {
        self.jobs.iter().any(|job| job.kind == kind)
    }

    /// Requests work on the run.
    pub(in crate::state) fn start_job(&mut self, ask: Ask) -> Vec<Effect> {
        let kind = ask.job();
        // Work on a part of a session takes the place of that session.
        if kind != Some(JobKind::Session) && !self.is_doing(JobKind::Session) {
            self.resume.reading = None;
        }
        let id = self.new_id();
        self.message = None;
        self.jobs.extend(kind.map(|kind| Job { id, kind, progress: None }));
        if matches!(ask, Ask::Step { .. } | Ask::Prompt(_)) && self.jobs.len() == 1 {
            self.pace = Pace::default();
        }
        vec![Effect::Ask(id, ask)]
    }

    pub(in crate::state) fn pause(&mut self) -> Vec<Effect> {
        self.jobs.last().map(|job| Effect::Cancel(job.id)).into_iter().collect()
    }

    pub(in crate::state) fn submit(&mut self, text: String) -> Vec<Effect> {
        let mut effects = Vec::new();
        if !text.is_empty() && self.history.last() != Some(&text) {
            self.history.retain(|old| *old != text);
            self.history.push(text.clone());
            effects.push(Effect::Remember(text.clone()));
        }
        let prompt = self.typed_prompt(text);
        effects.extend(self.run_prompt(prompt));
        effects
    }

    /// A typed text as a prompt, in the chat template if it is used.
    pub fn typed_prompt(&self, text: String) -> Prompt {
        if self.uses_chat() { Prompt::Chat(text) } else { Prompt::Text(text) }
    }

    pub(in crate::state) fn run_prompt(&mut self, prompt: Prompt) -> Vec<Effect> {
        if let Prompt::Text(text) | Prompt::Chat(text) = &prompt {
            self.prompt.clone_from(text);
        }
        self.start = Some(prompt.clone());
        self.first_run = false;
        // A new prompt replaces the current work.
        let mut effects = self.pause();
        self.cursor.token = self.tokens.len().saturating_sub(1);
        effects.extend(self.start_job(Ask::Prompt(prompt)));
        effects
    }

    /// Generates tokens, or pauses the generation. Single steps queue up, so that no key press is lost.
    pub(in crate::state) fn generate(&mut self, count: Option<usize>) -> Vec<Effect> {
        if self.meta().is_none() {
            return Vec::new();
        }
        if self.tokens.is_empty() && !self.is_busy() {
            self.open_prompt();
            if let Some(Overlay::Input(input)) = self.overlays.last_mut() {
                input.note = "there is no text to continue yet: type a prompt";
            }
            return Vec::new();
        }
        if self.is_doing(JobKind::Generation) {
            return self.pause();
        }
        self.start_job(Ask::Step { count, sampling: self.sampling })
    }

    /// Forgets tokens; pauses long work first.
    pub(in crate::state) fn forget(&mut self, ask: Ask) -> Vec<Effect> {
        if [JobKind::Generation, JobKind::Prompt, JobKind::Session].into_iter().any(|kind| self.is_doing(kind)) {
            return self.pause();
        }
        let len = match &ask {
            Ask::Truncate { len } => *len,
            _ => self.tokens.len().saturating_sub(1).max(1),
        };
        if len >= self.tokens.len() && !self.is_busy() {
            return Vec::new();
        }
        let of_prompt = self.tokens.iter().skip(len).filter(|token| token.source == Source::Prompt).count();
        let effects = self.start_job(ask);
        if of_prompt > 0 {
            let tokens = if of_prompt == 1 { "token" } else { "tokens" };
            self.say(format!("took {of_prompt} {tokens} of the prompt away: z brings them back, i edits the prompt"));
        }
        effects
    }

    pub(in crate::state) fn cycle_policy(&mut self) -> Vec<Effect> {
        let Some(active) = self.meta().map(|meta| meta.policy) else { return Vec::new() };
        let next = match active {
            Policy::Hf => Policy::F32,
            Policy::F32 => Policy::F32Router,
            // A policy of the lab also leads back to `hf`.
            _ => Policy::Hf,
        };
        self.run_under(next)
    }
}
