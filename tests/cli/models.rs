//! Models of every kind on the command line: GGUF files, `check`, chat templates, and the Hub.

mod hub;

use crate::support::cli::*;
use crate::support::fixture;
use crate::support::gguf_writer::{TensorInfo, Value as Meta, file};
use crate::support::hub::{Act, COMMIT, Files, Hub, NAME, Request};
use mixscope::model::{Location, open};
use mixscope::trace::Policy;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Output;
use tempfile::TempDir;

/// GGUF files with the stem of their reference, and what their weights are called.
const GGUF: [(&str, &str, &str); 8] = [
    ("tiny-F32", "tiny-F32", "F32"),
    ("tiny-F16", "tiny-F16", "F16"),
    ("tiny-BF16", "tiny-BF16", "BF16"),
    ("tiny-Q8_0", "tiny-Q8_0", "Q8_0"),
    ("tiny-Q4_0", "tiny-Q4_0", "Q4_0"),
    ("kq-Q4_K_M", "kq-Q4_K_M", "Q4_K_M"),
    ("tiny-legacy-split-F16", "tiny-legacy-split-F16", "F16"),
    ("tiny-legacy-split-Q8_0", "tiny-Q8_0", "Q8_0"),
];

/// Keys of `info --json` that scripts may rely on since the first version.
const KEYS: &str = "model architecture dims parameters active_parameters weights_dtype compute_dtype precision tokenizer \
    context eos weight_bytes kv_bytes_per_token trace_bytes_per_token validation";

fn gguf(name: &str) -> String {
    fixture("gguf").join(format!("{name}.gguf")).to_str().unwrap().to_owned()
}

fn malformed(name: &str) -> String {
    fixture("malformed").join(name).to_str().unwrap().to_owned()
}

#[track_caller]
fn assert_ok(output: &Output) {
    assert_eq!(output.status.code(), Some(0), "{}", stderr(output));
}

#[track_caller]
fn assert_mentions(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no {part:?} in: {text}");
    }
}

#[track_caller]
fn parsed(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", stdout(output)))
}

#[track_caller]
fn info_json(args: &[&str]) -> Value {
    let output = mixscope([&["info", "--json"], args].concat());
    assert_ok(&output);
    assert!(output.stderr.is_empty(), "{}", stderr(&output));
    parsed(&output)
}

fn is_runnable(verdict: &str) -> bool {
    verdict.starts_with("fits") || verdict.starts_with("runs from disk")
}

