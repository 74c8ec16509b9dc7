//! The engine's events.

use super::work::Pace;
use crate::analysis::MeasuredOn;
use crate::analysis::RunUsage;
use crate::protocol::{Derived, Event, Failure, JobKind, Outcome, RequestId};
use crate::state::overlays::Overlay;
use crate::state::{Effect, Phase, State};
use crate::trace::{Meta, Prompt, Variant};
use std::sync::Arc;

impl State {
    pub(in crate::state) fn on_engine(&mut self, event: Event) -> Vec<Effect> {
        match event {
            Event::Ready { id, meta } => {
                // A later choice of a model may be pending already.
                self.opening.take_if(|opening| opening.id <= id);
                return self.on_ready(id, meta);
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
                self.fail(failure.clone());
                // Computed values stay; without a model there is nothing to explore.
                if self.meta().is_none() {
                    self.phase = Phase::Failed(failure);
                }
            }
            Event::Progress { id, done, total } => {
                // The progress of a generation counts only the layers of one token.
                if let Some(job) = self.jobs.iter_mut().find(|job| job.id == id && !job.is_generation()) {
                    job.progress = Some((done, total));
                }
                self.derived.progressed(id, done, total);
            }
            Event::Tokens { keep, tokens, ms, .. } => self.on_tokens(keep, tokens, ms),
            Event::Warning(text) => self.say(text),
            Event::Switched(meta) => {
                self.switched(&self.current_variant(), &Variant::of(&meta));
                self.policy = meta.policy;
                if self.usage.dtype() != meta.router_dtype() {
                    self.usage = RunUsage::of(&self.tokens, &meta.dims, meta.router_dtype());
                }
                self.baseline.begin(&meta);
                self.follow_edits(&meta.edits);
                self.phase = Phase::Ready(meta);
                self.derived.clear();
            }
            Event::Edited(found) => self.on_edited(&found),
            Event::Lab(found) => self.lab = Some(found),
            Event::Acted { former, undos, prompt } => self.on_acted(former, undos, prompt),
            Event::Revised(revision) => self.on_revised(revision),
            Event::Derived { id, result: Derived::Spelled(spelled) } => self.on_spelled(id, spelled),
            Event::Derived { id, result: Derived::Variant { meta, keep, tokens } } if self.derived.waits_for(id) => {
                if let Phase::Ready(run) = &self.phase {
                    self.baseline.take((meta, keep, tokens), run, &self.tokens);
                }
            }
            Event::Derived { id, result: Derived::VariantLens(variant, cells) } if self.derived.waits_for(id) => {
                self.baseline.take_lens(&variant, cells);
            }
            Event::Derived { id, result: Derived::Second { prompt, meta, tokens } } if self.derived.waits_for(id) => {
                if let Some(second) = self.second.as_mut().filter(|second| second.prompt == prompt) {
                    second.take(meta, tokens);
                    self.derived.forget_distance();
                }
            }
            Event::Derived { id, result: Derived::SecondLens(prompt, cells) } if self.derived.waits_for(id) => {
                if let Some(second) = self.second.as_mut().filter(|second| second.prompt == prompt) {
                    second.take_lens(cells);
                }
            }
            // The state ignores answers to requests that were replaced, or that an earlier model received.
            Event::Derived { id, result } if self.derived.waits_for(id) => self.derived.keep(result),
            Event::Derived { .. } => {}
            Event::Finished { id, outcome } => self.on_finished(id, &outcome),
            Event::Failed { id, failure } if self.opening.as_ref().is_some_and(|opening| opening.id == id) => {
                self.opening = None;
                // The first cause belongs on the visible line.
                let reason = failure.causes.first().map(|cause| format!(": {cause}")).unwrap_or_default();
                self.fail(Failure { summary: failure.summary.clone() + &reason, causes: failure.causes.clone() });
                if self.meta().is_none() {
                    self.phase = Phase::Failed(failure);
                }
            }
            // Failures of a model that has been replaced are ignored.
            Event::Failed { id, .. } if !self.knows(id) => {}
            Event::Failed { id, failure } => {
                if self.jobs.iter().any(|job| job.id == id && job.kind == JobKind::Edits) {
                    self.restore_edits();
                }
                if let (true, Some(second)) = (self.derived.waits_for_second(id), &mut self.second) {
                    second.failed = Some(failure.summary.clone());
                }
                self.jobs.retain(|job| job.id != id);
                self.derived.refuse(id, &failure);
                self.derived.fail(id);
                self.catch_up();
                self.fail(failure);
            }
        }
        Vec::new()
    }

