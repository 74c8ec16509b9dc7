use crate::protocol::{Ask, Derive, Lane, RequestId};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// What the engine looks at while it works: which runs were cancelled, which derived views were asked for again.
#[derive(Default)]
pub(super) struct Board {
    cancelled: AtomicU64,
    cancelled_opening: AtomicU64,
    newest: Mutex<HashMap<Lane, RequestId>>,
    /// The newest request of the open model that background work has to give way to.
    pressing: AtomicU64,
}

impl Board {
    pub fn note(&self, id: RequestId, ask: &Ask) {
        if let Ask::Derive(derive) = ask {
            let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
            let newest = newest.entry(derive.lane()).or_default();
            *newest = id.max(*newest);
        }
        let gives_way = matches!(ask, Ask::Open(_)) || matches!(ask, Ask::Derive(what) if what.is_background());
        if !gives_way {
            self.pressing.fetch_max(id.0, Ordering::Relaxed);
        }
    }

    /// Whether something that background work has to give way to was asked for after `id`.
    pub fn is_pressing_after(&self, id: RequestId) -> bool {
        id.0 < self.pressing.load(Ordering::Relaxed)
    }

    pub fn cancel_through(&self, id: RequestId) {
        self.cancelled.fetch_max(id.0, Ordering::Relaxed);
    }

    pub fn is_cancelled(&self, id: RequestId) -> bool {
        id.0 <= self.cancelled.load(Ordering::Relaxed)
    }

    pub fn cancel_opening_through(&self, id: RequestId) {
        self.cancelled_opening.fetch_max(id.0, Ordering::Relaxed);
    }

    pub fn is_opening_cancelled(&self, id: RequestId) -> bool {
        id.0 <= self.cancelled_opening.load(Ordering::Relaxed)
    }

    pub fn is_outdated(&self, id: RequestId, derive: &Derive) -> bool {
        let newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        newest.get(&derive.lane()).is_some_and(|newest| id < *newest)
    }
}