#[test]
fn info_knows_every_gguf_file() {
    for (name, _, dtype) in GGUF {
        let path = gguf(name);
        let json = info_json(&[&path]);
        for key in KEYS.split_whitespace() {
            assert!(!json[key].is_null(), "{name}: no {key}");
        }
        assert_eq!((&json["weights_dtype"], &json["compute_dtype"]), (&json!(dtype), &json!("f32")), "{name}");
        let bytes = |key: &str| json[key].as_u64().unwrap();
        let stored: u64 = json["stored_bytes"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum();
        assert_eq!(stored, bytes("weight_bytes"), "{name}");
        assert!(bytes("weight_bytes") < fs::metadata(&path).unwrap().len(), "{name}");
        assert!(bytes("weight_bytes_per_token") < bytes("weight_bytes"), "{name}");
        assert!(bytes("active_parameters") < bytes("parameters"), "{name}");
        assert!(is_runnable(json["verdict"].as_str().unwrap()), "{name}: {}", json["verdict"]);
        assert_eq!(
            (&json["downloaded"], &json["commit"], &json["download"]),
            (&json!(true), &Value::Null, &Value::Null)
        );
        assert_eq!((&json["model"], &json["tokenizer"], &json["eos"]), (&json!(path), &json!(512), &json!([2])));

        let output = mixscope(["info", &path]);
        assert_ok(&output);
        let text = stdout(&output);
        let layers = format!("{} × {} experts", json["dims"]["layers"], json["dims"]["experts"]);
        assert_mentions(
            text,
            &[dtype, &layers, "top-2", "512 entries", json["verdict"].as_str().unwrap(), "validated"],
        );
        if json["stored_bytes"].as_object().unwrap().len() > 1 {
            json["stored_bytes"].as_object().unwrap().keys().for_each(|name| assert_mentions(text, &[name]));
        }
    }
}

#[test]
fn types_have_the_same_names_in_safetensors_and_gguf() {
    let local = fixture("tiny-f32/model");
    let json = info_json(&[local.to_str().unwrap()]);
    assert_eq!(json["stored_bytes"], json!({"F32": json["weight_bytes"]}));
    let names = |name: &str| {
        let json = info_json(&[&gguf(name)]);
        json["stored_bytes"].as_object().unwrap().keys().map(String::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(names("tiny-F32"), ["F32"]);
    assert_eq!(names("tiny-BF16"), ["BF16", "F32"]);
    assert_eq!(names("kq-Q4_K_M"), ["F32", "Q4_K", "Q6_K"]);
    for key in KEYS.split_whitespace().chain(["verdict", "stored_bytes", "weight_bytes_per_token", "chat_template"]) {
        assert!(!json[key].is_null(), "no {key}");
    }
    let touched = |name: &str| info_json(&[&gguf(name)])["weight_bytes_per_token"].as_u64().unwrap();
    assert!(touched("tiny-Q4_0") < touched("tiny-Q8_0") && touched("tiny-Q8_0") < touched("tiny-F16"));
}

#[test]
fn check_says_that_sound_models_are_sound() {
    let files = GGUF.map(|(name, ..)| gguf(name));
    let tiny = fixture("tiny-f32/model").to_str().unwrap().to_owned();
    for model in files.iter().map(String::as_str).chain(["demo", &tiny, &malformed("ok-control")]) {
        let output = mixscope(["check", model]);
        assert_ok(&output);
        assert!(output.stderr.is_empty(), "{}", stderr(&output));
        let last = stdout(&output).lines().last().unwrap();
        assert!(last.starts_with("sound: "), "{model}: {last}");
        assert_mentions(stdout(&output), &["no NaN, no infinity"]);
        assert_eq!(stdout(&output).matches("no NaN").count(), 1, "{}", stdout(&output));
        let json = parsed(&mixscope(["check", "--json", model]));
        assert_eq!((&json["ok"], &json["model"]), (&json!(true), &json!(model)));
        assert_eq!(json["verdict"], last);
        assert!(json["validation"]["findings"].as_array().unwrap().len() > 5);
    }
}

const NAN_TENSOR: &str = "model.layers.0.block_sparse_moe.experts.0.w1.weight";

#[test]
fn weights_that_are_no_numbers_fail_the_check_by_name() {
    let model = malformed("nan-weight");
    let output = mixscope(["check", &model]);
    assert_eq!(output.status.code(), Some(1));
    assert_mentions(stdout(&output), &[NAN_TENSOR, "1 NaN and 0 infinite"]);
    let message = stderr(&output);
    assert!(message.starts_with("mixscope: ") && message.lines().count() == 1, "{message}");
    assert_mentions(message, &["nan-weight", "failed the check"]);
    let verdict = stdout(&output).lines().last().unwrap();
    assert!(verdict.starts_with("broken: "), "{verdict}");

    let output = mixscope(["check", "--json", &model]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).starts_with("mixscope: "), "{}", stderr(&output));
    let json = parsed(&output);
    assert_eq!((&json["ok"], &json["verdict"]), (&json!(false), &json!(verdict)));
    let findings = json["validation"]["findings"].as_array().unwrap();
    let bad = findings.iter().filter(|finding| finding["level"] == "warn").collect::<Vec<_>>();
    assert!(bad.len() == 1 && bad[0]["subject"].as_str().unwrap().contains(NAN_TENSOR), "{bad:?}");

    let output = mixscope(["info", &model]);
    assert_ok(&output);
    assert_mentions(stdout(&output), &[NAN_TENSOR, "NaN"]);
}

#[test]
fn check_agrees_with_what_is_known_of_the_malformed_models() {
    let entries = read_json(&fixture("malformed/expected.json"));
    let entries = entries.as_array().unwrap();
    assert!(entries.len() > 10);
    for entry in entries {
        let (name, kind) = (entry["name"].as_str().unwrap(), entry["kind"].as_str().unwrap());
        let model = malformed(name);
        let output = mixscope(["check", &model]);
        let said = format!("{}{}", stdout(&output), stderr(&output)).to_lowercase();
        let wanted = match (kind, name) {
            ("refuse", _) | (_, "nan-weight") => 1,
            _ => 0,
        };
        assert_eq!(output.status.code(), Some(wanted), "{name}: {said}");
        assert!(!said.contains("panicked"), "{name}: {said}");
        for word in entry["must_mention"].as_array().unwrap() {
            assert_mentions(&said, &[&word.as_str().unwrap().to_lowercase()]);
        }

        let output = mixscope(["check", "--json", &model]);
        assert_eq!(output.status.code(), Some(wanted), "{name}");
        let json = parsed(&output);
        if kind == "refuse" {
            assert_eq!((&json["verdict"], &json["model"]), (&json!("refused"), &json!(model)), "{name}");
            let error = json["error"].as_str().unwrap();
            assert_eq!(stderr(&output).trim_end(), format!("mixscope: {error}"), "{name}");
        } else {
            assert_eq!(json["ok"], json!(wanted == 0), "{name}");
            assert!(json["error"].is_null(), "{name}");
        }
    }
}

#[test]
fn check_counts_in_good_english() {
    let output = mixscope(["check", &malformed("dtype-mismatch")]);
    assert_ok(&output);
    assert_eq!(stdout(&output).lines().last().unwrap(), "runs, with 1 warning");
}

#[test]
fn a_gguf_file_reads_a_text_as_it_reads_the_ids_of_the_reference() {
    for (name, stem, _) in GGUF {
        let reference = read_json(&fixture(&format!("gguf/{stem}.reference.json")));
        let (path, prompt) = (gguf(name), reference["prompt"].as_str().unwrap());
        let ids = join(&ids_of(&reference["prompt_ids"]));
        let text = Run::ok(&[&path, "--prompt", prompt, "--steps", "2", "--lens-k", "3"]);
        let from_ids = Run::ok(&[&path, "--prompt-ids", &ids, "--steps", "2", "--lens-k", "3"]);
        let said = stderr(&text.output);
        assert!(said.starts_with("trace.safetensors: ") && said.contains("\nwrote "), "{name}: {said}");
        assert!(!said.contains("warning"), "{name}: {said}");
        assert_eq!(ids_of(&text.json()["prompt_ids"]), ids_of(&reference["prompt_ids"]), "{name}");
        assert_eq!(ids_of(&text.json()["generated_ids"]), ids_of(&reference["greedy_ids"])[..2], "{name}");
        text.same_tables(&from_ids);
        let n = text.tokens().len();
        assert_eq!(n, ids_of(&reference["prompt_ids"]).len() + 2, "{name}");
        let dims = &info_json(&[&path])["dims"];
        let [layers, heads, experts] = ["layers", "heads", "experts"].map(|key| dims[key].as_u64().unwrap() as usize);
        assert_eq!(text.table::<RoutingRow>("routing.csv").len(), n * layers * experts, "{name}");
        assert_eq!(text.table::<AttentionRow>("attention.csv").len(), layers * heads * n * (n + 1) / 2, "{name}");
        assert_eq!(text.table::<LensRow>("lens.csv").len(), n * layers * 2 * 3, "{name}");
        assert_eq!(text.table::<SummaryRow>("lens_summary.csv").len(), n * layers * 2, "{name}");
    }
}

/// The gist of Mixtral-Instruct's.
const INSTRUCT: &str = "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}\
    {{ ' [INST] ' + message['content'] + ' [/INST]' }}{% else %}{{ raise_exception('only users') }}{% endif %}\
    {% endfor %}";

/// A copy of a small model with these further files.
fn with_files(files: &[(&str, &str)]) -> TempDir {
    let temp = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(fixture("tiny-f32/model")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), temp.path().join(entry.file_name())).unwrap();
    }
    files.iter().for_each(|(name, text)| fs::write(temp.path().join(name), text).unwrap());
    temp
}

