//! Opening a model next to the one in use.

use super::{OpenOptions, Opened, Opener};
use crate::control::Control;
use crate::engine::interrupts::Interrupts;
use crate::engine::panics::failure_of;
use crate::protocol::{Event, RequestId};
use anyhow::{Context, Result, anyhow};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use tokio::sync::mpsc::Sender as EventSender;

/// What opening a model takes, and where its outcome goes.
pub struct Openings {
    pub opener: Arc<Opener>,
    pub interrupts: Arc<Interrupts>,
    pub events: EventSender<Event>,
    /// Takes the outcome.
    pub deliver: Arc<dyn Fn(RequestId, Result<Opened>) + Send + Sync>,
}

impl Openings {
    /// Opens `name` in a thread of its own.
    ///
    /// # Errors
    /// If the system can't start a thread.
    pub fn start(&self, id: RequestId, name: String, options: OpenOptions) -> Result<()> {
        let (opener, interrupts) = (self.opener.clone(), self.interrupts.clone());
        let (events, deliver) = (self.events.clone(), self.deliver.clone());
        let open = move || {
            let mut report = |download: &_| {
                // A slow screen may miss a report; the next one says more.
                let _ = events.try_send(Event::Opening { id, download: Clone::clone(download) });
            };
            let is_cancelled = || interrupts.is_opening_cancelled(id);
            let control = Control::cancelled_by(&is_cancelled);
            let opened = catch_unwind(AssertUnwindSafe(|| opener(&name, options, &control, &mut report)));
            deliver(
                id,
                opened.unwrap_or_else(|panic| {
                    let failure = failure_of(&*panic);
                    Err(failure.causes.into_iter().rev().fold(anyhow!("{name}"), |_, cause| anyhow!(cause)))
                        .context("a defect in mixscope stopped the opening of the model")
                }),
            );
        };
        let thread = std::thread::Builder::new().name("mixscope-opener".to_owned());
        thread.spawn(open).context("cannot start a thread to open the model")?;
        Ok(())
    }
}
