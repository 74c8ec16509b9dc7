//! Models of every kind on the command line: GGUF files, `check`, chat templates, and the Hub.

use crate::support::cli::*;
use crate::support::fixture;
use crate::support::gguf_writer::{TensorInfo, Value as Meta, file};
use crate::support::hub::{Act, COMMIT, Files, Hub, NAME, Received};
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

/// Where a process finds a Hub, and a cache of its own.
struct Place {
    endpoint: String,
    cache: PathBuf,
    env: Vec<(&'static str, String)>,
    temp: TempDir,
}

impl Place {
    fn new(endpoint: &str) -> Self {
        let temp = tempfile::tempdir().unwrap();
        Self { endpoint: endpoint.to_owned(), cache: temp.path().join("hub"), env: Vec::new(), temp }
    }

    fn of(hub: &Hub) -> Self {
        Self::new(&hub.url)
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.env.push((name, value.to_owned()));
        self
    }

    fn mixscope<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Output {
        let mut command = command(&self.temp.path().join("state"));
        let unset = "HF_TOKEN HF_TOKEN_PATH HF_HUB_OFFLINE TRANSFORMERS_OFFLINE HF_HUB_DOWNLOAD_TIMEOUT ALL_PROXY HTTP_PROXY \
            HTTPS_PROXY all_proxy http_proxy https_proxy";
        for name in unset.split_whitespace() {
            command.env_remove(name);
        }
        let other = self.temp.path().join("elsewhere");
        command.env("HF_ENDPOINT", &self.endpoint).env("HF_HUB_CACHE", &self.cache);
        command.env("HF_HOME", &other).env("XDG_CACHE_HOME", &other);
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        let output = command.args(args).output().unwrap();
        assert!(!other.exists(), "something was written outside of HF_HUB_CACHE");
        output
    }

    #[track_caller]
    fn json<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Value {
        let output = self.mixscope(args);
        assert_ok(&output);
        parsed(&output)
    }

    fn run(&self, args: &[&str]) -> Run {
        let out = tempfile::tempdir_in(self.temp.path()).unwrap();
        let output = self.mixscope([&["run", "--force", "--out", out.path().to_str().unwrap()], args].concat());
        let entries = fs::read_dir(&out).unwrap().map(Result::unwrap);
        let file = |entry: fs::DirEntry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap());
        Run { output, files: entries.map(file).collect() }
    }

    fn snapshot(&self) -> PathBuf {
        self.cache.join("models--tiny--mixtral/snapshots").join(COMMIT)
    }
}

/// The files of a model directory, and one that no model needs.
fn repo(case: &str) -> Files {
    let entries = fs::read_dir(fixture(case)).unwrap().map(Result::unwrap);
    let mut files: Files =
        entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect();
    files.insert("README.md".to_owned(), b"readme".to_vec());
    files
}

fn sharded() -> Files {
    repo("gqa-headdim/model")
}

fn quantised(name: &str) -> Files {
    Files::from([(format!("{name}.gguf"), fs::read(gguf(name)).unwrap())])
}

fn gets(hub: &Hub) -> Vec<Received> {
    hub.log().into_iter().filter(|asked| asked.gets("")).collect()
}

#[test]
fn pull_prints_where_the_model_is_and_reports_every_file() {
    let hub = Hub::start(sharded());
    let place = Place::of(&hub);
    let output = place.mixscope(["pull", NAME]);
    assert_ok(&output);
    assert_eq!(stdout(&output), format!("{}\n", place.snapshot().display()));
    let needed: Vec<&String> = hub.files.keys().filter(|name| *name != "README.md").collect();
    for name in &needed {
        assert_mentions(stderr(&output), &[name]);
        assert!(fs::read(place.snapshot().join(name)).unwrap() == hub.files[*name], "{name} differs");
    }
    assert!(!place.snapshot().join("README.md").exists() && !stderr(&output).contains("README.md"));
    assert_mentions(stderr(&output), &["100 %, 2.07 MB of 2.07 MB"]);
    assert!(!stderr(&output).contains(['\r', '\x1b']), "no terminal, no escape sequences: {:?}", stderr(&output));
    assert_eq!(gets(&hub).len(), needed.len());

    hub.forget();
    let again = place.mixscope(["pull", NAME]);
    assert_ok(&again);
    assert_eq!(again.stdout, output.stdout);
    assert_eq!(gets(&hub), [], "nothing is asked for twice");
    let quiet = place.mixscope(["pull", "-q", NAME]);
    assert_ok(&quiet);
    assert_eq!((stdout(&quiet), stderr(&quiet)), (stdout(&output), ""));
    hub.forget();
    let exact = place.mixscope(["pull", "-q", &format!("{NAME}@{COMMIT}")]);
    assert_eq!((exact.status.code(), stdout(&exact)), (Some(0), stdout(&output)));
    assert_eq!(hub.log(), [], "a commit in the cache needs no Hub");
}

