//! The engine's thread, and the handle by which the rest of the program reaches it.

use super::core::{Branch, Core};
use super::interrupts::Interrupts;
use super::open::{OpenOptions, Opened, Opener, Openings};
use super::panics::failure_of;
use super::{Emit, THREAD};
use crate::protocol::{Ask, Event, Failure, Outcome, RequestId};
use anyhow::{Context, Result};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use tokio::sync::mpsc::Sender as EventSender;

/// The handle of the engine's thread.
pub struct Engine {
    inbox: Sender<Message>,
    interrupts: Arc<Interrupts>,
}

/// What reaches the engine's thread.
enum Message {
    Ask(RequestId, Ask),
    /// A model was opened next to the one in use, or could not be.
    Opened(RequestId, Result<Opened>),
    /// Send a branch of the run.
    Branch(Sender<Branch>),
    Quit,
}

impl Engine {
    /// Starts the thread, which serves requests and first waits for [`Ask::Open`]. `events` takes everything it reports;
    /// when it is full the engine waits, so a slow screen never costs memory.
    ///
    /// # Errors
    /// If the system can't start a thread.
    pub fn start(opener: Arc<Opener>, options: OpenOptions, events: EventSender<Event>) -> Result<Self> {
        let (requests, inbox) = channel();
        let interrupts = Arc::new(Interrupts::default());
        let opened = requests.clone();
        let openings = Openings {
            opener,
            interrupts: interrupts.clone(),
            events: events.clone(),
            // The engine may have ended meanwhile.
            deliver: Arc::new(move |id, result| drop(opened.send(Message::Opened(id, result)))),
        };
        let server = Server { openings, options, interrupts: interrupts.clone() };
        std::thread::Builder::new()
            .name(THREAD.to_owned())
            .spawn(move || {
                // Sending fails if the screen is gone: then nobody needs the event.
                let emit = |event| drop(events.blocking_send(event));
                let serve = AssertUnwindSafe(|| server.serve(&inbox, &emit));
                if let Err(panic) = catch_unwind(serve) {
                    emit(Event::Gone(failure_of(&*panic)));
                }
            })
            .context("cannot start the engine's thread")?;
        Ok(Self { inbox: requests, interrupts })
    }

    /// Sends a request; its answers carry `id`.
    ///
    /// # Errors
    /// If the thread has ended.
    pub fn ask(&self, id: RequestId, ask: Ask) -> Result<(), Failure> {
        self.interrupts.note(id, &ask);
        self.inbox.send(Message::Ask(id, ask)).map_err(|_| Failure {
            summary: "the engine has stopped; restart mixscope to continue".to_owned(),
            causes: Vec::new(),
        })
    }

    /// A branch of the run as it is when its turn comes, between two pieces of work; nothing if no model is open or the
    /// thread has ended.
    pub fn branch(&self) -> Receiver<Branch> {
        let (to, branch) = channel();
        // The receiver sees that nothing comes if this fails.
        let _ = self.inbox.send(Message::Branch(to));
        branch
    }

    /// Cancels every run with an id up to `id`, the one under way included.
    pub fn cancel(&self, id: RequestId) {
        self.interrupts.cancel_through(id);
    }

    /// Cancels every opening of a model with an id up to `id`; the model in use stays.
    pub fn cancel_opening(&self, id: RequestId) {
        self.interrupts.cancel_opening_through(id);
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.interrupts.cancel_through(RequestId(u64::MAX));
        self.interrupts.cancel_opening_through(RequestId(u64::MAX));
        // Sending fails if the thread has ended already.
        let _ = self.inbox.send(Message::Quit);
    }
}

/// What the thread needs apart from its run.
struct Server {
    openings: Openings,
    options: OpenOptions,
    interrupts: Arc<Interrupts>,
}

impl Server {
    /// Serves requests until it receives the request to quit.
    fn serve(&self, inbox: &Receiver<Message>, emit: Emit) {
        let interrupts = &*self.interrupts;
        let mut core: Option<Core> = None;
        // The policy of the last model that was in use.
        let mut policy = None;
        loop {
            let is_idle = core.as_ref().is_none_or(Core::is_idle);
            let next = if is_idle { inbox.recv().map_err(|_| TryRecvError::Disconnected) } else { inbox.try_recv() };
            match (next, &mut core) {
                (Ok(Message::Ask(id, Ask::Open(name))), core) => {
                    // Ids on the command line are those of the first model.
                    let ids_only = self.options.ids_only && core.is_none();
                    if let Err(error) = self.openings.start(id, name, OpenOptions { ids_only, ..self.options }) {
                        emit(Event::Failed { id, failure: Failure::of(&error) });
                    }
                }
                (Ok(Message::Opened(id, _)), _) if interrupts.is_opening_cancelled(id) => {
                    emit(Event::Finished { id, outcome: Outcome::Cancelled });
                }
                (Ok(Message::Opened(id, Ok(opened))), core) => {
                    let mut next = Core::of(opened);
                    // The policy may have been changed while the model was opened.
                    let live = core.as_ref().and_then(|core| core.run().live());
                    policy = live.map(|live| live.meta().policy).or(policy);
                    if let Some(policy) = policy {
                        next.start_under(policy);
                    }
                    next.introduce(id).into_iter().for_each(emit);
                    emit(Event::Finished { id, outcome: Outcome::Done });
                    *core = Some(next);
                }
                (Ok(Message::Opened(id, Err(error))), _) => emit(Event::Failed { id, failure: Failure::of(&error) }),
                (Ok(Message::Branch(to)), core) => {
                    if let Some(core) = core {
                        // Sending fails if the receiver has given up.
                        let _ = to.send(core.branch());
                    }
                }
                (Ok(Message::Ask(id, ask)), Some(core)) => core.take(id, ask, interrupts, emit),
                (Ok(Message::Ask(id, _)), None) => emit(Event::Finished { id, outcome: Outcome::Cancelled }),
                (Err(TryRecvError::Empty), Some(core)) => core.work(interrupts, emit),
                (Err(TryRecvError::Empty), None) => {}
                (Ok(Message::Quit) | Err(TryRecvError::Disconnected), _) => return,
            }
        }
    }
}
