//! Signals that stop, continue or end the program.

use anyhow::{Context, Result};
use nix::sys::signal::{Signal as Unix, kill};
use nix::unistd::Pid;
use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

/// The meaning of a signal.
pub enum Signal {
    /// The program continues after it was stopped from outside.
    Continue,
    /// The program should end; the signal's name.
    End(&'static str),
}

/// The signals that the program receives.
pub struct Signals {
    terminate: Stream,
    hang_up: Stream,
    interrupt: Stream,
    go_on: Stream,
}

impl Signals {
    /// Starts to receive signals.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn listen() -> Result<Self> {
        let on = |kind| signal(kind).context("cannot listen to signals");
        Ok(Self {
            terminate: on(SignalKind::terminate())?,
            hang_up: on(SignalKind::hangup())?,
            interrupt: on(SignalKind::interrupt())?,
            go_on: on(SignalKind::from_raw(Unix::SIGCONT as i32))?,
        })
    }

    /// The next signal.
    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal::End("SIGTERM"),
            _ = self.hang_up.recv() => Signal::End("SIGHUP"),
            _ = self.interrupt.recv() => Signal::End("SIGINT"),
            _ = self.go_on.recv() => Signal::Continue,
        }
    }
}

/// Stops the process group (also a `cargo run` around the program) until the shell continues it.
///
/// # Errors
/// If the system refuses.
pub fn stop() -> Result<()> {
    kill(Pid::from_raw(0), Unix::SIGTSTP).context("cannot stop the program")
}
