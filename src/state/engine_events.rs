//! What the engine's reports do to the state.

use super::text::{show_piece, width};
use super::{Effect, Job, MeasuredOn, Overlay, Pace, Phase, State};
use crate::analysis::RunUsage;
use crate::protocol::{Ask, Derived, Event, Failure, JobKind, Outcome, RequestId};
use crate::trace::Prompt;
use crate::trace::TokenRecord;
use std::sync::Arc;

impl State {
    pub(super) fn on_engine(&mut self, event: Event) -> Vec<Effect> {
        match event {
            Event::Ready { id, meta } => {
                // A later choice may be under way already.
                self.opening.take_if(|opening| opening.id <= id);
                return self.on_ready(meta);
            }
            Event::Opening { id, download } => {
                if let Some(opening) = self.opening.as_mut().filter(|opening| opening.id == id) {
                    opening.download = Some(download);
                }
            }
            Event::Memory(memory) => self.memory = Some(memory),
            Event::Gone(failure) => {
                self.jobs.clear();
                self.opening = None;
                self.tell(true, failure.clone());
                // What was computed stays explorable; without a model there is nothing to explore.
                if self.meta().is_none() {
                    self.phase = Phase::Failed(failure);
                }
            }
            Event::Progress { id, done, total } => {
                // Of a generation it would only be the layers of one token.
                if let Some(job) = self.jobs.iter_mut().find(|job| job.id == id && !job.is_generation()) {
                    job.progress = Some((done, total));
                }
                self.derived.progressed(id, done, total);
            }
            Event::Tokens { keep, tokens, ms, .. } => self.on_tokens(keep, tokens, ms),
            Event::Warning(text) => self.say(text),
            Event::Switched(meta) => {
                self.switched(self.policy_in_force(), meta.policy);
                self.policy = meta.policy;
                if self.stats.dtype() != meta.router_dtype() {
                    self.stats = RunUsage::of(&self.tokens, &meta.dims, meta.router_dtype());
                }
                self.beside.begin(&meta);
                self.phase = Phase::Ready(meta);
                self.derived.clear();
            }
            Event::Lab(found) => self.lab = Some(found),
            Event::Acted { former, undos } => self.branches.acted(former, undos),
            Event::Revised(revision) => self.on_revised(revision),
            Event::Derived { id, result: Derived::Spelled(spelled) } => self.on_spelled(id, spelled),
            Event::Derived { id, result: Derived::Variant { meta, keep, tokens } } if self.derived.waits_for(id) => {
                if let Phase::Ready(run) = &self.phase {
                    self.beside.take((meta, keep, tokens), run, &self.tokens);
                }
            }
            Event::Derived { id, result: Derived::VariantLens(policy, cells) } if self.derived.waits_for(id) => {
                self.beside.take_lens(policy, cells);
            }
            // Answers to what another request has replaced, or to what an earlier model was asked, are none to this.
            Event::Derived { id, result } if self.derived.waits_for(id) => self.derived.keep(result),
            Event::Derived { .. } => {}
            Event::Finished { id, outcome } => self.on_finished(id, &outcome),
            Event::Failed { id, failure } if self.opening.as_ref().is_some_and(|opening| opening.id == id) => {
                self.opening = None;
                // The reason belongs on the line that is seen.
                let reason = failure.causes.first().map(|cause| format!(": {cause}")).unwrap_or_default();
                self.tell(true, Failure { summary: failure.summary.clone() + &reason, causes: failure.causes.clone() });
                if self.meta().is_none() {
                    self.phase = Phase::Failed(failure);
                }
            }
            // What was asked of a model that has been replaced meanwhile concerns nobody.
            Event::Failed { id, .. } if !self.knows(id) => {}
            Event::Failed { id, failure } => {
                self.jobs.retain(|job| job.id != id);
                self.derived.refuse(id, &failure);
                self.derived.fail(id);
                self.catch_up();
                self.tell(true, failure);
            }
        }
        Vec::new()
    }

    /// Another model is there: nothing of the run before is its own but the prompt.
    fn on_ready(&mut self, meta: Arc<crate::trace::Meta>) -> Vec<Effect> {
        let had_run = !self.tokens.is_empty();
        self.memory = None;
        self.tokens.clear();
        self.shown.clear();
        self.lines.truncate(&[], 0);
        self.stats = RunUsage::new(&meta.dims, meta.router_dtype());
        self.jobs.clear();
        self.derived = Default::default();
        self.branches = Default::default();
        let unfit = self.beside.for_model(&meta);
        self.beside.begin(&meta);
        self.lab = None;
        self.pace = Pace::default();
        self.message = None;
        self.pending = None;
        self.search = None;
        self.bookmarks.clear();
        self.overlays.retain(|overlay| matches!(overlay, Overlay::Input(_)));
        self.cursor = Default::default();
        self.targets.clear();
        self.scroll = 0;
        self.catch_up = false;
        self.cursor.layer = meta.dims.layers - 1;
        self.policy = meta.policy;
        let mut warnings: Vec<String> =
            meta.report.of(crate::trace::Level::Warn).map(|finding| finding.to_string()).collect();
        warnings.extend(unfit);
        let mut effects = vec![Effect::RememberModel(meta.name.clone())];
        let saved = meta.recording.clone();
        self.phase = Phase::Ready(meta);
        self.clamp();
        self.resume.reading = None;
        if let Some(saved) = self.resume.waiting.take() {
            effects.extend(self.read_saved(saved));
            self.tell_warnings(&warnings);
            return effects;
        }
        if let Some(saved) = saved {
            // Its tokens follow; its prompt is what a model that is opened next reads.
            self.overlays.clear();
            self.heads.on = MeasuredOn::Text;
            self.prompt = match &saved.prompt {
                Some(Prompt::Text(text) | Prompt::Chat(text)) => text.clone(),
                _ => String::new(),
            };
            self.start = saved.prompt;
            self.tell_warnings(&warnings);
            return effects;
        }
        match self.start.take() {
            // Only the command line insists on a template; later models use theirs if that was chosen and they have one.
            Some(Prompt::Chat(text) | Prompt::Text(text)) if had_run => {
                let prompt = if self.uses_chat() { Prompt::Chat(text) } else { Prompt::Text(text) };
                effects.extend(self.run_prompt(prompt));
            }
            // Ids mean other tokens to another model.
            Some(Prompt::Ids(_)) if had_run => self.open_prompt(),
            Some(prompt) => effects.extend(self.run_prompt(prompt)),
            None if self.overlays.is_empty() => self.open_prompt(),
            None => {}
        }
        // After the prompt is asked for, which takes away older messages.
        self.tell_warnings(&warnings);
        effects
    }

