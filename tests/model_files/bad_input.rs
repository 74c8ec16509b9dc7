//! Broken, hostile and doubtful models and prompts: a clear message and a status, never a panic, never NaN as data.

mod corrupted;
mod hostile;
pub mod mutated;
mod not_finite;
mod prompts;

use crate::support::fixture;
use mixscope::control::Control;
use mixscope::model::{Location, NoHooks, Precision, open};
use mixscope::trace::Policy;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;
use tempfile::TempDir;

/// Twenty ids that every model here has.
const TWENTY: &str = "1,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21";

fn mixscope<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Output {
    let state = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_mixscope"));
    command.env("XDG_STATE_HOME", state.path()).env_remove("RUST_BACKTRACE").env_remove("RUST_LIB_BACKTRACE");
    command.args(args).stdin(Stdio::null()).output().unwrap()
}

fn info(model: &Path) -> Output {
    mixscope(["info".as_ref(), model.as_os_str()])
}

/// What a run wrote, by file name.
type Files = BTreeMap<String, Vec<u8>>;

fn run(model: &Path, args: &[&str]) -> (Output, Files) {
    let temp = tempfile::tempdir().unwrap();
    let out = temp.path().join("out");
    let fixed = ["run".as_ref(), model.as_os_str(), "--out".as_ref(), out.as_os_str()];
    let output = mixscope(fixed.into_iter().chain(args.iter().map(OsStr::new)));
    let entries = std::fs::read_dir(&out).into_iter().flatten().map(Result::unwrap);
    let file =
        |entry: std::fs::DirEntry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap());
    (output, entries.map(file).collect())
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// The message, with everything in it that no message may hold ruled out.
fn message(output: &Output) -> &str {
    let message = text(&output.stderr);
    for bad in ["panicked", "backtrace", "RUST_BACKTRACE", "thread '"] {
        assert!(!message.contains(bad), "{message}");
    }
    assert!(!message.chars().any(|c| c.is_control() && c != '\n' && c != '\t'), "{message:?}");
    assert!(output.status.code().is_some(), "ended by a signal: {message}");
    message
}

fn assert_mentions(message: &str, what: &[&str], context: &str) {
    for word in what {
        assert!(message.to_lowercase().contains(&word.to_lowercase()), "{context}: no {word} in: {message}");
    }
}

fn assert_refused(output: &Output, what: &[&str], context: &str) {
    let message = message(output);
    assert_eq!(output.status.code(), Some(1), "{context}: {message}");
    assert!(output.stdout.is_empty(), "{context}: stdout holds {}", text(&output.stdout));
    let errors = message.lines().filter(|line| line.starts_with("mixscope: ")).count();
    assert_eq!(errors, 1, "{context}: {message}");
    assert_mentions(message, what, context);
}

/// `run` and `info` both refuse the model and name `what`.
fn assert_model_refused(model: &Path, what: &[&str]) {
    let (output, files) = run(model, &["--prompt", "hello", "--steps", "2"]);
    assert_refused(&output, what, "run");
    assert!(files.is_empty(), "{:?}", files.keys());
    assert_refused(&info(model), what, "info");
    assert_refused(&mixscope(["check".as_ref(), model.as_os_str()]), what, "check");
}

fn assert_runs(model: &Path, args: &[&str]) -> (String, Files) {
    let (output, files) = run(model, args);
    assert_eq!(output.status.code(), Some(0), "{}", message(&output));
    (message(&output).to_owned(), files)
}

fn rows(files: &Files, name: &str) -> Vec<csv::StringRecord> {
    csv::Reader::from_reader(files[name].as_slice()).into_records().map(Result::unwrap).collect()
}

/// No number of any table is NaN or infinite.
fn assert_finite(files: &Files) {
    for name in files.keys().filter(|name| name.ends_with(".csv")) {
        let mut reader = csv::Reader::from_reader(files[name].as_slice());
        let token = reader.headers().unwrap().iter().position(|column| column == "token");
        for row in reader.records().map(Result::unwrap) {
            let bad = |field: &str| field.parse::<f64>().is_ok_and(|x| !x.is_finite());
            let found = row.iter().enumerate().any(|(i, field)| Some(i) != token && bad(field));
            assert!(!found, "{name}: {row:?}");
        }
    }
}

