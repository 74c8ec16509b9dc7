//! Failed requests, and what is worth another try.

use super::client::Client;
use anyhow::{Error, Result};
use std::io;
use std::time::Duration;
use ureq::Timeout;

/// Why a request failed.
pub(super) enum Fault {
    /// Nobody is there: name, route, refusal, certificate.
    Unreachable(String),
    /// Another try may do: stall, cut, 5xx, 429, and the wait that the server asks for.
    Passing(String, Option<Duration>),
    /// The server refuses.
    Answer(Answer),
    /// Trying again does not help.
    Fatal(Error),
}

impl Fault {
    /// If this says nothing of the repo, only of the way to it.
    pub(super) fn is_network(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Passing(..))
    }

    /// What a failed read of a body means.
    pub(super) fn of_read(error: io::Error, stall: Duration) -> Self {
        Self::of(error.into(), stall)
    }

    /// What a failed request means.
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
                // What a failed look-up of a name has for a kind can't be named.
                K::TimedOut | K::WouldBlock | K::Interrupted | K::Other => Self::passing(error.to_string()),
                _ => Self::Unreachable(error.to_string()),
            },
            ureq::Error::Protocol(error) => Self::passing(format!("answer is not HTTP ({error})")),
            error => Self::Unreachable(error.to_string()),
        }
    }

    /// Another try may do.
    pub(super) fn passing(what: impl Into<String>) -> Self {
        Self::Passing(what.into(), None)
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Fatal(error)
    }
}

/// An answer that gives nothing.
pub(super) struct Answer {
    /// HTTP status.
    pub(super) status: u16,
    /// What the Hub calls the error, or nothing.
    pub(super) code: String,
    /// What the server says of it, cut short.
    pub(super) text: String,
}

/// How often something was tried again.
#[derive(Default)]
pub(super) struct Patience {
    used: u32,
    stubborn: bool,
}

impl Patience {
    /// Tries again also when nobody is there.
    pub(super) fn stubborn() -> Self {
        Self { used: 0, stubborn: true }
    }

    /// Does `ask` again while that may help; `note` hears of it.
    pub(super) fn retry<T>(
        mut self,
        client: &Client,
        note: &dyn Fn(String),
        mut ask: impl FnMut() -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        loop {
            match ask() {
                Ok(value) => return Ok(value),
                Err(fault) => self.again(client, fault, note)?,
            }
        }
    }

    /// Starts counting anew.
    pub(super) fn reset(&mut self) {
        self.used = 0;
    }

    /// Waits before the next try, or gives the fault back if there is to be none.
    pub(super) fn again(&mut self, client: &Client, fault: Fault, note: &dyn Fn(String)) -> Result<(), Fault> {
        client.check()?;
        let (what, asked) = match &fault {
            Fault::Unreachable(what) if self.stubborn => (what.clone(), None),
            Fault::Passing(what, wait) => (what.clone(), *wait),
            _ => return Err(fault),
        };
        if self.used >= client.retries {
            return Err(fault);
        }
        let base = client.stall.min(Duration::from_secs(1));
        let wait = asked.unwrap_or(base * (1 << self.used.min(5)));
        self.used += 1;
        note(format!("{what}; trying again ({} of {})", self.used, client.retries));
        Ok(client.sleep(wait)?)
    }
}
