//! Work under way.

use crate::protocol::RequestId;

/// What a precision lab is called.
pub const LAB: &str = "precision lab";
/// What a generation of more than one token is called.
pub(in crate::state) const GENERATING: &str = "generating";
/// What generating one token is called.
pub(in crate::state) const STEPPING: &str = "stepping";
/// What reading the tokens of an earlier session is called.
pub(in crate::state) const RESUMING: &str = "reading the session";
/// What reading a prompt is called.
pub(in crate::state) const READING: &str = "reading the prompt";

/// Work the engine was asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// Its id.
    pub id: RequestId,
    /// What it is, for the status line.
    pub what: &'static str,
    /// Units done and in all, once the engine said so.
    pub progress: Option<(usize, usize)>,
}

impl Job {
    /// Whether it generates tokens.
    pub(in crate::state) fn is_generation(&self) -> bool {
        self.what == GENERATING || self.what == STEPPING
    }
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
