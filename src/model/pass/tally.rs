//! How much a model computed.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts what is computed over the life of a model, so that work that is done twice can be seen.
#[derive(Debug, Default)]
pub struct Tally {
    passes: AtomicU64,
    logits: AtomicU64,
}

impl Tally {
    /// Passes that were begun.
    pub fn passes(&self) -> u64 {
        self.passes.load(Ordering::Relaxed)
    }

    /// Positions whose logits were computed.
    pub fn logits(&self) -> u64 {
        self.logits.load(Ordering::Relaxed)
    }

    pub(super) fn count_pass(&self) {
        self.passes.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_logits(&self, rows: usize) {
        self.logits.fetch_add(rows as u64, Ordering::Relaxed);
    }
}
