//! Traces that are malformed, cut or newer than the program.

use super::*;

#[test]
fn each_malformed_trace_is_refused_by_name() {
    type Change = Box<dyn Fn(&mut TraceFile)>;
    fn floats(name: &'static str, shape: &'static [usize]) -> Change {
        Box::new(move |file| {
            let values = Values::F32(vec![0.5; shape.iter().product()]);
            let tensor = TraceTensor { shape: shape.to_vec(), dtype: mixscope::trace::Dtype::F32, values };
            file.tensors.insert(name.to_owned(), tensor);
        })
    }
    fn integers(name: &'static str, shape: &'static [usize], value: u32) -> Change {
        Box::new(move |file| {
            let values = Values::U32(vec![value; shape.iter().product()]);
            let tensor = TraceTensor { shape: shape.to_vec(), dtype: mixscope::trace::Dtype::F32, values };
            file.tensors.insert(name.to_owned(), tensor);
        })
    }
    fn without(name: &'static str) -> Change {
        Box::new(move |file| drop(file.tensors.remove(name)))
    }
    fn says(key: &'static str, value: &'static str) -> Change {
        Box::new(move |file| drop(file.metadata.insert(key.to_owned(), value.to_owned())))
    }
    fn silent(key: &'static str) -> Change {
        Box::new(move |file| drop(file.metadata.remove(key)))
    }
    fn config(key: &'static str, value: u64) -> Change {
        Box::new(move |file| {
            let mut config: serde_json::Value = serde_json::from_str(&file.metadata["config"]).unwrap();
            config[key] = value.into();
            file.metadata.insert("config".to_owned(), config.to_string());
        })
    }
    let cases: Vec<(Change, &[&str])> = vec![
        (silent("format"), &["`format`", "mixscope-trace", "none"]),
        (says("format", "pt"), &["`format`", "mixscope-trace", "pt"]),
        (silent("version"), &["`version`", "expected 1", "none"]),
        (silent("config"), &["`config`", "none"]),
        (says("config", "{"), &["`config`", "JSON"]),
        (says("config", r#"{"model_type": "llama"}"#), &["config", "llama", "mixtral"]),
        (silent("precision"), &["`precision`", "hf, f32, f32-router"]),
        (says("precision", "f8"), &["`precision`", "f8", "hf, f32, f32-router"]),
        (says("token_texts", r#"["a"]"#), &["`token_texts`", "expected 3", "found 1"]),
        (says("token_texts", "7"), &["`token_texts`", "list"]),
        (says("mixscope.spelling", "[]"), &["`mixscope.spelling`"]),
        (without("tokens"), &["no tensor `tokens`"]),
        (integers("tokens", &[0], 1), &["`tokens`", "at least one", "[0]"]),
        (integers("tokens", &[3, 1], 1), &["`tokens`", "one text", "a batch of 3"]),
        (floats("tokens", &[3]), &["`tokens`", "expected integers", "found floating-point"]),
        (integers("tokens", &[3], 1 << 20), &["`tokens`", "below", "vocab_size", "found 1048576"]),
        (integers("tokens", &[4], 1), &["token_texts", "expected 4", "found 3"]),
        (floats("blocks.0.hook_resid_pre", &[3, 5]), &["`blocks.0.hook_resid_pre`", "[3, 5]"]),
        (
            floats("blocks.0.attn.hook_pattern", &[8, 3, 3]),
            &["`blocks.0.attn.hook_pattern`", "expected 0", "found 0.5"],
        ),
        (integers("blocks.0.hook_attn_out", &[3, 192], 1), &["`blocks.0.hook_attn_out`"]),
        (floats("blocks.9.hook_attn_out", &[3, 192]), &["`blocks.9.hook_attn_out`", "below 6", "found 9"]),
        (integers("blocks.1.mlp.hook_expert_indices", &[3, 2], 8), &["hook_expert_indices", "below 8", "found 8"]),
        (floats("blocks.1.mlp.hook_expert_indices", &[3, 2]), &["hook_expert_indices", "expected integers"]),
        (integers("mixscope.source", &[3], 3), &["`mixscope.source`", "below 3", "found 3"]),
        (without("mixscope.next.logits"), &["lacks `mixscope.next.logits`"]),
        (integers("mixscope.next.ids", &[3, 10], 5000), &["`mixscope.next.ids`", "vocab_size", "found 5000"]),
        (integers("mixscope.next.ids", &[2, 10], 5), &["`mixscope.next.ids`", "[3]", "found [2, 10]"]),
        (floats("mixscope.next.probs", &[3, 9]), &["`mixscope.next.probs`", "[3, 10]", "[3, 9]"]),
        (without("mixscope.score.rank"), &["lacks `mixscope.score.rank`"]),
        (floats("mixscope.score.nll", &[3]), &["`mixscope.score.nll`", "expected shape [2]", "found [3]"]),
        (without("mixscope.lens.layers"), &["no tensor `mixscope.lens.layers`"]),
        (integers("mixscope.lens.layers", &[6], 6), &["`mixscope.lens.layers`", "below 6", "found 6"]),
        (without("mixscope.lens.resid_mid.kl"), &["lacks `mixscope.lens.resid_mid.kl`"]),
        (
            integers("mixscope.lens.resid_post.ids", &[3, 6, 10], 9999),
            &["`mixscope.lens.resid_post.ids`", "found 9999"],
        ),
        (config("num_local_experts", 16), &["blocks.0.mlp.hook_router_logits", "[3, 16]", "[3, 8]"]),
        (config("num_hidden_layers", 3), &["`mixscope.lens.layers`", "below 3", "num_hidden_layers", "found 3"]),
        (config("num_hidden_layers", 5000), &["num_hidden_layers", "4096", "found 5000"]),
        (config("num_attention_heads", 1 << 40), &["num_attention_heads"]),
        (
            Box::new(|file| {
                config("num_hidden_layers", 4096)(file);
                config("num_local_experts", 4096)(file);
            }),
            &["num_hidden_layers × num_local_experts", "65536", "found 16777216"],
        ),
        (
            Box::new(|file| {
                config("num_hidden_layers", 4096)(file);
                config("num_attention_heads", 32)(file);
            }),
            &["num_hidden_layers × num_attention_heads", "65536", "found 131072"],
        ),
    ];
    let whole = small();
    Replay::of(whole.clone(), "whole").unwrap();
    for (change, expected) in cases {
        let mut file = whole.clone();
        change(&mut file);
        let error = Replay::of(file, "bad").err().map(|error| format!("{error:#}")).unwrap_or_default();
        assert!(expected.iter().all(|part| error.contains(part)), "{expected:?}: {error}");
    }
}

#[test]
fn a_truncated_a_foreign_and_a_newer_file_say_so() {
    let run = Command::ok(&["--prompt-ids", "1,357", "--format", "trace"]);
    let bytes = &run.files["trace.safetensors"];
    let temp = tempfile::tempdir().unwrap();
    let opened = |name: &str, bytes: &[u8]| {
        let path = temp.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let target = Target::parse(path.to_str().unwrap());
        (
            target.is_ok_and(|target| matches!(target, Target::Trace(_))),
            Replay::open(&path).err().map(|e| format!("{e:#}")),
        )
    };
    assert_eq!(opened("whole.safetensors", bytes), (true, None));
    let (is_trace, error) = opened("cut.safetensors", &bytes[..bytes.len() - 1]);
    assert!(is_trace && error.unwrap().contains("cut.safetensors is not a readable trace"));
    let (is_trace, error) = opened("empty.safetensors", b"");
    assert!(!is_trace && error.is_some());
    let at = bytes.windows(13).position(|w| w == br#""version":"1""#).unwrap();
    let mut newer = bytes.clone();
    newer[at + 11] = b'2';
    let (is_trace, error) = opened("newer.safetensors", &newer);
    let error = error.unwrap();
    assert!(is_trace && error.contains("version 2") && error.contains("update mixscope"), "{error}");
    let weights = std::fs::read(fixture("tiny-f32/model/model.safetensors")).unwrap();
    let (is_trace, error) = opened("weights.safetensors", &weights);
    assert!(!is_trace && error.unwrap().contains("not a mixscope trace"));
}
