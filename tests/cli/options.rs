//! The command line as scripts see it: exit codes, streams, and what each option changes.

use crate::support::cli::*;
use crate::support::still::demo;
use crate::support::{CASES, Reference, fixture, model_dir};
use mixscope::trace::{Hook, size};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;

#[test]
fn help_and_version_go_to_stdout_with_status_0() {
    let shows = |args: &[&str], what: &[&str]| {
        let output = mixscope(args);
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        assert!(output.stderr.is_empty(), "{args:?}: {}", stderr(&output));
        for word in what {
            assert!(stdout(&output).contains(word), "{args:?} does not mention {word}: {}", stdout(&output));
        }
    };
    shows(&["--version"], &["mixscope", env!("CARGO_PKG_VERSION")]);
    shows(&["--help"], &["run", "info", "MODEL", "--prompt", "--precision", "--color", "Exit status", "demo"]);
    let documented = "--prompt --prompt-file --prompt-ids --steps --out --precision --dtype --seed --temperature --top-k \
        --top-p --threads --capture --format --layers --heads --lens-k --spreadsheet-safe --force --quiet --verbose";
    let output = mixscope(["run", "--help"]);
    let words: BTreeSet<&str> = stdout(&output).split_whitespace().map(|word| word.trim_end_matches(',')).collect();
    for option in documented.split_whitespace() {
        assert!(words.contains(option), "run --help does not mention {option}");
    }
    shows(&["run", "--help"], &["-v", "f32-router", "bf16", "csv", "png", "json", "trace", "routing", "MODEL"]);
    shows(&["info", "--help"], &["MODEL", "--json"]);
}

#[test]
fn wrong_usage_is_status_2_and_names_the_option() {
    let temp = tempfile::tempdir().unwrap();
    let out = temp.path().join("out");
    let run = |args: &[&str]| mixscope([&["run", "--out", out.to_str().unwrap()], args].concat());
    let hi = |args: &[&str]| run(&[&["--prompt", "hi"], args].concat());
    assert_fails(&run(&["--prompt", "hi", "--frobnicate"]), 2, "--frobnicate");
    assert_fails(&run(&[]), 2, "--prompt");
    assert_fails(&hi(&["--prompt-ids", "1"]), 2, "--prompt-ids");
    assert_fails(&hi(&["--prompt-file", "x"]), 2, "--prompt-file");
    assert_fails(&run(&["--prompt-ids", "1,x"]), 2, "--prompt-ids");
    assert_fails(&run(&["--prompt-ids", "1,-2"]), 2, "--prompt-ids");
    for p in ["0", "1.5", "-0.5", "nan", "half"] {
        assert_fails(&hi(&[&format!("--top-p={p}")]), 2, "top-p");
    }
    for t in ["-1", "nan", "inf", "warm"] {
        assert_fails(&hi(&[&format!("--temperature={t}")]), 2, "temperature");
    }
    assert_fails(&hi(&["--top-k", "0"]), 2, "top-k");
    assert_fails(&hi(&["--seed", "-1"]), 2, "-1");
    assert_fails(&hi(&["--precision", "f64"]), 2, "--precision");
    assert_fails(&hi(&["--dtype", "int8"]), 2, "--dtype");
    for layers in ["x", "3..1", "2..2", "1..x", "-1..2"] {
        assert_fails(&hi(&[&format!("--layers={layers}")]), 2, "--layers");
    }
    for heads in ["1", "1.", "a.b", "0.0,x", "1.2.3"] {
        assert_fails(&hi(&[&format!("--heads={heads}")]), 2, "--heads");
    }
    assert_fails(&hi(&["--capture", "everything"]), 2, "--capture");
    assert_fails(&hi(&["--format", "docx"]), 2, "--format");
    assert_fails(&hi(&["--threads", "0"]), 2, "--threads");
    assert_fails(&hi(&["--steps", "many"]), 2, "--steps");
    assert_fails(&hi(&["--lens-k=-1"]), 2, "--lens-k");
    assert_fails(&hi(&["--quiet", "--verbose"]), 2, "--quiet");
    assert_fails(&hi(&["demo", "demo"]), 2, "demo");
    assert_fails(&mixscope(["run", "--prompt", "hi"]), 2, "--out");
    assert_fails(&mixscope(["info", "--frobnicate"]), 2, "--frobnicate");
    assert_fails(&mixscope(["--color", "sometimes"]), 2, "--color");
    assert!(!out.exists(), "wrong usage makes no folder");
}

