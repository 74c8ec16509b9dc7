//! Configuration, completions, manual pages and sessions as the command line sees them; no terminal.

use crate::support::cli::*;
use std::process::Output;

fn with_config(text: &str, args: &[&str]) -> Output {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(home.path().join("mixscope")).unwrap();
    std::fs::write(home.path().join("mixscope/config.toml"), text).unwrap();
    command(home.path()).env("XDG_CONFIG_HOME", home.path()).args(args).output().unwrap()
}

fn ok(output: &Output) -> &str {
    assert_eq!(output.status.code(), Some(0), "{}", stderr(output));
    assert!(output.stderr.is_empty(), "{}", stderr(output));
    stdout(output)
}

#[test]
fn the_printed_configuration_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.toml");
    let printed = with_config("[ui]\ntheme = \"light\"\n[defaults]\nseed = 7\ntop_k = 3\n", &["--print-config"]);
    let printed = ok(&printed);
    for line in ["theme = \"light\"", "seed = 7", "top_k = 3", "model = \"demo\"", "# threads = 2", "temperature = 0.0"]
    {
        assert!(printed.lines().any(|l| l == line), "no `{line}` in\n{printed}");
    }
    std::fs::write(&file, printed).unwrap();
    let again = with_config("nonsense", &["--config", file.to_str().unwrap(), "--print-config"]);
    assert_eq!(ok(&again), printed, "--config is read instead of the user's own file");
}

#[test]
fn the_command_line_comes_before_the_file_and_the_file_before_the_defaults() {
    let file = "[ui]\ntheme = \"light\"\ncolor = \"16\"\n[defaults]\nmodel = \"a/b\"\nprecision = \"f32\"\ntemperature = 1\n\
                top_k = 5\ntop_p = 0.5\nseed = 1\nthreads = 1\n";
    let args = "--theme mono --color 256 --precision hf --temperature 0 --top-k 9 --top-p 0.9 --seed 0 --threads 2 demo \
                --no-mouse --reduced-motion --print-config";
    let output = with_config(file, &args.split_whitespace().collect::<Vec<_>>());
    let printed = ok(&output);
    for line in [
        "theme = \"mono\"",
        "color = \"256\"",
        "mouse = false",
        "reduced_motion = true",
        "model = \"demo\"",
        "precision = \"hf\"",
        "threads = 2",
        "temperature = 0.0",
        "top_k = 9",
        "top_p = 0.9",
        "seed = 0",
    ] {
        assert!(printed.lines().any(|l| l == line), "no `{line}` in\n{printed}");
    }
    let from_file = with_config(file, &["--print-config"]);
    for line in ["theme = \"light\"", "model = \"a/b\"", "precision = \"f32\"", "temperature = 1.0", "seed = 1"] {
        assert!(ok(&from_file).lines().any(|l| l == line), "no `{line}`");
    }
}

#[test]
fn wrong_configurations_are_named_by_file_line_and_column() {
    let output = with_config("[ui]\nmouse = true\nthem = \"dark\"\n", &[]);
    assert_fails(&output, 1, "mixscope/config.toml:3:1: unknown key `them` in [ui]; did you mean `theme`?");
    let typo = with_config("[keys]\nx = \"qiut\"\n", &["--print-config"]);
    assert_fails(&typo, 1, "config.toml:2:5: unknown action `qiut`");
    assert_fails(&mixscope(["--config", "/no/such.toml"]), 1, "/no/such.toml can't be read");
    assert_fails(&mixscope(["--config", "/dev", "--print-config"]), 1, "/dev can't be read");
    let escape = with_config("[ui]\n\"\\u001b[2J\" = 1\n", &[]);
    assert!(!stderr(&escape).contains('\u{1b}'), "what a file holds can't command the terminal");
    // Scripts do what their command line says.
    let run = with_config("nonsense", &["info", "--json"]);
    assert_eq!(run.status.code(), Some(0), "{}", stderr(&run));
}

#[test]
fn keys_are_listed_with_tables_and_actions() {
    let output = with_config("[keys]\nX = \"generate\"\n", &["--print-keys"]);
    let table = ok(&output);
    let generate = table.lines().find(|line| line.contains(" generate ")).unwrap();
    assert!(generate.starts_with("keys ") && generate.contains("X  space"), "{generate}");
    assert!(table.lines().any(|line| line.starts_with("keys.anywhere") && line.contains("ctrl-c")));
}

const COMMANDS: [&str; 15] = [
    "sweep",
    "run",
    "open",
    "export",
    "info",
    "check",
    "diff",
    "lab",
    "effect",
    "ablate",
    "patch",
    "bench",
    "pull",
    "completions",
    "man",
];

#[test]
fn every_shell_completes_every_command() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = mixscope(["completions", shell]);
        let script = ok(&output);
        for word in COMMANDS.into_iter().chain(["mixscope", "lens-k", "resume"]) {
            assert!(script.contains(word), "{shell} does not complete {word}");
        }
        let completes_values = matches!(shell, "bash" | "zsh" | "fish");
        assert!(!completes_values || script.contains("colour-vision-safe"), "{shell} does not complete themes");
    }
    assert_fails(&mixscope(["completions", "tcsh"]), 2, "tcsh");
}

