//! Reads the terminal: a thread that waits for bytes, and notices when the terminal is gone.

use crate::ui::input::{Input, Parser};
use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::{Pid, getpgrp, getppid, tcgetpgrp};
use std::fs::File;
use std::io::{ErrorKind, IsTerminal, Read, stdin};
use std::os::fd::AsFd;
use std::time::Duration;
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Inputs that may wait for the screen; then the terminal keeps the next ones.
const INPUTS: usize = 256;
/// Bytes read at once.
const BYTES: usize = 64 << 10;
/// How often to look whether the program was left behind.
const LOOK: Duration = Duration::from_millis(500);

/// The inputs of the terminal.
pub struct Keyboard {
    inputs: Receiver<Input>,
}

impl Keyboard {
    /// Starts to read the terminal.
    ///
    /// # Errors
    /// If there is none, or the system can't start a thread.
    pub fn listen() -> Result<Self> {
        let terminal = terminal()?;
        let (sender, inputs) = channel(INPUTS);
        let thread = std::thread::Builder::new().name("keyboard".to_owned());
        thread.spawn(move || read(terminal, &sender)).context("cannot start the thread that reads the terminal")?;
        Ok(Self { inputs })
    }

    /// The next input; `None` once the terminal is gone. Safe to cancel.
    pub async fn next(&mut self) -> Option<Input> {
        self.inputs.recv().await
    }
}

/// The terminal that sends the keys: stdin, or the one of the session if stdin is a file or a pipe.
///
/// # Errors
/// If there is none.
pub fn terminal() -> Result<File> {
    if stdin().is_terminal() {
        return Ok(File::from(stdin().as_fd().try_clone_to_owned().context("cannot read the terminal")?));
    }
    File::open("/dev/tty").context("cannot read the terminal /dev/tty")
}

/// Reads until the terminal is gone or the program ends.
fn read(mut terminal: File, sender: &Sender<Input>) {
    let mut parser = Parser::default();
    let mut buffer = vec![0; BYTES];
    let parent = getppid();
    loop {
        let wait = parser.patience().unwrap_or(LOOK);
        let mut ready = [PollFd::new(terminal.as_fd(), PollFlags::POLLIN)];
        let inputs = match poll(&mut ready, PollTimeout::try_from(wait).unwrap_or(PollTimeout::NONE)) {
            Ok(0) if parser.patience().is_some() => parser.give_up(),
            Ok(0) if is_left_behind(&terminal, parent) => return,
            Ok(0) | Err(Errno::EINTR) => continue,
            Ok(_) => match terminal.read(&mut buffer) {
                // The other end was closed, or the session has ended.
                Ok(0) => return,
                Ok(count) => parser.take(&buffer[..count]),
                Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => continue,
                Err(_) => return,
            },
            Err(_) => return,
        };
        for input in inputs {
            if sender.blocking_send(input).is_err() {
                return;
            }
        }
    }
}

/// Whether the process that started the program has ended and another one has taken the terminal.
fn is_left_behind(terminal: &File, parent: Pid) -> bool {
    getppid() != parent && tcgetpgrp(terminal).is_ok_and(|foreground| foreground != getpgrp())
}
