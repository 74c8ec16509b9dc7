//! Files that the explorer writes: what they hold, and that nothing is written over.

use crate::support::cli::{Run, mixscope, stderr};
use crate::support::explorer::{Explorer, Setup};
use std::fs;
use std::path::Path;

const PROMPT: &str = "The capital of France is";
const LEN: usize = 6;

fn explorer(folder: &Path) -> Explorer {
    Setup::of("demo").prompt(PROMPT).output(folder).start_with(LEN)
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// What `mixscope` with these arguments writes to stdout.
fn written_by(args: &[&str]) -> Vec<u8> {
    let output = mixscope(args);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    output.stdout
}

#[test]
fn a_view_is_written_as_the_command_line_writes_it_and_over_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut explorer = explorer(folder.path());
    explorer.press("v v", "[map]");
    explorer.press("e", "wrote routing-map.png and routing-map.csv to ");
    explorer.send("esc");
    explorer.wait_gone("wrote ");
    explorer.press("e", "wrote routing-map-2.png and routing-map-2.csv to ");
    assert_eq!(names(folder.path()), ["routing-map-2.csv", "routing-map-2.png", "routing-map.csv", "routing-map.png"]);
    let run = Run::ok(&["--prompt", PROMPT]);
    let read = |name: &str| fs::read(folder.path().join(name)).unwrap();
    assert_eq!(read("routing-map.png"), run.files["routing.png"]);
    assert_eq!(read("routing-map.csv"), run.files["routing.csv"]);
    assert_eq!(read("routing-map-2.png"), read("routing-map.png"));
    // The free number is that of all its files.
    fs::remove_file(folder.path().join("routing-map.png")).unwrap();
    explorer.press("e", "wrote routing-map-3.png and routing-map-3.csv to ");
    assert!(!folder.path().join("routing-map.png").exists());
}

#[test]
fn a_run_is_written_as_the_command_line_writes_it() {
    let folder = tempfile::tempdir().unwrap();
    explorer(folder.path()).press("E", "wrote the run to ");
    assert_eq!(names(folder.path()), ["mixscope-run-1"]);
    let run = Run::ok(&["--prompt", PROMPT]);
    let written = folder.path().join("mixscope-run-1");
    let expected: Vec<String> = run.files.keys().cloned().collect();
    assert_eq!(names(&written), expected);
    for (name, bytes) in run.files.iter().filter(|(name, _)| name.ends_with(".csv") || name.ends_with(".png")) {
        assert!(fs::read(written.join(name)).unwrap() == *bytes, "{name} differs");
    }
    // What it holds is a run again.
    let trace = written.join("trace.safetensors");
    let shot = Setup::of(trace.to_str().unwrap()).start().wait_tokens(LEN);
    assert!(shot.strip().starts_with("<s>·The·capital"), "{}", shot.strip());
}

#[test]
fn the_screen_is_written_as_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let mut explorer = explorer(folder.path());
    explorer.press("S", "wrote mixscope-screen.png, mixscope-screen.svg and mixscope-screen.ans to ");
    let png = fs::read(folder.path().join("mixscope-screen.png")).unwrap();
    assert!(png.starts_with(b"\x89PNG"));
    let svg = fs::read_to_string(folder.path().join("mixscope-screen.svg")).unwrap();
    let ansi = fs::read_to_string(folder.path().join("mixscope-screen.ans")).unwrap();
    assert!(ansi.contains("\x1b[") && ansi.contains("mixscope"), "{ansi}");
    assert!(svg.contains("<svg ") && svg.contains("capital"), "{}", &svg[..200]);
}

#[test]
fn a_failure_to_write_is_reported_and_the_run_stays() {
    let folder = tempfile::tempdir().unwrap();
    let mut explorer = explorer(folder.path());
    fs::remove_dir(folder.path()).unwrap();
    for key in ["e", "E", "S"] {
        let shot = explorer.press(key, "✗ cannot");
        assert_eq!(shot.tokens(), Some(LEN), "{key}");
        explorer.send("esc");
        explorer.wait_gone("✗ cannot");
    }
    // What would be empty says what fills it.
    explorer.press("5 v", "p or P reads it under another policy");
    explorer.press("e", "there is no second run to compare with yet");
    explorer.press("v v", "[lab]");
    explorer.press("e", "the precision lab has not been run yet");
    assert!(!folder.path().exists());
}

