//! Broken, hostile and odd model files: a message that names what is wrong, never a panic, and no memory that a file
//! only claims to need.

mod byte_level;
mod corrupted;
mod parts;
mod tokenizer;

use crate::support::cli::command;
use crate::support::gguf_writer::{TensorInfo, Value, file};
use crate::support::{self, fixture};
use mixscope::control::Control;
use mixscope::model::weights::gguf::{self, Header};
use mixscope::model::{Loaded, Location, NoHooks, Precision, describe_gguf, open};
use mixscope::trace::{Level, Policy, Report};
use proptest::prelude::*;
use proptest::sample::Index;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::json;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;
use tempfile::TempDir;

const ESCAPES: &str = "\u{1b}]0;owned\u{7}\u{9b}2J";

/// The program with 1 GB for its data, far less than what the files here claim to need.
fn mixscope<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Output {
    let state = tempfile::tempdir().unwrap();
    if !cfg!(target_os = "linux") {
        return command(state.path()).args(args).output().unwrap();
    }
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -d 1000000 && exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_mixscope")]);
    limited.env("XDG_STATE_HOME", state.path()).env_remove("RUST_BACKTRACE").env_remove("RUST_LIB_BACKTRACE");
    limited.args(args).stdin(Stdio::null()).output().unwrap()
}

fn info(model: &Path) -> Output {
    mixscope(["info".as_ref(), model.as_os_str()])
}

fn run(model: &Path, args: &[&str]) -> Output {
    let temp = tempfile::tempdir().unwrap();
    let out = temp.path().join("out");
    let fixed = ["run".as_ref(), model.as_os_str(), "--out".as_ref(), out.as_os_str()];
    let output = mixscope(fixed.into_iter().chain(args.iter().map(OsStr::new)));
    assert_eq!(out.join("tokens.csv").exists(), output.status.success(), "{}", message(&output));
    output
}

/// The bytes as text without anything that a terminal obeys.
fn shown(bytes: &[u8]) -> &str {
    let text = std::str::from_utf8(bytes).unwrap();
    assert!(!text.chars().any(|c| c.is_control() && c != '\n' && c != '\t'), "{text:?}");
    text
}

/// The message, with everything in it that no message may hold ruled out.
fn message(output: &Output) -> &str {
    let message = shown(&output.stderr);
    for bad in ["panicked", "backtrace", "RUST_BACKTRACE", "thread '"] {
        assert!(!message.contains(bad), "{message}");
    }
    assert!(output.status.code().is_some(), "ended by a signal: {message}");
    assert!(message.len() < 4000, "{} bytes: {}", message.len(), message.chars().take(1000).collect::<String>());
    message
}

fn assert_mentions(message: &str, what: &[&str]) {
    for word in what {
        assert!(message.to_lowercase().contains(&word.to_lowercase()), "no {word} in: {message}");
    }
}

fn assert_refused(output: &Output, what: &[&str]) {
    let message = message(output);
    assert_eq!(output.status.code(), Some(1), "{what:?}: {message}");
    assert!(output.stdout.is_empty(), "{what:?}: stdout holds {}", shown(&output.stdout));
    assert_eq!(message.lines().filter(|line| line.starts_with("mixscope: ")).count(), 1, "{message}");
    assert_mentions(message, what);
}

fn assert_runs(model: &Path, args: &[&str]) -> String {
    let output = run(model, args);
    assert_eq!(output.status.code(), Some(0), "{}", message(&output));
    shown(&output.stdout);
    message(&output).to_owned()
}

fn saved(bytes: &[u8]) -> (TempDir, PathBuf) {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("model.gguf");
    std::fs::write(&path, bytes).unwrap();
    (temp, path)
}