#[test]
fn the_explorer_without_a_terminal_is_wrong_usage() {
    assert_fails(&mixscope::<&str>([]), 2, "terminal");
    assert_fails(&mixscope(["demo", "--prompt", "hi"]), 2, "terminal");
    let state = tempfile::tempdir().unwrap();
    let child = command(state.path()).stdin(Stdio::piped()).spawn().unwrap();
    assert_fails(&child.wait_with_output().unwrap(), 2, "mixscope run");
}

#[test]
fn failed_work_is_status_1_with_nothing_on_stdout() {
    let temp = tempfile::tempdir().unwrap();
    let absent = temp.path().join("absent").to_str().unwrap().to_owned();
    assert_fails(&Run::of(&[&absent, "--prompt", "hi"]).output, 1, &absent);
    assert_fails(&mixscope(["info", &absent]), 1, &absent);
    assert_fails(&mixscope([&absent]), 1, &absent);
    let file = temp.path().join("file");
    std::fs::write(&file, "not a folder").unwrap();
    assert_fails(&mixscope(["info", file.to_str().unwrap()]), 1, file.to_str().unwrap());
    for out in [file.clone(), file.join("below")] {
        let run = Run::into(&out, &["--prompt", "hi"]);
        assert_fails(&run.output, 1, "--out");
        assert_eq!(std::fs::read(&file).unwrap(), b"not a folder");
    }
    let vocab = demo().meta.dims.vocab;
    let outside = Run::of(&["--prompt-ids", &format!("1,{vocab}"), "--steps", "2"]);
    let last = vocab - 1;
    assert_fails(
        &outside.output,
        2,
        &format!("--prompt-ids: expected token ids from 0 to {last}, as the vocabulary has {vocab}, found {vocab}"),
    );
    assert!(outside.files.is_empty());
    assert_fails(&Run::of(&["--prompt-ids", "4294967295"]).output, 2, "4294967295");
    assert_fails(&Run::of(&["--prompt-file", &absent]).output, 1, &absent);
    let bytes = temp.path().join("latin1.txt");
    std::fs::write(&bytes, b"caf\xe9").unwrap();
    assert_fails(&Run::of(&["--prompt-file", bytes.to_str().unwrap()]).output, 1, "UTF-8");
}

#[test]
fn an_empty_list_of_prompt_ids_is_wrong_usage() {
    assert_fails(&Run::of(&["--prompt-ids", "", "--steps", "2"]).output, 2, "prompt-ids");
}

#[test]
fn layers_and_heads_that_the_model_lacks_are_named() {
    for (option, value) in [("--layers", "0..7"), ("--layers", "6"), ("--heads", "0.8"), ("--heads", "0.0,6.0")] {
        let run = Run::of(&["--prompt", "hi", option, value]);
        assert_eq!(run.output.status.code(), Some(2), "{option} {value}");
        assert!(run.output.stdout.is_empty() && run.files.is_empty(), "{option} {value}");
        assert!(stderr(&run.output).contains(option), "{}", stderr(&run.output));
    }
}

