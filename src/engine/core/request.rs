//! A request that is being carried out.

use crate::control::Control;
use crate::engine::Emit;
use crate::engine::interrupts::Interrupts;
use crate::protocol::{Event, Outcome, RequestId};
use crate::trace::TokenRecord;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Progress is reported at most this often.
const PROGRESS_EVERY: Duration = Duration::from_millis(50);

/// A request, what may interrupt it, and where its events go.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    pub id: RequestId,
    pub interrupts: &'a Interrupts,
    pub emit: Emit<'a>,
}

impl Request<'_> {
    pub fn emit(&self, event: Event) {
        (self.emit)(event);
    }

    /// Reports that the run now consists of its first `keep` tokens and `tokens`, which took `ms`.
    pub fn emit_tokens(&self, keep: usize, tokens: &[Arc<TokenRecord>], ms: f64) {
        self.emit(Event::Tokens { id: self.id, keep, tokens: tokens.to_vec(), ms });
    }

    pub fn finish(&self, outcome: Outcome) {
        self.emit(Event::Finished { id: self.id, outcome });
    }

    /// Does work that ends when the request is cancelled, and reports its progress now and then.
    pub fn control<T>(&self, work: impl FnOnce(&Control) -> T) -> T {
        let is_cancelled = || self.interrupts.is_cancelled(self.id);
        let last = Mutex::new(Instant::now());
        let progress = |done, total| {
            let is_due = {
                let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
                let is_due = last.elapsed() >= PROGRESS_EVERY;
                if is_due {
                    *last = Instant::now();
                }
                is_due
            };
            // Without the lock: sending may wait for the receiver.
            if is_due {
                self.emit(Event::Progress { id: self.id, done, total });
            }
        };
        work(&Control::new(&is_cancelled, &progress))
    }
}
