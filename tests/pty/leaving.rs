//! Every way out gives the terminal back as it was.

use crate::support::hub::{Hub, NAME, SMALL_SHARD, slow};
use crate::support::pty::{Pty, Setup, find, find_last, poll_until};
use crate::{EDITOR, ESC, FRANCE, FRANCE_LEN, FRANCE_SHOWN, NONE, endless, france};
use nix::sys::signal::Signal;
use std::path::Path;

const CTRL_C: &str = "\x03";

#[test]
fn q_leaves_with_status_0_and_the_terminal_as_it_was() {
    let pty = france();
    pty.send("q");
    assert_eq!(pty.end_restored().0, 0);
    assert_eq!(pty.screen().text().trim(), "");
    let pty = endless();
    pty.press("\u{7}", "generating");
    pty.send("q");
    assert_eq!(pty.end_restored().0, 0);
}

#[test]
fn q_leaves_while_a_model_is_downloaded() {
    let leave = |pty: &Pty| {
        pty.send("q");
        let (code, raw) = pty.end_restored();
        assert_eq!(code, 0);
        assert!(find(&raw, b"panicked").is_none());
    };
    let start = |hub: &Hub, folder: &Path, args: &[&str]| {
        Setup::program(args).env("HF_ENDPOINT", &hub.url).env("HF_HUB_CACHE", folder.join("hub")).start()
    };
    let (hub, folder) = (slow(), tempfile::tempdir().unwrap());
    let pty = start(&hub, folder.path(), &[NAME]);
    pty.wait_for(SMALL_SHARD);
    leave(&pty);
    let (hub, folder) = (slow(), tempfile::tempdir().unwrap());
    let pty = start(&hub, folder.path(), &["--prompt", FRANCE]);
    pty.wait_tokens(FRANCE_LEN);
    pty.press("o", "open a model");
    pty.send(&format!("{NAME}\r"));
    pty.wait_until("progress", |shot| shot.header().contains("opening ") && shot.header().contains(" %"));
    leave(&pty);
}

#[test]
fn ctrl_c_leaves_from_everywhere() {
    let leave = |pty: &Pty| {
        pty.send(CTRL_C);
        assert_eq!(pty.end_restored().0, 0);
        assert_eq!(pty.screen().text().trim(), "");
    };
    leave(&france());
    let pty = Setup::program(NONE).start();
    pty.wait_for(EDITOR);
    pty.press("some text", "some text");
    leave(&pty);
    let pty = france();
    pty.press("?", "keys ·");
    leave(&pty);
}

#[test]
fn closing_the_window_ends_it() {
    for _ in 0..5 {
        assert_eq!(france().hang_up().signal(), None);
    }
    let pty = endless();
    pty.press("\u{7}", "generating");
    assert_eq!(pty.hang_up().signal(), None);
}

#[test]
fn signals_leave_with_their_status_and_the_terminal_as_it_was() {
    for (signal, status) in
        [(Signal::SIGTERM, 143), (Signal::SIGHUP, 129), (Signal::SIGINT, 130), (Signal::SIGQUIT, 131)]
    {
        let pty = france();
        pty.signal(signal);
        assert_eq!(pty.end_restored().0, status, "{signal}");
        pty.screen().line(&format!("mixscope: ended by {signal}"));
    }
    // Busy or not.
    let pty = endless();
    pty.press("\u{7}", "generating");
    pty.signal(Signal::SIGTERM);
    assert_eq!(pty.end_restored().0, 143);
}

#[test]
fn a_terminal_that_is_gone_ends_it_without_any_signal() {
    let state = tempfile::tempdir().unwrap();
    let path = state.path().join("status");
    // The shell ignores the hang-up and does not pass it on, as `ssh -t host task run` does.
    let script = format!("trap '' HUP; \"$BIN\" --prompt '{FRANCE}'; echo $? >'{}'", path.display());
    let setup = Setup::command("sh", ["-c", &script]).env("BIN", env!("CARGO_BIN_EXE_mixscope"));
    let pty = setup.state(state.path()).start();
    pty.wait_tokens(FRANCE_LEN);
    pty.hang_up();
    poll_until("an end of the program", || std::fs::read_to_string(&path).is_ok_and(|text| text.ends_with('\n')));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "129\n");
    let session = std::fs::read_to_string(state.path().join("mixscope/session.json")).unwrap();
    assert!(session.contains(FRANCE), "the session is saved: {session}");
}

