//! Sessions that outlive the program.

use crate::support::pty::{Frame, Pty, Setup, find, poll_until};
use crate::{FRANCE, FRANCE_LEN};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::path::{Path, PathBuf};

const LEFT: &str = "\x1b[D";

fn session(state: &Path) -> PathBuf {
    state.join("mixscope/session.json")
}

fn read(state: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(session(state)).unwrap()).unwrap()
}

/// A run with a forced token, in a view, layout and place that are not the first ones.
fn prepare(state: &Path) -> (Pty, Frame) {
    let pty = Setup::program(["--prompt", FRANCE]).state(state).start();
    pty.wait_tokens(FRANCE_LEN);
    pty.send(" ");
    pty.wait_tokens(FRANCE_LEN + 1);
    pty.press("f", "read next");
    pty.send("xyz\r");
    pty.wait_until("the forced token", |shot| shot.is_idle() && shot.tokens() > Some(FRANCE_LEN + 1));
    pty.press("3", "lens: [post]");
    pty.press("v", "[mid]");
    pty.send(&format!("{LEFT}{LEFT}{LEFT}jj]]]c"));
    let shot = pty.wait_until("the lens", |shot| shot.is_idle() && shot.has("layer 3") && shot.has("colour: loss"));
    (pty, shot)
}

/// Text, cursor, view and layout, as far as the screen says them.
fn place(shot: &Frame) -> (String, Vec<String>) {
    let tabs = shot.lines.iter().position(|line| line.starts_with(" 1 ")).unwrap_or(0);
    (shot.strip(), shot.lines.iter().take(tabs + 2).skip(1).cloned().collect())
}

/// Goes on with the session; waits until the screen says the same of where it is as `before`.
#[track_caller]
fn comes_back(state: &Path, before: &Frame) -> Pty {
    let pty = Setup::program(["--resume"]).state(state).start();
    let alike = |shot: &Frame| shot.is_idle() && place(shot) == place(before) && shot.tokens() == before.tokens();
    pty.wait_until(&format!("a screen as before:\n{}", before.text()), alike);
    pty
}

#[test]
fn a_session_outlives_signals() {
    for signal in [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT, Signal::SIGKILL] {
        let state = tempfile::tempdir().unwrap();
        let (pty, before) = prepare(state.path());
        if signal == Signal::SIGKILL {
            // Written while it goes on.
            let is_whole = || session(state.path()).exists() && read(state.path())["colour"] == "loss";
            poll_until("the session file", is_whole);
        }
        pty.signal(signal);
        if signal != Signal::SIGKILL {
            assert_eq!(pty.end_restored().0, 128 + signal as u32);
        }
        comes_back(state.path(), &before);
    }
}

#[test]
fn a_session_that_cannot_be_written_is_reported_at_the_end() {
    let state = tempfile::tempdir().unwrap();
    std::fs::write(state.path().join("mixscope"), "in the way").unwrap();
    let pty = Setup::program(["--prompt", FRANCE]).state(state.path()).start();
    pty.wait_tokens(FRANCE_LEN);
    pty.send("q");
    let (code, raw) = pty.end_restored();
    assert_eq!(code, 1);
    assert!(find(&raw, b"mixscope: the session ").is_some());
    assert!(find(&raw, b"--resume won't bring this session back").is_some());
    assert!(find(&raw, b".mixscope-tmp-").is_none(), "no message names a temporary file");
    assert_eq!(std::fs::read_to_string(state.path().join("mixscope")).unwrap(), "in the way");
}