/// `run` and `info` both refuse the file and name it and `what`.
fn assert_file_refused(bytes: &[u8], what: &[&str]) {
    let (_temp, path) = saved(bytes);
    for output in [run(&path, &["--prompt-ids", "1,3,4"]), info(&path)] {
        assert_refused(&output, what);
        assert_mentions(message(&output), &["model.gguf"]);
    }
}

fn read(path: &Path) -> Loaded {
    open(&Location::at(path).unwrap(), Policy::Hf, None, true).unwrap()
}

fn logits(loaded: &Loaded) -> Vec<u32> {
    let ids = [1, 30, 7, 250, 99, 3, 3, 12];
    let bits = support::forward(loaded, &ids, &mut loaded.model.new_cache(), &mut NoHooks);
    bits.into_iter().map(f32::to_bits).collect()
}

/// A model file taken apart.
#[derive(Clone)]
struct Parts {
    metadata: Vec<(String, Value)>,
    tensors: Vec<(TensorInfo, Vec<u8>)>,
}

/// The parts of tiny-Q8_0.gguf, which opens and runs.
static SOUND: LazyLock<Parts> = LazyLock::new(|| {
    let bytes = std::fs::read(fixture("gguf/tiny-Q8_0.gguf")).unwrap();
    let header = Header::read(&bytes, bytes.len() as u64).unwrap();
    let tensor = |tensor: &gguf::Tensor| {
        let data = bytes[tensor.start..][..tensor.len].to_vec();
        let dims = tensor.shape.iter().rev().map(|dim| *dim as u64).collect();
        (TensorInfo { name: tensor.name.clone(), dims, ggml_type: tensor.kind, bytes: 0 }, data)
    };
    let metadata = header.metadata.iter().map(|(key, value)| ((*key).to_owned(), writable(*value))).collect();
    Parts { metadata, tensors: header.tensors.iter().map(tensor).collect() }
});

fn writable(value: gguf::Value) -> Value {
    match value {
        gguf::Value::Unsigned(n) => u32::try_from(n).map_or(Value::U64(n), Value::U32),
        gguf::Value::Signed(n) => Value::I32(n as i32),
        gguf::Value::Float(x) => Value::F32(x as f32),
        gguf::Value::Bool(is) => Value::Bool(is),
        gguf::Value::Text(text) => Value::String(text.to_vec()),
        gguf::Value::Array(array) => Value::array(array.iter().map(writable)),
    }
}

impl Parts {
    fn bytes(&self) -> Vec<u8> {
        file(self.metadata.clone(), self.tensors.clone())
    }

    fn without(mut self, key: &str) -> Self {
        self.metadata.retain(|(name, _)| name != key);
        self
    }

    fn with(self, key: &str, value: impl Into<Value>) -> Self {
        let mut parts = self.without(key);
        parts.metadata.push((key.to_owned(), value.into()));
        parts
    }

    /// With other elements in an array.
    fn edited(mut self, key: &str, edit: impl FnOnce(&mut Vec<Value>)) -> Self {
        let value = self.metadata.iter_mut().find(|(name, _)| name == key).map(|(_, value)| value);
        let Some(Value::Array(_, elements)) = value else { panic!("{key} is not an array") };
        edit(elements);
        self
    }

    fn add(&mut self, name: &str, dims: &[u64], ggml_type: u32, data: Vec<u8>) {
        self.tensors.push((TensorInfo { name: name.to_owned(), dims: dims.to_vec(), ggml_type, bytes: 0 }, data));
    }

    fn tensor(&mut self, name: &str) -> &mut (TensorInfo, Vec<u8>) {
        self.tensors.iter_mut().find(|(info, _)| info.name == name).unwrap()
    }
}

fn sound() -> Parts {
    SOUND.clone()
}

static BYTES: LazyLock<Vec<u8>> = LazyLock::new(|| sound().with("general.alignment", Value::U64(32)).bytes());

