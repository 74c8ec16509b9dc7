//! Recordings of other programs: names, forms and axes that the trace format does not have.

use crate::support::cli::{assert_fails, command, stderr, stdout};
use crate::support::fixture;
use crate::support::recordings::{check, diff, edited, floats, insert, lens4, parsed, reference, text};
use mixscope::trace::{TraceFile, Values};
use serde_json::json;
use std::path::PathBuf;

/// Layers of the fixture.
const LAYERS: usize = 3;

fn changed(change: impl FnOnce(&mut TraceFile)) -> (tempfile::TempDir, PathBuf) {
    edited(&reference("tiny-f32", "reference"), "t.safetensors", change)
}

/// What is said of a recording.
const SAID: [&str; 5] = [
    "names of TransformerLens: `mlp.gate.hook_out` as `mlp.hook_router_logits`",
    "and 2 more: each row has 2 numbers that are not 0: read as `mlp.hook_mixing_weights` and `mlp.hook_expert_indices`",
    "a batch axis of 1 is left out",
    "tensors that are not known: 2: `blocks.0.mlp.hook_speed` and 1 more; they are not used",
    "(TransformerLens 4)",
];

#[test]
fn a_cache_of_transformer_lens_4_is_read_as_what_it_holds() {
    let (whole, (_folder, cache)) = (reference("tiny-f32", "reference"), changed(lens4));
    let output = diff(&whole, &cache, &["--tolerance", "0"]);
    let report = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{report}{}", stderr(&output));
    for said in SAID {
        assert!(report.contains(said), "no {said:?} in {report}");
    }
    assert!(!report.contains("hook_attn_scores") && !report.contains("hook_normalized"), "known: {report}");
    let output = diff(&whole, &cache, &["--tolerance", "0", "--json"]);
    let found = parsed(&output);
    assert_eq!(found["b"]["notes"].as_array().unwrap().len(), 4, "{}", found["b"]);
    assert_eq!(found["a"]["notes"], json!([]));
    let names: Vec<&str> = (0..LAYERS).map(|l| ["blocks.0", "blocks.1", "blocks.2"][l]).collect();
    let softmax: Vec<String> = names.iter().map(|name| format!("{name}.mlp.hook_expert_weights")).collect();
    assert_eq!(found["comparison"]["only_in"], json!([softmax, []]), "everything else is in both");

    let model = fixture("tiny-f32/model");
    let output = check(&model, &cache, &[]);
    let report = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{report}{}", stderr(&output));
    assert!(SAID.iter().all(|said| report.contains(said)), "{report}");
}

#[test]
fn experts_that_are_recorded_beside_dense_weights_keep_their_order() {
    let (_folder, cache) = changed(|trace| {
        let all: Vec<_> =
            (0..LAYERS).map(|l| trace.tensors[&format!("blocks.{l}.mlp.hook_expert_indices")].clone()).collect();
        lens4(trace);
        for (layer, mut chosen) in all.into_iter().enumerate() {
            // Worst first.
            let Values::U32(values) = &mut chosen.values else { unreachable!() };
            values.chunks_exact_mut(2).for_each(<[u32]>::reverse);
            trace.tensors.insert(format!("blocks.{layer}.mlp.hook_expert_indices"), chosen);
        }
    });
    let (_other, reversed) = changed(|trace| {
        for layer in 0..LAYERS {
            for hook in ["hook_expert_indices", "hook_mixing_weights"] {
                match &mut trace.tensors.get_mut(&format!("blocks.{layer}.mlp.{hook}")).unwrap().values {
                    Values::U32(values) => values.chunks_exact_mut(2).for_each(<[u32]>::reverse),
                    Values::F32(values) => values.chunks_exact_mut(2).for_each(<[f32]>::reverse),
                }
            }
        }
    });
    let output = diff(&reversed, &cache, &["--tolerance", "0"]);
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
}

#[test]
fn a_cache_of_transformer_lens_2_is_read_as_what_it_holds() {
    let (_folder, cache) = changed(|trace| {
        for layer in 0..LAYERS {
            let name = |hook: &str| format!("blocks.{layer}.mlp.{hook}");
            let weights = trace.tensors.remove(&name("hook_mixing_weights")).unwrap();
            trace.tensors.remove(&name("hook_router_logits")).unwrap();
            trace.tensors.insert(name("hook_expert_weights"), weights);
            insert(trace, &name("experts.0.hook_pre_linear"), &[1], Values::F32(vec![0.0]));
        }
        let logits = trace.tensors.remove("unembed.hook_out").unwrap();
        trace.tensors.insert("logits".to_owned(), logits);
        trace.tensors.values_mut().for_each(|tensor| tensor.shape.insert(0, 1));
    });
    let output = diff(&reference("tiny-f32", "reference"), &cache, &["--tolerance", "0"]);
    let report = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{report}{}", stderr(&output));
    let said = "and 2 more: one number for each of `mlp.hook_expert_indices`: read as `mlp.hook_mixing_weights`";
    for said in [said, "names of TransformerLens: `logits` as `unembed.hook_out`", "6 hooks are only in A"] {
        assert!(report.contains(said), "no {said:?} in {report}");
    }
    assert!(!report.contains("not known"), "{report}");
}

