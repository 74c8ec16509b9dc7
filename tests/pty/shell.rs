//! Suspending, coming back, and a screen that something else wrote over.

use crate::support::pty::{Frame, Pty, Setup, find, poll_until};
use crate::{ESC, FRANCE, FRANCE_LEN, FRANCE_SHOWN, france};
use nix::sys::signal::Signal;

const CTRL_L: &str = "\x0c";
const CTRL_U: &str = "\x15";
const CTRL_Z: &str = "\x1a";

/// An interactive shell with job control, and the explorer started from it.
fn shell() -> (Pty, Frame) {
    let pty = Setup::command("sh", ["-i"]).env("PS1", "ready$ ").env("BIN", env!("CARGO_BIN_EXE_mixscope")).start();
    wait_for_shell(&pty);
    pty.send("\"$BIN\" --prompt 'The capital of France is'; echo status=$?\n");
    let shot = pty.wait_tokens(FRANCE_LEN);
    assert!(shot.is_alternate());
    (pty, shot)
}

#[track_caller]
fn wait_for_shell(pty: &Pty) -> Frame {
    pty.wait_until("the shell", |shot| {
        let last = shot.lines.iter().rfind(|line| !line.is_empty());
        !shot.is_alternate() && last.is_some_and(|line| line == "ready$")
    })
}

/// Leaves the explorer and the shell.
#[track_caller]
fn leave_both(pty: &Pty) {
    pty.send("q");
    let shot = wait_for_shell(pty);
    assert!(shot.has_cursor() && !shot.has("mixscope:"), "{}", shot.text());
    pty.send("exit\n");
    pty.end();
}

#[test]
fn ctrl_z_returns_to_the_shell_and_fg_comes_back() {
    let (pty, before) = shell();
    for time in ["first", "second", "from outside"] {
        match time {
            "from outside" => nix::sys::signal::kill(pty.foreground(), Signal::SIGTSTP).unwrap(),
            _ => pty.send(CTRL_Z),
        }
        let shot = wait_for_shell(&pty);
        assert!(shot.has_cursor() && !shot.has("routing"));
        // The shell's terminal is a sane one.
        pty.send("clear; stty -a\n");
        let is_whole = |shot: &Frame| ["icrnl", "opost", "isig", "iexten"].iter().all(|mode| shot.has(mode));
        let shot = pty.wait_until("the modes", is_whole);
        for mode in ["isig", "icanon", "echo", "opost", "icrnl"] {
            assert!(shot.text().split_whitespace().any(|word| word == mode), "{mode} is off:\n{}", shot.text());
        }
        wait_for_shell(&pty);
        pty.send("fg\n");
        let shot = pty.wait_until("the explorer", |shot| shot.is_alternate() && shot.strip() == FRANCE_SHOWN);
        assert!(shot.marks_pastes() && !shot.has_cursor());
        assert_eq!(shot.lines[1..], before.lines[1..], "drawn whole");
        // It listens again.
        pty.press("5", "fidelity: [validated]");
        pty.press("1", "routing: [token]");
        pty.send(" ");
        pty.wait_tokens(FRANCE_LEN + 1);
        pty.send("u");
        let shot = pty.wait_tokens(FRANCE_LEN);
        assert_eq!(shot.lines[1..], before.lines[1..], "the {time} time");
    }
    leave_both(&pty);
}

#[test]
fn it_comes_back_while_it_generates() {
    let (pty, _) = shell();
    pty.press("s", "▸temperature");
    pty.send(&format!("{CTRL_U}50\r"));
    pty.wait_gone("▸temperature");
    pty.press("\u{7}", "generating");
    pty.send(CTRL_Z);
    wait_for_shell(&pty);
    pty.send("fg\n");
    let shot = pty.wait_until("the explorer", |shot| shot.is_alternate() && shot.tokens() > Some(FRANCE_LEN));
    pty.wait_until("more tokens", |later| later.tokens() > shot.tokens());
    pty.send(ESC);
    pty.wait_until("a pause", |shot| shot.is_idle());
    leave_both(&pty);
}