/// The sound file with other bytes `skip` after the first place that holds `name`.
fn patched(name: &str, skip: usize, with: &[u8]) -> Vec<u8> {
    let mut bytes = BYTES.clone();
    let at = bytes.windows(name.len()).position(|found| found == name.as_bytes()).unwrap() + name.len() + skip;
    bytes[at..at + with.len()].copy_from_slice(with);
    bytes
}

/// The sound file with the length before `name` changed.
fn with_length(name: &str, len: u64) -> Vec<u8> {
    let mut bytes = BYTES.clone();
    let at = bytes.windows(name.len()).position(|found| found == name.as_bytes()).unwrap() - 8;
    bytes[at..at + 8].copy_from_slice(&len.to_le_bytes());
    bytes
}

fn with_start(at: usize, with: &[u8]) -> Vec<u8> {
    let mut bytes = BYTES.clone();
    bytes[at..at + with.len()].copy_from_slice(with);
    bytes
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::U64(value)
    }
}

#[test]
fn the_sound_file_opens_and_runs() {
    let (_temp, path) = saved(&BYTES);
    let quiet = assert_runs(&path, &["--prompt", "hello", "--steps", "2"]);
    assert!(!quiet.contains("warning"), "{quiet}");
    assert_eq!(info(&path).status.code(), Some(0));
    assert_eq!(logits(&read(&path)), logits(&read(&fixture("gguf/tiny-Q8_0.gguf"))));
}

#[test]
fn what_is_no_readable_gguf_is_refused() {
    let huge = (1u64 << 60).to_le_bytes();
    let cases: [(Vec<u8>, &[&str]); 13] = [
        (Vec::new(), &["empty"]),
        (b"<!DOCTYPE html><html><body>404 Not Found</body></html>".to_vec(), &["not a GGUF"]),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0000\nsize 76768\n".to_vec(), &["not a GGUF"]),
        (b"GG".to_vec(), &["not a GGUF"]),
        (b"GGUF".to_vec(), &["ends at 4"]),
        (BYTES[..23].to_vec(), &["ends at 23"]),
        (with_start(4, &[0, 0, 0, 0]), &["version 0"]),
        (with_start(4, &[1, 0, 0, 0]), &["version 1"]),
        (with_start(4, &[4, 0, 0, 0]), &["version 4"]),
        (with_start(4, &[0, 0, 0, 3]), &["big-endian"]),
        (with_start(4, &[0, 0, 0, 2]), &["big-endian"]),
        (with_start(8, &huge), &["1152921504606846976 tensors"]),
        (with_start(16, &huge), &["1152921504606846976 metadata entries"]),
    ];
    for (bytes, what) in cases {
        assert_file_refused(&bytes, what);
    }
    let version_2 = saved(&with_start(4, &[2, 0, 0, 0]));
    assert_eq!(logits(&read(&version_2.1)), logits(&read(&fixture("gguf/tiny-Q8_0.gguf"))));
}