#[test]
fn files_of_an_earlier_run_are_overwritten_only_with_force() {
    let temp = tempfile::tempdir().unwrap();
    let first = Run::into(temp.path(), &["--prompt", "One day", "--steps", "2"]);
    assert_eq!(first.output.status.code(), Some(0), "{}", stderr(&first.output));
    let second = Run::into(temp.path(), &["--prompt", "Tom and", "--steps", "2"]);
    assert_fails(&second.output, 1, "--force");
    assert!(stderr(&second.output).contains("tokens.csv"), "{}", stderr(&second.output));
    assert_eq!(second.files, first.files);
    std::fs::write(temp.path().join("mine.txt"), "kept").unwrap();
    // Drawn by a run that found other heads telling.
    std::fs::write(temp.path().join("attention-L99H99.png"), "stale").unwrap();
    std::fs::write(temp.path().join("attention-L05H04-notes.png"), "mine").unwrap();
    let third = Run::into(temp.path(), &["--prompt", "Tom and", "--steps", "2", "--force"]);
    assert_eq!(third.output.status.code(), Some(0), "{}", stderr(&third.output));
    assert_eq!(third.json()["prompt"], "Tom and");
    assert_ne!(third.files["tokens.csv"], first.files["tokens.csv"]);
    assert_eq!(third.files["mine.txt"], b"kept");
    assert!(!third.files.contains_key("attention-L99H99.png"));
    assert_eq!(third.files["attention-L05H04-notes.png"], b"mine");
    third.same_tables(&Run::ok(&["--prompt", "Tom and", "--steps", "2"]));
}

#[test]
fn a_run_that_is_refused_leaves_no_folder() {
    let temp = tempfile::tempdir().unwrap();
    let out = temp.path().join("new");
    let refused = Run::into(&out, &["--prompt-ids", "1,99999", "--steps", "2"]);
    assert_fails(&refused.output, 2, "99999");
    assert!(!out.exists());
}

const STORY: [&str; 4] = ["--prompt", "Once upon a time, there was", "--steps", "12"];

fn story(args: &[&str]) -> Run {
    Run::ok(&[&STORY, args].concat())
}

#[test]
fn the_demo_is_the_default_model() {
    let run = story(&[]);
    assert_eq!(run.json()["model"], "demo");
    assert_eq!(run.json()["prompt"], STORY[1]);
    let pictures = run.names().iter().filter(|name| name.ends_with(".png")).count();
    assert!((3..=6).contains(&pictures), "{:?}", run.names());
    assert_eq!(run.names().len(), CSV.len() + 2 + pictures);
    run.same_tables(&story(&["demo"]));
}

#[test]
fn two_runs_and_any_number_of_threads_give_the_same_bytes() {
    let (one, again, two) = (story(&["--threads", "1"]), story(&["--threads", "1"]), story(&["--threads", "2"]));
    one.same_tables(&again);
    one.same_tables(&two);
    assert!(one.files["trace.safetensors"] == again.files["trace.safetensors"], "the trace differs between two runs");
    assert!(one.trace().tensors == two.trace().tensors, "the tensors differ between one and two threads");
}

#[test]
fn layers_restrict_all_tables_and_the_trace() {
    let (all, some) = (story(&[]), story(&["--layers", "2..4"]));
    let inside = |layer: usize| (2..4).contains(&layer);
    fn only<T: DeserializeOwned + PartialEq + std::fmt::Debug>(
        run: &Run,
        name: &str,
        keep: impl Fn(&T) -> bool,
    ) -> Vec<T> {
        run.table::<T>(name).into_iter().filter(|row| keep(row)).collect()
    }
    assert_eq!(some.table::<RoutingRow>("routing.csv"), only::<RoutingRow>(&all, "routing.csv", |row| inside(row.1)));
    let attention = only::<AttentionRow>(&all, "attention.csv", |row| inside(row.0));
    assert_eq!(some.table::<AttentionRow>("attention.csv"), attention);
    assert_eq!(some.table::<LensRow>("lens.csv"), only::<LensRow>(&all, "lens.csv", |row| inside(row.1)));
    let summary = only::<SummaryRow>(&all, "lens_summary.csv", |row| inside(row.1));
    assert_eq!(some.table::<SummaryRow>("lens_summary.csv"), summary);
    assert!(!attention.is_empty() && !summary.is_empty());
    assert_eq!(some.files["tokens.csv"], all.files["tokens.csv"]);
    assert_eq!(some.files["candidates.csv"], all.files["candidates.csv"]);
    let keep = |name: &String| match name.parse::<Hook>() {
        Ok(hook) => hook.kind.is_global() || inside(hook.layer as usize),
        Err(_) => !name.starts_with("mixscope.lens."),
    };
    let wanted: BTreeMap<_, _> = all.trace().tensors.into_iter().filter(|(name, _)| keep(name)).collect();
    assert_eq!(wanted.len(), 1 + 4 + 2 * 21 + 1 + 3 + 4);
    let (lens, some): (BTreeMap<_, _>, BTreeMap<_, _>) =
        some.trace().tensors.into_iter().partition(|(name, _)| name.starts_with("mixscope.lens."));
    assert!(some == wanted);
    assert_eq!(lens["mixscope.lens.layers"].u32().unwrap(), [2, 3]);
    let (whole, ids) = (all.trace(), "mixscope.lens.resid_mid.ids");
    for (part, whole) in lens[ids].u32().unwrap().chunks(20).zip(whole.get(ids).unwrap().u32().unwrap().chunks(60)) {
        assert_eq!(part, &whole[20..40], "two of the six layers of a position");
    }
}

