//! Byte-level BPE in the metadata of a GGUF file: the ids of the tokenizer.json that it was made from.

use super::*;

fn texts(values: &serde_json::Value) -> Vec<String> {
    values.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

#[test]
fn every_way_to_cut_a_text_gives_the_ids_of_its_tokenizer_json() {
    let file = std::fs::read(fixture("tokenizers/byte_level.json")).unwrap();
    let recorded: serde_json::Value = serde_json::from_slice(&file).unwrap();
    let prompts = texts(&recorded["texts"]);
    assert!(prompts.len() > 50);
    let key = |name: &str| format!("tokenizer.ggml.{name}");
    for (pre, of) in recorded["cuts"].as_object().unwrap() {
        let (tokens, merges, special) = (texts(&of["tokens"]), texts(&of["merges"]), texts(&of["special"]));
        let kinds = tokens.iter().map(|token| if special.contains(token) { 3u32 } else { 1 });
        let list = |texts: &[String]| Value::array(texts.iter().map(String::as_str));
        let parts = sound()
            .with(&key("model"), "gpt2")
            .with(&key("pre"), pre.as_str())
            .with(&key("token_type"), Value::array(kinds))
            .with(&key("tokens"), list(&tokens))
            .with(&key("merges"), list(&merges))
            .with(&key("add_bos_token"), false);
        let (_temp, path) = saved(&parts.bytes());
        let loaded = open(&Location::Gguf(path), Policy::F32, None, false).unwrap();
        let tokenizer = loaded.tokenizer.unwrap();
        for (text, want) in prompts.iter().zip(of["ids"].as_array().unwrap()) {
            let want: Vec<u32> = want.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect();
            assert_eq!(tokenizer.encode(text, true).unwrap(), want, "{pre}: {text:?}");
        }
        let (_temp, path) = saved(&parts.with(&key("pre"), "klingon").bytes());
        let error = format!("{:#}", open(&Location::Gguf(path), Policy::F32, None, false).err().unwrap());
        assert!(error.contains("klingon") && error.contains("`qwen2`"), "{error}");
    }
}