#[test]
fn two_runs_are_written_as_the_command_line_writes_them() {
    let folder = tempfile::tempdir().unwrap();
    let mut explorer = explorer(folder.path());
    explorer.press("5 v p", "A hf, B f32");
    explorer.wait_gone("A has read");
    explorer.press("e", "wrote fidelity-flips.png and fidelity-flips.csv to ");
    explorer.press("v", "[loss]");
    explorer.press("e", "wrote fidelity-loss.png and fidelity-loss.csv to ");
    let traces = ["hf", "f32"].map(|policy| {
        let run = Run::ok(&["--prompt", PROMPT, "--format", "trace", "--precision", policy]);
        let trace = folder.path().join(format!("{policy}.safetensors"));
        fs::write(&trace, &run.files["trace.safetensors"]).unwrap();
        trace
    });
    let [a, b] = traces.each_ref().map(|trace| trace.to_str().unwrap());
    for (stem, view) in [("fidelity-flips", "fidelity.flips"), ("fidelity-loss", "fidelity.loss")] {
        for format in ["png", "csv"] {
            let wanted = written_by(&["export", b, "--against", a, "--view", view, "--format", format, "-o", "-"]);
            assert!(wanted == fs::read(folder.path().join(format!("{stem}.{format}"))).unwrap(), "{stem}.{format}");
        }
    }
}

#[test]
fn the_lab_is_written_as_the_command_line_writes_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut explorer = explorer(folder.path());
    explorer.press("5 v v v", "enter reads the 6 tokens");
    explorer.press("enter", "router-q4");
    explorer.press("e", "wrote fidelity-lab.png and fidelity-lab.csv to ");
    let out = folder.path().join("lab");
    written_by(&["lab", "--prompt", PROMPT, "--out", out.to_str().unwrap()]);
    for format in ["png", "csv"] {
        let wanted = fs::read(out.join(format!("lab.{format}"))).unwrap();
        assert!(wanted == fs::read(folder.path().join(format!("fidelity-lab.{format}"))).unwrap(), "{format}");
    }
}

#[test]
fn what_is_written_is_what_the_screen_shows_and_the_command_line_gives_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let mut explorer = explorer(folder.path());
    let run = Run::ok(&["--prompt", PROMPT, "--format", "trace"]);
    let trace = folder.path().join("trace.safetensors");
    fs::write(&trace, &run.files["trace.safetensors"]).unwrap();
    let same = |stem: &str, args: &[&str]| {
        for format in ["png", "csv"] {
            let wanted =
                written_by(&[&["export", trace.to_str().unwrap(), "-o", "-", "--format", format], args].concat());
            assert!(wanted == fs::read(folder.path().join(format!("{stem}.{format}"))).unwrap(), "{stem}.{format}");
        }
    };
    explorer.press("3 a", "[kl]");
    explorer.press("e", "wrote lens-resid_post-kl.png and lens-resid_post-kl.csv to ");
    same("lens-resid_post-kl", &["--view", "lens", "--measure", "kl"]);
    explorer.press("v v", "[both]");
    explorer.press("e", "wrote lens-resid_mid-resid_post-kl.png and ");
    same("lens-resid_mid-resid_post-kl", &["--view", "lens", "--measure", "kl", "--site", "both"]);
    explorer.press("2 x", "mean of heads");
    explorer.press("v", "mean of heads");
    explorer.press("e", "wrote attention-L05-mean.png and ");
    same("attention-L05-mean", &["--view", "attention.head", "--layer", "5", "--head", "mean"]);
    explorer.press("x v v", "[grid]");
    explorer.press("a A", "[previous]");
    explorer.press("e", "wrote attention-grid.png and ");
    same("attention-grid", &["--view", "attention.grid", "--measure", "previous", "--sort"]);
    explorer.press("R", "on 32 random");
    explorer.press("e", "wrote attention-grid-2.png and ");
    same("attention-grid-2", &["--view", "attention.grid", "--measure", "previous", "--sort", "--on", "random"]);
    explorer.press("v v", "[scores]");
    explorer.press("e", "wrote attention-scores-previous-random.png and ");
    let scores = ["--view", "attention.scores", "--measure", "previous"];
    same("attention-scores-previous-random", &[&scores[..], &["--on", "random"]].concat());
    explorer.press("R", "on this text");
    explorer.press("e", "wrote attention-scores-previous.png and ");
    same("attention-scores-previous", &scores);
}
