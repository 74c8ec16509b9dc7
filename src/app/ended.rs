//! An end of the explorer that neither the user nor an error caused.

use nix::sys::signal::Signal;
use std::fmt;

/// The explorer was ended from outside; the session is saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    what: &'static str,
    /// The exit status, as a shell reports a program that the signal ended.
    pub status: u8,
}

impl Ended {
    /// Ended by a signal.
    pub fn by(signal: Signal) -> Self {
        Self { what: signal.as_str(), status: 128 + signal as u8 }
    }

    /// The terminal was closed, or can't be read or written any more: the same as a hang-up, which may come first or last.
    pub fn without_terminal() -> Self {
        Self { what: "the loss of its terminal", ..Self::by(Signal::SIGHUP) }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ended by {}", self.what)
    }
}

impl std::error::Error for Ended {}