#[test]
fn heads_restrict_the_attention_table_alone() {
    let (all, some) = (story(&[]), story(&["--heads", "0.1,L5H7"]));
    let chosen = |row: &AttentionRow| [(0, 1), (5, 7)].contains(&(row.0, row.1));
    let want: Vec<AttentionRow> = all.table("attention.csv").into_iter().filter(chosen).collect();
    let n = all.tokens().len();
    assert_eq!(want.len(), n * (n + 1));
    assert_eq!(some.table::<AttentionRow>("attention.csv"), want);
    for (name, _) in CSV.iter().filter(|(name, _)| *name != "attention.csv") {
        assert_eq!(some.files[*name], all.files[*name], "{name}");
    }
}

#[test]
fn lens_k_sets_how_many_tokens_a_cell_lists() {
    let (ten, three) = (story(&[]), story(&["--lens-k", "3"]));
    let want: Vec<LensRow> = ten.table("lens.csv").into_iter().filter(|row: &LensRow| row.3 <= 3).collect();
    assert_eq!(three.table::<LensRow>("lens.csv"), want);
    let want: Vec<CandidateRow> =
        ten.table("candidates.csv").into_iter().filter(|row: &CandidateRow| row.1 <= 3).collect();
    assert_eq!(three.table::<CandidateRow>("candidates.csv"), want);
    assert_eq!(want.len(), 3 * ten.tokens().len());
    assert_eq!(three.files["lens_summary.csv"], ten.files["lens_summary.csv"]);
    let all = Run::ok(&["--prompt-ids", "1", "--layers", "0", "--lens-k", "1000000"]);
    assert_eq!(all.table::<CandidateRow>("candidates.csv").len(), demo().meta.dims.vocab, "at most the vocabulary");
}

#[test]
fn format_decides_which_files_are_written() {
    assert_eq!(story(&["--format", "json"]).names(), ["run.json"]);
    assert_eq!(story(&["--format", "trace"]).names(), ["trace.safetensors"]);
    let mut tables = CSV.map(|(name, _)| name);
    tables.sort_unstable();
    assert_eq!(story(&["--format", "csv"]).names(), tables);
    assert_eq!(story(&["--format", "json,trace"]).names(), ["run.json", "trace.safetensors"]);
    let pictures = ["attention-L00H01.png", "attention-L05H07.png", "lens.png", "routing.png"];
    assert_eq!(story(&["--format", "png", "--heads", "5.7,0.1"]).names(), pictures);
}