#[test]
fn pull_of_a_gguf_file_prints_the_file() {
    let hub = Hub::start(quantised("tiny-Q8_0"));
    let place = Place::of(&hub);
    for name in [NAME.to_owned(), format!("{NAME}:tiny-Q8_0.gguf")] {
        let output = place.mixscope(["pull", "-q", &name]);
        assert_ok(&output);
        assert_eq!(stdout(&output), format!("{}\n", place.snapshot().join("tiny-Q8_0.gguf").display()));
        assert!(output.stderr.is_empty(), "{}", stderr(&output));
    }
    let output = place.mixscope(["pull", "-q", &format!("{NAME}:other.gguf")]);
    assert_fails(&output, 1, "other.gguf");
    assert_mentions(stderr(&output), &["it has tiny-Q8_0.gguf"]);
}

#[test]
fn a_repo_with_several_gguf_files_is_not_guessed_about() {
    let hub = Hub::start([quantised("tiny-Q8_0"), quantised("tiny-Q4_0")].into_iter().flatten().collect());
    let place = Place::of(&hub);
    for command in ["pull", "info", "check"] {
        let output = place.mixscope([command, NAME]);
        assert_eq!((output.status.code(), stdout(&output)), (Some(1), ""), "{command}");
        let named = format!("{NAME}:tiny-Q4_0.gguf");
        assert_mentions(stderr(&output), &["several", &named, "tiny-Q8_0.gguf"]);
        assert_eq!(stderr(&output).matches("mixscope: ").count(), 1);
    }
    assert_eq!(gets(&hub), []);
    let chosen = place.run(&[&format!("{NAME}:tiny-Q4_0.gguf"), "--prompt-ids", "1,5,9"]);
    assert_ok(&chosen.output);
    chosen.same_tables(&Run::ok(&[&gguf("tiny-Q4_0"), "--prompt-ids", "1,5,9"]));
    assert_eq!(hub.ranges("tiny-Q8_0.gguf"), []);
}

#[test]
fn info_of_a_repo_downloads_no_weights() {
    let hub = Hub::start(sharded());
    let place = Place::of(&hub);
    let json = place.json(["info", "--json", NAME]);
    for asked in hub.log() {
        let is_small = asked.gets("config.json") || asked.gets("model.safetensors.index.json");
        assert!(asked.is_listing() || is_small, "{asked:?}");
    }
    assert!(!place.snapshot().exists());
    let local = info_json(&[fixture("gqa-headdim/model").to_str().unwrap()]);
    for key in "dims parameters active_parameters weights_dtype compute_dtype context weight_bytes_per_token \
        kv_bytes_per_token trace_bytes_per_token architecture precision"
        .split_whitespace()
    {
        assert_eq!(json[key], local[key], "{key}");
    }
    assert_eq!((&json["model"], &json["downloaded"], &json["commit"]), (&json!(NAME), &json!(false), &json!(COMMIT)));
    assert!(is_runnable(json["verdict"].as_str().unwrap()), "{}", json["verdict"]);
    let shards: usize = hub.files.iter().filter(|(name, _)| name.ends_with(".safetensors")).map(|(_, b)| b.len()).sum();
    assert_eq!(json["weight_bytes"], shards);
    let want: BTreeMap<&str, usize> = hub
        .files
        .iter()
        .map(|(name, bytes)| (name.as_str(), bytes.len()))
        .filter(|(name, _)| *name != "README.md")
        .collect();
    let download = json["download"].as_array().unwrap().iter();
    let got: BTreeMap<&str, usize> =
        download.map(|file| (file["name"].as_str().unwrap(), file["bytes"].as_u64().unwrap() as usize)).collect();
    assert_eq!(got, want);
    assert!(json["free_disk"].as_u64().unwrap() > 0);

    let output = place.mixscope(["info", NAME]);
    assert_ok(&output);
    let verdict = json["verdict"].as_str().unwrap();
    assert_mentions(stdout(&output), &[NAME, COMMIT, "2.07 MB in 7 files", verdict, "free on the disk"]);

    assert_ok(&place.mixscope(["pull", "-q", NAME]));
    let json = place.json(["info", "--json", NAME]);
    assert_eq!((&json["model"], &json["downloaded"], &json["download"]), (&json!(NAME), &json!(true), &Value::Null));
    assert_eq!(json["weight_bytes"], local["weight_bytes"]);
}

