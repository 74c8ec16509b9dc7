//! What can interrupt work: requests that were cancelled, replaced, or have to wait for others.

use crate::protocol::{Ask, Derive, DeriveKind, RequestId};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// The ids up to which requests are cancelled or outdated. The engine's handle sets them while the thread works.
#[derive(Default)]
pub struct Interrupts {
    cancelled: AtomicU64,
    cancelled_opening: AtomicU64,
    newest: Mutex<HashMap<DeriveKind, RequestId>>,
    /// The newest request for which background work gives way.
    pressing: AtomicU64,
}

impl Interrupts {
    /// Notes a request that came in.
    pub fn note(&self, id: RequestId, ask: &Ask) {
        if let Ask::Derive(derive) = ask {
            let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
            let newest = newest.entry(derive.kind()).or_default();
            *newest = id.max(*newest);
        }
        let can_wait = matches!(ask, Ask::Open(_)) || matches!(ask, Ask::Derive(what) if what.is_background());
        if !can_wait {
            self.pressing.fetch_max(id.0, Ordering::Relaxed);
        }
    }

    /// Whether a request came in after `id` for which background work gives way.
    pub fn is_pressing_after(&self, id: RequestId) -> bool {
        id.0 < self.pressing.load(Ordering::Relaxed)
    }

    /// Cancels the requests with an id up to `id`, but no opening of a model.
    pub fn cancel_through(&self, id: RequestId) {
        self.cancelled.fetch_max(id.0, Ordering::Relaxed);
    }

    pub fn is_cancelled(&self, id: RequestId) -> bool {
        id.0 <= self.cancelled.load(Ordering::Relaxed)
    }

    /// Cancels the openings of models with an id up to `id`.
    pub fn cancel_opening_through(&self, id: RequestId) {
        self.cancelled_opening.fetch_max(id.0, Ordering::Relaxed);
    }

    pub fn is_opening_cancelled(&self, id: RequestId) -> bool {
        id.0 <= self.cancelled_opening.load(Ordering::Relaxed)
    }

    /// Whether a later request of the same kind has replaced this one.
    pub fn is_outdated(&self, id: RequestId, derive: &Derive) -> bool {
        let newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        newest.get(&derive.kind()).is_some_and(|newest| id < *newest)
    }
}
