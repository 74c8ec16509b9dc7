//! Sessions, first run, configuration and reduced motion in a pseudo-terminal.

use crate::support::pty::{Pty, Setup, Shot, find, poll_until};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const NONE: [&str; 0] = [];
const LEFT: &str = "\x1b[D";
const FRANCE: [&str; 2] = ["--prompt", "The capital of France is"];
const FRANCE_LEN: usize = 8;
const EDITOR: &str = "enter runs it";

fn session(state: &Path) -> PathBuf {
    state.join("mixscope/session.json")
}

fn read(state: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(session(state)).unwrap()).unwrap()
}

/// A run with a forced token, in a view, layout and place that are not the first ones.
fn prepare(state: &Path) -> (Pty, Shot) {
    let pty = Setup::program(FRANCE).state(state).start();
    pty.wait_tokens(FRANCE_LEN);
    pty.send(" ");
    pty.wait_tokens(FRANCE_LEN + 1);
    pty.press("f", "read next");
    pty.send("xyz\r");
    pty.wait_until("the forced token", |shot| shot.is_idle() && shot.tokens() > Some(FRANCE_LEN + 1));
    pty.press("3", "lens · resid_post");
    pty.press("v", "lens · resid_mid");
    pty.send(&format!("{LEFT}{LEFT}{LEFT}jj]]]c"));
    let shot = pty.wait_until("the lens", |shot| shot.is_idle() && shot.has("layer 3") && shot.has("colour: loss"));
    (pty, shot)
}

/// Text, cursor, view and layout, as far as the screen says them.
fn place(shot: &Shot) -> (String, Vec<String>) {
    let tabs = shot.lines.iter().position(|line| line.starts_with(" 1 ")).unwrap_or(0);
    (shot.strip(), shot.lines.iter().take(tabs + 2).skip(1).cloned().collect())
}

/// Goes on with the session; waits until the screen says the same of where it is as `before`.
#[track_caller]
fn comes_back(state: &Path, before: &Shot) -> Pty {
    let pty = Setup::program(["--resume"]).state(state).start();
    let alike = |shot: &Shot| shot.is_idle() && place(shot) == place(before) && shot.tokens() == before.tokens();
    pty.wait_until(&format!("a screen as before:\n{}", before.text()), alike);
    pty
}

#[test]
fn a_session_comes_back_after_quitting() {
    let state = tempfile::tempdir().unwrap();
    let (pty, before) = prepare(state.path());
    pty.send("q");
    assert_eq!(pty.end_restored().0, 0);
    let saved = read(state.path());
    assert_eq!((&saved["version"], &saved["model"], &saved["view"]), (&1.into(), &"demo".into(), &"lens".into()));
    let again = comes_back(state.path(), &before);
    assert_eq!(again.screen().italics(), before.italics(), "generated and forced tokens are still told apart");
    // Edits of the earlier session are undone and done again.
    again.send("z");
    again.wait_until("the forced text undone", |shot| shot.is_idle() && shot.tokens() == Some(FRANCE_LEN + 1));
    again.send("z");
    again.wait_until("the step undone", |shot| shot.is_idle() && shot.tokens() == Some(FRANCE_LEN));
    again.send("ZZ");
    again.wait_until("both done again", |shot| shot.is_idle() && shot.tokens() == before.tokens());
    // The text goes on from there, and the editor starts from the prompt.
    again.send(" ");
    again.wait_tokens(before.tokens().unwrap() + 1);
    again.press("i", EDITOR);
    assert!(again.screen().has("The capital of France is"));
    again.send("\x03");
    assert_eq!(again.end().0, 0);
    // Quitting at once keeps a session, and without --resume nothing is read of it.
    let fresh = Setup::program(NONE).state(state.path()).start();
    assert_eq!(fresh.wait_for(EDITOR).tokens(), Some(0));
    fresh.send("\x03");
    assert_eq!(fresh.end().0, 0);
    assert_eq!(read(state.path())["tokens"].as_array().unwrap().len(), before.tokens().unwrap() + 1);
}

#[test]
fn a_session_outlives_signals() {
    for signal in [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT] {
        let state = tempfile::tempdir().unwrap();
        let (pty, before) = prepare(state.path());
        pty.signal(signal);
        assert_eq!(pty.end_restored().0, 1);
        comes_back(state.path(), &before);
    }
}

#[test]
fn a_session_is_written_while_it_goes_on() {
    let state = tempfile::tempdir().unwrap();
    let (pty, before) = prepare(state.path());
    let is_whole = || session(state.path()).exists() && read(state.path())["colour"] == "loss";
    poll_until("the session file", is_whole);
    pty.signal(Signal::SIGKILL);
    comes_back(state.path(), &before);
}

#[test]
fn a_session_that_can_not_be_written_is_told_of_and_ends_well() {
    let state = tempfile::tempdir().unwrap();
    std::fs::write(state.path().join("mixscope"), "in the way").unwrap();
    let pty = Setup::program(FRANCE).state(state.path()).start();
    pty.wait_tokens(FRANCE_LEN);
    pty.send("q");
    let (code, raw) = pty.end_restored();
    assert_eq!(code, 0);
    assert!(find(&raw, b"--resume won't bring this session back").is_some());
    assert_eq!(std::fs::read_to_string(state.path().join("mixscope")).unwrap(), "in the way");
}

