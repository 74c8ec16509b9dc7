//! One named thread that owns the model: requests in, events out.
//!
//! Runs are computed a token at a time, so that views asked for meanwhile are derived between tokens; a derived view
//! that was asked for again is dropped for the later request; cancellation is seen between layers; whatever happens
//! in the thread, a panic included, is an event. Models are opened beside it, so that the one in use can be explored
//! until the next is there.

mod attribution;
mod bench;
mod beside;
mod board;
mod body;
mod capture;
mod collect;
mod derive;
mod derive_lens;
mod derive_next;
mod deriving;
mod fidelity;
mod heads;
mod lab;
mod openings;
mod probe;
mod remote;
mod run;
mod saved;
mod self_test;
mod live;
mod target;
mod trace_meta;
mod undo;
mod worker;

pub use attribution::attribution;
pub use bench::{Bench, Costs, bench};
pub use capture::Capture;
pub use collect::collect;
pub use derive::{derive, pattern};
pub use derive_lens::trajectories;
pub use derive_next::{spell, tempered, what_if};
pub use fidelity::{Fidelity, check_against};
pub use heads::{HeadCache, head_rows, pattern_of};
pub use lab::{lab, lab_policies};
pub use remote::{Remote, look_up};
pub use run::{Run, need_model};
pub use saved::Saved;
pub use self_test::{
    Agreement, Operation, RouterLoad, SelfTest, TRAINED, Text, TextLoss, Unreadable, self_test, texts,
};
pub use session::{OnTokens, Live};
pub use target::{OpenOptions, Opened, Target, fetch, is_trace, open_model, open_target, trace_path};
pub use worker::{Core, panic_failure};

use crate::control::Control;
use crate::protocol::{Ask, Download, Event, Failure, RequestId};
use crate::trace::Prompt;
use crate::trace::Sampling;
use anyhow::{Context, Result};
use board::Board;
use openings::Openings;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::mpsc::Sender as EventSender;

/// The handle of the engine's thread.
pub struct Engine {
    inbox: Sender<Message>,
    board: Arc<Board>,
}

/// What reaches the engine's thread.
enum Message {
    Ask(RequestId, Ask),
    /// A model was opened beside the one in use, or could not be.
    Opened(RequestId, Result<Opened>),
    /// Give a branch of the run, whose later fate does not concern it.
    Branch(Sender<Branch>),
    Quit,
}

/// A run as it was when it was asked for, and how it came to be.
pub struct Branch {
    /// The run.
    pub run: Box<dyn Run + Send>,
    /// What it began with.
    pub prompt: Option<Prompt>,
    /// How its tokens were chosen last; `None` if none was.
    pub sampling: Option<Sampling>,
}

/// How a model or a saved run is opened by its name; reports downloads.
pub type Opener = dyn Fn(&str, OpenOptions, &Control, &mut dyn FnMut(&Download)) -> Result<Opened> + Send + Sync;

impl Engine {
    /// Starts the thread, which serves requests and first waits for [`Ask::Open`]. `events` takes everything it reports;
    /// when it is full the engine waits, so a slow screen never costs memory.
    ///
    /// # Errors
    /// If the system can't start a thread.
    pub fn start(opener: Arc<Opener>, options: OpenOptions, events: EventSender<Event>) -> Result<Self> {
        let (requests, inbox) = channel();
        let board = Arc::new(Board::default());
        let openings = Openings { opener, options, board: board.clone(), events, requests: requests.clone() };
        std::thread::Builder::new()
            .name(THREAD.to_owned())
            .spawn(move || {
                // The screen is gone: there is nobody left to tell.
                let emit = |event| drop(openings.events.blocking_send(event));
                let run = std::panic::AssertUnwindSafe(|| worker::serve(&openings, &inbox, &emit));
                if let Err(panic) = std::panic::catch_unwind(run) {
                    emit(Event::Gone(worker::panic_failure(&*panic)));
                }
            })
            .context("cannot start the engine's thread")?;
        Ok(Self { inbox: requests, board })
    }

    /// Sends a request; its answers carry `id`.
    ///
    /// # Errors
    /// If the thread has ended.
    pub fn ask(&self, id: RequestId, ask: Ask) -> Result<(), Failure> {
        self.board.note(id, &ask);
        self.inbox.send(Message::Ask(id, ask)).map_err(|_| Failure {
            summary: "the engine has stopped; restart mixscope to go on".to_owned(),
            causes: Vec::new(),
        })
    }

    /// A branch of the run as it is when its turn comes, between two pieces of work; nothing if no model is open or the
    /// thread has ended.
    pub fn branch(&self) -> Receiver<Branch> {
        let (to, branch) = channel();
        // Whoever waits sees that nothing came.
        let _ = self.inbox.send(Message::Branch(to));
        branch
    }

    /// Cancels every run with an id up to `id`, the one under way included.
    pub fn cancel(&self, id: RequestId) {
        self.board.cancel_through(id);
    }

    /// Cancels every opening of a model with an id up to `id`; the model in use stays.
    pub fn cancel_opening(&self, id: RequestId) {
        self.board.cancel_opening_through(id);
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.board.cancel_through(RequestId(u64::MAX));
        self.board.cancel_opening_through(RequestId(u64::MAX));
        // An engine whose thread has ended needs no telling.
        let _ = self.inbox.send(Message::Quit);
    }
}

/// Receives what the engine reports.
type Emit<'a> = &'a (dyn Fn(Event) + Sync);

/// Name of the engine's thread.
pub const THREAD: &str = "mixscope-engine";
