//! The program itself in a pseudo-terminal: only what needs a terminal.
#![cfg(unix)]

#[path = "../support/mod.rs"]
mod support;

mod clipboard;
mod colours;
mod command_line;
mod keys;
mod leaving;
mod session;
mod shell;
mod size;

use support::pty::{Pty, Setup};

const NONE: [&str; 0] = [];
const ESC: &str = "\x1b";
const FRANCE: &str = "The capital of France is";
const FRANCE_SHOWN: &str = "<s>·The·capital·of·France·is";
const FRANCE_LEN: usize = 6;
const EDITOR: &str = "enter runs it";

/// The demo model with `FRANCE` read.
fn france() -> Pty {
    let pty = Setup::program(["--prompt", FRANCE]).start();
    pty.wait_tokens(FRANCE_LEN);
    pty
}

/// A run without end of text: at this temperature one token is as probable as another.
fn endless() -> Pty {
    let pty = Setup::program(["--prompt", "Once upon a time", "--temperature", "50", "--seed", "1"]).start();
    pty.wait_until("the prompt read", |shot| shot.is_idle() && shot.tokens() > Some(0));
    pty
}