#[test]
fn info_of_a_gguf_repo_reads_the_head_of_the_file() {
    for (name, range) in [("tiny-Q8_0", "bytes=0-268799"), ("kq-Q4_K_M", "bytes=0-1048575")] {
        let hub = Hub::start(quantised(name));
        let place = Place::of(&hub);
        let json = place.json(["info", "--json", NAME]);
        assert_eq!(hub.ranges(".gguf"), [Some(range.to_owned())]);
        assert!(!place.snapshot().exists());
        let local = info_json(&[&gguf(name)]);
        for key in "dims parameters active_parameters weights_dtype stored_bytes compute_dtype context eos tokenizer \
            weight_bytes_per_token kv_bytes_per_token chat_template"
            .split_whitespace()
        {
            assert_eq!(json[key], local[key], "{name}: {key}");
        }
        assert_eq!((&json["downloaded"], &json["commit"]), (&json!(false), &json!(COMMIT)));
        assert!(is_runnable(json["verdict"].as_str().unwrap()), "{}", json["verdict"]);
    }
}

/// A small untied model of zeros in two parts, the second with the output and the experts.
fn in_two_parts() -> Files {
    let numbers = [
        ("llama.context_length", 64),
        ("llama.block_count", 1),
        ("llama.embedding_length", 32),
        ("llama.feed_forward_length", 64),
        ("llama.attention.head_count", 2),
        ("llama.expert_count", 4),
        ("llama.expert_used_count", 1),
        ("tokenizer.ggml.bos_token_id", 1),
        ("tokenizer.ggml.eos_token_id", 2),
    ];
    let bytes = (0..=255).map(|byte| format!("<0x{byte:02X}>"));
    let tokens: Vec<String> = ["<unk>", "<s>", "</s>"].into_iter().map(str::to_owned).chain(bytes).collect();
    let kinds = [2, 3, 3].into_iter().chain([6; 256]);
    let mut metadata: Vec<(String, Meta)> = numbers.map(|(key, n)| (key.to_owned(), Meta::U32(n))).to_vec();
    metadata.extend([
        ("general.architecture".to_owned(), Meta::from("llama")),
        ("llama.attention.layer_norm_rms_epsilon".to_owned(), Meta::F32(1e-5)),
        ("llama.rope.freq_base".to_owned(), Meta::F32(1e6)),
        ("tokenizer.ggml.model".to_owned(), Meta::from("llama")),
        ("tokenizer.ggml.tokens".to_owned(), Meta::array(tokens.iter().map(String::as_str))),
        ("tokenizer.ggml.scores".to_owned(), Meta::array(tokens.iter().map(|_| 0.0f32))),
        ("tokenizer.ggml.token_type".to_owned(), Meta::array(kinds)),
    ]);
    let part = |number: u16, mut metadata: Vec<(String, Meta)>, tensors: &[(&str, &[u64])]| {
        metadata.extend([("split.no", number), ("split.count", 2)].map(|(key, n)| (key.to_owned(), Meta::U16(n))));
        let tensor = |(name, dims): &(&str, &[u64])| {
            let info = TensorInfo { name: (*name).to_owned(), dims: dims.to_vec(), ggml_type: 0, bytes: 0 };
            (info, vec![0; dims.iter().product::<u64>() as usize * 4])
        };
        (format!("zeros-{:05}-of-00002.gguf", number + 1), file(metadata, tensors.iter().map(tensor).collect()))
    };
    let first: [(&str, &[u64]); 8] = [
        ("token_embd.weight", &[32, 259]),
        ("blk.0.attn_norm.weight", &[32]),
        ("blk.0.ffn_norm.weight", &[32]),
        ("blk.0.attn_q.weight", &[32, 32]),
        ("blk.0.attn_k.weight", &[32, 32]),
        ("blk.0.attn_v.weight", &[32, 32]),
        ("blk.0.attn_output.weight", &[32, 32]),
        ("blk.0.ffn_gate_inp.weight", &[32, 4]),
    ];
    let second: [(&str, &[u64]); 5] = [
        ("blk.0.ffn_gate_exps.weight", &[32, 64, 4]),
        ("blk.0.ffn_up_exps.weight", &[32, 64, 4]),
        ("blk.0.ffn_down_exps.weight", &[64, 32, 4]),
        ("output_norm.weight", &[32]),
        ("output.weight", &[32, 259]),
    ];
    Files::from([part(0, metadata, &first), part(1, Vec::new(), &second)])
}