#[test]
fn the_first_run_says_how_to_begin_and_later_ones_do_not() {
    let state = tempfile::tempdir().unwrap();
    let hint = "a small trained Mixtral: 6 layers of 8 experts, 2 of them per token";
    for (columns, rows) in [(80, 24), (160, 45), (40, 10)] {
        let state = tempfile::tempdir().unwrap();
        let pty = Setup::program(NONE).state(state.path()).size(columns, rows).start();
        pty.wait_for("a small trained Mixtral");
    }
    let pty = Setup::program(NONE).state(state.path()).start();
    let shot = pty.wait_for(hint);
    assert!(shot.has("enter reads the text · space writes on · 1 to 5 look inside · ? keys"), "{}", shot.text());
    for (key, what) in [("alt-1", "3 Lens:"), ("alt-2", "(induction)"), ("alt-3", "French and Spanish")] {
        let at = shot.lines.iter().position(|line| line.contains(key)).unwrap();
        assert!(shot.lines[at + 1].contains(what), "{}", shot.text());
    }
    pty.send("\x1b2");
    pty.wait_until("the second example", |shot| shot.before_cursor().ends_with("| drum apple seven"));
    pty.send("\r");
    pty.wait_until("the prompt read", |shot| shot.is_idle() && shot.tokens() > Some(8));
    pty.press("i", EDITOR);
    assert!(!pty.screen().has(hint));
    pty.send("\x03");
    assert_eq!(pty.end().0, 0);
    let pty = Setup::program(NONE).state(state.path()).start();
    assert!(!pty.wait_for("tab fills in an example").has(hint));
}

#[test]
fn keys_and_theme_come_from_the_configuration() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("config.toml");
    std::fs::write(&file, "[ui]\ntheme = \"mono\"\nstrip = \"loss\"\n[keys]\nx = \"help\"\n\"?\" = \"none\"\n")
        .unwrap();
    let args = [&FRANCE[..], &["--config", file.to_str().unwrap()]].concat();
    let pty = Setup::program(args).start();
    let shot = pty.wait_tokens(FRANCE_LEN);
    assert!(shot.has("emphasis: loss"), "{}", shot.text());
    assert!(shot.has("x help") && !shot.has("? help"), "the hints say the key in force: {}", shot.text());
    pty.press("x", "keys · ↑↓ scroll");
    pty.send("\x1b");
    pty.wait_gone("keys · ↑↓ scroll");
    pty.send("q");
    let (_, raw) = pty.end();
    assert!(find(&raw, b"38;2;").is_none() && find(&raw, b"48;2;").is_none(), "no colour");
}

#[test]
fn the_command_line_chooses_colours() {
    let colours = |args: &[&str]| {
        let pty = Setup::program([&FRANCE[..], args].concat()).start();
        pty.wait_tokens(FRANCE_LEN);
        pty.send("q");
        let raw = pty.end().1;
        [&b"38;2;"[..], b"38;5;"].map(|code| find(&raw, code).is_some())
    };
    assert_eq!(colours(&["--color", "never"]), [false, false]);
    assert_eq!(colours(&["--color", "true"]), [true, false]);
    assert_eq!(colours(&["--color", "256"]), [false, true]);
    assert!(!colours(&["--color", "16"])[0]);
    assert_eq!(colours(&["--theme", "mono"]), [false, false]);
}

#[test]
fn with_reduced_motion_little_moves_while_a_run_goes_on() {
    let args = ["--prompt", "Once upon a time", "--temperature", "50", "--seed", "1", "--reduced-motion"];
    let pty = Setup::program(args).start();
    let shot = pty.wait_until("the prompt read", |shot| shot.is_idle() && shot.tokens() > Some(0));
    let last = shot.tokens().unwrap() - 1;
    let place = format!("token {last} ");
    assert!(find(&pty.raw(), b"\x1b[2 q").is_some(), "a text cursor that does not blink");
    let frames = || pty.raw().windows(8).filter(|bytes| bytes == b"\x1b[?2026h").count();
    let (before, started) = (frames(), Instant::now());
    pty.send("g");
    let moves = |shot: &Shot| shot.has("generating") && shot.tokens() > Some(last + 1);
    let shot = pty.wait_until("tokens", moves);
    assert!(shot.has(&place), "the cursor moved: {}", shot.text());
    std::thread::sleep(Duration::from_secs(2));
    let drawn = frames() - before;
    let most = 1.0 + 4.0 * started.elapsed().as_secs_f64();
    assert!(drawn as f64 <= most, "{drawn} frames, at most {most}");
    pty.send(" ");
    let shot = pty.wait_until("a pause", Shot::is_idle);
    let end = format!("token {} ", shot.tokens().unwrap() - 1);
    pty.wait_for(&end);
    pty.send("q");
    let (_, raw) = pty.end_restored();
    assert!(find(&raw, b"\x1b[0 q").is_some(), "the text cursor has its shape back");
}
