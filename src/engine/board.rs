use crate::trace::protocol::{Ask, Derive, RequestId};
use std::sync::atomic::{AtomicU64, Ordering};

/// What the engine looks at while it works: which runs were cancelled, which derived views were asked for again.
#[derive(Default)]
pub(super) struct Board {
    cancelled: AtomicU64,
    cancelled_opening: AtomicU64,
    newest: [AtomicU64; 3],
}

/// Requests for derived views that replace each other.
pub(super) fn lane(derive: &Derive) -> usize {
    match derive {
        Derive::Lens { .. } => 0,
        Derive::HeadMaps { .. } => 1,
        Derive::HeadRows { .. } => 2,
    }
}

impl Board {
    pub fn note(&self, id: RequestId, ask: &Ask) {
        if let Ask::Derive(derive) = ask {
            self.newest[lane(derive)].fetch_max(id.0, Ordering::Relaxed);
        }
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
        id.0 < self.newest[lane(derive)].load(Ordering::Relaxed)
    }
}
