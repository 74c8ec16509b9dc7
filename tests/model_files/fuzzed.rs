//! The fuzz targets without libfuzzer: seeds from the fixtures, changed at random for as long as asked.
//!
//! `MIXSCOPE_FUZZ=tokenizer:300 cargo test --locked --test model_files fuzzed -- --ignored` runs one for 300 seconds.
//! Without the variable each runs for a second.

use crate::bad_input::mutated::{change, changed};
use crate::support::fixture;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

#[path = "../../fuzz/bodies.rs"]
mod bodies;

/// What one input may take; those that are stopped by a limit of the program need several seconds for each text.
const LIMIT: Duration = Duration::from_secs(60);
/// Changes of one input.
const CHANGES: usize = 6;

type Body = fn(&[u8]);
type Seeds = fn() -> Vec<Vec<u8>>;

const TARGETS: [(&str, Body, Seeds); 7] = [
    ("tokenizer", bodies::tokenizer, tokenizers),
    ("tokenizer_config", bodies::tokenizer_config, tokenizer_configs),
    ("chat_template", bodies::chat_template, templates),
    ("config", bodies::config, || in_models("config.json")),
    ("safetensors_index", bodies::safetensors_index, || in_models("model.safetensors.index.json")),
    ("gguf", bodies::gguf, || files(&["gguf/tiny-Q4_0.gguf", "gguf/tiny-legacy-split-Q8_0.gguf"])),
    ("trace", bodies::trace, || files(&["top1/reference.safetensors", "tiny-bf16/reference.extras.safetensors"])),
];

fn files(names: &[&str]) -> Vec<Vec<u8>> {
    names.iter().map(|name| std::fs::read(fixture(name)).unwrap()).collect()
}

fn within(folder: PathBuf) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    all.sort();
    all
}

/// The files of this name in all models of the fixtures.
fn in_models(name: &str) -> Vec<Vec<u8>> {
    let models = within(fixture("")).into_iter().map(|case| case.join("model")).chain(within(fixture("malformed")));
    models.filter_map(|model| std::fs::read(model.join(name)).ok()).collect()
}

/// tokenizer.json files, whole and of few tokens, with the parts that other families have.
fn tokenizers() -> Vec<Vec<u8>> {
    let mut all = in_models("tokenizer.json");
    all.retain(|bytes| bytes.len() < 1 << 20);
    let model = json!({"type": "BPE", "unk_token": "<unk>", "byte_fallback": true, "fuse_unk": true,
        "vocab": {"<unk>": 0, "a": 1, "b": 2, "ab": 3, "Ġ": 4, "▁": 5, "<0x0A>": 6, "O": 7}, "merges": ["a b"]});
    let token = json!({"id": 8, "content": "<s>", "special": true, "normalized": false, "lstrip": true, "rstrip": false,
        "single_word": false});
    let split = json!({"type": "Split", "pattern": {"Regex": "\\p{L}+|\\s+(?!\\S)|."}, "behavior": "Isolated",
        "invert": false});
    let bytes = json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true});
    let template = json!({"type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"<s>": {"id": "<s>", "ids": [8], "tokens": ["<s>"]}}});
    let unigram = json!({"type": "Unigram", "unk_id": 0, "byte_fallback": false,
        "vocab": [["<unk>", 0.0], ["▁", -1.0], ["a", -2.0], ["aa", -2.5], ["Once", -3.0]]});
    let words = json!({"type": "WordPiece", "unk_token": "<unk>", "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 100, "vocab": {"<unk>": 0, "a": 1, "##a": 2}});
    let level = json!({"type": "WordLevel", "unk_token": "<unk>", "vocab": {"<unk>": 0, "Once": 1}});
    for model in [model, unigram, words, level] {
        all.push(
            json!({"version": "1.0", "truncation": null, "padding": null, "added_tokens": [token],
                "normalizer": {"type": "Sequence", "normalizers": [{"type": "NFKC"}, {"type": "Prepend", "prepend": "▁"},
                    {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
                "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, bytes]},
                "post_processor": template, "model": model,
                "decoder": {"type": "Sequence", "decoders": [bytes, {"type": "ByteFallback"}, {"type": "Fuse"},
                    {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}})
            .to_string()
            .into_bytes(),
        );
    }
    all
}

fn templates() -> Vec<Vec<u8>> {
    within(fixture("chat/templates")).into_iter().map(|path| std::fs::read(path).unwrap()).collect()
}

/// The recorded configs, and every template as a config has it.
fn tokenizer_configs() -> Vec<Vec<u8>> {
    let recorded: Vec<Value> =
        serde_json::from_slice(&std::fs::read(fixture("tokenizers/recorded.json")).unwrap()).unwrap();
    let configs = recorded.iter().filter_map(|one| one["files"].get("tokenizer_config.json")).cloned();
    let in_config = |bytes: Vec<u8>| json!({"bos_token": "<s>", "chat_template": String::from_utf8(bytes).unwrap()});
    configs.chain(templates().into_iter().map(in_config)).map(|json| json.to_string().into_bytes()).collect()
}

/// Changes the seeds of a target until the time is over; keeps the input that fails. Returns how many were tried.
fn fuzz(name: &str, body: Body, seeds: &[Vec<u8>], time: Duration) -> usize {
    let end = Instant::now() + time;
    let seed: [u8; 32] = std::array::from_fn(|i| std::process::id().to_le_bytes()[i % 4]);
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let mut runner = TestRunner::new_with_rng(ProptestConfig::default(), rng);
    let inputs =
        (0..seeds.len(), 0..seeds.len(), prop::collection::vec(change(), 1..CHANGES), any::<prop::sample::Index>());
    let mut tried = 0;
    while Instant::now() < end {
        let (one, other, changes, cut) = inputs.new_tree(&mut runner).unwrap().current();
        let mut bytes = seeds[one].clone();
        // Now and then the end of another seed.
        if tried % 8 == 0 {
            let at = cut.index(bytes.len().max(1));
            bytes.truncate(at);
            bytes.extend(&seeds[other][at.min(seeds[other].len())..]);
        }
        let bytes = changes.iter().try_fold(bytes, changed).unwrap_or_default();
        let (input, (done, outcome)) = (bytes.clone(), sync_channel(1));
        std::thread::spawn(move || {
            body(&input);
            let _ = done.send(());
        });
        if let Err(error) = outcome.recv_timeout(LIMIT) {
            let path = std::env::temp_dir().join(format!("mixscope-fuzz-{name}"));
            std::fs::write(&path, &bytes).unwrap();
            panic!("{name}: the input in {} panics or takes too long: {error}", path.display());
        }
        tried += 1;
    }
    tried
}

#[test]
#[ignore = "takes as long as asked"]
fn targets_neither_panic_nor_hang() {
    let asked = std::env::var("MIXSCOPE_FUZZ").unwrap_or_default();
    let (only, seconds) = asked.split_once(':').unwrap_or((asked.as_str(), "1"));
    let time = Duration::from_secs(seconds.parse().expect("MIXSCOPE_FUZZ is TARGET:SECONDS"));
    for (name, body, seeds) in TARGETS.into_iter().filter(|(name, ..)| only.is_empty() || *name == only) {
        let tried = fuzz(name, body, &seeds(), time);
        println!("{name}: {tried} inputs");
        assert!(tried > 0);
    }
}