fn tokenizer_config(template: &str) -> String {
    json!({"bos_token": "<s>", "eos_token": {"content": "</s>"}, "chat_template": template}).to_string()
}

#[test]
fn a_prompt_is_put_into_the_chat_template() {
    let config = tokenizer_config(INSTRUCT);
    let inside = with_files(&[("tokenizer_config.json", &config)]);
    let other = tokenizer_config("{{ raise_exception('not this one') }}");
    let beside = with_files(&[("tokenizer_config.json", &other), ("chat_template.jinja", INSTRUCT)]);
    let loaded = open(&Location::Dir(inside.path().to_owned()), Policy::Hf, None, false).unwrap();
    let want = loaded.tokenizer.as_ref().unwrap().encode("<s> [INST] Which expert? [/INST]", false).unwrap();
    assert_eq!(want.iter().filter(|id| **id == 1).count(), 1, "one start token: {want:?}");
    for model in [&inside, &beside] {
        let path = model.path().to_str().unwrap();
        let chat = Run::ok(&[path, "--chat", "--prompt", "Which expert?", "--steps", "3"]);
        let ids = ids_of(&chat.json()["prompt_ids"]);
        assert_eq!((ids[0], &ids), (1, &want));
        assert_eq!(chat.json()["prompt"], "Which expert?");
        chat.same_tables(&Run::ok(&[path, "--prompt-ids", &join(&want), "--steps", "3"]));
        let file = model.path().join("prompt.txt");
        fs::write(&file, "Which expert?").unwrap();
        let from_file = Run::ok(&[path, "--chat", "--prompt-file", file.to_str().unwrap(), "--steps", "3"]);
        from_file.same_tables(&chat);
        let plain = Run::ok(&[path, "--prompt", "Which expert?"]);
        assert!(plain.tokens().len() < ids.len());
        assert_eq!(info_json(&[path])["chat_template"], true);
        assert_mentions(stdout(&mixscope(["info", path])), &["--chat"]);
    }
}

