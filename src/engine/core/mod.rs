//! The loop of the engine's thread.

use super::board::Board;
use super::body::Body;
use super::deriving::Deriver;
use super::lab::{lab, lab_policies};
use super::openings::Openings;
use super::run::Run;
use super::session::{OnTokens, Live};
use super::target::Opened;
use super::undo::Edits;
use super::{Branch, Emit, Message, OpenOptions};
use crate::control::{Control, Stopped};
use crate::model::Loaded;
use crate::protocol::{Ask, Event, Failure, Memory, Outcome, RequestId};
use crate::trace::Prompt;
use crate::trace::{Policy, Sampling, Source, TokenRecord};
use anyhow::{Context, Result, anyhow};
use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, TryRecvError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Progress is reported at most this often.
const PROGRESS_EVERY: Duration = Duration::from_millis(50);
/// It is looked at most this often how much of the weights is in memory.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Serves requests until told to quit.
pub(super) fn serve(openings: &Openings, inbox: &Receiver<Message>, emit: Emit) {
    let board = &*openings.board;
    let mut core: Option<Core> = None;
    // Of the last model that was in use.
    let mut policy = None;
    loop {
        let is_idle = core.as_ref().is_none_or(Core::is_idle);
        let next = if is_idle { inbox.recv().map_err(|_| TryRecvError::Disconnected) } else { inbox.try_recv() };
        match (next, &mut core) {
            (Ok(Message::Ask(id, Ask::Open(name))), core) => {
                // Ids on the command line are those of the first model.
                let ids_only = openings.options.ids_only && core.is_none();
                if let Err(error) = openings.start(id, name, OpenOptions { ids_only, ..openings.options }) {
                    emit(Event::Failed { id, failure: Failure::of(&error) });
                }
            }
            (Ok(Message::Opened(id, _)), _) if board.is_opening_cancelled(id) => {
                emit(Event::Finished { id, outcome: Outcome::Cancelled });
            }
            (Ok(Message::Opened(id, Ok(opened))), core) => {
                let mut next = Core::of(opened);
                // The policy may have been changed while it was opened.
                policy = core.as_ref().and_then(|core| core.body.live().ok()).map(|live| live.meta().policy).or(policy);
                if let (Some(policy), Body::Live(live)) = (policy, &mut next.body) {
                    live.switch(policy);
                }
                next.introduce(id).into_iter().for_each(emit);
                emit(Event::Finished { id, outcome: Outcome::Done });
                *core = Some(next);
            }
            (Ok(Message::Opened(id, Err(error))), _) => emit(Event::Failed { id, failure: Failure::of(&error) }),
            (Ok(Message::Branch(to)), core) => {
                if let Some(core) = core {
                    // Whoever asked may have given up.
                    let _ = to.send(core.branch());
                }
            }
            (Ok(Message::Ask(id, ask)), Some(core)) => core.take(id, ask, board, emit),
            (Ok(Message::Ask(id, _)), None) => emit(Event::Finished { id, outcome: Outcome::Cancelled }),
            (Err(TryRecvError::Empty), Some(core)) => core.work(board, emit),
            (Err(TryRecvError::Empty), None) => {}
            (Ok(Message::Quit) | Err(TryRecvError::Disconnected), _) => return,
        }
    }
}

/// A failure that says what a panic said.
pub fn panic_failure(panic: &(dyn Any + Send)) -> Failure {
    let said = panic.downcast_ref::<&str>().map(ToString::to_string);
    let said = said.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    Failure {
        summary: "a defect in mixscope stopped this work; what was computed before is still there".to_owned(),
        causes: vec![said, "please report it with the prompt and the model's name".to_owned()],
    }
}

