//! Signals that stop, continue or end the program, and that report another size of the window.

use super::ended::Ended;
use anyhow::{Context, Result};
use nix::sys::signal::{Signal as Unix, kill};
use nix::unistd::{Pid, getpgrp, getppid, getsid};
use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

/// The meaning of a signal.
pub enum Signal {
    /// The window may have another size.
    Resize,
    /// The program should stop until it is continued.
    Stop,
    /// The program continues after it was stopped from outside.
    Continue,
    /// The program should end.
    End(Ended),
}

/// The signals that the program receives.
pub struct Signals {
    terminate: Stream,
    hang_up: Stream,
    interrupt: Stream,
    quit: Stream,
    stop: Stream,
    go_on: Stream,
    resize: Stream,
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
            quit: on(SignalKind::quit())?,
            stop: on(SignalKind::from_raw(Unix::SIGTSTP as i32))?,
            go_on: on(SignalKind::from_raw(Unix::SIGCONT as i32))?,
            resize: on(SignalKind::window_change())?,
        })
    }

    /// The next signal. Safe to cancel.
    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => Signal::End(Ended::by(Unix::SIGTERM)),
            _ = self.hang_up.recv() => Signal::End(Ended::by(Unix::SIGHUP)),
            _ = self.interrupt.recv() => Signal::End(Ended::by(Unix::SIGINT)),
            _ = self.quit.recv() => Signal::End(Ended::by(Unix::SIGQUIT)),
            _ = self.stop.recv() => Signal::Stop,
            _ = self.go_on.recv() => Signal::Continue,
            _ = self.resize.recv() => Signal::Resize,
        }
    }
}

/// The processes to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// The program alone.
    Program,
    /// The whole job of the shell, such as a `cargo run` around the program.
    Job,
}

/// Stops the program until it is continued. Goes on at once if there is no shell that could continue it.
///
/// # Errors
/// If the system refuses.
pub fn stop(extent: Extent) -> Result<()> {
    if !has_shell() {
        return Ok(());
    }
    let whom = match extent {
        Extent::Program => Pid::this(),
        Extent::Job => Pid::from_raw(0),
    };
    // Not SIGTSTP, which the program handles.
    kill(whom, Unix::SIGSTOP).context("cannot stop the program")
}

/// Whether the program is a job of a shell: in a process group of its own, in the session of its parent.
fn has_shell() -> bool {
    let session = getsid(None);
    session.is_ok() && session != Ok(getpgrp()) && session == getsid(Some(getppid()))
}