/// A copy of the sound model.
fn copy() -> TempDir {
    let temp = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(fixture("malformed/ok-control")).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), temp.path().join(entry.file_name())).unwrap();
    }
    temp
}

/// The sound model with one file replaced.
fn with_file(name: &str, bytes: impl AsRef<[u8]>) -> TempDir {
    let model = copy();
    std::fs::write(model.path().join(name), bytes).unwrap();
    model
}

/// The sound model with other values in config.json; null removes a key.
fn with_config(changes: Value) -> TempDir {
    let mut config: Value =
        serde_json::from_slice(&std::fs::read(fixture("malformed/ok-control/config.json")).unwrap()).unwrap();
    let Value::Object(changes) = changes else { panic!("{changes} is not an object") };
    config.as_object_mut().unwrap().extend(changes);
    config.as_object_mut().unwrap().retain(|key, value| !value.is_null() || key == "sliding_window");
    with_file("config.json", config.to_string())
}

fn weights() -> Vec<u8> {
    std::fs::read(fixture("malformed/ok-control/model.safetensors")).unwrap()
}

/// Bytes of the length field and the header.
fn header_len(weights: &[u8]) -> usize {
    8 + u64::from_le_bytes(*weights.first_chunk().unwrap()) as usize
}

/// The sound weights with `from` replaced by the equally long `to` wherever the header has it first.
fn with_header(from: &str, to: &str) -> TempDir {
    assert_eq!(from.len(), to.len());
    let mut weights = weights();
    let end = header_len(&weights);
    let at = text(&weights[8..end]).find(from).unwrap() + 8;
    weights[at..at + to.len()].copy_from_slice(to.as_bytes());
    with_file("model.safetensors", weights)
}

/// The sound weights with other values at the start of one tensor.
fn with_values(tensor: &str, row: usize, values: &[f32]) -> TempDir {
    let mut weights = weights();
    let end = header_len(&weights);
    let header: Value = serde_json::from_slice(&weights[8..end]).unwrap();
    assert_eq!(header[tensor]["dtype"], "F32");
    let width = header[tensor]["shape"].as_array().unwrap().last().unwrap().as_u64().unwrap() as usize;
    let start = end + header[tensor]["data_offsets"][0].as_u64().unwrap() as usize + row * width * 4;
    for (i, value) in values.iter().enumerate() {
        weights[start + i * 4..][..4].copy_from_slice(&value.to_le_bytes());
    }
    with_file("model.safetensors", weights)
}

/// The entries of malformed/expected.json of one kind: name, and what must be mentioned.
fn expected(kind: &str) -> Vec<(String, Vec<String>)> {
    let bytes = std::fs::read(fixture("malformed/expected.json")).unwrap();
    let entries: Vec<Value> = serde_json::from_slice(&bytes).unwrap();
    assert!(entries.iter().all(|entry| ["ok", "warn", "refuse"].contains(&entry["kind"].as_str().unwrap())));
    let of_kind = entries.into_iter().filter(|entry| entry["kind"] == kind);
    let found: Vec<_> = of_kind
        .map(|entry| {
            let words: Vec<String> = serde_json::from_value(entry["must_mention"].clone()).unwrap();
            (entry["name"].as_str().unwrap().to_owned(), words)
        })
        .collect();
    assert!(!found.is_empty());
    found
}

#[test]
fn every_malformed_model_is_refused_by_name() {
    for (name, words) in expected("refuse") {
        let model = fixture("malformed").join(&name);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        assert_model_refused(&model, &words);
    }
}

#[test]
fn every_doubtful_model_is_warned_about() {
    for (name, words) in expected("warn") {
        let model = fixture("malformed").join(&name);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let (output, files) = run(&model, &["--prompt-ids", TWENTY, "--steps", "2"]);
        assert!(matches!(output.status.code(), Some(0 | 1)), "{name}");
        assert_mentions(message(&output), &words, &name);
        assert_finite(&files);
        let output = info(&model);
        assert_eq!(output.status.code(), Some(0), "{name}: {}", message(&output));
        assert_mentions(text(&output.stdout), &words, &name);
    }
}

