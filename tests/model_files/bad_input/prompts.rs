//! Tokenizers and prompts.

use super::*;

#[test]
fn a_model_without_a_tokenizer_takes_ids_only() {
    let without = copy();
    std::fs::remove_file(without.path().join("tokenizer.json")).unwrap();
    let broken = with_file("tokenizer.json", "{\"model\": ");
    for model in [without.path(), broken.path(), &fixture("malformed/empty-tokenizer")] {
        let (warning, files) = assert_runs(model, &["--prompt-ids", "1,3,300", "--steps", "2"]);
        assert_mentions(&warning, &["tokenizer.json"], "ids");
        let tokens = rows(&files, "tokens.csv");
        assert_eq!(tokens.len(), 5);
        assert!(tokens.iter().all(|row| !row[2].is_empty()), "{tokens:?}");
        let (output, files) = run(model, &["--prompt", "hello", "--steps", "2"]);
        assert_refused(&output, &["tokenizer.json"], "text");
        assert!(files.is_empty());
    }
}

#[test]
fn a_damaged_tokenizer_is_refused_without_a_panic() {
    let sound = std::fs::read_to_string(fixture("malformed/ok-control/tokenizer.json")).unwrap();
    for section in ["normalizer", "post_processor", "decoder", "model"] {
        let (before, after) = sound.split_once(&format!("\"{section}\": {{")).unwrap();
        let damaged = with_file("tokenizer.json", format!("{before}\"{section}\": {{?{after}"));
        assert_model_refused(damaged.path(), &["tokenizer.json"]);
        for value in [json!({"type": "Unheard"}), json!(7), json!("x")] {
            let mut json: Value = serde_json::from_str(&sound).unwrap();
            json[section] = value;
            assert_model_refused(with_file("tokenizer.json", json.to_string()).path(), &["tokenizer.json"]);
        }
    }
}

#[test]
fn a_tokenizer_whose_template_names_an_unknown_token_is_refused_without_a_panic() {
    let mut json: Value =
        serde_json::from_slice(&std::fs::read(fixture("malformed/ok-control/tokenizer.json")).unwrap()).unwrap();
    json["post_processor"]["single"][0]["SpecialToken"]["id"] = "<absent>".into();
    let model = with_file("tokenizer.json", json.to_string());
    let (output, files) = run(model.path(), &["--prompt", "hello", "--steps", "2"]);
    assert_refused(&output, &["tokenizer"], "template");
    assert!(files.is_empty());
    assert_runs(model.path(), &["--prompt-ids", "1,3,4", "--steps", "2"]);
}

#[test]
fn a_tokenizer_of_another_model_is_found_out() {
    let mut json: Value =
        serde_json::from_slice(&std::fs::read(fixture("malformed/ok-control/tokenizer.json")).unwrap()).unwrap();
    json["model"]["vocab"]["zebra"] = 5000.into();
    json["added_tokens"].as_array_mut().unwrap().push(json!({"id": 5000, "content": "zebra", "single_word": false,
        "lstrip": false, "rstrip": false, "normalized": false, "special": false}));
    let model = with_file("tokenizer.json", json.to_string());
    let (output, files) = run(model.path(), &["--prompt", "a zebra here", "--steps", "2"]);
    assert_refused(&output, &["5000", "vocabulary"], "an id outside the model");
    assert!(files.is_empty());
    assert_runs(model.path(), &["--prompt", "a horse here", "--steps", "2"]);
}

#[test]
fn an_empty_prompt_is_the_start_token_or_refused() {
    let model = fixture("malformed/ok-control");
    let (_, files) = assert_runs(&model, &["--prompt", "", "--steps", "0"]);
    let tokens = rows(&files, "tokens.csv");
    assert_eq!(tokens.len(), 1);
    assert_eq!(tokens[0].iter().collect::<Vec<_>>(), ["0", "1", "<s>", "prompt", "", "", "", "<s>"]);
    let json: Value = serde_json::from_slice(&files["run.json"]).unwrap();
    assert_eq!((&json["mean_loss"], &json["prompt"]), (&Value::Null, &json!("")));
    assert_finite(&files);
    let (_, files) = assert_runs(&model, &["--prompt", "", "--steps", "3"]);
    assert_eq!(rows(&files, "tokens.csv").len(), 4);
    let mut tokenizer: Value = serde_json::from_slice(&std::fs::read(model.join("tokenizer.json")).unwrap()).unwrap();
    tokenizer["post_processor"] = Value::Null;
    let bare = with_file("tokenizer.json", tokenizer.to_string());
    let (output, files) = run(bare.path(), &["--prompt", "", "--steps", "3"]);
    assert_refused(&output, &["empty"], "no start token");
    assert!(files.is_empty());
}

#[test]
fn prompts_that_cannot_be_read_are_refused() {
    let model = fixture("malformed/ok-control");
    let temp = tempfile::tempdir().unwrap();
    let file = temp.path().join("prompt.txt");
    let path = file.to_str().unwrap();
    let refused = |path: &str| assert_refused(&run(&model, &["--prompt-file", path]).0, &["--prompt-file", path], path);
    refused(path);
    std::fs::write(&file, b"\xff\xfeh\0i\0").unwrap();
    refused(path);
    refused(temp.path().to_str().unwrap());
    for ids in ["512", "1,3,4294967295"] {
        let (output, files) = run(&model, &["--prompt-ids", ids]);
        assert_eq!(output.status.code(), Some(2), "{ids}");
        assert_mentions(message(&output), &["--prompt-ids", "vocabulary", "512"], ids);
        assert!(files.is_empty());
    }
}

#[test]
fn a_prompt_longer_than_every_chunk_is_read_whole() {
    let ids = (0..511).map(|i| (3 + i % 500).to_string()).collect::<Vec<_>>().join(",");
    let args = ["--prompt-ids", &ids, "--steps", "1", "--heads", "0.0", "--capture", "none"];
    let (quiet, files) = assert_runs(&fixture("malformed/ok-control"), &args);
    assert!(!quiet.contains("warning"), "{quiet}");
    assert_eq!(rows(&files, "tokens.csv").len(), 512);
    assert_finite(&files);
}
