//! Unfinished work on the run.

use crate::protocol::{JobKind, RequestId};

/// Requested work on the run.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// Its id.
    pub id: RequestId,
    /// The kind of work.
    pub kind: JobKind,
    /// Units done and all units, once the engine has reported them.
    pub progress: Option<(usize, usize)>,
}

impl Job {
    /// Whether it generates tokens.
    pub(in crate::state) fn is_generation(&self) -> bool {
        matches!(self.kind, JobKind::Generation | JobKind::Step)
    }
}

/// Tokens and milliseconds of the current generation, or of the last one.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pace {
    pub(super) tokens: usize,
    pub(super) ms: f64,
}

impl Pace {
    /// Tokens per second of model time.
    pub fn per_second(&self) -> Option<f64> {
        (self.ms > 0.0 && self.tokens > 0).then(|| self.tokens as f64 / self.ms * 1e3)
    }
}