#[test]
#[cfg_attr(not(debug_assertions), ignore = "faults can be requested in debug builds only")]
fn a_defect_of_the_screen_gives_the_terminal_back_and_then_speaks() {
    let pty = Setup::program(NONE).env("MIXSCOPE_FAULT", "ui").start();
    let (code, raw) = pty.end_restored();
    assert_eq!(code, 1);
    let said = find(&raw, b"fault requested by MIXSCOPE_FAULT").unwrap();
    assert!(find_last(&raw[..said], b"\x1b[?1049l") > find_last(&raw[..said], b"\x1b[?1049h"), "said too early");
    // All of it can be read: nothing was written over.
    let shot = pty.screen();
    let place = |text: &str| shot.lines.iter().position(|line| line.contains(text)).unwrap_or_else(|| panic!("{text}"));
    let order =
        ["panicked at", "fault requested by MIXSCOPE_FAULT", "mixscope: a defect in mixscope ended it"].map(place);
    assert!(order.is_sorted(), "not in the order it was said:\n{}", shot.text());
    assert!(
        shot.before_cursor.as_deref() == Some("") && shot.lines[shot.cursor_row()..].concat().is_empty(),
        "{}",
        shot.text()
    );
}

#[test]
#[cfg_attr(not(debug_assertions), ignore = "faults can be requested in debug builds only")]
fn a_defect_of_the_engine_is_an_error_on_the_screen() {
    let pty = Setup::program(["--prompt", FRANCE]).env("MIXSCOPE_FAULT", "engine").start();
    pty.wait_tokens(FRANCE_LEN);
    pty.press(" ", "✗ a defect in mixscope stopped this work");
    let shot = pty.wait_tokens(FRANCE_LEN);
    assert_eq!(shot.strip(), FRANCE_SHOWN);
    for (key, text) in
        [("2", "attention: [grid]"), ("3", "lens: [post]"), ("4", "▸   1  ·P"), ("1", "routing: [token]")]
    {
        pty.press(key, text);
        pty.wait_until("an idle engine", |shot| shot.is_idle() && !shot.has("deriving"));
    }
    let shot = pty.press("!", "message · esc closes");
    assert!(shot.has("fault requested by MIXSCOPE_FAULT") && shot.has("please report it"));
    pty.send(ESC);
    pty.wait_gone("message · esc closes");
    pty.send(ESC);
    pty.wait_gone("✗");
    // The engine goes on with other work.
    pty.press("f", "read next, as text");
    pty.send(" Paris\r");
    pty.wait_until("the forced text", |shot| shot.is_idle() && shot.strip().ends_with("·Paris"));
    pty.send("q");
    let (code, raw) = pty.end_restored();
    assert_eq!(code, 0);
    assert!(find(&raw, b"panicked at").is_none(), "the screen was written over");
}

#[test]
fn a_run_that_is_half_written_goes_with_the_program() {
    let words = "One day a little dog ran to the park and saw a big red ball near the tree. ".repeat(6);
    for signal in [Some(Signal::SIGTERM), None] {
        let folder = tempfile::tempdir().unwrap();
        let temporary = || {
            let mut names = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
            names.any(|name| name.to_string_lossy().starts_with(".mixscope-tmp-"))
        };
        let pty = Setup::program(["--prompt", &words]).dir(folder.path()).start();
        pty.wait_until("the prompt read", |shot| shot.is_idle() && shot.tokens() > Some(60));
        pty.send("E");
        poll_until("a folder that is being written", temporary);
        match signal {
            Some(signal) => pty.signal(signal),
            // The first one says what would be lost.
            None => pty.send("qq"),
        }
        assert_eq!(pty.end_restored().0, signal.map_or(0, |signal| 128 + signal as u32));
        assert!(!temporary());
    }
}