    fn tell_warnings(&mut self, warnings: &[String]) {
        if let Some((first, rest)) = warnings.split_first() {
            self.warn(Failure { summary: first.clone(), causes: rest.to_vec() });
        }
    }

    fn on_tokens(&mut self, keep: usize, tokens: Vec<Arc<TokenRecord>>, ms: f64) {
        // Tokens that replace the whole run (another policy) leave the cursor where it is.
        let followed = self.cursor.token + 1 >= self.tokens.len() && (keep > 0 || self.tokens.is_empty());
        let stands = keep.min(self.tokens.len());
        // Records of a prompt that only changed its source keep their derived views.
        let same = self.tokens[stands..]
            .iter()
            .zip(&tokens)
            .take_while(|(a, b)| a.id == b.id && Arc::ptr_eq(&a.values, &b.values));
        let unchanged = stands + same.count();
        if unchanged < self.tokens.len() {
            self.derived.truncate(unchanged);
            // The same text read under another policy is still the text that was marked.
            let alike = self.tokens[stands..].iter().zip(&tokens).take_while(|(a, b)| a.id == b.id).count();
            self.bookmarks.split_off(&(stands + alike));
        }
        if let Some(search) = &mut self.search {
            search.truncate(unchanged);
        }
        let before = self.tokens.len();
        self.stats.truncate(&self.tokens, unchanged);
        self.lines.truncate(&self.shown, stands);
        self.tokens.truncate(stands);
        self.shown.truncate(stands);
        self.shown.extend(tokens.iter().zip(stands..).map(|(token, pos)| {
            let text = show_piece(&token.piece);
            let cells = width(&text) + usize::from(self.bookmarks.contains(&pos));
            (text, cells.min(usize::from(u16::MAX)) as u16)
        }));
        if !tokens.is_empty() {
            self.pace = Pace { tokens: self.pace.tokens + tokens.len(), ms: self.pace.ms + ms };
        }
        self.tokens.extend(tokens);
        self.stats.extend(&self.tokens[unchanged..]);
        self.lines.extend(&self.shown);
        self.beside.follow(&self.tokens, unchanged);
        self.renew_close_calls(unchanged, before);
        if followed && self.reduced_motion && self.is_busy() {
            self.catch_up = true;
        } else if followed {
            self.go_to_end();
        }
        self.clamp();
    }

    fn go_to_end(&mut self) {
        self.cursor.token = self.tokens.len().saturating_sub(1);
        self.cursor.candidate = 0;
    }

    /// The run is over: a cursor that stood still at its end joins the end it has now.
    fn catch_up(&mut self) {
        if self.jobs.is_empty() && std::mem::take(&mut self.catch_up) {
            self.go_to_end();
        }
    }

    fn on_finished(&mut self, id: RequestId, outcome: &Outcome) {
        if self.opening.as_ref().is_some_and(|opening| opening.id == id) {
            self.opening = None;
        }
        let job = self.jobs.iter().find(|job| job.id == id).map(|job| job.kind);
        self.jobs.retain(|job| job.id != id);
        self.derived.finish(id);
        self.catch_up();
        if job == Some(JobKind::Session) && *outcome == Outcome::Done {
            self.on_resumed();
        }
        if job == Some(JobKind::Session) && *outcome == Outcome::Cancelled {
            let summary =
                "stopped: the session is not back whole; its file stays until something else is run".to_owned();
            return self.say(summary);
        }
        let was_prompt = job == Some(JobKind::Prompt);
        if was_prompt && *outcome == Outcome::Cancelled && !self.tokens.is_empty() && self.jobs.is_empty() {
            let count = self.tokens.len();
            let summary = format!("paused: {count} tokens of the prompt were read; i and enter read the rest");
            return self.say(summary);
        }
        let text = match outcome {
            Outcome::EndOfText if job.is_some() => "the model ended the text; space goes on beyond it",
            Outcome::ContextFull if job.is_some() => "the model's context is full: u steps back, i edits the prompt",
            _ => return,
        };
        self.say(text);
    }

    /// Whether `id` is a run or a derived view that is still waited for.
    fn knows(&self, id: RequestId) -> bool {
        self.jobs.iter().any(|job| job.id == id) || self.derived.waits_for(id)
    }

    /// Whether work of this kind is under way or waits.
    pub(super) fn is_doing(&self, kind: JobKind) -> bool {
        self.jobs.iter().any(|job| job.kind == kind)
    }

    /// Requests work on the run.
    pub(super) fn start_job(&mut self, ask: Ask) -> Vec<Effect> {
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
}