#[test]
fn info_of_a_gguf_repo_in_parts_looks_at_all_of_them() {
    let hub = Hub::start(in_two_parts());
    let place = Place::of(&hub);
    let json = place.json(["info", "--json", NAME]);
    for name in hub.files.keys() {
        assert_eq!(hub.ranges(name).len(), 1, "{name}");
    }
    assert!(!place.snapshot().exists());
    let output = place.mixscope(["pull", "-q", NAME]);
    assert_ok(&output);
    let path = stdout(&output).trim_end();
    assert!(path.ends_with("zeros-00001-of-00002.gguf"), "{path}");
    let local = info_json(&[path]);
    for key in
        "dims parameters active_parameters weights_dtype stored_bytes weight_bytes_per_token tokenizer eos context"
            .split_whitespace()
    {
        assert_eq!(json[key], local[key], "{key}");
    }
    assert_ok(&place.mixscope(["check", NAME]));
}

#[test]
fn a_gguf_of_another_kind_is_refused_after_one_look() {
    let mut files = quantised("kq-Q4_K_M");
    let bytes = files.values_mut().next().unwrap();
    let at = bytes.windows(12).position(|window| window == b"expert_count").unwrap();
    bytes[at..at + 12].copy_from_slice(b"expert_xxxxx");
    let hub = Hub::start(files);
    assert_fails(&Place::of(&hub).mixscope(["info", NAME]), 1, "expert");
    assert_eq!(hub.ranges(".gguf"), [Some("bytes=0-1048575".to_owned())]);
}

const PROMPT: [&str; 4] = ["--prompt-ids", "1,5,9,44,300,17", "--steps", "3"];

#[test]
fn run_downloads_a_model_and_reads_it_as_from_a_directory() {
    let (hub, other) = (Hub::start(sharded()), Hub::start(quantised("tiny-Q8_0")));
    for (hub, local) in [(&hub, fixture("gqa-headdim/model")), (&other, fixture("gguf/tiny-Q8_0.gguf"))] {
        let place = Place::of(hub);
        let got = place.run(&[&[NAME], &PROMPT[..]].concat());
        assert_ok(&got.output);
        got.same_tables(&Run::ok(&[&[local.to_str().unwrap()], &PROMPT[..]].concat()));
        assert_eq!(got.json()["model"], NAME);
        assert_mentions(stderr(&got.output), &["100 %", "wrote "]);

        hub.forget();
        let offline = Place { env: vec![("HF_HUB_OFFLINE", "1".to_owned())], ..place };
        let quiet = offline.run(&[&[NAME, "-q"], &PROMPT[..]].concat());
        assert_ok(&quiet.output);
        quiet.same_tables(&got);
        assert!(quiet.output.stderr.is_empty(), "{}", stderr(&quiet.output));
        for command in ["info", "check"] {
            assert_ok(&offline.mixscope([command, NAME]));
        }
        assert_eq!(hub.log(), [], "nothing is asked of the Hub offline");
    }
}

#[test]
fn what_is_cached_is_used_when_the_hub_is_away() {
    let hub = Hub::start(sharded());
    let mut place = Place::of(&hub);
    assert_ok(&place.mixscope(["pull", "-q", NAME]));
    place.endpoint = closed_port();
    let run = place.run(&[&[NAME], &PROMPT[..]].concat());
    assert_ok(&run.output);
    assert_mentions(stderr(&run.output), &["can't be reached", "cache"]);
}

fn closed_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

/// Every command that may need the Hub fails with one line that says `what`.
#[track_caller]
fn assert_all_fail(place: &Place, what: &[&str]) {
    let out = place.temp.path().join("out");
    let run = ["run", "-q", NAME, "--prompt", "hi", "--out", out.to_str().unwrap()];
    for args in [&["pull", "-q", NAME][..], &["info", NAME], &["check", "-q", NAME], &run] {
        let output = place.mixscope(args);
        assert_fails(&output, 1, what[0]);
        assert_mentions(stderr(&output), what);
    }
    let output = place.mixscope(["pull", NAME]);
    assert_eq!((output.status.code(), stdout(&output)), (Some(1), ""));
    assert_mentions(stderr(&output).lines().last().unwrap(), what);
}