#[test]
fn every_sound_model_runs() {
    for (name, _) in expected("ok") {
        let model = fixture("malformed").join(&name);
        let (warnings, files) = assert_runs(&model, &["--prompt", "hello", "--steps", "2"]);
        assert!(!warnings.contains("warning"), "{name}: {warnings}");
        let others = files.keys().filter(|file| !file.starts_with("attention-L")).count();
        assert_eq!(others, 10, "{name}: {:?}", files.keys());
        assert_finite(&files);
        assert_eq!(info(&model).status.code(), Some(0), "{name}");
    }
}

#[test]
fn a_prompt_beyond_the_context_is_refused_before_work_and_a_generation_ends_there() {
    let model = fixture("malformed/context-16");
    let (output, files) = run(&model, &["--prompt-ids", TWENTY, "--steps", "2"]);
    assert_refused(&output, &["20", "16", "max_position_embeddings"], "context-16");
    assert!(files.is_empty(), "{:?}", files.keys());
    let fourteen = TWENTY.split(',').take(14).collect::<Vec<_>>().join(",");
    let (warning, files) = assert_runs(&model, &["--prompt-ids", &fourteen, "--steps", "9"]);
    assert_mentions(&warning, &["warning", "16", "max_position_embeddings", "at most 2"], "context-16");
    assert_eq!(rows(&files, "tokens.csv").len(), 16);
    let json: Value = serde_json::from_slice(&files["run.json"]).unwrap();
    assert_eq!(json["ended"], "context full", "{json}");
    let (quiet, _) = assert_runs(&model, &["--prompt-ids", "1,3,4", "--steps", "2"]);
    assert!(!quiet.contains("warning"), "{quiet}");
}

#[test]
fn a_config_that_lies_about_the_dtype_is_named_with_both_dtypes() {
    let model = fixture("malformed/dtype-mismatch");
    let (warning, files) = assert_runs(&model, &["--prompt", "hello", "--steps", "2"]);
    let warning = warning.to_lowercase();
    assert_mentions(&warning, &["config.json", "bf16"], "dtype-mismatch");
    let other = warning.replace("bf16", "").replace("bfloat16", "");
    assert!(other.contains("f16") || other.contains("float16"), "{warning}");
    let json: Value = serde_json::from_slice(&files["run.json"]).unwrap();
    assert_eq!((&json["weights_dtype"], &json["compute_dtype"]), (&json!("bf16"), &json!("bf16")));
}

#[test]
fn a_config_that_cannot_be_read_is_named() {
    let sound = std::fs::read(fixture("malformed/ok-control/config.json")).unwrap();
    let cases: [&[u8]; 8] = [
        &sound[..sound.len() / 2],
        b"",
        b"this is no JSON",
        b"[]",
        b"null",
        b"{}",
        b"\xff\xfe{}",
        "[".repeat(200_000).leak().as_bytes(),
    ];
    for bytes in cases {
        assert_model_refused(with_file("config.json", bytes).path(), &["config.json"]);
    }
    let absent = copy();
    std::fs::remove_file(absent.path().join("config.json")).unwrap();
    assert_model_refused(absent.path(), &["config.json"]);
    std::fs::create_dir(absent.path().join("config.json")).unwrap();
    assert_model_refused(absent.path(), &["config.json"]);
}

