//! One named thread that owns the model: requests in, events out.
//!
//! Runs are computed a token at a time, so that views asked for meanwhile are derived between tokens; a derived view
//! that was asked for again is dropped for the later request; cancellation is seen between layers; whatever happens
//! in the thread, a panic included, is an event.

mod board;
mod capture;
mod control;
mod derive;
mod session;
mod worker;

pub use capture::Capture;
pub use control::{Control, Stopped};
pub use derive::{derive, lens_cells, pattern};
pub use session::Session;
pub use worker::Core;

use crate::model::Loaded;
use crate::trace::protocol::{Ask, Event, Failure, RequestId};
use anyhow::{Context, Result};
use board::Board;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use tokio::sync::mpsc::Sender as EventSender;

/// The handle of the engine's thread.
pub struct Engine {
    requests: Sender<(RequestId, Ask)>,
    board: Arc<Board>,
}

impl Engine {
    /// Starts the thread, which calls `open` and then serves requests. `events` takes everything it reports; when it
    /// is full the engine waits, so a slow screen never costs memory.
    ///
    /// # Errors
    /// If the system can't start a thread.
    pub fn start(open: impl FnOnce() -> Result<Loaded> + Send + 'static, events: EventSender<Event>) -> Result<Self> {
        let (requests, inbox) = channel();
        let board = Arc::new(Board::default());
        let theirs = board.clone();
        std::thread::Builder::new()
            .name(THREAD.to_owned())
            .spawn(move || {
                let emit = |event| {
                    // The screen is gone: there is nobody left to tell.
                    let _ = events.blocking_send(event);
                };
                let run = std::panic::AssertUnwindSafe(|| worker::serve(open, &inbox, &theirs, &emit));
                if let Err(panic) = std::panic::catch_unwind(run) {
                    emit(Event::Gone(worker::panic_failure(&*panic)));
                }
            })
            .context("cannot start the engine's thread")?;
        Ok(Self { requests, board })
    }

    /// Sends a request; its answers carry `id`.
    ///
    /// # Errors
    /// If the thread has ended.
    pub fn ask(&self, id: RequestId, ask: Ask) -> Result<(), Failure> {
        self.board.note(id, &ask);
        self.requests.send((id, ask)).map_err(|_| Failure {
            summary: "the engine has stopped; restart mixscope to go on".to_owned(),
            causes: Vec::new(),
        })
    }

    /// Cancels every run with an id up to `id`, the one under way included.
    pub fn cancel(&self, id: RequestId) {
        self.board.cancel_through(id);
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.board.cancel_through(RequestId(u64::MAX));
    }
}

/// Name of the engine's thread.
pub const THREAD: &str = "mixscope-engine";
