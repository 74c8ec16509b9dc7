//! Failed requests, and which of them may be retried.

use super::client::Client;
use anyhow::{Error, Result};
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

    /// The fault of a failed read of a body.
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
                // `Other` is, among others, a failed look-up of a name: its kind has no stable name.
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

/// How often a request was retried.
#[derive(Default)]
pub(super) struct Patience {
    used: u32,
    stubborn: bool,
}

impl Patience {
    /// Retries also if the server can't be reached.
    pub(super) fn stubborn() -> Self {
        Self { used: 0, stubborn: true }
    }

    /// Repeats `request` while that may help, and notes each retry.
    pub(super) fn retry<T>(
        mut self,
        client: &Client,
        note: &dyn Fn(String),
        mut request: impl FnMut() -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        loop {
            match request() {
                Ok(value) => return Ok(value),
                Err(fault) => self.again(client, fault, note)?,
            }
        }
    }

    /// Starts counting again.
    pub(super) fn reset(&mut self) {
        self.used = 0;
    }

    /// Waits before the next try; returns the fault if there will be none.
    pub(super) fn again(&mut self, client: &Client, fault: Fault, note: &dyn Fn(String)) -> Result<(), Fault> {
        client.check()?;
        let (what, requested) = match &fault {
            Fault::Unreachable(what) if self.stubborn => (what.clone(), None),
            Fault::Passing(what, wait) => (what.clone(), *wait),
            _ => return Err(fault),
        };
        if self.used >= client.retries {
            return Err(fault);
        }
        let base = client.stall.min(Duration::from_secs(1));
        let wait = requested.unwrap_or(base * (1 << self.used.min(5)));
        self.used += 1;
        note(format!("{what}; trying again ({} of {})", self.used, client.retries));
        Ok(client.sleep(wait)?)
    }
}