#[test]
fn impossible_sizes_in_a_config_are_refused_by_key() {
    let cases = [
        (json!({"num_hidden_layers": 1_000_000_000}), "num_hidden_layers"),
        (json!({"num_hidden_layers": 0}), "num_hidden_layers"),
        (json!({"num_hidden_layers": -1}), "num_hidden_layers"),
        (json!({"num_hidden_layers": 1.5}), "num_hidden_layers"),
        (json!({"num_hidden_layers": 2}), "model.layers.1."),
        (json!({"head_dim": 0}), "head_dim"),
        (json!({"head_dim": 7}), "head_dim"),
        (json!({"head_dim": 1_000_000_000}), "q_proj"),
        (json!({"num_local_experts": 1}), "num_experts_per_tok"),
        (json!({"num_local_experts": 1, "num_experts_per_tok": 2}), "num_experts_per_tok 2"),
        (json!({"num_local_experts": 1_000_000_000}), "experts"),
        (json!({"num_experts_per_tok": 0}), "num_experts_per_tok"),
        (json!({"num_attention_heads": 0}), "num_attention_heads"),
        (json!({"num_attention_heads": 3}), "num_attention_heads"),
        (json!({"num_key_value_heads": 0}), "num_key_value_heads"),
        (json!({"num_key_value_heads": 4}), "num_key_value_heads"),
        (json!({"hidden_size": 18_446_744_073_709_551_615u64}), "hidden_size"),
        (json!({"hidden_size": "16"}), "hidden_size"),
        (json!({"vocab_size": 2_000_000_000}), "embed_tokens"),
        (json!({"vocab_size": 0}), "vocab_size"),
        (json!({"intermediate_size": 17}), "w1"),
        (json!({"max_position_embeddings": 0}), "max_position_embeddings"),
        (json!({"sliding_window": 0}), "sliding_window"),
        (json!({"sliding_window": -4}), "sliding_window"),
        (json!({"rope_theta": 0}), "rope_theta"),
        (json!({"rope_theta": "1e6"}), "rope_theta"),
        (json!({"rope_scaling": {"type": "yarn", "factor": 4.0}}), "rope_scaling"),
        (json!({"rms_norm_eps": -1.0}), "rms_norm_eps"),
        (json!({"hidden_act": "gelu"}), "hidden_act"),
        (json!({"architectures": ["MixtralForSequenceClassification"]}), "MixtralForSequenceClassification"),
    ];
    for (changes, key) in cases {
        assert_model_refused(with_config(changes).path(), &[key]);
    }
}

#[test]
fn extreme_but_possible_values_in_a_config_run() {
    let changes = [
        json!({"sliding_window": 1}),
        json!({"sliding_window": 18_446_744_073_709_551_615u64}),
        json!({"max_position_embeddings": 21}),
        json!({"rope_theta": 1e300}),
        json!({"rms_norm_eps": 1e30}),
        json!({"num_experts_per_tok": 1}),
        json!({"eos_token_id": [1, 99_999_999_999u64, -1, "x"]}),
        json!({"torch_dtype": "int7"}),
        json!({"rope_theta": null}),
        json!({"head_dim": 8}),
    ];
    for change in changes {
        let model = with_config(change);
        let (_, files) = assert_runs(model.path(), &["--prompt-ids", TWENTY, "--steps", "2"]);
        assert_finite(&files);
    }
}

#[test]
fn a_missing_rope_base_is_never_silent() {
    let model = with_config(json!({"rope_theta": null}));
    let (warning, _) = assert_runs(model.path(), &["--prompt", "hello"]);
    assert_mentions(&warning, &["warning", "rope_theta", "1000000"], "rope_theta");
}

#[test]
fn a_text_from_a_config_cannot_send_escape_sequences_to_the_terminal() {
    let hostile = "llama\u{1b}]0;owned\u{7}\u{9b}2J";
    assert_model_refused(with_config(json!({"model_type": hostile})).path(), &["llama"]);
    assert_model_refused(with_config(json!({"hidden_act": hostile})).path(), &["hidden_act"]);
    let index = json!({"weight_map": {"lm_head.weight": format!("{hostile}.safetensors")}}).to_string();
    assert_model_refused(indexed(&index).path(), &["index.json"]);
    let doubtful = with_config(json!({"torch_dtype": hostile}));
    let (warning, _) = assert_runs(doubtful.path(), &["--prompt", "hello"]);
    assert_mentions(&warning, &["warning", "dtype"], "torch_dtype");
    let output = info(doubtful.path());
    let shown = text(&output.stdout);
    assert!(!shown.chars().any(|c| c.is_control() && c != '\n' && c != '\t'), "{shown:?}");
}

