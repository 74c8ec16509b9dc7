//! Signals that must leave the terminal clean.

use anyhow::{Context, Result};
use nix::sys::signal::{Signal as Unix, kill};
use nix::unistd::Pid;
use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

/// What a signal asks for.
pub enum Signal {
    /// The program was stopped from outside and goes on.
    Continue,
    /// It is to end.
    End(&'static str),
}

/// The signals listened to.
pub struct Signals {
    terminate: Stream,
    hang_up: Stream,
    interrupt: Stream,
    go_on: Stream,
}

impl Signals {
    /// Starts to listen.
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

    /// The next one.
    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal::End("SIGTERM"),
            _ = self.hang_up.recv() => Signal::End("SIGHUP"),
            _ = self.interrupt.recv() => Signal::End("SIGINT"),
            _ = self.go_on.recv() => Signal::Continue,
        }
    }
}

/// Stops this program and what it was started with (`cargo run`) until the shell brings them back.
///
/// # Errors
/// If the system refuses.
pub fn stop() -> Result<()> {
    kill(Pid::from_raw(0), Unix::SIGTSTP).context("cannot stop the program")
}
