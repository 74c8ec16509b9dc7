//! Work under way, and what is said of it.

use crate::protocol::{Download, Failure, JobKind, RequestId};

/// A model being opened, beside the one in use if there is one.
#[derive(Clone, Debug, PartialEq)]
pub struct Opening {
    /// The request.
    pub id: RequestId,
    /// What was asked for; untrusted text.
    pub name: String,
    /// How far its download is, if it needs one.
    pub download: Option<Download>,
}

/// Work the engine was asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// Its id.
    pub id: RequestId,
    /// What is done.
    pub kind: JobKind,
    /// Units done and in all, once the engine said so.
    pub progress: Option<(usize, usize)>,
}

impl Job {
    /// Whether it generates tokens.
    pub(super) fn is_generation(&self) -> bool {
        matches!(self.kind, JobKind::Generation | JobKind::Step)
    }
}

/// A sentence in the status line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Whether something failed.
    pub is_error: bool,
    /// Whether something may be wrong.
    pub is_warning: bool,
    /// The sentence and its causes.
    pub failure: Failure,
}

/// Tokens and milliseconds of the generation under way, or of the last one.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pace {
    pub(super) tokens: usize,
    pub(super) ms: f64,
}

impl Pace {
    /// Tokens a second of model time.
    pub fn per_second(&self) -> Option<f64> {
        (self.ms > 0.0 && self.tokens > 0).then(|| self.tokens as f64 / self.ms * 1e3)
    }
}