#[test]
fn metadata_that_lies_is_refused() {
    let huge = 1u64 << 62;
    // Behind a key: type u32; of an array then type u32 and count u64; of a text its length u64.
    let array = |key: &str, kind: u32, len: u64| {
        patched(key, 0, &[&9u32.to_le_bytes()[..], &kind.to_le_bytes(), &len.to_le_bytes()].concat())
    };
    let (scores, tokens) = ("tokenizer.ggml.scores", "tokenizer.ggml.tokens");
    let nested = Value::Array(9, vec![Value::Array(9, vec![Value::Array(6, vec![Value::F32(1.0)])])]);
    let mut not_utf8 = BYTES.clone();
    let at = not_utf8.windows(12).position(|found| found == b"general.name").unwrap();
    not_utf8[at] = 0xff;
    let mut twice = sound();
    twice.metadata.push(("general.name".to_owned(), "again".into()));
    let cases: [(Vec<u8>, &[&str]); 19] = [
        (with_length("general.name", 1 << 60), &["1152921504606846976 bytes", "metadata entry"]),
        (with_length("general.name", u64::MAX), &["18446744073709551615 bytes", "metadata entry"]),
        (with_length("general.name", 1 << 17), &["metadata entry", "131072 bytes"]),
        (not_utf8, &["metadata entry", "UTF-8"]),
        (patched("general.name", 4, &(BYTES.len() as u64).to_le_bytes()), &["general.name", "the file ends at"]),
        (array(scores, 6, huge), &[scores, "4611686018427387904 values"]),
        (array(scores, 10, huge), &[scores, "4611686018427387904 values"]),
        (array(scores, 0, huge), &[scores, "4611686018427387904 bytes"]),
        (array(tokens, 8, huge), &[tokens, "the file ends at"]),
        (array(scores, 9, huge), &[scores, "array of arrays"]),
        (array(scores, 13, 1), &[scores, "unknown type 13"]),
        (array(scores, u32::MAX, 1), &[scores, "unknown type 4294967295"]),
        (sound().with(scores, nested).bytes(), &[scores, "array of arrays"]),
        (patched("general.name", 0, &13u32.to_le_bytes()), &["general.name", "type 13 is unknown"]),
        (twice.bytes(), &["general.name", "twice"]),
        (patched("general.alignment", 4, &0u64.to_le_bytes()), &["general.alignment is 0"]),
        (patched("general.alignment", 4, &3u64.to_le_bytes()), &["general.alignment is 3"]),
        (patched("general.alignment", 4, &(1u64 << 63).to_le_bytes()), &["general.alignment is 9223372036854775808"]),
        (sound().with("general.alignment", Value::array(vec![0u32; 1 << 20])).bytes(), &["general.alignment"]),
    ];
    for (bytes, what) in cases {
        assert_file_refused(&bytes, what);
    }
}

#[test]
fn tensors_that_lie_are_refused() {
    let (q, k) = ("blk.0.attn_q.weight", "blk.1.attn_k.weight");
    // Behind a name: dimensions u32, each u64, type u32, offset u64.
    let dims = |count: u32, dims: [u64; 2]| {
        patched(q, 0, &[&count.to_le_bytes()[..], &dims[0].to_le_bytes(), &dims[1].to_le_bytes()].concat())
    };
    let offset = |offset: u64| patched(q, 24, &offset.to_le_bytes());
    let kind = |kind: u32| patched(q, 20, &kind.to_le_bytes());
    let mut twice = sound();
    twice.tensor(k).0.name = q.to_owned();
    let mut missing = sound();
    missing.tensor(k).0.name = "blk.1.attn_kk.weight".to_owned();
    let mut turned = sound();
    turned.tensor(k).0.dims.reverse();
    let mut flat = sound();
    flat.tensor(k).0.dims = vec![64 * 32];
    let mut cut = sound();
    cut.tensors.retain(|(info, _)| !info.name.starts_with("blk.1."));
    let cases: [(Vec<u8>, &[&str]); 23] = [
        (with_length(q, 1 << 60), &["tensor 2 of", "1152921504606846976 bytes"]),
        (dims(0, [64, 64]), &[q, "0 dimensions"]),
        (dims(5, [64, 64]), &[q, "5 dimensions"]),
        (dims(u32::MAX, [64, 64]), &[q, "4294967295 dimensions"]),
        (dims(2, [64, 0]), &[q, "dimension of 0"]),
        (dims(2, [64, u64::MAX]), &[q, "dimension of 18446744073709551615"]),
        (dims(2, [1 << 39, 1 << 39]), &[q, "impossible size"]),
        (dims(2, [1 << 39, 1 << 24]), &[q, "bytes"]),
        (dims(2, [1 << 32, 1 << 30]), &[q, "bytes"]),
        (offset(1 << 40), &[q, "incomplete", "download it again"]),
        (offset(u64::MAX - 31), &[q, "incomplete"]),
        (offset(1), &[q, "not a multiple of 32"]),
        (offset(0), &[q, "token_embd.weight", "overlap"]),
        (kind(16), &[q, "ggml type 16"]),
        (kind(28), &[q, "ggml type 28"]),
        (kind(u32::MAX), &[q, "ggml type 4294967295"]),
        (kind(12), &[q, "rows of 64", "Q4_K"]),
        (twice.bytes(), &[q, "it twice"]),
        (missing.bytes(), &["missing", k]),
        (turned.bytes(), &[k, "[32, 64]", "[64, 32]"]),
        (flat.bytes(), &[k, "[2048]"]),
        (cut.bytes(), &["blk.1.attn_norm.weight", "missing"]),
        (Parts { tensors: Vec::new(), ..sound() }.bytes(), &["missing", "token"]),
    ];
    for (bytes, what) in cases {
        assert_file_refused(&bytes, what);
    }
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let (_temp, path) = saved(&BYTES);
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    // The last bytes are padding, which may be missing.
    let last = BYTES.len() as u64 - 32;
    for len in (1..last).rev().step_by(97) {
        file.set_len(len).unwrap();
        let error = open(&Location::Gguf(path.clone()), Policy::Hf, None, true).err();
        let error = format!("{:#}", error.unwrap_or_else(|| panic!("cut to {len} bytes it opens")));
        let named = ["not a GGUF", "is damaged", "is incomplete", "the file ends at"];
        assert!(named.iter().any(|word| error.contains(word)) && error.contains("model.gguf"), "{len}: {error}");
    }
    for len in [5000, 100_000] {
        assert_file_refused(&BYTES[..len], &[if len < 13_000 { "damaged" } else { "incomplete" }]);
    }
}