/// Reports progress on `id` as events, now and then.
fn progress_of(id: RequestId, emit: Emit<'_>) -> impl Fn(usize, usize) + Sync + '_ {
    let last = Mutex::new(Instant::now());
    move |done, total| {
        let mut last = hold(&last);
        if last.elapsed() >= PROGRESS_EVERY {
            *last = Instant::now();
            emit(Event::Progress { id, done, total });
        }
    }
}

fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A generation under way.
struct Running {
    id: RequestId,
    left: Option<usize>,
    done: usize,
    sampling: Sampling,
}

/// The engine without its thread: what it was asked and how far it is.
pub struct Core {
    pub(super) body: Body,
    /// The prompt that the run began with.
    pub(super) prompt: Option<Prompt>,
    /// How tokens were chosen last.
    sampling: Option<Sampling>,
    pub(super) edits: Edits,
    runs: VecDeque<(RequestId, Ask)>,
    running: Option<Running>,
    pub(super) deriver: Deriver,
    /// Time that derived views took from the generation under way and that it gets back first.
    owed: Duration,
    memory: Memory,
    /// When it was last looked how much of the weights is in memory.
    looked: Option<Instant>,
    /// Experts found in memory and not, when last told.
    counted: (u64, u64),
}

impl Core {
    /// An engine with an empty run.
    pub fn new(loaded: Arc<Loaded>) -> Self {
        Self::of(Opened::Model(loaded))
    }

    /// An engine with an empty run of a model, or with a saved run.
    pub fn of(opened: Opened) -> Self {
        Self {
            body: Body::of(opened),
            prompt: None,
            sampling: None,
            edits: Edits::default(),
            runs: Default::default(),
            running: None,
            deriver: Deriver::default(),
            owed: Duration::ZERO,
            memory: Memory::default(),
            looked: None,
            counted: (0, 0),
        }
    }

    /// The run so far.
    pub fn live(&self) -> &Run {
        self.body.run()
    }

    /// The run as it is now; its later fate does not concern what is returned.
    pub fn branch(&self) -> Branch {
        Branch { run: self.body.branch(), prompt: self.prompt.clone(), sampling: self.sampling }
    }

    /// Ends the edit under way.
    fn close_edit(&mut self, emit: Emit) {
        if let Body::Live(live) = &self.body
            && let Some((left, undos)) = self.edits.close(live)
        {
            emit(Event::Edited { left, undos });
        }
    }

    /// Says what was opened, and which tokens a saved run has.
    pub fn introduce(&self, id: RequestId) -> Vec<Event> {
        let mut events = vec![Event::Ready { id, meta: self.live().meta().clone() }];
        if let Body::Saved(saved) = &self.body {
            events.push(Event::Tokens { id, keep: 0, tokens: saved.tokens().to_vec(), ms: 0.0 });
        }
        events
    }

    fn is_idle(&self) -> bool {
        self.runs.is_empty() && self.running.is_none() && self.deriver.is_idle()
    }

    /// Does one request whole, without a thread, and returns what was reported: for tests and pictures.
    pub fn answer(&mut self, id: RequestId, ask: Ask) -> Vec<Event> {
        let board = Board::default();
        let events = Mutex::new(Vec::new());
        let emit = |event| hold(&events).push(event);
        self.take(id, ask, &board, &emit);
        while !self.is_idle() {
            self.work(&board, &emit);
        }
        events.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a request.
    fn take(&mut self, id: RequestId, ask: Ask, board: &Board, emit: Emit) {
        self.deriver.note(id);
        match ask {
            Ask::Derive(what) => {
                board.note(id, &Ask::Derive(what.clone()));
                self.deriver.take(id, what, emit);
            }
            ask => self.runs.push_back((id, ask)),
        }
    }

    /// Does the next piece of work: a cancelled run is ended, a part of a view derived, or one token read.
    fn work(&mut self, board: &Board, emit: Emit) {
        if let Some(running) = self.running.take_if(|running| board.is_cancelled(running.id)) {
            emit(Event::Finished { id: running.id, outcome: Outcome::Cancelled });
            self.close_edit(emit);
        }
        let busy = self.running.is_some() || !self.runs.is_empty();
        let mut id = RequestId::default();
        let done = catch_unwind(AssertUnwindSafe(|| {
            let must_wait = busy && self.owed > Duration::ZERO;
            if let Some(which) = self.deriver.next().filter(|_| !must_wait) {
                id = which;
                self.derive(board, emit)
            } else if let Some(running) = self.running.take() {
                id = running.id;
                self.step(running, board, emit)
            } else if let Some((which, ask)) = self.runs.pop_front() {
                id = which;
                self.run(which, ask, board, emit)
            } else if let Some(which) = self.deriver.next_background() {
                id = which;
                let result = self.deriver.work_background(self.body.run(), board, emit);
                // What it read from disk says nothing about the run.
                self.counted = self.paging();
                result
            } else {
                Ok(())
            }
        }));
        match done {
            Ok(Ok(())) => {}
            Ok(Err(error)) if error.is::<Stopped>() => emit(Event::Finished { id, outcome: Outcome::Cancelled }),
            Ok(Err(error)) => emit(Event::Failed { id, failure: Failure::of(&error) }),
            Err(panic) => {
                if let Body::Live(live) = &mut self.body {
                    live.repair();
                }
                // The screen may not know what was read before the panic.
                emit(Event::Tokens { id, keep: 0, tokens: self.live().tokens().to_vec(), ms: 0.0 });
                emit(Event::Failed { id, failure: panic_failure(&*panic) });
            }
        }
        if self.running.is_none() {
            self.close_edit(emit);
        }
    }

    /// Derives a part of a view.
    fn derive(&mut self, board: &Board, emit: Emit) -> Result<()> {
        let started = Instant::now();
        let result = self.deriver.work(self.body.run(), board, emit);
        self.owed = started.elapsed();
        // Experts that were read for a view are none of the run's.
        self.counted = self.paging();
        result
    }

    /// Experts found in memory and not, since the model was opened.
    fn paging(&self) -> (u64, u64) {
        match &self.body {
            Body::Live(live) => live.loaded().model.paging().counts(),
            Body::Saved(_) => (0, 0),
        }
    }

    fn run(&mut self, id: RequestId, ask: Ask, board: &Board, emit: Emit) -> Result<()> {
        if board.is_cancelled(id) {
            return Err(Stopped.into());
        }
        if let Body::Live(live) = &self.body {
            self.edits.open(&ask, &self.prompt, live);
        }
        match ask {
            Ask::Prompt(prompt) => {
                let ids = self.body.live()?.prompt_ids(&prompt)?;
                self.prompt = Some(prompt);
                self.read(id, board, emit, |live, control, arrived| live.set_prompt(&ids, control, arrived))?;
            }
            Ask::Step { count, sampling } => {
                self.body.live()?;
                crate::model::sampling::check(&sampling)?;
                self.sampling = Some(sampling);
                self.running = Some(Running { id, left: count, done: 0, sampling });
                return Ok(());
            }
            Ask::ForceToken(token) => self.force(id, &[token], board, emit)?,
            Ask::Branch { len, token } => {
                self.truncate(id, len, emit)?;
                self.force(id, &[token], board, emit)?;
            }
            Ask::ForceText(text) => {
                let ids = self.body.live()?.tokenize_on(&text)?;
                self.force(id, &ids, board, emit)?;
            }
            Ask::Back => self.truncate(id, self.live().tokens().len().saturating_sub(1), emit)?,
            Ask::Truncate { len } => self.truncate(id, len, emit)?,
            Ask::Policy(policy) => self.switch(id, policy, board, emit)?,
            Ask::Restore { prompt, tokens, branches } => {
                self.edits = Edits::default();
                self.restore(id, &tokens, board, emit)?;
                self.prompt = prompt;
                self.edits = Edits::of(branches);
            }
            Ask::Undo => self.revise(id, true, board, emit)?,
            Ask::Redo => self.revise(id, false, board, emit)?,
            Ask::Derive(what) => {
                self.deriver.take(id, what, emit);
                return Ok(());
            }
            Ask::Lab { steps } => self.lab(id, steps, board, emit)?,
            Ask::Open(name) => anyhow::bail!("{name} can only be opened by the engine's thread"),
        }
        emit(Event::Finished { id, outcome: Outcome::Done });
        Ok(())
    }

    /// Reads the run again under another policy; if that is stopped or fails, the run stays as it was.
    fn switch(&mut self, id: RequestId, policy: Policy, board: &Board, emit: Emit) -> Result<()> {
        let live = self.body.live_mut()?;
        let before = Box::new(live.clone());
        let tokens = live.switch(policy);
        let quiet = |event: Event| {
            if matches!(event, Event::Progress { .. }) {
                emit(event);
            }
        };
        let started = Instant::now();
        if let Err(error) = self.read_again(id, &tokens, board, &quiet) {
            self.body = Body::Live(before);
            return Err(error);
        }
        self.deriver.beside.keep(*before);
        emit(Event::Switched(self.live().meta().clone()));
        let (tokens, ms) = (self.live().tokens().to_vec(), started.elapsed().as_secs_f64() * 1e3);
        emit(Event::Tokens { id, keep: 0, tokens, ms });
        Ok(())
    }

    /// Reads the run's tokens under every policy that differs from `hf`.
    fn lab(&self, id: RequestId, steps: usize, board: &Board, emit: Emit) -> Result<()> {
        let live = self.body.live()?;
        let ids: Vec<u32> = live.tokens().iter().map(|token| token.id).collect();
        let (policies, _) = lab_policies(live.meta(), Policy::Hf);
        let (is_cancelled, progress) = (|| board.is_cancelled(id), progress_of(id, emit));
        let control = Control::new(&is_cancelled, &progress);
        let found = lab(live.loaded(), &ids, steps, Policy::Hf, &policies, &control)?;
        emit(Event::Lab(Arc::new(found)));
        Ok(())
    }

    /// Makes `tokens` the run. What was read before an error or a stop stays.
    fn restore(&mut self, id: RequestId, tokens: &[(u32, Source)], board: &Board, emit: Emit) -> Result<()> {
        let ids = tokens.iter().map(|(id, _)| *id).collect();
        let live = self.body.live_mut()?;
        live.prompt_ids(&Prompt::Ids(ids)).context("the live does not fit this model")?;
        live.truncate(0);
        emit(Event::Tokens { id, keep: 0, tokens: Vec::new(), ms: 0.0 });
        self.read_again(id, tokens, board, emit)
    }

    pub(super) fn read_again(
        &mut self,
        id: RequestId,
        tokens: &[(u32, Source)],
        board: &Board,
        emit: Emit,
    ) -> Result<()> {
        for same in tokens.chunk_by(|a, b| a.1 == b.1) {
            let ids: Vec<u32> = same.iter().map(|(id, _)| *id).collect();
            self.extend(id, &ids, same[0].1, board, emit)?;
        }
        Ok(())
    }

    /// Forgets tokens from `len` on; the first one stays.
    fn truncate(&mut self, id: RequestId, len: usize, emit: Emit) -> Result<()> {
        let live = self.body.live_mut()?;
        let all = live.tokens().len();
        let len = len.clamp(all.min(1), all);
        live.truncate(len);
        emit(Event::Tokens { id, keep: len, tokens: Vec::new(), ms: 0.0 });
        Ok(())
    }

    fn force(&mut self, id: RequestId, ids: &[u32], board: &Board, emit: Emit) -> Result<()> {
        let live = self.body.live()?;
        anyhow::ensure!(!live.tokens().is_empty(), "there is no prompt yet: type one first");
        live.check_context(live.tokens().len() + ids.len(), "with this the run has")?;
        self.extend(id, ids, Source::Forced, board, emit)
    }

    fn extend(&mut self, id: RequestId, ids: &[u32], source: Source, board: &Board, emit: Emit) -> Result<()> {
        self.read(id, board, emit, |live, control, arrived| live.extend_reporting(ids, source, control, arrived))
    }

    /// Lets `work` change the run and reports its tokens as they come.
    fn read(
        &mut self,
        id: RequestId,
        board: &Board,
        emit: Emit,
        work: impl FnOnce(&mut Live, &Control, OnTokens) -> Result<()>,
    ) -> Result<()> {
        let mut since = Instant::now();
        let mut arrived = |keep, tokens: &[Arc<TokenRecord>]| {
            let ms = since.elapsed().as_secs_f64() * 1e3;
            since = Instant::now();
            emit(Event::Tokens { id, keep, tokens: tokens.to_vec(), ms });
        };
        let (is_cancelled, progress) = (|| board.is_cancelled(id), progress_of(id, emit));
        let result = work(self.body.live_mut()?, &Control::new(&is_cancelled, &progress), &mut arrived);
        self.tell_of_memory(emit);
        result
    }

    /// Says where the weights are, if they are in mapped files.
    fn tell_of_memory(&mut self, emit: Emit) {
        let Body::Live(live) = &self.body else { return };
        let (hits, misses) = live.loaded().model.paging().counts();
        if hits + misses == 0 {
            return;
        }
        let outdated = self.looked.is_none_or(|looked| looked.elapsed() >= LOOK_EVERY);
        if outdated {
            self.looked = Some(Instant::now());
            let found = live.loaded().store.residency();
            self.memory.resident = found.resident as f32 / found.sampled.max(1) as f32;
        }
        let pass = (hits - self.counted.0, misses - self.counted.1);
        self.counted = (hits, misses);
        (self.memory.hits, self.memory.misses) = pass;
        emit(Event::Memory(self.memory));
    }

    /// Reads one more token of a generation.
    fn step(&mut self, mut running: Running, board: &Board, emit: Emit) -> Result<()> {
        let id = running.id;
        if cfg!(debug_assertions) && std::env::var_os("MIXSCOPE_FAULT").is_some_and(|fault| fault == "engine") {
            panic!("fault asked for by MIXSCOPE_FAULT");
        }
        if self.body.live()?.is_full() {
            emit(Event::Finished { id, outcome: Outcome::ContextFull });
            return Ok(());
        }
        if running.left == Some(0) {
            emit(Event::Finished { id, outcome: Outcome::Done });
            return Ok(());
        }
        let started = Instant::now();
        let mut token = Err(anyhow!("nothing was sampled"));
        self.read(id, board, emit, |live, control, arrived| {
            let before = live.tokens().len();
            token = live.step(&running.sampling, control);
            if token.is_ok() {
                arrived(before, &live.tokens()[before..]);
            }
            Ok(())
        })?;
        let token = token?;
        self.owed = self.owed.saturating_sub(started.elapsed());
        running.done += 1;
        running.left = running.left.map(|left| left - 1);
        let outcome = match running.left {
            Some(0) => Some(Outcome::Done),
            _ if self.body.live()?.is_end(token) => Some(Outcome::EndOfText),
            _ => None,
        };
        match outcome {
            Some(outcome) => emit(Event::Finished { id, outcome }),
            None => self.running = Some(running),
        }
        Ok(())
    }
}