    /// Starts with another model; only the prompt is kept.
    fn on_ready(&mut self, id: RequestId, meta: Arc<Meta>) -> Vec<Effect> {
        let had_run = !self.tokens.is_empty();
        self.memory = None;
        self.tokens.clear();
        self.shown.clear();
        self.lines.truncate(&[], 0);
        self.usage = RunUsage::new(&meta.dims, meta.router_dtype());
        // What was requested after the model is still to be done.
        self.jobs.retain(|job| job.id > id);
        self.derived = Default::default();
        self.branches = Default::default();
        self.tree = Default::default();
        self.said_dropped = false;
        let unfit = self.baseline.for_model(&meta);
        self.baseline.begin(&meta);
        self.lab = None;
        self.pace = Pace::default();
        self.message = None;
        self.pending = None;
        self.search = None;
        self.bookmarks.clear();
        self.edits = Default::default();
        self.second = None;
        self.foil = None;
        self.pin = None;
        self.maps_on = false;
        self.overlays.retain(|overlay| matches!(overlay, Overlay::Input(_)));
        self.cursor = Default::default();
        self.targets.clear();
        self.panes.each(|pane| pane.scroll = 0);
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
            self.show_warnings(&warnings);
            return effects;
        }
        if let Some(saved) = saved {
            // Its tokens follow. The next model that is opened reads its prompt.
            self.overlays.clear();
            self.follow_edits(&self.edits_of_run());
            self.panes.each(|pane| pane.heads.on = MeasuredOn::Text);
            self.prompt = match &saved.prompt {
                Some(Prompt::Text(text) | Prompt::Chat(text)) => text.clone(),
                _ => String::new(),
            };
            self.start = saved.prompt;
            self.show_warnings(&warnings);
            return effects;
        }
        let edits = std::mem::take(&mut self.start_edits);
        match self.start.take() {
            // Only the command line insists on a chat template; later models use theirs if that is chosen and they have
            // one.
            Some(Prompt::Chat(text) | Prompt::Text(text)) if had_run => {
                let prompt = if self.uses_chat() { Prompt::Chat(text) } else { Prompt::Text(text) };
                effects.extend(self.run_prompt(prompt));
            }
            // In another model, the same ids are other tokens.
            Some(Prompt::Ids(_)) if had_run => self.open_prompt(),
            Some(prompt) => effects.extend(self.run_prompt(prompt)),
            None if self.overlays.is_empty() => self.open_prompt(),
            None => {}
        }
        // After the prompt, which would replace the request.
        if !edits.is_empty() {
            effects.extend(self.load_edits(edits));
        }
        // A request for a run removes older messages, so warnings come after it.
        self.show_warnings(&warnings);
        effects
    }

    fn show_warnings(&mut self, warnings: &[String]) {
        if let Some((first, rest)) = warnings.split_first() {
            self.warn(Failure { summary: first.clone(), causes: rest.to_vec() });
        }
        self.show_troubles(warnings);
    }

    fn on_finished(&mut self, id: RequestId, outcome: &Outcome) {
        if self.opening.as_ref().is_some_and(|opening| opening.id == id) {
            self.opening = None;
        }
        let job = self.jobs.iter().find(|job| job.id == id).map(|job| job.kind);
        self.jobs.retain(|job| job.id != id);
        self.derived.finish(id);
        self.catch_up();
        if job == Some(JobKind::Edits) && *outcome == Outcome::Cancelled {
            self.restore_edits();
        }
        if job == Some(JobKind::Session) && *outcome == Outcome::Done {
            self.on_resumed();
        }
        if job == Some(JobKind::Session) && *outcome == Outcome::Cancelled {
            return self
                .say("stopped: the session is restored only in part; its file stays until something else is run");
        }
        let was_prompt = job == Some(JobKind::Prompt);
        if was_prompt && *outcome == Outcome::Cancelled && !self.tokens.is_empty() && self.jobs.is_empty() {
            let count = self.tokens.len();
            return self.say(format!("paused: {count} tokens of the prompt were read; i and enter read the rest"));
        }
        let text = match outcome {
            Outcome::EndOfText if job.is_some() => "the model ended the text; space continues beyond it",
            Outcome::ContextFull if job.is_some() => "the model's context is full: u steps back, i edits the prompt",
            _ => return,
        };
        self.say(text);
    }

    /// Whether `id` is pending work or a pending derived value.
    fn knows(&self, id: RequestId) -> bool {
        self.jobs.iter().any(|job| job.id == id) || self.derived.waits_for(id)
    }
}