/// A model whose weights are not in model.safetensors, with this index.
fn indexed(index: &str) -> tempfile::TempDir {
    let model = with_file("model.safetensors.index.json", index);
    std::fs::rename(model.path().join("model.safetensors"), model.path().join("a.safetensors")).unwrap();
    model
}

#[test]
fn an_index_that_cannot_be_trusted_is_refused() {
    let cases: [(&str, &str); 6] = [
        ("garbage", "model.safetensors.index.json"),
        ("", "model.safetensors.index.json"),
        ("[]", "model.safetensors.index.json"),
        ("{\"weight_map\": 7}", "model.safetensors.index.json"),
        ("{\"weight_map\": {}}", "model.embed_tokens.weight"),
        ("{\"weight_map\": {\"x\": \"\"}}", "model.safetensors.index.json"),
    ];
    for (index, what) in cases {
        assert_model_refused(indexed(index).path(), &[what]);
    }
    for outside in ["../x.safetensors", "a/../../x", "/x", "./../x", "..", "a\\..\\x", "C:\\x"] {
        let index = json!({"weight_map": {"lm_head.weight": outside}}).to_string();
        assert_model_refused(indexed(&index).path(), &[outside, "leaves"]);
        // Beside model.safetensors no index is looked at, as in transformers.
        let (warning, _) = assert_runs(with_file("model.safetensors.index.json", index).path(), &["--prompt", "hello"]);
        assert_mentions(&warning, &["model.safetensors is used"], outside);
    }
}

#[test]
fn weights_that_cannot_be_read_are_refused() {
    let sound = weights();
    let short = header_len(&sound) - 1;
    for len in [0, 1, 7, 8, 9, short, short + 1, sound.len() - 1] {
        assert_model_refused(with_file("model.safetensors", &sound[..len]).path(), &["model.safetensors"]);
    }
    let mut longer = sound.clone();
    longer.push(0);
    assert_model_refused(with_file("model.safetensors", longer).path(), &["model.safetensors"]);
    let page = b"<!DOCTYPE html><html><body>404 Not Found</body></html>";
    assert_model_refused(with_file("model.safetensors", page).path(), &["model.safetensors"]);
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0000\nsize 76768\n";
    assert_model_refused(with_file("model.safetensors", pointer).path(), &["model.safetensors"]);
    assert_model_refused(with_header("\"F32\"", "\"I32\"").path(), &["I32"]);
    assert_model_refused(with_header("\"F32\"", "\"F99\"").path(), &["model.safetensors"]);
    assert_model_refused(with_header("\"dtype\"", "\"dtyqe\"").path(), &["model.safetensors"]);
    assert_model_refused(with_header("lm_head.weight", "lm_haed.weight").path(), &["lm_head.weight"]);
    let absent = copy();
    std::fs::remove_file(absent.path().join("model.safetensors")).unwrap();
    assert_model_refused(absent.path(), &["model.safetensors"]);
    std::fs::create_dir(absent.path().join("model.safetensors")).unwrap();
    assert_model_refused(absent.path(), &["model.safetensors"]);
}

#[cfg(unix)]
#[test]
fn a_folder_that_cannot_be_written_to_is_refused_before_the_work() {
    use std::os::unix::fs::PermissionsExt;
    let temp = tempfile::tempdir().unwrap();
    let locked = temp.path().join("locked");
    std::fs::create_dir(&locked).unwrap();
    std::fs::set_permissions(&locked, std::fs::Permissions::from_mode(0o555)).unwrap();
    if tempfile::tempfile_in(&locked).is_ok() {
        return; // For root every folder can be written to.
    }
    for out in [locked.clone(), locked.join("below")] {
        let model = fixture("malformed/ok-control");
        let args = ["run".as_ref(), model.as_os_str(), "--prompt".as_ref(), "hello".as_ref(), "--out".as_ref()];
        let output = mixscope(args.into_iter().chain([out.as_os_str()]));
        assert_refused(&output, &["--out", "locked"], "a read-only folder");
    }
}