#[test]
fn the_manual_is_printed_and_written() {
    let output = mixscope(["man"]);
    let page = ok(&output);
    assert!(page.contains(".TH MIXSCOPE 1") && page.contains(".SH OPTIONS"), "{page}");
    for name in COMMANDS {
        assert!(page.contains(&format!("mixscope\\-{name}(1)")), "{name} is missing");
    }
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("man1");
    let write = |args: &[&str]| mixscope([&["man", "--out", out.to_str().unwrap()], args].concat());
    assert_eq!(ok(&write(&[])), "");
    let read = |name: &str| std::fs::read_to_string(out.join(name)).unwrap();
    assert_eq!(read("mixscope.1"), page);
    let run = read("mixscope-run.1");
    for words in [".TH MIXSCOPE-RUN 1", "mixscope run", "lens_summary.csv", "final_rank"] {
        assert!(run.contains(words), "{words}: {run}");
    }
    assert_eq!(std::fs::read_dir(&out).unwrap().count(), 1 + COMMANDS.len());
    std::fs::write(out.join("mixscope.1"), "mine").unwrap();
    assert_fails(&write(&[]), 1, "--force");
    assert_eq!(read("mixscope.1"), "mine");
    ok(&write(&["--force"]));
    assert_eq!(read("mixscope.1"), page);
}

#[test]
fn wrong_usage_found_late_shows_the_usage_of_its_command() {
    let output = mixscope(["run", "--out", "x"]);
    assert_fails(&output, 2, "Usage: mixscope run ");
    assert_fails(&mixscope(["run", "--out", "x", "--prompt", "a", "--top-p", "7"]), 2, "Usage: mixscope run ");
    assert_fails(&mixscope::<&str>([]), 2, "Usage: mixscope [OPTIONS]");
    assert_fails(&mixscope(["pull", "a b"]), 2, "Usage: mixscope pull ");
}

#[test]
fn the_help_of_run_describes_its_files() {
    let output = mixscope(["run", "--help"]);
    let help = ok(&output);
    for (name, columns) in CSV {
        assert!(help.contains(name) && help.contains(columns), "{name}");
    }
    assert!(help.contains("run.json") && help.contains("trace.safetensors"));
    // A token may be spelled NA.
    for args in [&["run"][..], &["export"], &["lab"]] {
        assert!(ok(&mixscope([args, &["--help"]].concat())).contains("keep_default_na=False"), "{args:?}");
    }
}

/// `--resume` with this session file; the file as it is afterwards.
fn resume(session: Option<&str>, args: &[&str]) -> (Output, Option<String>) {
    let state = tempfile::tempdir().unwrap();
    let file = state.path().join("mixscope/session.json");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    if let Some(session) = session {
        std::fs::write(&file, session).unwrap();
    }
    let output = command(state.path()).arg("--resume").args(args).output().unwrap();
    (output, std::fs::read_to_string(&file).ok())
}

#[test]
fn sessions_that_cannot_come_back_are_refused_and_stay() {
    assert_fails(&resume(None, &[]).0, 1, "there is no session to go back to");
    for (session, why) in [
        ("", "is damaged"),
        ("{\"version\":1,\"model\":\"de", "is damaged"),
        ("[]", "is damaged"),
        ("{\"version\":99}", "newer mixscope (version 99"),
    ] {
        let (output, after) = resume(Some(session), &[]);
        assert_fails(&output, 1, why);
        assert!(stderr(&output).contains("session.json"), "{}", stderr(&output));
        assert_eq!(after.as_deref(), Some(session));
    }
    let of = |model: &str, temperature: &str| {
        format!(
            r#"{{"version":1,"model":"{model}","precision":"hf","dtype":null,"prompt":"","chat":false,
            "tokens":[[1,"prompt"]],"sampling":{{"temperature":{temperature},"top_k":null,"top_p":null,"seed":0}},
            "cursor":{{"token":0,"layer":0,"head":0,"expert":0,"candidate":0}},"view":"lens","routing":"map",
            "attention":"grid","lens_site":"resid_mid","colour":"loss","details_flipped":false,"scroll":0}}"#
        )
    };
    assert_fails(&resume(Some(&of("/no/such/model", "0.0")), &[]).0, 1, "the model of the session can't be opened");
    assert_fails(&resume(Some(&of("demo", "-1.0")), &[]).0, 1, "the sampling of the session");
    // All is well but the terminal.
    assert_fails(&resume(Some(&of("demo", "0.0")), &[]).0, 2, "needs a terminal");
    for args in [["demo", ""], ["--prompt", "x"], ["--prompt-ids", "1"]] {
        let args: Vec<&str> = args.into_iter().filter(|arg| !arg.is_empty()).collect();
        assert_fails(&resume(Some(&of("demo", "0.0")), &args).0, 2, "--resume");
    }
}

#[test]
fn the_keys_are_printed_whatever_the_configuration_holds() {
    let keys = with_config("", &["--print-keys"]);
    for wrong in ["[keys]\nx = \"qiut\"\n", "nonsense", "[ui]\ntheme = 7\n"] {
        let output = with_config(wrong, &["--print-keys"]);
        assert_eq!((output.status.code(), stdout(&output)), (Some(0), ok(&keys)), "{wrong}");
        assert!(stderr(&output).contains("config.toml:") && stderr(&output).contains("default keys"), "{wrong}");
    }
}

#[test]
fn a_configuration_that_nobody_asked_for_need_not_be_readable() {
    let home = tempfile::tempdir().unwrap();
    // A folder in its place can't be read by anyone.
    std::fs::create_dir_all(home.path().join("mixscope/config.toml")).unwrap();
    let output = command(home.path()).env("XDG_CONFIG_HOME", home.path()).arg("--print-config").output().unwrap();
    assert_eq!(ok(&output), ok(&with_config("", &["--print-config"])));
}
