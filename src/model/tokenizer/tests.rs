//! Ids next to those of transformers, and tokenizers that are hostile.

use super::*;
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Instant;

#[derive(Deserialize)]
struct Recorded {
    name: String,
    model: Option<String>,
    files: BTreeMap<String, Value>,
    special: BTreeMap<String, String>,
    ids: Vec<Vec<u32>>,
    bare: Vec<Vec<u32>>,
}

fn fixture(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn read(name: &str) -> Vec<u8> {
    std::fs::read(fixture(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// As recorded by tools/record_tokenizers.py.
#[test]
fn ids_are_those_of_transformers() {
    let texts: Vec<String> = serde_json::from_slice(&read("tokenizers/texts.json")).unwrap();
    let all: Vec<Recorded> = serde_json::from_slice(&read("tokenizers/recorded.json")).unwrap();
    let mut different = Vec::new();
    for Recorded { name, model, files, special, ids, bare } in &all {
        let dir = tempfile::tempdir().unwrap();
        let (file, bytes) = match model {
            Some(model) => ("tokenizer.model", read(&format!("tokenizers/{model}.model"))),
            None => ("tokenizer.json", read("malformed/ok-control/tokenizer.json")),
        };
        std::fs::write(dir.path().join(file), bytes).unwrap();
        for (file, value) in files {
            std::fs::write(dir.path().join(file), value.to_string()).unwrap();
        }
        let (tokenizer, tokens) = Tokenizer::of_dir(dir.path(), &mut Report::default()).unwrap();
        let tokens = tokens.unwrap_or_else(|| SpecialTokens::of_dir(dir.path()).unwrap());
        let tokens: BTreeMap<String, String> =
            tokens.iter().map(|(name, text)| (name.to_owned(), text.to_owned())).collect();
        if tokens != *special {
            different.push(format!("{name}: special tokens {tokens:?}, expected {special:?}"));
        }
        for ((text, ids), bare) in texts.iter().zip(ids).zip(bare) {
            for (special, expected) in [(true, ids), (false, bare)] {
                let found = tokenizer.encode(text, special).unwrap();
                if found != *expected {
                    different.push(format!("{name}: {text:?} ({special}): {found:?}, expected {expected:?}"));
                }
            }
        }
    }
    assert!(all.len() > 30 && texts.len() > 45);
    assert!(different.is_empty(), "{}:\n{}", different.len(), different.join("\n"));
}

fn json_of(model: &Value) -> Value {
    json!({"version": "1.0", "added_tokens": [], "normalizer": null, "pre_tokenizer": null, "post_processor": null,
        "decoder": null, "model": model})
}

/// A vocabulary of runs of one letter, and the merges that make them.
fn runs(merges: &[(usize, usize)], longest: usize) -> Value {
    let vocab: BTreeMap<String, usize> = (1..=longest).map(|len| ("a".repeat(len), len)).collect();
    let merges: Vec<[String; 2]> = merges.iter().map(|(left, right)| ["a".repeat(*left), "a".repeat(*right)]).collect();
    json_of(&json!({"type": "BPE", "vocab": vocab, "merges": merges}))
}

#[test]
fn a_long_run_of_one_letter_ends_in_time() {
    let each: Vec<(usize, usize)> = (1..300).flat_map(|len| [(len, 1), (1, len)]).collect();
    let halves: Vec<(usize, usize)> = (1..150).rev().map(|len| (len, len)).collect();
    let unigram: Vec<(String, f64)> = (1..2000).map(|len| ("a".repeat(len), -(len as f64))).collect();
    let unigram = json_of(&json!({"type": "Unigram", "unk_id": 0, "vocab": unigram}));
    let mut dropout = runs(&halves, 300);
    dropout["model"]["dropout"] = json!(0.999);
    for json in [runs(&each, 300), runs(&halves, 300), unigram, dropout] {
        let tokenizer = Tokenizer::parse(json.to_string().as_bytes(), "tokenizer.json").unwrap();
        let started = Instant::now();
        let text = "a".repeat(200_000);
        let ended = tokenizer.encode(&text, true);
        assert!(started.elapsed() < ENCODING + ENCODING_BYTE * 200_000 + Duration::from_secs(5));
        // By chance nothing is left out.
        assert_eq!(ended.ok(), tokenizer.encode(&text, true).ok());
    }
}

#[test]
fn hostile_tokenizers_are_errors() {
    let sound = || serde_json::from_slice::<Value>(&read("malformed/ok-control/tokenizer.json")).unwrap();
    let changed = |pointer: &str, value: Value| {
        let mut json = sound();
        *json.pointer_mut(pointer).unwrap() = value;
        json.to_string()
    };
    let doubles = json!({"type": "Replace", "pattern": {"String": "a"}, "content": "aa"});
    for (bad, what) in [
        (changed("/model/merges", json!(["a zzzz"])), "merge 0"),
        (changed("/model/merges", json!([["q", "q"]])), "merge 0"),
        (changed("/model/continuing_subword_prefix", json!("longer than any token")), "prefix"),
        (changed("/post_processor/single/0/SpecialToken/id", json!("<absent>")), "<absent>"),
        (changed("/normalizer", json!({"type": "Sequence", "normalizers": vec![doubles; 60]})), "times as long"),
        ("[".repeat(100_000), "tokenizer.json"),
    ] {
        let error = Tokenizer::parse(bad.as_bytes(), "x/tokenizer.json").err().expect(what);
        let message = format!("{error:#}");
        assert!(message.contains(what) && message.contains("x/tokenizer.json"), "{what}: {message}");
    }
}

/// The ids are those that transformers 5.24 gives.
#[test]
fn special_tokens_are_split_where_the_config_says_so() {
    for (split, ids) in [
        (json!(false), vec![1, 445, 260, 455, 455, 450, 2, 445, 264]),
        (json!(true), vec![1, 445, 260, 455, 455, 450, 502, 50, 454, 503, 264]),
    ] {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("tokenizer.json"), read("top1/model/tokenizer.json")).unwrap();
        let config = json!({"bos_token": "<s>", "eos_token": "</s>", "split_special_tokens": split});
        std::fs::write(dir.path().join("tokenizer_config.json"), config.to_string()).unwrap();
        let mut report = Report::default();
        let (tokenizer, _) = Tokenizer::of_dir(dir.path(), &mut report).unwrap();
        assert_eq!(tokenizer.encode("hello</s> a", true).unwrap(), ids);
        let notes: Vec<String> = report.of(Level::Note).map(ToString::to_string).collect();
        assert_eq!(notes.iter().any(|note| note.contains("split like text")), split == json!(true), "{notes:?}");
    }
}
