//! `mixscope check` without a reference: sound models, files that say something wrong, and the fault drill.

use crate::support::cli::{assert_fails, command, mixscope, stderr, stdout};
use crate::support::recordings::{copied, parsed, text};
use crate::support::{fixture, model_dir};
use safetensors::SafeTensors;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::process::Output;

fn demo_files() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/demo")
}

fn demo_with(edit: impl FnOnce(&mut Map<String, Value>)) -> tempfile::TempDir {
    copied(&demo_files(), edit)
}

/// The demo with its weights' bytes changed by `edit`, given where a tensor's bytes lie.
fn demo_weights(edit: impl FnOnce(&mut [u8], &dyn Fn(&str) -> std::ops::Range<usize>)) -> tempfile::TempDir {
    let folder = demo_with(|_| {});
    let path = folder.path().join("model.safetensors");
    let original = std::fs::read(&path).unwrap();
    let tensors = SafeTensors::deserialize(&original).unwrap();
    let place = |name: &str| {
        let data = tensors.tensor(name).unwrap().data();
        let start = data.as_ptr() as usize - original.as_ptr() as usize;
        start..start + data.len()
    };
    let mut bytes = original.clone();
    edit(&mut bytes, &place);
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, bytes).unwrap();
    folder
}

fn check(model: &Path) -> Output {
    mixscope(["check", text(model)])
}

/// The check fails, says `sentence` in the verdict and on stderr, and nothing else is wrong.
fn is_broken(output: &Output, sentence: &str) {
    assert_eq!(output.status.code(), Some(1), "{sentence}: {}", stdout(output));
    let verdict = stdout(output).lines().last().unwrap();
    assert!(verdict.starts_with("broken: ") && verdict.contains(sentence), "{sentence}: {}", stdout(output));
    assert!(stderr(output).contains(sentence), "{}", stderr(output));
    let fails = stdout(output).lines().filter(|line| line.starts_with("  FAIL   ") && line.contains(sentence)).count();
    assert_eq!(fails, 1, "{}", stdout(output));
}