#[test]
fn capture_decides_what_the_trace_keeps_and_leaves_the_tables_whole() {
    let all = story(&[]);
    let tensors = |run: &Run| run.trace().tensors.into_keys().collect::<BTreeSet<String>>();
    let none = story(&["--capture", "none"]);
    let always = || ["tokens", "mixscope.source"].map(str::to_owned);
    assert_eq!(tensors(&none), BTreeSet::from(always()));
    none.same_tables(&all);
    let routing = story(&["--capture", "routing"]);
    let hooks = ["router_logits", "expert_weights", "expert_indices", "mixing_weights"];
    let names = (0..6).flat_map(|layer| hooks.map(|hook| format!("blocks.{layer}.mlp.hook_{hook}")));
    assert_eq!(tensors(&routing), names.chain(always()).collect());
    routing.same_tables(&all);
    let one = story(&["--capture", "attn.hook_z,logits", "--layers", "3"]);
    let names = ["blocks.3.attn.hook_z", "unembed.hook_out"].map(str::to_owned);
    assert_eq!(tensors(&one), names.into_iter().chain(always()).collect());
    assert_eq!(
        tensors(&all).len(),
        2 + Hook::recorded(mixscope::trace::Dims { layers: 6, ..Default::default() }).count() + 3 + 4 + 1 + 2 * 7
    );
    let tables = tensors(&story(&["--capture", "lens,candidates"]));
    let prefixes = ["tokens", "mixscope.source", "mixscope.score.", "mixscope.next.", "mixscope.lens."];
    assert!(tables.iter().all(|name| prefixes.iter().any(|prefix| name.starts_with(prefix))), "{tables:?}");
    assert_eq!(tables.len(), 2 + 3 + 4 + 1 + 2 * 7);
    for (run, reported) in [
        (&none, "(only the tokens)"),
        (&routing, "(routing)"),
        (&all, "(routing, residuals, attention, pattern, norms, outputs, logits, candidates, lens)"),
    ] {
        let said = format!("trace.safetensors: {} {reported}", size(run.files["trace.safetensors"].len() as u64));
        assert!(stderr(&run.output).contains(&said), "{}", stderr(&run.output));
    }
}

#[test]
fn stderr_is_empty_when_quiet_and_full_when_verbose() {
    assert!(story(&["--quiet"]).output.stderr.is_empty());
    assert!(story(&["-q"]).output.stderr.is_empty());
    let plain = story(&[]);
    assert!(stderr(&plain.output).contains("tokens.csv"), "{}", stderr(&plain.output));
    for option in ["--verbose", "-v"] {
        let verbose = story(&[option]);
        assert!(stderr(&verbose.output).contains("rope"), "{}", stderr(&verbose.output));
        assert!(verbose.output.stderr.len() > plain.output.stderr.len());
        assert_eq!(stdout(&verbose.output), stdout(&plain.output));
    }
    assert_fails(&Run::of(&["--quiet", "--prompt-ids", "99999"]).output, 2, "99999");
}

#[test]
fn the_seed_decides_what_is_sampled() {
    let ids = |seed: &str| story(&["--temperature", "1", "--seed", seed]).ids();
    assert_eq!(ids("7"), ids("7"));
    assert_ne!(ids("7"), ids("8"));
    let run = story(&["--temperature", "1", "--seed", "7", "--top-k", "40", "--top-p", "0.9"]);
    let sampling = serde_json::json!({"temperature": 1.0, "top_k": 40, "top_p": 0.9, "seed": 7});
    assert_eq!((&run.json()["sampling"], &run.json()["seed"]), (&sampling, &Value::from(7)));
    assert!(run.tokens().iter().skip(run.json()["prompt_ids"].as_array().unwrap().len()).all(|row| row.6 <= Some(40)));
}

#[test]
fn sampling_among_one_token_is_greedy() {
    let greedy = story(&[]);
    let warm = story(&["--temperature", "1", "--seed", "7"]);
    assert_ne!(warm.ids(), greedy.ids());
    story(&["--temperature", "1.5", "--seed", "7", "--top-k", "1"]).same_tables(&greedy);
    story(&["--temperature", "1.5", "--seed", "7", "--top-p", "1e-9"]).same_tables(&greedy);
    story(&["--temperature", "0", "--seed", "9"]).same_tables(&greedy);
}

#[test]
fn a_prompt_reads_the_same_as_text_from_a_file_and_as_ids() {
    let text = story(&[]);
    let temp = tempfile::tempdir().unwrap();
    let file = temp.path().join("prompt.txt");
    std::fs::write(&file, STORY[1]).unwrap();
    let from_file = Run::ok(&["--prompt-file", file.to_str().unwrap(), "--steps", "12"]);
    from_file.same_tables(&text);
    assert_eq!(from_file.json()["prompt"], STORY[1]);
    let ids = join(&ids_of(&text.json()["prompt_ids"]));
    Run::ok(&["--prompt-ids", &ids, "--steps", "12"]).same_tables(&text);
    std::fs::write(&file, format!("{}\n", STORY[1])).unwrap();
    let with_newline = Run::ok(&["--prompt-file", file.to_str().unwrap()]);
    let got = with_newline.tokens();
    assert_eq!(got.last().map(|row| row.2.as_str()), Some("<0x0A>"), "a file is taken as it is");
}

