//! Models that look like something else, and files with something after their end.

use super::*;

#[test]
fn a_config_that_quantises_no_weight_is_opened() {
    let mut model = Model::new();
    let (right, _) = model.run();
    for (found, said) in [
        (
            json!({"quant_method": "compressed-tensors", "config_groups": {}, "kv_cache_scheme": {"num_bits": 8}}),
            "only the cache of keys and values is quantised",
        ),
        (json!({"quant_method": "compressed-tensors", "kv_cache_scheme": {"num_bits": 8}}), "unquantised"),
        (
            json!({"quant_method": "bitsandbytes", "load_in_4bit": false, "load_in_8bit": false}),
            "neither load_in_4bit nor load_in_8bit",
        ),
    ] {
        model.config["quantization_config"] = found;
        model.save();
        let (found, notes) = model.run();
        assert_eq!(found, right);
        says(&notes, &["note", "quantization_config", said]);
    }
    for (tool, found) in [
        ("compressed-tensors", json!({"kv_cache_scheme": {"num_bits": 8}, "config_groups": {"group_0": {}}})),
        ("compressed-tensors", json!({"kv_cache_scheme": {"num_bits": 8}, "sparsity_config": {"format": "x"}})),
        ("bitsandbytes", json!({"load_in_4bit": false, "load_in_8bit": true})),
    ] {
        model.config["quantization_config"] = found;
        model.config["quantization_config"]["quant_method"] = json!(tool);
        model.save();
        says(&model.refused(), &[&format!("quantised by {tool}")]);
    }
}

#[test]
fn bytes_after_the_last_tensor_are_named() {
    let model = Model::new();
    let bytes = std::fs::read(model.path().join(SINGLE)).unwrap();
    model.write(SINGLE, [&bytes[..], b"abc"].concat());
    says(&model.refused(), &[SINGLE, "3 bytes follow its last tensor", "something was appended"]);
    model.write(SINGLE, &bytes[..bytes.len() - 3]);
    says(&model.refused(), &["it is incomplete"]);

    let bytes = std::fs::read(fixture("gguf/tiny-Q8_0.gguf")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.gguf");
    std::fs::write(&path, &bytes).unwrap();
    let (right, said) = run(&path);
    assert!(!said.contains("bytes after it"), "{said}");
    std::fs::write(&path, [&bytes[..], b"abc"].concat()).unwrap();
    let (found, said) = run(&path);
    assert_eq!(found, right, "as in llama.cpp");
    says(&said, &["warning", "x.gguf", "3 bytes after it", "they are not read"]);
    std::fs::write(&path, [&bytes[..], &bytes].concat()).unwrap();
    says(&refused(&path), &["a second GGUF file begins after its last tensor", "llama-gguf-split --merge"]);
}

#[test]
fn a_file_that_ends_with_gguf_is_no_piece() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.gguf-split-00001-of-00002.gguf");
    std::fs::copy(fixture("gguf/tiny-Q8_0.gguf"), &path).unwrap();
    let (right, _) = run(&fixture("gguf/tiny-Q8_0.gguf"));
    assert_eq!(run(&path).0, right);
    std::fs::write(&path, "GGUF").unwrap();
    let message = refused(&path);
    assert!(!message.contains("cat "), "{message}");
}
