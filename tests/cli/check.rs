//! `mixscope check --against`: a model against a recording, and what is said of broken copies.

use crate::support::cli::{Run, assert_fails, mixscope, stderr, stdout};
use crate::support::recordings::{check, diff, edited, floats, parsed, reference, text, with_config};
use crate::support::{CASES, fixture, model_dir};
use mixscope::trace::Values;
use serde_json::{Value, json};
use std::path::Path;

fn passes(model: &Path, trace: &Path) {
    let output = check(model, trace, &[]);
    assert_eq!(output.status.code(), Some(0), "{}: {}", trace.display(), stderr(&output));
    let text = stdout(&output);
    assert!(text.contains("\nagrees: the model computes what was recorded, operation by operation\n"), "{text}");
}

#[test]
fn every_model_passes_against_its_recording_under_the_recordings_own_policy() {
    for (case, stem, _) in CASES {
        let (dir, _temp) = model_dir(case);
        passes(&dir, &reference(case, stem));
    }
    let bf16 = fixture("tiny-bf16");
    passes(&bf16.join("model"), &bf16.join("reference.safetensors"));
    let output = check(&bf16.join("model"), &bf16.join("reference_eager_experts.safetensors"), &[]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let kind = "\nagrees up to rounding of this kind: experts' outputs added one by one, each sum rounded";
    assert!(stdout(&output).contains(kind), "{}", stdout(&output));
    let lab = fixture("precision-lab");
    passes(&lab.join("model"), &lab.join("reference_bf16.safetensors"));
    passes(&lab.join("model"), &lab.join("reference_f32.safetensors"));
}

#[test]
fn every_gguf_passes_against_transformers_on_its_dequantised_weights() {
    for name in ["tiny-F32", "tiny-F16", "tiny-BF16", "tiny-Q8_0", "tiny-Q4_0", "tiny-legacy-split-F16", "kq-Q4_K_M"] {
        let file = |end: &str| fixture("gguf").join(format!("{name}.{end}"));
        passes(&file("gguf"), &file("reference.safetensors"));
    }
    passes(&fixture("gguf/tiny-legacy-split-Q8_0.gguf"), &fixture("gguf/tiny-Q8_0.reference.safetensors"));
}

#[test]
fn quantisation_shows_in_the_check() {
    let output = check(&fixture("gguf/tiny-Q4_0.gguf"), &fixture("gguf/tiny-F32.reference.safetensors"), &["--json"]);
    assert_eq!(output.status.code(), Some(1));
    let found = parsed(&output);
    assert_eq!(found["against"]["ok"], false);
    assert!(found["against"]["guilty"]["hook"].as_str().unwrap().starts_with("blocks.0."));
}

#[test]
fn another_rope_base_is_named() {
    let theta = |config: &mut serde_json::Map<String, Value>| {
        config.remove("rope_parameters");
        config.insert("rope_theta".to_owned(), json!(10000.0));
    };
    for case in ["tiny-f32", "tiny-bf16"] {
        let model = with_config(case, theta);
        let output = check(model.path(), &reference(case, "reference"), &[]);
        assert_eq!(output.status.code(), Some(1));
        let message = stderr(&output);
        for part in [
            "failed the check: differs: the fault is in layer 0, `blocks.0.attn.hook_rot_q`",
            "from position 1 on",
            "the RoPE base",
            "rope_theta is 1000000.0 in A's config and 10000.0 in B's",
        ] {
            assert!(message.contains(part), "{case}: no {part:?} in {message}");
        }
    }
    // The same from attention's output alone, and with nothing to know of the recording's config.
    let (_folder, trace) = edited(&reference("tiny-f32", "reference"), "t.safetensors", |trace| {
        trace.metadata.remove("config");
        trace.tensors.retain(|name, _| {
            let kept = ["tokens", "hook_attn_out", "hook_resid_post", "hook_mlp_out"];
            kept.iter().any(|kept| name.ends_with(kept))
        });
    });
    let model = with_config("tiny-f32", theta);
    let output = check(model.path(), &trace, &["--json"]);
    let guilty = &parsed(&output)["against"]["guilty"];
    assert_eq!((&guilty["layer"], &guilty["position"]), (&json!(0), &json!(1)));
    assert!(guilty["cause"].as_str().unwrap().starts_with("the RoPE base"), "{guilty}");
}

#[test]
fn a_sliding_window_is_named_with_its_width() {
    let window = |size: Value| {
        move |config: &mut serde_json::Map<String, Value>| {
            config.insert("sliding_window".to_owned(), size);
        }
    };
    let with = with_config("tiny-f32", window(json!(6)));
    let output = check(with.path(), &reference("tiny-f32", "reference"), &[]);
    assert_eq!(output.status.code(), Some(1));
    let message = stderr(&output);
    assert!(
        message.contains("from position 6 on")
            && message.contains("a sliding window: none in A (sliding_window is none in A's config and 6 in B's)"),
        "{message}"
    );
    let without = with_config("tied-window-legacy", window(Value::Null));
    let output = check(without.path(), &reference("tied-window-legacy", "reference"), &[]);
    let message = stderr(&output);
    assert!(message.contains("sliding_window is 8 in A's config and none in B's"), "{message}");
}

/// A copy of tiny-f32 with other weights.
fn with_weights(edit: impl FnOnce(&mut Vec<u8>)) -> tempfile::TempDir {
    let folder = with_config("tiny-f32", |_| {});
    let path = folder.path().join("model.safetensors");
    let mut bytes = std::fs::read(&path).unwrap();
    edit(&mut bytes);
    std::fs::remove_file(&path).unwrap();
    std::fs::write(path, bytes).unwrap();
    folder
}

fn guilty(model: &Path, trace: &Path) -> (String, String) {
    let output = check(model, trace, &["--json"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let guilty = parsed(&output)["against"]["guilty"].clone();
    let word = |key: &str| guilty[key].as_str().unwrap().to_owned();
    assert!(stderr(&output).contains(&word("sentence")), "{}", stderr(&output));
    (word("hook"), word("cause"))
}

#[test]
fn wrong_weights_are_named_by_the_pattern_of_differences() {
    let trace = reference("tiny-f32", "reference");
    let swapped = with_weights(|bytes| {
        let end = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let header = std::str::from_utf8(&bytes[8..end]).unwrap();
        let header = header.replace(".w1.weight", ".w0.weight").replace(".w3.weight", ".w1.weight");
        bytes.splice(8..end, header.replace(".w0.weight", ".w3.weight").into_bytes());
    });
    let (hook, cause) = guilty(swapped.path(), &trace);
    assert_eq!(hook, "blocks.0.mlp.hook_expert_out");
    assert!(cause.contains("w1 and w3 swapped"), "{cause}");

    // Rows of q_proj and k_proj as GGUF stores them: the scores are the same, q and k are not.
    let pairs = with_weights(|bytes| {
        let (length, header) = safetensors::SafeTensors::read_metadata(bytes).unwrap();
        for (name, heads) in [("q_proj", 4), ("k_proj", 2)] {
            for layer in 0..3 {
                let info = header.info(&format!("model.layers.{layer}.self_attn.{name}.weight")).unwrap();
                let start = 8 + length + info.data_offsets.0;
                let (rows, row) = (info.shape[0], info.shape[1] * 4);
                let old = bytes[start..start + rows * row].to_vec();
                let width = rows / heads;
                for i in 0..rows {
                    let (head, at) = (i / width, i % width);
                    let from = head * width + at % 2 * (width / 2) + at / 2;
                    bytes[start + i * row..][..row].copy_from_slice(&old[from * row..][..row]);
                }
            }
        }
    });
    let (hook, cause) = guilty(pairs.path(), &trace);
    assert_eq!(hook, "blocks.0.attn.hook_q");
    assert!(cause.contains("in another order"), "{cause}");
}

#[test]
fn a_recording_without_renormalisation_is_named() {
    let (_folder, trace) = edited(&reference("tiny-f32", "reference"), "t.safetensors", |trace| {
        for layer in 0..3 {
            let probs = floats(trace, &format!("blocks.{layer}.mlp.hook_expert_weights")).clone();
            let experts = probs.len() / trace.tensors["tokens"].shape[0];
            let chosen = trace.tensors[&format!("blocks.{layer}.mlp.hook_expert_indices")].values.clone();
            let Values::U32(chosen) = chosen else { panic!() };
            let weights = floats(trace, &format!("blocks.{layer}.mlp.hook_mixing_weights"));
            for (i, weight) in weights.iter_mut().enumerate() {
                *weight = probs[i / 2 * experts + chosen[i] as usize];
            }
        }
    });
    let (hook, cause) = guilty(&fixture("tiny-f32/model"), &trace);
    assert_eq!(hook, "blocks.0.mlp.hook_mixing_weights");
    assert!(cause.contains("A does not renormalise"), "{cause}");
}

#[test]
fn other_precision_is_distinguished_from_a_wrong_layer() {
    let (model, trace) = (fixture("tiny-bf16/model"), reference("tiny-bf16", "reference"));
    let output = check(&model, &trace, &["--precision", "f32", "--json"]);
    let found = parsed(&output);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(found["precision"], "f32");
    assert_eq!(found["against"]["isolated"]["tolerance"], json!({"kind": "mixed", "dtype": "bf16"}));
    let output = check(&model, &trace, &["--precision", "f32", "--tolerance", "1e-3"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("`blocks.0.ln1.hook_out`"), "{}", stderr(&output));
}

#[test]
fn a_recording_that_does_not_fit_is_refused_by_name() {
    let model = fixture("tiny-f32/model");
    assert_fails(&check(&model, &reference("top3", "reference"), &[]), 1, "num_experts_per_tok is 3 in A's config");
    let trace = reference("tiny-f32", "reference");
    let (_folder, deeper) = edited(&trace, "t.safetensors", |trace| {
        let tensor = trace.tensors["hook_embed"].clone();
        trace.tensors.insert("blocks.9.hook_attn_out".to_owned(), tensor);
    });
    assert_fails(&check(&model, &deeper, &[]), 1, "`blocks.9.hook_attn_out`: expected a layer below 3");
    let (_folder, bare) = edited(&trace, "t.safetensors", |trace| trace.tensors.retain(|name, _| name == "tokens"));
    assert_fails(&check(&model, &bare, &[]), 1, "holds no hook");
    let (_folder, other) = edited(&trace, "t.safetensors", |trace| {
        let Values::U32(ids) = &mut trace.tensors.get_mut("tokens").unwrap().values else { panic!() };
        ids[3] = 99_999;
    });
    assert_fails(&check(&model, &other, &[]), 1, "token id 99999 is outside the vocabulary");
    assert_fails(&mixscope(["check", text(&model), "--tolerance", "1"]), 2, "--against TRACE");
    assert_fails(
        &check(&model, &trace, &["--tolerance", "-1"]),
        2,
        "--tolerance: expected a number of at least 0, found `-1`",
    );
    assert_fails(&check(&model, Path::new("nowhere.safetensors"), &[]), 1, "nowhere.safetensors");
}

#[test]
fn a_recording_of_ones_own_is_equal_bit_for_bit() {
    let run = Run::ok(&["--prompt", "Once upon a time", "--steps", "4"]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.safetensors");
    std::fs::write(&path, &run.files["trace.safetensors"]).unwrap();
    let output = mixscope(["check", "demo", "--against", text(&path), "--tolerance", "0", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let found = parsed(&output);
    assert_eq!(found["against"]["end_to_end"]["first_difference"], Value::Null);
    let loss = found["against"]["end_to_end"]["loss"]["mean"][1].as_f64().unwrap();
    assert!((loss - run.json()["mean_loss"].as_f64().unwrap()).abs() < 1e-5);
    let output = diff(&path, &path, &["--tolerance", "0"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(stdout(&output).contains("no value differs"));
}