#[test]
fn router_logits_that_are_probabilities_are_read_as_such() {
    let probabilities = |trace: &mut TraceFile| {
        for layer in 0..LAYERS {
            let probs = trace.tensors.remove(&format!("blocks.{layer}.mlp.hook_expert_weights")).unwrap();
            trace.tensors.insert(format!("blocks.{layer}.mlp.hook_router_logits"), probs);
        }
    };
    let (whole, (_folder, early)) = (reference("tiny-f32", "reference"), changed(probabilities));
    let output = diff(&whole, &early, &["--tolerance", "0"]);
    let report = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{report}{}", stderr(&output));
    assert!(report.contains("`blocks.0.mlp.hook_router_logits` and 2 more: its rows are probabilities"), "{report}");
    assert!(report.contains("3 hooks are only in A, first `blocks.0.mlp.hook_router_logits`"), "{report}");
    let output = check(&fixture("tiny-f32/model"), &early, &[]);
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
}

#[test]
fn expert_weights_of_another_width_are_refused_where_the_mixing_weights_are_recorded_too() {
    let (_folder, cache) = changed(|trace| {
        let weights = trace.tensors.get_mut("blocks.1.mlp.hook_expert_weights").unwrap();
        let pos = weights.shape[0];
        weights.shape = vec![pos, 3];
        weights.values = Values::F32(vec![0.25; pos * 3]);
    });
    let output = check(&fixture("tiny-f32/model"), &cache, &[]);
    assert_fails(&output, 1, "blocks.1.mlp.hook_expert_weights");
}

#[test]
fn a_batch_of_several_texts_is_refused_by_name() {
    let (_folder, batch) = changed(|trace| {
        let embed = trace.tensors.get_mut("hook_embed").unwrap();
        embed.shape = vec![3, embed.shape[0] / 3, embed.shape[1]];
    });
    let whole = reference("tiny-f32", "reference");
    assert_fails(&diff(&whole, &batch, &[]), 1, "t.safetensors: `hook_embed`: expected one text, found a batch of 3");
    assert_fails(&check(&fixture("tiny-f32/model"), &batch, &[]), 1, "a batch of 3; record one text");
}

/// The fixture up to a position, with another token there if `other`.
fn up_to(end: usize, other: bool) -> (tempfile::TempDir, PathBuf) {
    changed(|trace| {
        let n = trace.tensors["tokens"].shape[0];
        let keep = if other { end + 1 } else { end };
        for tensor in trace.tensors.values_mut() {
            let is_pattern = tensor.shape.len() == 3 && tensor.shape[1..] == [n, n];
            let row: usize = tensor.shape[1..].iter().product();
            match &mut tensor.values {
                Values::F32(values) if is_pattern => {
                    let rows = values.chunks_exact(n * n).flat_map(|head| head.chunks_exact(n).take(keep));
                    *values = rows.flat_map(|row| &row[..keep]).copied().collect();
                    tensor.shape[1..].fill(keep);
                }
                Values::F32(values) => {
                    values.truncate(keep * row);
                    tensor.shape[0] = keep;
                }
                Values::U32(values) => {
                    values.truncate(keep * row);
                    tensor.shape[0] = keep;
                }
            }
        }
        if other {
            let Values::U32(ids) = &mut trace.tensors.get_mut("tokens").unwrap().values else { unreachable!() };
            ids[end] += 1;
            floats(trace, "hook_embed").iter_mut().skip(end * 64).for_each(|x| *x += 1.0);
        }
        trace.metadata.remove("token_texts");
    })
}

#[test]
fn texts_are_compared_as_far_as_they_are_the_same() {
    let whole = reference("tiny-f32", "reference");
    for other in [false, true] {
        let (_folder, part) = up_to(20, other);
        for (a, b) in [(&whole, &part), (&part, &whole)] {
            let output = diff(a, b, &["--tolerance", "0"]);
            let report = stdout(&output);
            assert_eq!(output.status.code(), Some(0), "{report}{}", stderr(&output));
            assert!(report.contains("the texts differ from position 20 on ("), "{report}");
            assert!(report.contains("hooks of 20 tokens"), "{report}");
        }
        let found = &parsed(&diff(&whole, &part, &["--json"]))["comparison"];
        let prefix = &found["common_prefix"];
        assert_eq!((&prefix["length"], &found["tokens"]), (&json!(20), &json!(20)));
        assert_eq!(prefix["tokens"], json!([39, if other { 21 } else { 20 }]));
        assert_eq!(prefix["next_ids"][1].is_null(), !other, "{prefix}");
        assert_eq!(found["loss"]["nll"][0].as_array().unwrap().len(), 19);
    }
    assert!(parsed(&diff(&whole, &whole, &["--json"]))["comparison"]["common_prefix"].is_null());
}

#[test]
fn texts_with_no_token_in_common_are_refused() {
    let whole = reference("tiny-f32", "reference");
    let (_folder, other) = up_to(0, true);
    assert_fails(&diff(&whole, &other, &[]), 1, "A begins with id");
    let state = tempfile::tempdir().unwrap();
    let output = command(state.path()).args(["open", text(&whole), "--against", text(&other)]).output().unwrap();
    assert_fails(&output, 1, "the texts differ from position 0 on");
    let view = ["--view", "fidelity.loss", "--format", "csv", "-o", "-"];
    let export = |other: &PathBuf| {
        command(state.path()).args(["export", text(&whole), "--against", text(other)]).args(view).output().unwrap()
    };
    assert_fails(&export(&other), 1, "the texts differ from position 0 on");
    let (_folder, part) = up_to(20, true);
    let output = export(&part);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).contains("the texts differ from position 20 on"), "{}", stderr(&output));
    assert_eq!(stdout(&output).lines().count(), 21);
}