#[test]
fn a_run_without_steps_reads_the_prompt_and_prints_nothing() {
    let run = Run::ok(&["--prompt", "Once upon a time"]);
    assert!(run.output.stdout.is_empty());
    assert!(run.tokens().iter().all(|row| row.3 == "prompt"));
    assert_eq!(run.json()["generated_ids"], serde_json::json!([]));
}

#[test]
fn precision_changes_numbers() {
    let tables = ["hf", "f32", "f32-router"].map(|policy| story(&["--precision", policy]).files["routing.csv"].clone());
    assert!(tables[0] != tables[1] && tables[1] != tables[2] && tables[0] != tables[2]);
}

#[test]
fn info_describes_a_model_as_text_and_as_json() {
    let text = mixscope(["info", "demo"]);
    assert_eq!(text.status.code(), Some(0));
    assert!(text.stderr.is_empty(), "{}", stderr(&text));
    for what in ["demo", "6", "8 experts", "top-2", "5.48 M", "bf16", "1024", "4096", "hf", "validated"] {
        assert!(stdout(&text).contains(what), "{what}: {}", stdout(&text));
    }
    let output = mixscope(["info", "demo", "--json"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.is_empty(), "{}", stderr(&output));
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["model"], "demo");
    assert_eq!(json["parameters"], 5_480_064);
    // Six of eight experts rest in each of six layers.
    assert_eq!(json["active_parameters"], 5_480_064 - 6 * 6 * 3 * 128 * 224);
    assert_eq!((&json["weights_dtype"], &json["context"]), (&Value::from("bf16"), &Value::from(1024)));
    assert_eq!(json["weight_bytes"], 2 * 5_480_064);
    assert_eq!((&json["dims"]["layers"], &json["dims"]["experts"]), (&Value::from(6), &Value::from(8)));
    let findings = json["validation"]["findings"].as_array().unwrap();
    assert!(findings.len() > 5 && findings.iter().all(|finding| finding["level"] == "ok"), "{findings:?}");
    assert!(stdout(&mixscope(["info"])).contains("5.48 M"), "no MODEL is the demo");
}

#[test]
fn info_counts_the_parameters_of_every_case() {
    for (case, _, _) in CASES {
        let (dir, _temp) = model_dir(case);
        let output = mixscope(["info".as_ref(), dir.as_os_str(), "--json".as_ref()]);
        assert_eq!(output.status.code(), Some(0), "{case}: {}", stderr(&output));
        let json: Value = serde_json::from_slice(&output.stdout).unwrap();
        let size = if json["weights_dtype"] == "f32" { 4 } else { 2 };
        assert_eq!(json["weight_bytes"].as_u64().unwrap(), size * json["parameters"].as_u64().unwrap(), "{case}");
    }
}

/// The text that pieces of a sentencepiece tokenizer with byte fallback spell.
fn spelled(pieces: &[String]) -> String {
    let mut bytes = Vec::new();
    for piece in pieces {
        let byte = piece.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>'));
        match byte.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => bytes.push(byte),
            None => bytes.extend_from_slice(piece.replace('▁', " ").as_bytes()),
        }
    }
    String::from_utf8(bytes).unwrap()
}

