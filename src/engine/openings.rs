//! Opening a model beside the one in use.

use super::board::Board;
use super::worker::panic_failure;
use super::{Message, OpenOptions, Opener};
use crate::control::Control;
use crate::protocol::{Event, RequestId};
use anyhow::{Context, Result, anyhow};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use tokio::sync::mpsc::Sender as EventSender;

/// What opening a model takes, and where its outcome goes.
pub(super) struct Openings {
    pub opener: Arc<Opener>,
    pub options: OpenOptions,
    pub board: Arc<Board>,
    pub events: EventSender<Event>,
    pub requests: Sender<Message>,
}

impl Openings {
    /// Opens `name` in a thread of its own; the outcome comes as [`Message::Opened`].
    ///
    /// # Errors
    /// If the system can't start a thread.
    pub fn start(&self, id: RequestId, name: String, options: OpenOptions) -> Result<()> {
        let (opener, board) = (self.opener.clone(), self.board.clone());
        let (events, requests) = (self.events.clone(), self.requests.clone());
        let open = move || {
            let mut progress = |download: &_| {
                // A slow screen may miss a step; the next one says more.
                let _ = events.try_send(Event::Opening { id, download: Clone::clone(download) });
            };
            let is_cancelled = || board.is_opening_cancelled(id);
            let control = Control::cancelled_by(&is_cancelled);
            let opened = catch_unwind(AssertUnwindSafe(|| opener(&name, options, &control, &mut progress)));
            let opened = opened.unwrap_or_else(|panic| {
                let failure = panic_failure(&*panic);
                Err(failure.causes.into_iter().rev().fold(anyhow!("{name}"), |_, cause| anyhow!(cause)))
                    .context("a defect in mixscope stopped the opening of the model")
            });
            // The engine may have ended meanwhile.
            let _ = requests.send(Message::Opened(id, opened));
        };
        let thread = std::thread::Builder::new().name("mixscope-opener".to_owned());
        thread.spawn(open).context("cannot start a thread to open the model")?;
        Ok(())
    }
}