#[test]
fn a_stop_from_outside_is_survived() {
    let (pty, before) = shell();
    nix::sys::signal::kill(pty.foreground(), Signal::SIGSTOP).unwrap();
    // The program could not tidy up; the shell writes where it was.
    pty.wait_for("ready$");
    pty.send("fg\n");
    pty.wait_until("the screen as it was", |shot| shot.is_alternate() && shot.lines[1..] == before.lines[1..]);
    pty.press("5", "fidelity: [validated]");
    leave_both(&pty);
}

#[test]
fn started_in_the_background_it_comes_with_fg() {
    let (pty, before) = shell();
    pty.send("q");
    wait_for_shell(&pty);
    pty.send("clear; \"$BIN\" --prompt 'The capital of France is' &\n");
    pty.wait_until("the shell", |shot| shot.lines[0].starts_with("ready$"));
    pty.send("fg\n");
    pty.wait_until("the explorer", |shot| shot.is_alternate() && shot.lines[1..] == before.lines[1..]);
    pty.press("5", "fidelity: [validated]");
    leave_both(&pty);
}

#[test]
fn closing_the_window_of_the_shell_ends_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("status");
    let (pty, _) = shell();
    pty.send("q");
    wait_for_shell(&pty);
    // Something that outlives the terminal and writes the status.
    pty.send(&format!("clear; (trap '' HUP; \"$BIN\" --prompt one; echo $? >'{}')\n", path.display()));
    pty.wait_until("the explorer", |shot| shot.is_alternate() && shot.is_idle() && shot.tokens() > Some(0));
    pty.hang_up();
    poll_until("an end of the program", || std::fs::read_to_string(&path).is_ok_and(|text| text.ends_with('\n')));
}

#[test]
fn ctrl_z_outside_of_a_shell_goes_on() {
    // The program leads its session: no shell could bring it back, so the system does not stop it.
    let pty = france();
    let before = pty.screen();
    let drawn = pty.raw().len();
    pty.send(CTRL_Z);
    pty.wait_until("the screen taken again", |_| true);
    pty.press("5", "fidelity: [validated]");
    pty.press("1", "routing: [token]");
    pty.wait_until("the screen as it was", |shot| shot.is_alternate() && shot.text() == before.text());
    assert!(find(&pty.raw()[drawn..], b"\x1b[?1049h").is_some());
    pty.send("q");
    assert_eq!(pty.end_restored().0, 0);
}

#[test]
fn a_continue_signal_draws_the_screen_anew() {
    let pty = france();
    let before = pty.screen();
    let drawn = pty.raw().len();
    pty.signal(Signal::SIGSTOP);
    pty.signal(Signal::SIGCONT);
    pty.press("5", "fidelity: [validated]");
    pty.press("1", "routing: [token]");
    pty.wait_until("the screen as it was", |shot| shot.text() == before.text());
    pty.signal(Signal::SIGCONT);
    pty.press("5", "fidelity: [validated]");
    pty.send("q");
    let (code, raw) = pty.end_restored();
    assert_eq!(code, 0);
    assert!(find(&raw[drawn..], b"\x1b[?1049h").is_some(), "the screen was taken again");
}

/// Spoils the screen as another program's output does, unknown to the program.
fn spoil(pty: &Pty) {
    pty.spoil("garbage");
    pty.wait_for("garbage");
}

#[test]
fn ctrl_l_draws_the_screen_anew() {
    let pty = france();
    let before = pty.screen();
    spoil(&pty);
    pty.send(CTRL_L);
    pty.wait_until("the screen as it was", |shot| shot.text() == before.text());
    pty.send("q");
    assert_eq!(pty.end_restored().0, 0);
}

#[test]
fn a_terminal_that_answers_nothing_is_enough() {
    let pty = Setup::program(["--prompt", FRANCE]).mute().start();
    let before = pty.wait_tokens(FRANCE_LEN);
    spoil(&pty);
    pty.send(CTRL_L);
    pty.wait_until("the screen as it was", |shot| shot.text() == before.text());
    pty.signal(Signal::SIGCONT);
    pty.press("5", "fidelity: [validated]");
    pty.resize(60, 24);
    pty.wait_until("a narrow screen", |shot| shot.has(" 1  2  3  4  5 Fidelity"));
    pty.send("q");
    assert_eq!(pty.end_restored().0, 0);
}
