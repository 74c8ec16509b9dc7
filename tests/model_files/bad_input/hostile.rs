//! Hostile tokenizers and chat templates: an error that names the file, in every command, in time.

use super::*;
use std::time::{Duration, Instant};

/// More than the program's own limits, with room for a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

fn refused_in_time(model: &Path, args: &[&str], what: &[&str]) {
    let started = Instant::now();
    let (output, files) = run(model, args);
    assert_refused(&output, what, "run");
    assert!(files.is_empty() && started.elapsed() < LIMIT, "{:?}", started.elapsed());
}

#[test]
fn a_hostile_chat_template_is_an_error() {
    for template in [
        "{{ ".to_owned() + &"(".repeat(100_000) + &")".repeat(100_000) + " }}",
        "{% if a %}".repeat(10_000) + &"{% endif %}".repeat(10_000),
        "{{ messages".to_owned() + &".a".repeat(4_000) + " }}",
        "{{ ".to_owned() + &"not ".repeat(4_000) + "none + 1 }}",
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}".to_owned(),
        "{% set n = namespace(s='ab') %}{% for i in range(99) %}{% set n.s = n.s ~ n.s %}{% endfor %}{{ n.s }}"
            .to_owned(),
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}".to_owned(),
        "{{ 'a' * 100000000000 }}".to_owned(),
    ] {
        let model = with_file("chat_template.jinja", template);
        refused_in_time(model.path(), &["--chat", "--prompt", "hello"], &["chat_template.jinja"]);
        // Without --chat it is not used.
        assert_runs(model.path(), &["--prompt", "hello"]);
    }
}

#[test]
fn a_contradictory_tokenizer_is_an_error() {
    let sound: Value =
        serde_json::from_slice(&std::fs::read(fixture("malformed/ok-control/tokenizer.json")).unwrap()).unwrap();
    for (pointer, value) in [
        ("/model/merges", json!(["zq qz"])),
        ("/model/continuing_subword_prefix", json!("####################################")),
        ("/post_processor/special_tokens", json!({})),
        (
            "/normalizer",
            json!({"type": "Sequence", "normalizers": vec![
            json!({"type": "Replace", "pattern": {"String": "e"}, "content": "ee"}); 64]}),
        ),
    ] {
        let mut json = sound.clone();
        *json.pointer_mut(pointer).unwrap() = value;
        assert_model_refused(with_file("tokenizer.json", json.to_string()).path(), &["tokenizer.json"]);
    }
}

#[test]
fn a_tokenizer_that_takes_for_ever_is_an_error() {
    let mut json: Value =
        serde_json::from_slice(&std::fs::read(fixture("malformed/ok-control/tokenizer.json")).unwrap()).unwrap();
    let vocab: Vec<(String, f64)> = (1..3000).map(|len| ("a".repeat(len), -(len as f64))).collect();
    json["model"] = json!({"type": "Unigram", "unk_id": 0, "vocab": vocab, "byte_fallback": false});
    (json["added_tokens"], json["post_processor"]) = (json!([]), Value::Null);
    let model = with_file("tokenizer.json", json.to_string());
    let text = tempfile::tempdir().unwrap();
    let file = text.path().join("prompt.txt");
    std::fs::write(&file, "a".repeat(1_000_000)).unwrap();
    refused_in_time(model.path(), &["--prompt-file", file.to_str().unwrap()], &["tokeni"]);
}

#[test]
fn merges_left_out_by_chance_are_kept() {
    let mut json: Value =
        serde_json::from_slice(&std::fs::read(fixture("malformed/ok-control/tokenizer.json")).unwrap()).unwrap();
    json["model"]["dropout"] = json!(0.9);
    let model = with_file("tokenizer.json", json.to_string());
    let args = ["--prompt", "the router of the router", "--format", "csv"];
    let (warning, files) = assert_runs(model.path(), &args);
    assert_mentions(&warning, &["warning", "dropout"], "dropout");
    let (_, sound) = assert_runs(&fixture("malformed/ok-control"), &args);
    assert_eq!(files["tokens.csv"], sound["tokens.csv"]);
}

#[test]
fn two_bos_tokens_are_warned_about() {
    let model = fixture("malformed/ok-control");
    let (warning, files) = assert_runs(&model, &["--prompt", "<s>[INST] hi [/INST]"]);
    assert_mentions(&warning, &["warning: ", "two BOS"], "doubled");
    let ids: Vec<String> = rows(&files, "tokens.csv").iter().take(3).map(|row| row[1].to_owned()).collect();
    assert_eq!(ids[..2], ["1", "1"]);
    for args in [["--prompt", "hello"], ["--prompt-ids", "1,1,5"]] {
        let (quiet, _) = assert_runs(&model, &args);
        assert!(!quiet.contains("BOS"), "{quiet}");
    }
}

#[test]
fn a_directory_with_a_sentencepiece_model_runs() {
    let model = copy();
    std::fs::remove_file(model.path().join("tokenizer.json")).unwrap();
    assert_model_refused(model.path(), &["tokenizer.json"]);
    std::fs::copy(fixture("tokenizers/bpe.model"), model.path().join("tokenizer.model")).unwrap();
    std::fs::write(model.path().join("tokenizer_config.json"), r#"{"add_bos_token": true, "bos_token": "<s>"}"#)
        .unwrap();
    let (quiet, files) = assert_runs(model.path(), &["--prompt", "the router"]);
    assert!(!quiet.contains("warning"), "{quiet}");
    assert_eq!(rows(&files, "tokens.csv").len(), 7);
    assert_eq!(info(model.path()).status.code(), Some(0));
    let bytes = std::fs::read(fixture("tokenizers/bpe.model")).unwrap();
    let word_model = bytes.iter().map(|byte| byte.wrapping_add(1)).collect();
    for bad in [bytes[..bytes.len() / 2].to_vec(), Vec::new(), b"\x0a\xff\xff\xff\xff\x7f".to_vec(), word_model] {
        std::fs::write(model.path().join("tokenizer.model"), bad).unwrap();
        assert_model_refused(model.path(), &["tokenizer.model"]);
    }
}