#[test]
fn a_working_language_model_is_reported_with_its_losses() {
    let found = parsed(&mixscope(["check", "demo", "--json"]));
    let test = &found["self_test"];
    assert_eq!((&test["ok"], &test["trained"]), (&json!(true), &json!(true)));
    let texts = test["texts"].as_array().unwrap();
    let names: Vec<&str> = texts.iter().map(|text| text["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["English", "French", "Spanish", "code"]);
    for text in texts {
        assert!(text["loss"].as_f64().unwrap() < 1.5 && text["tokens"].as_u64().unwrap() > 50, "{text}");
        assert!(text["per_byte"].as_f64().unwrap() < text["loss"].as_f64().unwrap());
    }
    for way in test["agreement"].as_array().unwrap() {
        assert_eq!(way["equal"][0], way["equal"][1], "{way}");
        assert!(way["equal"][1].as_u64().unwrap() > 1_000_000);
    }
    for router in test["routers"].as_array().unwrap() {
        let load: f64 = router["load"].as_array().unwrap().iter().map(|load| load.as_f64().unwrap()).sum();
        assert!((load - 1.0).abs() < 1e-9, "{router}");
        let entropy = router["entropy"].as_f64().unwrap();
        assert!(entropy > 0.1 && entropy < 8f64.ln(), "{router}");
        assert!(router["near_ties"].as_f64().unwrap() < 0.1, "{router}");
    }
    assert_eq!(test["definition"].as_array().unwrap().len(), 13);
    assert!(test["otherwise"].as_array().unwrap().len() > 5);
    let output = mixscope(["check", "demo"]);
    assert!(stdout(&output).contains("predicts plain text (loss in nats: English "), "{}", stdout(&output));
    assert!(output.stderr.is_empty());
}

#[test]
fn random_weights_are_sound_and_their_loss_is_not_judged() {
    for case in
        ["tiny-f32", "tiny-bf16", "tiny-f16", "gqa-headdim", "tied-window-legacy", "tied-window-modern", "top1", "top3"]
    {
        let (dir, _temp) = model_dir(case);
        for precision in ["hf", "f32"] {
            let found = parsed(&mixscope(["check", text(&dir), "--precision", precision, "--json"]));
            let test = &found["self_test"];
            assert_eq!((&test["ok"], &test["trained"]), (&json!(true), &json!(false)), "{case} {precision}: {test}");
            assert!(test["verdict"].as_str().unwrap().contains("its weights look random"));
        }
    }
    let short = fixture("malformed/context-16");
    let output = check(&short);
    assert_eq!(output.status.code(), Some(0));
    assert!(stdout(&output).contains("cut off"), "{}", stdout(&output));
}

#[test]
fn only_files_are_read_on_request() {
    let output = mixscope(["check", "demo", "--no-run"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(!stdout(&output).contains("self-test") && stdout(&output).contains("top-2 of 8"));
    let found = parsed(&mixscope(["check", "demo", "--no-run", "--json"]));
    assert!(found["self_test"].is_null());
    assert_fails(&mixscope(["check", "demo", "--no-run", "--against", "x"]), 2, "--no-run");
}

#[test]
fn a_config_that_was_not_trained_is_named_by_what_predicts_better() {
    let theta = demo_with(|config| drop(config.insert("rope_theta".to_owned(), json!(1e6))));
    is_broken(&check(theta.path()), "the RoPE base (rope_theta) is wrong");
    let verdict = stdout(&check(theta.path())).lines().last().unwrap().to_owned();
    assert!(verdict.starts_with("broken: with a RoPE base of 10000 the loss falls by "), "{verdict}");
    let window = demo_with(|config| drop(config.insert("sliding_window".to_owned(), json!(8))));
    is_broken(&check(window.path()), "the model was not trained with this sliding_window");
}

#[test]
fn weights_in_the_wrong_place_are_named_by_what_predicts_better() {
    let swapped = demo_weights(|bytes, place| {
        for (layer, expert) in (0..6).flat_map(|layer| (0..8).map(move |expert| (layer, expert))) {
            let of = |w: &str| place(&format!("model.layers.{layer}.block_sparse_moe.experts.{expert}.{w}.weight"));
            let (w1, w3) = (of("w1"), of("w3"));
            let (gate, up) = (bytes[w1.clone()].to_vec(), bytes[w3.clone()].to_vec());
            bytes[w1].copy_from_slice(&up);
            bytes[w3].copy_from_slice(&gate);
        }
    });
    is_broken(&check(swapped.path()), "w1 (gate) and w3 (up) are swapped");

    // As llama.cpp's converter stores q and k: rows of a head as adjacent pairs.
    let permuted = demo_weights(|bytes, place| {
        for (layer, part) in (0..6).flat_map(|layer| ["q_proj", "k_proj"].map(|part| (layer, part))) {
            let range = place(&format!("model.layers.{layer}.self_attn.{part}.weight"));
            let (d_head, row) = (16, 128 * 2);
            let before = bytes[range.clone()].to_vec();
            for (head, out) in bytes[range].chunks_exact_mut(d_head * row).enumerate() {
                for (i, out) in out.chunks_exact_mut(row).enumerate() {
                    let from = head * d_head + i % 2 * (d_head / 2) + i / 2;
                    out.copy_from_slice(&before[from * row..][..row]);
                }
            }
        }
    });
    is_broken(&check(permuted.path()), "the rows of q and k are permuted");

    let lost = demo_weights(|bytes, place| {
        for layer in 0..6 {
            let range = place(&format!("model.layers.{layer}.self_attn.o_proj.weight"));
            bytes[range].as_chunks_mut::<2>().0.reverse();
        }
    });
    is_broken(&check(lost.path()), "this is not a working language model; most often the RoPE base");
}

#[test]
fn the_embedding_is_tried_as_the_head() {
    let tied = demo_with(|config| drop(config.insert("tie_word_embeddings".to_owned(), json!(true))));
    let found = parsed(&mixscope(["check", text(tied.path()), "--json"]));
    let otherwise = found["self_test"]["otherwise"].as_array().unwrap();
    let head = otherwise.iter().find(|one| one["with"] == "the embedding in place of lm_head");
    let loss = head.unwrap_or_else(|| panic!("{otherwise:?}"))["loss"].as_f64().unwrap();
    // A file without a head of its own computes just this.
    let path = tied.path().join("model.safetensors");
    let original = std::fs::read(&path).unwrap();
    let tensors = SafeTensors::deserialize(&original).unwrap();
    let views = tensors.tensors().into_iter().filter(|(name, _)| name != "lm_head.weight");
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, safetensors::serialize(views, None).unwrap()).unwrap();
    let found = parsed(&mixscope(["check", text(tied.path()), "--json"]));
    assert_eq!(found["self_test"]["texts"][0]["loss"].as_f64().unwrap(), loss);
    let otherwise = found["self_test"]["otherwise"].as_array().unwrap();
    assert!(otherwise.iter().all(|one| one["with"] != "the embedding in place of lm_head"));
}

#[test]
fn what_no_trained_model_has_is_a_warning_that_names_it() {
    let warns = |model: &Path, words: &[&str]| {
        let output = check(model);
        let warnings: Vec<&str> = stdout(&output).lines().filter(|line| line.starts_with("  warn ")).collect();
        assert_eq!(warnings.len(), 1, "{}", stdout(&output));
        for word in words {
            assert!(warnings[0].contains(word), "{word}: {}", warnings[0]);
        }
        output
    };
    let eps = demo_with(|config| drop(config.insert("rms_norm_eps".to_owned(), json!(0.01))));
    warns(eps.path(), &["rms_norm_eps", "1e-8 to 1e-4", "1e-2"]);
    let topk = demo_with(|config| drop(config.insert("norm_topk_prob".to_owned(), json!(false))));
    let output = warns(topk.path(), &["norm_topk_prob", "divided by their sum", "false"]);
    assert_eq!(stdout(&output).lines().last(), Some("runs, with 1 warning"));
    let eos = demo_with(|config| drop(config.insert("eos_token_id".to_owned(), json!(32000))));
    warns(eos.path(), &["special token EOS", "below 4096", "32000"]);
    let gate = "model.layers.2.block_sparse_moe.gate.weight";
    let zero = demo_weights(|bytes, place| bytes[place(gate)].fill(0));
    warns(zero.path(), &[gate, "nothing but zeros"]);
    let huge =
        demo_weights(|bytes, place| bytes[place(gate)][..2].copy_from_slice(&half::bf16::from_f32(3e9).to_le_bytes()));
    warns(huge.path(), &[gate, "magnitudes below 10000", "3.0e9"]);
}

#[test]
fn files_that_do_not_belong_together_are_named() {
    let layers = demo_with(|config| drop(config.insert("num_hidden_layers".to_owned(), json!(5))));
    let output = check(layers.path());
    assert!(stdout(&output).contains("the files hold layer 5, and the config has 5 layers"), "{}", stdout(&output));
    let last = stdout(&output).lines().last().unwrap();
    assert!(last.starts_with("runs, with ") && last.ends_with(" warnings"), "{last}");

    let tokenizer = demo_with(|_| {});
    let path = tokenizer.path().join("tokenizer.json");
    let mut json: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    for id in json["model"]["vocab"].as_object_mut().unwrap().values_mut() {
        let old = id.as_u64().unwrap();
        *id = json!(if old < 300 { old } else { old + 2000 });
    }
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, json.to_string()).unwrap();
    let output = check(tokenizer.path());
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("embeddings: the tokenizer belongs to another model"), "{}", stderr(&output));

    let rotated = demo_weights(|bytes, place| {
        for layer in 0..6 {
            let range = place(&format!("model.layers.{layer}.block_sparse_moe.gate.weight"));
            bytes[range].rotate_left(128 * 2);
        }
    });
    is_broken(&check(rotated.path()), "this is not a working language model");
}

#[test]
fn a_little_better_is_a_warning_and_names_of_files_are_no_lines() {
    let theta = demo_with(|config| drop(config.insert("rope_theta".to_owned(), json!(1400.0))));
    let output = check(theta.path());
    assert_eq!(stdout(&output).lines().last(), Some("runs, with 1 warning"), "{}", stdout(&output));
    assert!(stdout(&output).contains("  warn   with a RoPE base of 10000 the loss falls by "), "{}", stdout(&output));
    let path = theta.path().join("model.safetensors");
    let original = std::fs::read(&path).unwrap();
    let tensors = SafeTensors::deserialize(&original).unwrap();
    let mut views: Vec<(String, safetensors::tensor::TensorView)> = tensors.tensors();
    let extra = views[0].1.clone();
    views.push(("x\n  ok     all is fine\nsound: yes".to_owned(), extra));
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, safetensors::serialize(views, None).unwrap()).unwrap();
    let output = check(theta.path());
    let forged = stdout(&output).lines().any(|line| {
        line.starts_with("sound: yes") || line.contains("ok     all is fine") && !line.contains("tensor `x")
    });
    assert!(!forged && stdout(&output).contains("x\\n  ok"), "{}", stdout(&output));
}

