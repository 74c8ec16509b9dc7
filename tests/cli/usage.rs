//! Impossible values of options: exit status 2, and a message of this program.

use crate::support::cli::*;
use crate::support::still::demo;
use std::path::Path;

/// Words of the argument parser and of the standard library, which say nothing to a user.
const INTERNALS: [&str; 6] =
    ["invalid digit", "invalid value", "unexpected argument", "possible values", "is not in ", "tip:"];

#[track_caller]
fn refuses(args: &[&str], what: &str) {
    let output = mixscope(args);
    assert_fails(&output, 2, what);
    for words in INTERNALS {
        assert!(!stderr(&output).contains(words), "{args:?}: {}", stderr(&output));
    }
}

fn trace(folder: &Path) -> String {
    let args = ["run", "--prompt", "hi there", "--steps", "2", "--format", "trace", "--out", folder.to_str().unwrap()];
    let output = mixscope(args);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    folder.join("trace.safetensors").to_str().unwrap().to_owned()
}

#[test]
fn a_misspelt_command_is_no_model() {
    refuses(&["rnu"], "there is no command and no model `rnu`; did you mean `run`?");
    refuses(&["rnu", "--prompt", "hi", "--out", "x"], "did you mean `run`?");
    refuses(&["exprot", "--view", "next"], "did you mean `export`?");
}

#[test]
fn values_of_options_are_refused_in_the_words_of_this_program() {
    let temp = tempfile::tempdir().unwrap();
    let out = temp.path().join("out").to_str().unwrap().to_owned();
    let run = |args: &[&str], what: &str| refuses(&[&["run", "--prompt", "hi", "--out", &out], args].concat(), what);
    run(&["--steps", "-1"], "--steps: expected a whole number of at least 0, found `-1`");
    run(&["--steps", "1e3"], "--steps: expected a whole number of at least 0, found `1e3`");
    run(&["--steps"], "--steps: expected a value, found nothing");
    run(&["--lens-k", "0"], "--lens-k: expected a whole number of at least 1, found `0`");
    run(&["--threads", "0"], "--threads: expected a whole number from 1 to 1024, found `0`");
    run(&["--threads", "-4"], "--threads: expected a whole number from 1 to 1024, found `-4`");
    run(&["--temperature", "-1"], "--temperature: expected a number of at least 0, found `-1`");
    run(&["--top-p", "1.5"], "--top-p: expected a number above 0 and at most 1, found `1.5`");
    run(&["--top-k", "0"], "--top-k: expected a whole number of at least 1, found `0`");
    run(&["--seed", "-1"], "--seed: expected a whole number of at least 0, found `-1`");
    run(&["--layers", "-1..2"], "--layers: expected layers, such as 2..5");
    run(&["--layers", "0..7"], "--layers: expected layers of 0..6, which the model has, found 0..7");
    run(&["--heads", "0.8"], "--heads: expected a layer of 0..6 and a head of 0..8, found 0.8");
    run(&["--format", "cvs"], "--format: expected one of csv, png, json, trace, found `cvs`; did you mean `csv`?");
    run(&["--precision", "f64"], "--precision: `f64` is not one of hf, f32, f32-router");
    run(&["--step", "3"], "there is no option --step; did you mean --steps?");
    refuses(
        &["run", "--out", &out, "--prompt", "--steps", "3"],
        "--prompt: expected a text, found the option `--steps`",
    );
    run(&["--steps", "\u{1b}[2J"], "found `\\u{1b}[2J`");
    run(&["--prompt", "again"], "--prompt is given twice");
    run(&["--prompt-ids", "1"], "can't be used together with");
    run(&["demo", "more"], "`more` is one argument too many");
    refuses(
        &["run", "--out", &out, "--prompt-ids", "1,abc"],
        "--prompt-ids: expected token ids, such as 1,422,3, found `abc`",
    );
    refuses(
        &["run", "--out", &out, "--prompt-ids", "-1,2"],
        "--prompt-ids: expected token ids, such as 1,422,3, found `-1`",
    );
    refuses(&["run", "--prompt", "hi"], "a required argument is missing: --out <DIR>");
    refuses(&["bench", "--steps", "0"], "--steps: expected a whole number from 1 to ");
    refuses(&["lab", "--prompt", "hi", "--out", &out, "--steps", "-3"], "--steps: expected a whole number");
    refuses(&["lab", "--prompt", "hi", "--out", &out, "--policies", "hf"], "--policies");
    refuses(&["diff", "a", "b", "--tolerance", "-1"], "--tolerance: expected a number of at least 0, found `-1`");
    refuses(&["check", "demo", "--against", "a", "--tolerance", "x"], "--tolerance: expected a number");
    refuses(&["completions", "fsh"], "expected one of bash, elvish, fish");
    refuses(&["--theme", "darc"], "--theme: expected one of dark, light");
    assert!(!Path::new(&out).exists());
}

