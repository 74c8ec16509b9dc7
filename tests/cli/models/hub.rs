//! Models of the Hub on the command line.

use super::*;

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

fn gets(hub: &Hub) -> Vec<Request> {
    hub.log().into_iter().filter(|request| request.gets("")).collect()
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
    assert_eq!(gets(&hub), [], "nothing is requested twice");
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
    for request in hub.log() {
        let is_small = request.gets("config.json") || request.gets("model.safetensors.index.json");
        assert!(request.is_listing() || is_small, "{request:?}");
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
        assert_eq!(hub.log(), [], "no request goes to the Hub offline");
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
    assert!(gated.log().iter().all(|request| request.token.is_none()));
    gated.forget();
    assert_all_fail(&Place::of(&gated).with("HF_TOKEN", "hf_x"), &["gated", "no access", "token"]);
    assert!(gated.log().iter().all(|request| request.token.as_deref() == Some("Bearer hf_x")));
    assert_all_fail(&Place::of(&refusing(404, "RepoNotFound")), &["not found", "check the name"]);
    assert_all_fail(&Place::of(&refusing(401, "")), &["private", "HF_TOKEN"]);
    let output = Place::of(&refusing(404, "RevisionNotFound")).mixscope(["pull", "-q", &format!("{NAME}@v9")]);
    assert_fails(&output, 1, "no revision v9");
    assert_all_fail(&Place::new(&closed_port()), &["cannot reach", "HF_ENDPOINT", "HF_HUB_OFFLINE=1"]);
    assert_all_fail(&Place::new("nowhere"), &["HF_ENDPOINT", "https://huggingface.co"]);
}

/// A path of two parts is a name on the Hub, too.
#[test]
fn a_missing_folder_is_named_where_the_hub_has_no_such_repo() {
    let hub = |status: u16, code: &'static str| {
        Hub::with(sharded(), move |_| Act::Status(status, vec![("X-Error-Code", code.to_owned())], String::new()))
    };
    let (absent, gated) = (hub(404, "RepoNotFound"), hub(401, "GatedRepo"));
    for (place, said) in [
        (Place::of(&absent), "is not found at"),
        (Place::of(&gated), "is gated"),
        (Place::new(&closed_port()), "cannot reach"),
        (Place::of(&absent).with("HF_HUB_OFFLINE", "1"), "HF_HUB_OFFLINE"),
    ] {
        let out = place.temp.path().join("out");
        let run = ["run", "-q", "tests/fixture", "--prompt", "hi", "--out", out.to_str().unwrap()];
        for args in [&["info", "tests/fixture"][..], &["check", "-q", "tests/fixture"], &run] {
            let output = place.mixscope(args);
            assert_fails(&output, 1, said);
            let folder = "there is no file or folder tests/fixture here either; did you mean tests/fixtures?";
            assert_mentions(stderr(&output), &[folder]);
        }
        let output = place.mixscope(["info", "https://huggingface.co/tiny/absent"]);
        assert_fails(&output, 1, said);
        assert!(!stderr(&output).contains("here either"), "{}", stderr(&output));
    }
    absent.forget();
    for path in
        ["tests/absent.GGUF", "tests/model.safetensors", "tests/config.json", "./tests", "../absent", "~/absent"]
    {
        let output = Place::of(&absent).mixscope(["info", &path.replace("./tests", "./absent")]);
        assert_fails(&output, 1, "there is no file or directory");
    }
    assert_eq!(absent.log(), [], "paths are not looked for on the Hub");
    // The repo is there, and what fails is its download.
    let broken = Hub::with(sharded(), |request| match request.is_listing() {
        true => Act::Serve,
        false => Act::Status(404, vec![("X-Error-Code", "EntryNotFound".to_owned())], String::new()),
    });
    let output = Place::of(&broken).mixscope(["check", "-q", NAME]);
    assert_fails(&output, 1, "has no file");
    assert!(!stderr(&output).contains("here either"), "{}", stderr(&output));
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
    let hub = Hub::with(sharded(), move |request| if request.gets(shard) { Act::Corrupt } else { Act::Serve });
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
