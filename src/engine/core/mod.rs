//! The engine without its thread: the run, the requests that wait, and what is done next.

mod actions;
mod generation;
mod go_to;
mod history;
mod paging;
mod request;
mod undo;

use super::Emit;
use super::derive::Queue;
use super::interrupts::Interrupts;
use super::open::Opened;
use super::panics::failure_of;
use super::run::Run;
use crate::control::Stopped;
use crate::model::Loaded;
use crate::protocol::{Ask, Event, Failure, Outcome, RequestId};
use crate::trace::{Policy, Prompt, Sampling};
use anyhow::Result;
use generation::Generation;
use history::History;
use paging::Paging;
use request::Request;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The engine without its thread.
pub struct Core {
    run: Run,
    /// The prompt that the run began with.
    prompt: Option<Prompt>,
    /// How tokens were chosen last.
    sampling: Option<Sampling>,
    history: History,
    /// Requests about the run, oldest first.
    requests: VecDeque<(RequestId, Ask)>,
    generation: Option<Generation>,
    /// Requests for derived values.
    derivations: Queue,
    /// Time that derivations took from the current generation, which it gets back before the next derivation.
    owed: Duration,
    paging: Paging,
}

/// The run as it was when it was requested, and how it was made.
pub struct Branch {
    /// The run.
    pub run: Run,
    /// The prompt that it began with.
    pub prompt: Option<Prompt>,
    /// How its tokens were chosen last; `None` if none was.
    pub sampling: Option<Sampling>,
}

impl Core {
    /// An engine with an empty run.
    pub fn new(loaded: Arc<Loaded>) -> Self {
        Self::of(Opened::Model(loaded))
    }

    /// An engine with an empty run of a model, or with a saved run.
    pub fn of(opened: Opened) -> Self {
        Self {
            run: opened.into_run(),
            prompt: None,
            sampling: None,
            history: History::default(),
            requests: VecDeque::new(),
            generation: None,
            derivations: Queue::default(),
            owed: Duration::ZERO,
            paging: Paging::default(),
        }
    }

    /// The run so far.
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// A copy of the current run, which later changes of the run do not affect.
    pub fn branch(&self) -> Branch {
        Branch { run: self.run.clone(), prompt: self.prompt.clone(), sampling: self.sampling }
    }

    /// Computes the run under this policy. It must have no token yet, because all would be forgotten; a saved run stays.
    pub(super) fn start_under(&mut self, policy: Policy) {
        if let Run::Live(live) = &mut self.run {
            live.switch(policy);
        }
    }

    /// The events that report what was opened, and which tokens a saved run has.
    pub fn introduce(&self, id: RequestId) -> Vec<Event> {
        let mut events = vec![Event::Ready { id, meta: self.run.meta().clone() }];
        if let Run::Replay(replay) = &self.run {
            events.push(Event::Tokens { id, keep: 0, tokens: replay.tokens().to_vec(), ms: 0.0 });
        }
        events
    }

    /// Carries out one request completely, without a thread, and returns its events: for tests and pictures.
    pub fn answer(&mut self, id: RequestId, ask: Ask) -> Vec<Event> {
        let interrupts = Interrupts::default();
        let events = Mutex::new(Vec::new());
        let emit = |event| events.lock().unwrap_or_else(PoisonError::into_inner).push(event);
        self.take(id, ask, &interrupts, &emit);
        while !self.is_idle() {
            self.work(&interrupts, &emit);
        }
        events.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nothing is left to do.
    pub(super) fn is_idle(&self) -> bool {
        self.requests.is_empty() && self.generation.is_none() && self.derivations.is_empty()
    }

    /// Queues a request.
    pub(super) fn take(&mut self, id: RequestId, ask: Ask, interrupts: &Interrupts, emit: Emit) {
        self.derivations.note(id);
        interrupts.note(id, &ask);
        match ask {
            Ask::Derive(what) => self.derivations.push(id, what, emit),
            ask => self.requests.push_back((id, ask)),
        }
    }

    /// Does the next piece of work: ends a cancelled generation, derives a part of a value, or reads one token.
    pub(super) fn work(&mut self, interrupts: &Interrupts, emit: Emit) {
        if let Some(generation) = self.generation.take_if(|generation| interrupts.is_cancelled(generation.id)) {
            emit(Event::Finished { id: generation.id, outcome: Outcome::Cancelled });
            self.end_action(emit);
        }
        let mut id = RequestId::default();
        let done = catch_unwind(AssertUnwindSafe(|| self.next(&mut id, interrupts, emit)));
        match done {
            Ok(Ok(())) => {}
            Ok(Err(error)) if error.is::<Stopped>() => emit(Event::Finished { id, outcome: Outcome::Cancelled }),
            Ok(Err(error)) => emit(Event::Failed { id, failure: Failure::of(&error) }),
            Err(panic) => {
                if let Run::Live(live) = &mut self.run {
                    live.repair();
                }
                // The screen may not know what was read before the panic.
                emit(Event::Tokens { id, keep: 0, tokens: self.run.tokens().to_vec(), ms: 0.0 });
                emit(Event::Failed { id, failure: failure_of(&*panic) });
            }
        }
        if self.generation.is_none() {
            self.end_action(emit);
        }
    }

    /// Does the most urgent piece of work, and sets `id` to the id of its request.
    fn next(&mut self, id: &mut RequestId, interrupts: &Interrupts, emit: Emit) -> Result<()> {
        let is_busy = self.generation.is_some() || !self.requests.is_empty();
        let must_wait = is_busy && self.owed > Duration::ZERO;
        if let Some(next) = self.derivations.next().filter(|_| !must_wait) {
            *id = next;
            let started = Instant::now();
            let result = self.derive(next, interrupts, emit);
            self.owed = started.elapsed();
            result
        } else if let Some(generation) = self.generation.take() {
            *id = generation.id;
            self.generate(generation, interrupts, emit)
        } else if let Some((next, ask)) = self.requests.pop_front() {
            *id = next;
            self.carry_out(Request { id: next, interrupts, emit }, ask)
        } else if let Some(next) = self.derivations.next_background() {
            *id = next;
            self.derive(next, interrupts, emit)
        } else {
            Ok(())
        }
    }

    /// Derives a part of a value.
    fn derive(&mut self, id: RequestId, interrupts: &Interrupts, emit: Emit) -> Result<()> {
        let result = self.derivations.work(id, &self.run, interrupts, emit);
        self.paging.skip(&self.run);
        result
    }

    /// Ends the action under way.
    fn end_action(&mut self, emit: Emit) {
        if let Run::Live(live) = &self.run
            && let Some((former, undos)) = self.history.end(live)
        {
            emit(Event::Acted { former, undos, prompt: self.prompt.clone() });
        }
    }
}