/// A debug build breaks its own model as ports do; a line of the report names each fault, under any policy.
#[cfg(debug_assertions)]
#[test]
fn the_fault_drill_is_caught_line_by_line() {
    let drill = [
        ("rope-base", "RoPE:", "the RoPE base is not the config's"),
        ("no-renormalisation", "mixing weights:", "no renormalisation"),
        ("whole-sequence-dispatch", "mixture:", "whole-sequence dispatch"),
        ("swapped-w1-w3", "experts:", "the roles of w1, w2 and w3"),
        ("router-softmax-bf16", "router softmax:", "the router's softmax is not in f32 over all experts"),
        ("sliding-window", "attention:", "a sliding window or mask that is not the config's"),
        ("permuted-qk", "projections:", "the rows of q and k are in another order"),
        ("norm-eps", "RMSNorm:", "the norm's epsilon (rms_norm_eps) or its gain is not the config's"),
    ];
    assert_eq!(drill.map(|(fault, ..)| fault), mixscope::model::FAULTS);
    let broken = |model: &str, fault: &str, precision: &str| {
        let state = tempfile::tempdir().unwrap();
        let mut command = command(state.path());
        command.env("MIXSCOPE_DRILL", fault);
        command.args(["check", model, "--precision", precision]).output().unwrap()
    };
    let tiny = fixture("tiny-f32/model");
    for (fault, operation, cause) in drill {
        for (model, precision) in [("demo", "hf"), (text(&tiny), "f32")] {
            let output = broken(model, fault, precision);
            is_broken(&output, cause);
            let verdict = stdout(&output).lines().last().unwrap();
            assert!(verdict.starts_with(&format!("broken: {operation}")), "{fault}: {verdict}");
        }
    }
    let whole = broken("demo", "whole-sequence-dispatch", "hf");
    assert!(stdout(&whole).contains("token by token: ") && stdout(&whole).contains("are not the prefill's"));
    let unknown = broken("demo", "no-such-fault", "hf");
    assert_fails(&unknown, 1, "there is no fault `no-such-fault`");
}
