//! What the command line, the configuration and the environment say reaches the explorer.

use crate::support::cli::{Run, command};
use crate::support::hub::{Hub, NAME, small_model};
use crate::support::pty::{Frame, Setup, find};
use crate::{EDITOR, FRANCE, FRANCE_LEN, FRANCE_SHOWN, NONE};
use std::fs;
use std::time::Instant;

#[test]
fn a_prompt_and_its_options_run_at_once() {
    let pty = Setup::program(["--prompt", FRANCE, "--precision", "f32"]).start();
    let shot = pty.wait_tokens(FRANCE_LEN);
    assert_eq!(shot.strip(), FRANCE_SHOWN);
    assert!(!shot.has(EDITOR) && shot.header().contains("policy f32 "));
    let pty = Setup::program(["--chat", "--prompt", "hi"]).start();
    let shot = pty.wait_until("the failure", |shot| shot.footer().starts_with("✗ "));
    assert!(shot.footer().contains("no chat template"), "{}", shot.footer());
}

#[test]
fn keys_and_theme_come_from_the_configuration() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("config.toml");
    fs::write(&file, "[ui]\ntheme = \"mono\"\nstrip = \"loss\"\n[keys]\nx = \"help\"\n\"?\" = \"none\"\n").unwrap();
    let pty = Setup::program(["--prompt", FRANCE, "--config", file.to_str().unwrap()]).start();
    let shot = pty.wait_tokens(FRANCE_LEN);
    assert!(shot.has("emphasis: loss"), "{}", shot.text());
    assert!(shot.has("x help") && !shot.has("? help"), "the hints show the current key: {}", shot.text());
    pty.press("x", "keys · / search");
    pty.send("\x1b");
    pty.wait_gone("keys · / search");
    pty.send("q");
    let (_, raw) = pty.end();
    assert!(find(&raw, b"38;2;").is_none() && find(&raw, b"48;2;").is_none(), "no colour");
}

#[test]
fn a_run_is_compared_with_a_recording() {
    let folder = tempfile::tempdir().unwrap();
    let traces = ["hf", "f32"].map(|policy| {
        let run = Run::ok(&["--prompt", FRANCE, "--format", "trace", "--precision", policy]);
        let trace = folder.path().join(format!("{policy}.safetensors"));
        fs::write(&trace, &run.files["trace.safetensors"]).unwrap();
        trace
    });
    let [a, b] = traces.each_ref().map(|trace| trace.to_str().unwrap());
    // A recording or a model with a recording as the baseline.
    for args in [&["open", b, "--against", a][..], &["demo", "--precision", "f32", "--against", a]] {
        let pty = Setup::program(args).start();
        let shot = pty.wait_until("both runs", |shot| shot.has("A hf.safetensors (hf), B f32") && shot.has(" flips"));
        assert!(!shot.has("A holds"), "{}", shot.text());
        pty.send("q");
        assert_eq!(pty.end_restored().0, 0);
    }
}

#[test]
fn files_go_into_the_working_directory() {
    let folder = tempfile::tempdir().unwrap();
    let pty = Setup::program(["--prompt", FRANCE]).dir(folder.path()).start();
    pty.wait_tokens(FRANCE_LEN);
    pty.press("S", "wrote mixscope-screen.png, mixscope-screen.svg and mixscope-screen.ans to ");
    pty.press("E", "wrote the run to ");
    for name in ["mixscope-screen.png", "mixscope-run-1/trace.safetensors"] {
        assert!(folder.path().join(name).is_file(), "{name}");
    }
}

#[test]
fn models_in_the_cache_of_the_hub_are_offered() {
    let (hub, folder) = (Hub::start(small_model()), tempfile::tempdir().unwrap());
    let env = [("HF_ENDPOINT", hub.url.clone().into()), ("HF_HUB_CACHE", folder.path().as_os_str().to_owned())];
    let mut pull = command(folder.path());
    assert!(pull.args(["pull", "-q", NAME]).envs(env.clone()).output().unwrap().status.success());
    let setup = env.into_iter().fold(Setup::program(NONE), |setup, (name, value)| setup.env(name, value));
    let pty = setup.start();
    pty.wait_for(EDITOR);
    pty.send("\x1b");
    pty.wait_gone(EDITOR);
    let shot = pty.press("o", NAME);
    assert!(shot.line(NAME).contains("Hub cache · 2.07 MB"), "{}", shot.line(NAME));
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
    pty.send("\u{7}");
    let shot = pty.wait_until("tokens", |shot| shot.has("generating") && shot.tokens() > Some(last + 1));
    assert!(shot.has(&place), "the cursor moved: {}", shot.text());
    let shot = pty.wait_until("many tokens", |shot| shot.tokens() > Some(last + 100));
    assert!(shot.has(&place), "the cursor moved: {}", shot.text());
    // Four frames a second, and those that answer the key: a slow machine only draws fewer.
    let drawn = frames() - before;
    let most = 3.0 + 4.0 * started.elapsed().as_secs_f64();
    assert!(drawn as f64 <= most, "{drawn} frames, at most {most}");
    pty.send(" ");
    let shot = pty.wait_until("a pause", |shot: &Frame| shot.is_idle());
    let end = format!("token {} ", shot.tokens().unwrap() - 1);
    pty.wait_for(&end);
    pty.send("q");
    let (_, raw) = pty.end_restored();
    assert!(find(&raw, b"\x1b[0 q").is_some(), "the text cursor has its shape back");
}

#[test]
fn a_piped_prompt_is_read_and_the_terminal_sends_the_keys() {
    let script = format!("printf '{FRANCE}' | \"$BIN\"; echo status=$?; sleep 60");
    let pty = Setup::command("sh", ["-c", &script]).env("BIN", env!("CARGO_BIN_EXE_mixscope")).start();
    let shot = pty.wait_tokens(FRANCE_LEN);
    assert_eq!(shot.strip(), FRANCE_SHOWN);
    pty.press("5", "fidelity: [validated]");
    pty.send("q");
    pty.wait_for("status=0");
}

#[test]
fn a_home_that_cannot_be_read_is_reported_and_the_defaults_are_used() {
    let home = tempfile::tempdir().unwrap();
    // Folders in place of files can't be read by anyone.
    fs::create_dir_all(home.path().join("mixscope/config.toml")).unwrap();
    fs::create_dir_all(home.path().join("mixscope/history.jsonl")).unwrap();
    let setup = Setup::program(["--prompt", FRANCE]).env("XDG_CONFIG_HOME", home.path());
    let pty = setup.state(home.path()).start();
    let shot = pty.wait_tokens(FRANCE_LEN);
    assert!(shot.footer().contains("the configuration ") && shot.footer().starts_with("✗ "), "{}", shot.footer());
    assert!(pty.press("!", "message · esc closes").has("can't be read"));
    pty.send("\x1b");
    pty.wait_gone("message · esc closes");
    pty.send("q");
    assert_eq!(pty.end_restored().0, 0);
}