#[test]
fn an_awkward_prompt_survives_in_every_file_and_never_reaches_the_terminal_raw() {
    let prompt = "He said \"no\", then,\r\n\n\t'left';\u{3000}日本語 🦀👩‍👩‍👧 é e\u{301} \
        \x1b[31mred\x1b[0m\x1b]0;title\x07\x08\u{9b}2J\x7f ,\"\",";
    let temp = tempfile::tempdir().unwrap();
    let file = temp.path().join("prompt.txt");
    std::fs::write(&file, format!("{prompt}\0end")).unwrap();
    let from_file = ["--prompt-file", file.to_str().unwrap()];
    for (text, args) in [(prompt.to_owned(), ["--prompt", prompt]), (format!("{prompt}\0end"), from_file)] {
        for verbosity in ["--verbose", "--quiet"] {
            let run = Run::ok(&[&args[..], &["--steps", "20", "--temperature", "1.5", verbosity]].concat());
            let texts: Vec<String> = run.tokens().into_iter().map(|row| row.2).collect();
            assert_eq!(texts, token_texts(&run.trace()));
            let n = run.json()["prompt_ids"].as_array().unwrap().len();
            assert_eq!(texts[0], "<s>");
            assert_eq!(spelled(&texts[1..n]).trim_start(), text);
            assert_eq!(run.json()["prompt"], text);
            for stream in [&run.output.stdout, &run.output.stderr] {
                let control = |byte: &u8| byte.is_ascii_control() && *byte != b'\n' && *byte != b'\t';
                assert!(!stream.iter().any(control), "{:?}", String::from_utf8_lossy(stream));
            }
        }
    }
}

#[test]
fn generated_text_cannot_send_escape_sequences_to_the_terminal() {
    let temp = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(fixture("gqa-headdim/model")).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), temp.path().join(entry.file_name())).unwrap();
    }
    // The tokenizer is changed so that two tokens of the greedy continuation spell control sequences.
    let reference = Reference::read("gqa-headdim", "reference");
    let bytes: Vec<u32> =
        reference.greedy().into_iter().filter(|id| (3..259).contains(id) && *id != 3 + 0x1b).collect();
    let path = temp.path().join("tokenizer.json");
    let mut json = read_json(&path);
    let vocab = json["model"]["vocab"].as_object_mut().unwrap();
    vocab.retain(|_, id| ![u64::from(bytes[0]), u64::from(bytes[1]), 3 + 0x1b].contains(&id.as_u64().unwrap()));
    vocab.insert("<0x1B>".to_owned(), bytes[0].into());
    vocab.insert("\x1b]0;owned\x07\u{9b}2J".to_owned(), bytes[1].into());
    std::fs::write(&path, json.to_string()).unwrap();
    let (model, ids) = (temp.path().to_str().unwrap(), join(&reference.ids()));
    let run = Run::ok(&[model, "--prompt-ids", &ids, "--steps", "16", "--verbose"]);
    assert_eq!(ids_of(&run.json()["generated_ids"]), reference.greedy());
    assert!(run.json()["generated_text"].as_str().unwrap().matches('\x1b').count() >= 2, "the test bites");
    assert_eq!(run.tokens().into_iter().map(|row| row.2).collect::<Vec<_>>(), token_texts(&run.trace()));
    for text in [stdout(&run.output), stderr(&run.output)] {
        assert!(!text.chars().any(|c| c.is_control() && c != '\n' && c != '\t'), "{text:?}");
    }
}

#[test]
fn generation_ends_at_the_end_of_text_token() {
    let temp = tempfile::tempdir().unwrap();
    for name in ["config.json", "tokenizer.json", "model.safetensors"] {
        std::fs::copy(fixture("tiny-f32/model").join(name), temp.path().join(name)).unwrap();
    }
    let reference = Reference::read("tiny-f32", "reference");
    let generation = serde_json::json!({"eos_token_id": [2, reference.greedy()[4]]});
    std::fs::write(temp.path().join("generation_config.json"), generation.to_string()).unwrap();
    let (model, ids) = (temp.path().to_str().unwrap(), join(&reference.ids()));
    let run = Run::ok(&[model, "--prompt-ids", &ids, "--steps", "16"]);
    assert_eq!(ids_of(&run.json()["generated_ids"]), reference.greedy()[..5]);
}

#[cfg(unix)]
#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let state = tempfile::tempdir().unwrap();
    let mut child = command(state.path()).args(["info", "demo", "--json"]).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), ""));
}

#[cfg(target_os = "linux")]
#[test]
fn results_that_cannot_be_written_are_failed_work() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let state = tempfile::tempdir().unwrap();
    let output = command(state.path()).args(["info", "demo"]).stdout(full).output().unwrap();
    assert_fails(&output, 1, "space");
}
