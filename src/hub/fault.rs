//! Failed requests, and which of them may be retried.

use anyhow::Error;
use std::io;
use std::time::Duration;
use ureq::Timeout;

/// Why a request failed.
pub(super) enum Fault {
    /// The server can't be reached: name, route, refusal, certificate.
    Unreachable(String),
    /// A retry may succeed: stall, cut, 5xx, 429; with the wait that the server requests.
    Passing(String, Option<Duration>),
    /// The server refuses.
    Answer(Answer),
    /// A retry can't succeed.
    Fatal(Error),
}

impl Fault {
    /// Whether the network failed, rather than the repo.
    pub(super) fn is_network(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Passing(..))
    }

    /// The fault for a failed read of a response's body.
    pub(super) fn of_read(error: io::Error, stall: Duration) -> Self {
        Self::of(error.into(), stall)
    }

    /// The fault of a failed request.
    pub(super) fn of(error: ureq::Error, stall: Duration) -> Self {
        use io::ErrorKind as K;
        match error {
            ureq::Error::Timeout(Timeout::Connect | Timeout::Resolve) => {
                Self::Unreachable("it does not answer".to_owned())
            }
            ureq::Error::Timeout(_) => Self::passing(format!("connection stalled for {} s", stall.as_secs_f32())),
            ureq::Error::Io(error) => match error.kind() {
                K::UnexpectedEof | K::ConnectionReset | K::ConnectionAborted | K::BrokenPipe => {
                    Self::passing("connection cut")
                }
                // `Other` includes a failed look-up of a name, whose kind has no stable name.
                K::TimedOut | K::WouldBlock | K::Interrupted | K::Other => Self::passing(error.to_string()),
                _ => Self::Unreachable(error.to_string()),
            },
            ureq::Error::Protocol(error) => Self::passing(format!("answer is not HTTP ({error})")),
            error => Self::Unreachable(error.to_string()),
        }
    }

    /// A fault that a retry may mend.
    pub(super) fn passing(what: impl Into<String>) -> Self {
        Self::Passing(what.into(), None)
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Fatal(error)
    }
}

/// An answer with an error status.
pub(super) struct Answer {
    /// HTTP status.
    pub(super) status: u16,
    /// The Hub's name of the error; may be empty.
    pub(super) code: String,
    /// The server's message, shortened.
    pub(super) text: String,
}