#[test]
fn templates_that_are_missing_or_fail_are_reported() {
    let chat = |path: &Path, what: &str| {
        let run = Run::of(&[path.to_str().unwrap(), "--chat", "--prompt", "hi"]);
        assert_fails(&run.output, 1, what);
        assert!(run.files.is_empty());
    };
    chat(&fixture("tiny-f32/model"), "no chat template");
    chat(Path::new("demo"), "no chat template");
    chat(Path::new(&gguf("tiny-Q8_0")), "no chat template");
    let with = |template: &str| with_files(&[("tokenizer_config.json", &tokenizer_config(template))]);
    chat(with("{{ raise_exception('After the system message comes a user') }}").path(), "After the system message");
    chat(with("{% if").path(), "chat template");
    chat(with("{% for i in range(9999) %}{% for j in range(9999) %}{% endfor %}{% endfor %}").path(), "chat template");
    let refuses = with("{{ raise_exception('x') }}");
    Run::ok(&[refuses.path().to_str().unwrap(), "--prompt", "hi"]);
    let broken = with_files(&[("tokenizer_config.json", "{\"chat_template\": ")]);
    let run = Run::ok(&[broken.path().to_str().unwrap(), "--prompt", "hi"]);
    assert_mentions(stderr(&run.output), &["warning", "tokenizer_config.json"]);
    let usage = Run::of(&["--chat", "--prompt-ids", "1,3"]);
    assert_fails(&usage.output, 2, "--prompt-ids");
    assert_mentions(stderr(&usage.output), &["--chat"]);
    assert!(usage.files.is_empty());
}