#[test]
fn options_of_export_are_refused_where_they_do_nothing_or_choose_nothing() {
    let temp = tempfile::tempdir().unwrap();
    let trace = trace(&temp.path().join("run"));
    let export =
        |args: &[&str], what: &str| refuses(&[&["export", &trace, "-o", "-", "--format", "csv"], args].concat(), what);
    export(&["--view", "nosuch"], "--view: expected one of routing.token");
    export(&["--view", "lens.target"], "did you mean `lens.targets`?");
    let listed = mixscope(["export", &trace, "-o", "-", "--view", "nosuch"]);
    assert!(!stderr(&listed).contains("fidelity.lab"), "{}", stderr(&listed));
    export(
        &["--view", "lens.targets", "--targets", "Paris"],
        "--targets: expected token ids, such as 1,422,3, found `Paris`",
    );
    export(&["--view", "lens.targets", "--targets", "-1"], "--targets: expected token ids");
    export(
        &["--view", "lens.targets", "--targets", "99999"],
        &format!("--targets: expected token ids from 0 to {}, found 99999", demo().meta.dims.vocab - 1),
    );
    export(
        &["--view", "lens.targets", "--targets", "1", "--measure", "kl"],
        "--targets: it applies to --measure token and rank",
    );
    export(
        &["--view", "routing.map", "--targets", "1"],
        "--targets: it applies to --view lens.targets, not to routing.map",
    );
    export(&["--view", "routing.map", "--token", "1"], "--token: it applies to");
    export(&["--view", "next", "--layer", "1"], "--layer: it applies to");
    export(&["--view", "next", "--head", "1"], "--head: it applies to");
    export(&["--view", "next", "--sort"], "--sort: it applies to");
    export(&["--view", "next", "--site", "both"], "--site: it applies to");
    export(&["--view", "next", "--measure", "kl"], "--measure: --view next has no measures");
    export(&["--view", "next", "--scale", "2"], "--scale: it applies to pictures");
    export(&["--view", "next", "--dark"], "--dark: it applies to pictures");
    export(&["--view", "next", "--token", "-1"], "--token: expected a whole number");
    export(&["--view", "next", "--token", "99"], "--token: expected a position from 0 to ");
    export(&["--view", "routing.layer", "--layer", "6"], "--layer: expected a layer from 0 to 5, found 6");
    export(&["--view", "attention.head", "--head", "8"], "--head: expected a head from 0 to 7, found 8");
    export(&["--view", "attention.head", "--head", "-1"], "--head: ");
    refuses(
        &["export", &trace, "--view", "next", "--format", "png", "-o", "-", "--spreadsheet-safe"],
        "--spreadsheet-safe: it applies to tables",
    );
    refuses(
        &["export", &trace, "--view", "next", "-o", "x.png", "--scale", "-1"],
        "--scale: expected a number above 0",
    );
}

#[test]
fn a_folder_that_does_not_exist_is_named_and_no_temporary_file() {
    let temp = tempfile::tempdir().unwrap();
    let trace = trace(&temp.path().join("run"));
    let file = temp.path().join("nodir/x.png");
    let output = mixscope(["export", &trace, "--view", "next", "-o", file.to_str().unwrap()]);
    assert_fails(&output, 1, "there is no folder ");
    let message = stderr(&output).replace(temp.path().to_str().unwrap(), "");
    assert!(message.contains("/nodir") && !message.contains(".tmp"), "{message}");
}

#[test]
fn the_folder_of_a_run_is_a_trace_everywhere() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path().join("run");
    trace(&folder);
    let run = folder.to_str().unwrap();
    let works = |args: &[&str]| {
        let output = mixscope(args);
        assert_eq!(output.status.code(), Some(0), "{args:?}: {}", stderr(&output));
    };
    works(&["diff", run, run]);
    works(&["check", "demo", "--against", run, "-q"]);
    works(&["export", run, "--view", "next", "--format", "csv", "-o", "-"]);
    works(&["export", run, "--view", "fidelity.loss", "--against", run, "--format", "csv", "-o", "-"]);
    // They come as far as the terminal, which these tests do not have.
    refuses(&["open", run], "terminal");
    refuses(&["open", run, "--against", run], "terminal");
    refuses(&[run], "terminal");
    refuses(&["demo", "--against", run], "terminal");
    let empty = temp.path().to_str().unwrap();
    assert_fails(&mixscope(["diff", run, empty]), 1, "is not a saved run: it has no trace.safetensors");
}

#[test]
fn runs_of_other_texts_are_compared_as_far_as_they_agree_or_refused_everywhere() {
    let temp = tempfile::tempdir().unwrap();
    let run = |name: &str, ids: &str| {
        let folder = temp.path().join(name).to_str().unwrap().to_owned();
        let output = mixscope(["run", "--prompt-ids", ids, "--format", "trace", "--out", &folder]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        folder
    };
    let (a, b, c) = (run("a", "1,400,401"), run("b", "1,400,402"), run("c", "7,400,401"));
    let export = |one: &str, other: &str| {
        mixscope(["export", one, "--view", "fidelity.flips", "--against", other, "--format", "csv", "-o", "-"])
    };
    assert_fails(&mixscope(["diff", &a, &c]), 1, "the texts differ from position 0 on");
    assert_fails(&mixscope(["open", &a, "--against", &c]), 1, "the texts differ from position 0 on");
    assert_fails(&export(&a, &c), 1, "the texts differ from position 0 on");
    let differs = "the texts differ from position 2 on";
    assert!(stdout(&mixscope(["diff", &a, &b])).contains(differs));
    assert!(stderr(&export(&a, &b)).contains(differs));
}

#[test]
fn steps_beyond_the_context_leave_the_patterns_in_the_trace() {
    // Unclamped, the patterns of so many tokens would be too large to keep.
    let run = Run::ok(&["--prompt-ids", &join(&[400; 505]), "--steps", "100000", "--format", "trace", "--layers", "0"]);
    let text = stderr(&run.output);
    assert!(!text.contains("patterns are left out") && text.contains("context"), "{text}");
    assert!(run.trace().tensors.contains_key("blocks.0.attn.hook_pattern"));
}