#[test]
fn what_is_no_mixtral_or_not_implemented_is_refused_by_key() {
    let with = |key: &str, value: Value| sound().with(key, value).bytes();
    let theta = "llama.rope.freq_base";
    let eps = "llama.attention.layer_norm_rms_epsilon";
    let mut scaled = sound();
    scaled.add("rope_freqs.weight", &[8], 0, vec![1; 32]);
    let cases: [(Vec<u8>, &[&str]); 32] = [
        (with("general.architecture", "gemma".into()), &["gemma"]),
        (with("general.architecture", 7u32.into()), &["general.architecture is 7"]),
        (with("general.architecture", ESCAPES.into()), &["owned"]),
        (with("llama.expert_count", 0u32.into()), &["llama", "0 experts"]),
        (sound().without("llama.expert_count").bytes(), &["llama", "0 experts"]),
        (with("llama.expert_count", (-4).into()), &["llama.expert_count is -4"]),
        (with("llama.expert_count", u32::MAX.into()), &["expert"]),
        (with("llama.expert_used_count", 5u32.into()), &["exceeds", "5", "4"]),
        (with("llama.expert_used_count", 0u32.into()), &["0"]),
        (with("llama.block_count", 3u32.into()), &["blk.2.attn_norm.weight"]),
        (with("llama.block_count", u32::MAX.into()), &["4294967295"]),
        (with("llama.block_count", 2_000_000_000u32.into()), &["2000000000 layers"]),
        (with("llama.block_count", 0u32.into()), &["0"]),
        (with("llama.embedding_length", 96u32.into()), &["llama.rope.dimension_count", "24"]),
        (with("llama.embedding_length", "64".into()), &["llama.embedding_length is `64`"]),
        (with("llama.attention.head_count", 0u32.into()), &["0"]),
        (with("llama.attention.head_count", Value::array([4u32, 4])), &["llama.attention.head_count is an array of 2"]),
        (with("llama.attention.head_count_kv", 3u32.into()), &["3", "4"]),
        (with("llama.attention.key_length", 32u32.into()), &["llama.rope.dimension_count", "16", "32"]),
        (with("llama.attention.value_length", 0u32.into()), &["0"]),
        (with("llama.vocab_size", 513u32.into()), &["token_embd.weight", "[513, 64]"]),
        (with("llama.rope.dimension_count", 8u32.into()), &["llama.rope.dimension_count is 8", "16"]),
        (with("llama.rope.scaling.type", "yarn".into()), &["llama.rope.scaling.type", "yarn"]),
        (with("llama.rope.scaling.factor", 4.0.into()), &["llama.rope.scaling.factor is 4"]),
        (with("llama.rope.scale_linear", 2.0.into()), &["llama.rope.scale_linear is 2"]),
        (scaled.bytes(), &["rope_freqs.weight", "RoPE"]),
        (with(theta, "1e6".into()), &[theta]),
        (with(theta, f32::NAN.into()), &[theta]),
        (with(theta, f32::INFINITY.into()), &[theta]),
        (with(theta, 0.5.into()), &["rope", "0.5"]),
        (with(eps, f32::NAN.into()), &[eps]),
        (with(eps, "small".into()), &[eps]),
    ];
    for (bytes, what) in cases {
        assert_file_refused(&bytes, what);
    }
    let sizes = ["block_count", "expert_count", "feed_forward_length", "context_length", "vocab_size"];
    let huge = sizes.into_iter().fold(sound(), |parts, key| parts.with(&format!("llama.{key}"), (1u32 << 31) - 1));
    let huge = huge.bytes();
    assert_file_refused(&huge, &["parameters"]);
    assert!(describe_gguf(&[(&huge, huge.len() as u64)], &mut Report::default()).is_err());
    let needed = ["general.architecture", "llama.expert_used_count", "llama.context_length"].into_iter();
    let sizes = ["block_count", "embedding_length", "feed_forward_length", "attention.head_count"];
    let needed = needed.map(str::to_owned).chain(sizes.map(|key| format!("llama.{key}"))).chain([eps.to_owned()]);
    for key in needed {
        assert_file_refused(&sound().without(&key).bytes(), &["lacks", &key]);
    }
}