#[test]
fn a_hub_that_refuses_is_a_failure_with_advice() {
    let refusing = |status: u16, code: &'static str| {
        Hub::with(sharded(), move |_| Act::Status(status, vec![("X-Error-Code", code.to_owned())], String::new()))
    };
    let gated = refusing(401, "GatedRepo");
    assert_all_fail(&Place::of(&gated), &["gated", "accept its conditions", "HF_TOKEN"]);
    assert!(gated.log().iter().all(|asked| asked.token.is_none()));
    gated.forget();
    assert_all_fail(&Place::of(&gated).with("HF_TOKEN", "hf_x"), &["gated", "no access", "token"]);
    assert!(gated.log().iter().all(|asked| asked.token.as_deref() == Some("Bearer hf_x")));
    assert_all_fail(&Place::of(&refusing(404, "RepoNotFound")), &["not found", "check the name"]);
    assert_all_fail(&Place::of(&refusing(401, "")), &["private", "HF_TOKEN"]);
    let output = Place::of(&refusing(404, "RevisionNotFound")).mixscope(["pull", "-q", &format!("{NAME}@v9")]);
    assert_fails(&output, 1, "no revision v9");
    assert_all_fail(&Place::new(&closed_port()), &["cannot reach", "HF_ENDPOINT", "HF_HUB_OFFLINE=1"]);
    assert_all_fail(&Place::new("nowhere"), &["HF_ENDPOINT", "https://huggingface.co"]);
}

#[test]
fn an_empty_cache_is_reported_offline() {
    let hub = Hub::start(sharded());
    assert_all_fail(&Place::of(&hub).with("HF_HUB_OFFLINE", "1"), &["HF_HUB_OFFLINE"]);
    assert_eq!(hub.log(), []);
}

#[test]
fn data_that_are_not_what_was_announced_are_refused_and_kept_aside() {
    let shard = "model-00002-of-00003.safetensors";
    let hub = Hub::with(sharded(), move |asked| if asked.gets(shard) { Act::Corrupt } else { Act::Serve });
    let place = Place::of(&hub);
    let output = place.mixscope(["pull", "-q", NAME]);
    assert_fails(&output, 1, shard);
    assert_mentions(stderr(&output), &["checksum", "running again"]);
    assert!(!place.snapshot().join("config.json").exists(), "no model that is not whole");
    let offline = Place { env: vec![("HF_HUB_OFFLINE", "1".to_owned())], ..place };
    assert_fails(&offline.mixscope(["info", NAME]), 1, "HF_HUB_OFFLINE");
}

#[test]
fn repos_that_hold_no_model_say_what_they_lack() {
    let place = |hub: &Hub| Place::of(hub);
    let hub = Hub::start(Files::from([("pytorch_model.bin".to_owned(), vec![0])]));
    assert_fails(&place(&hub).mixscope(["pull", "-q", NAME]), 1, "config.json");
    let mut files = sharded();
    files.remove("model-00003-of-00003.safetensors");
    let hub = Hub::start(files);
    for command in ["pull", "info"] {
        let output = place(&hub).mixscope([command, NAME]);
        assert_eq!(output.status.code(), Some(1));
        assert_mentions(stderr(&output), &["lacks model-00003-of-00003.safetensors"]);
    }
    let hub = Hub::start(repo("malformed/other-architecture"));
    for args in [&["info", NAME][..], &["check", "-q", NAME]] {
        assert_fails(&place(&hub).mixscope(args), 1, "llama");
    }
    let mut files = quantised("tiny-Q8_0");
    files.values_mut().for_each(|bytes| bytes[..4].copy_from_slice(b"GGML"));
    let hub = Hub::start(files);
    assert_fails(&place(&hub).mixscope(["info", NAME]), 1, "tiny-Q8_0.gguf");
}

#[test]
fn names_that_no_repo_has_are_wrong_usage() {
    let place = Place::new(&closed_port());
    for name in ["demo", "a/b/c", "../b", "/a", "a/", "", "a b/c", "a/b@", "a/b@../c", "a/b:c", "a/b:../c.gguf", "é/b"]
    {
        let output = place.mixscope(["pull", name]);
        assert_fails(&output, 2, &format!("{name:?}"));
    }
    assert_fails(&place.mixscope(["pull"]), 2, "REPO");
}

#[test]
fn a_name_that_is_no_model_is_answered_with_what_it_could_be() {
    let place = Place::new(&closed_port());
    let out = place.temp.path().join("out");
    for model in ["mixtral", "models/absent/deeper", "./models/absent", "models/absent.gguf", "absent.gguf", "~/absent"]
    {
        let run = ["run", model, "--prompt", "hi", "--out", out.to_str().unwrap()];
        for args in [&["info", model][..], &["check", model], &[model], &run] {
            let output = place.mixscope(args);
            assert_fails(&output, 1, model);
            assert_mentions(stderr(&output), &["`demo`", "config.json", ".gguf file", "owner/name"]);
        }
    }
    assert!(!out.exists());
}