#[test]
fn odd_but_possible_files_open() {
    let expected = logits(&read(&fixture("gguf/tiny-Q8_0.gguf")));
    let mut with_extra = sound();
    // F64: no reader takes it, and no weight needs it.
    with_extra.add("extra\u{1b}[2J", &[4, 1, 1, 1], 28, vec![0; 32]);
    let mut backwards = sound();
    backwards.tensors.reverse();
    backwards.metadata.reverse();
    let odd = [
        sound().with("general.alignment", 64u32),
        sound().with("general.alignment", 4096u32),
        sound().with("general.alignment", 8u32),
        sound().without("llama.vocab_size").without("llama.rope.dimension_count"),
        sound().with("llama.rope.scaling.type", "none").with("llama.rope.scaling.factor", 1.0),
        sound().with("llama.block_count", Value::I64(2)).with("llama.expert_count", Value::U8(4)),
        sound().with("llama.attention.sliding_window", 0u32),
        sound().with("split.count", 1u32),
        sound().with("some.key", Value::Array(8, Vec::new())).with("", Value::F64(f64::NAN)),
        sound().with("tokenizer.chat_template", "{{ broken"),
        with_extra,
        backwards,
    ];
    for (i, parts) in odd.iter().enumerate() {
        let (_temp, path) = saved(&parts.bytes());
        assert_eq!(logits(&read(&path)), expected, "case {i}");
        let output = info(&path);
        assert_eq!(output.status.code(), Some(0), "case {i}: {}", message(&output));
        shown(&output.stdout);
    }
}

#[test]
fn a_missing_rope_base_is_never_silent() {
    let (_temp, path) = saved(&sound().without("llama.rope.freq_base").bytes());
    let warning = assert_runs(&path, &["--prompt", "hello"]);
    assert_mentions(&warning, &["warning", "llama.rope.freq_base", "10000"]);
}
