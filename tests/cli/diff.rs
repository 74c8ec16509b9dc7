//! `mixscope diff`: what two recordings have in common, and where they part.

use crate::support::cli::{assert_fails, mixscope, read_json, stderr, stdout};
use crate::support::fixture;
use crate::support::recordings::{diff, edited, floats, parsed, reference, text};
use mixscope::trace::TraceFile;
use serde_json::{Value, json};
use std::path::Path;

#[test]
fn diff_names_the_first_difference_of_two_recordings() {
    let a = reference("tiny-bf16", "reference");
    let b = reference("tiny-bf16", "reference_eager_experts");
    let output = diff(&a, &b, &[]);
    let report = stdout(&output);
    for part in ["attn_out", "mlp_out", "resid_post", "flips", "mean loss", "top-1 changed", "Jaccard"] {
        assert!(report.contains(part), "no {part} in {report}");
    }
    assert!(report.contains("first difference: layer 0, `blocks.0.hook_mlp_out`, position 0"), "{report}");
    let strict = diff(&a, &b, &["--tolerance", "0", "--json"]);
    assert_eq!(strict.status.code(), Some(1));
    let found = &parsed(&strict)["comparison"];
    assert_eq!(found["ok"], false);
    assert_eq!(found["first_difference"], json!({"hook": "blocks.0.hook_mlp_out", "layer": 0, "position": 0}));
    let hook = |name: &str| {
        let hooks = found["hooks"].as_array().unwrap();
        hooks.iter().find(|hook| hook["hook"] == name).unwrap().clone()
    };
    let mlp = hook("blocks.0.hook_mlp_out");
    for key in ["layer", "dtypes", "values", "equal", "equal_rounded", "max_abs", "mean_abs", "relative_l2"] {
        assert!(mlp.get(key).is_some(), "{key}");
    }
    for key in ["max_steps", "non_finite", "first_unequal", "beyond", "first_beyond", "ok"] {
        assert!(mlp.get(key).is_some(), "{key}");
    }
    // Against the definition, straight from the two files.
    let read =
        |path: &Path| TraceFile::read(path).unwrap().get("blocks.0.hook_mlp_out").unwrap().f32().unwrap().to_vec();
    let (x, y) = (read(&a), read(&b));
    let equal = x.iter().zip(&y).filter(|(x, y)| x == y).count();
    let largest = x.iter().zip(&y).map(|(x, y)| f64::from((x - y).abs())).fold(0.0, f64::max);
    assert_eq!((mlp["equal"].as_u64().unwrap() as usize, mlp["max_abs"].as_f64().unwrap()), (equal, largest));
    let routing = &found["routing"][0];
    for key in ["layer", "tokens", "flips", "near_ties", "first_flips", "jaccard", "kl_mean", "kl_max", "at"] {
        assert!(routing.get(key).is_some(), "{key}");
    }
    assert_eq!(found["loss"]["nll"][0].as_array().unwrap().len() + 1, found["tokens"].as_u64().unwrap() as usize);
}

#[test]
fn losses_of_a_diff_are_those_that_transformers_computed() {
    let (a, b) = (reference("tiny-bf16", "reference"), reference("tiny-bf16", "reference_float32"));
    let output = diff(&a, &b, &["--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let found = &parsed(&output)["comparison"];
    for (side, stem) in ["reference", "reference_float32"].into_iter().enumerate() {
        let json = read_json(&fixture("tiny-bf16").join(format!("{stem}.json")));
        let (got, want) = (found["loss"]["mean"][side].as_f64().unwrap(), json["mean_loss"].as_f64().unwrap());
        assert!((got - want).abs() < 1e-5, "{stem}: {got} {want}");
    }
    assert_eq!(found["dtypes"], json!(["bf16", "f32"]));
    assert!(found["hooks"][0]["equal_rounded"].is_u64());
}

#[test]
fn flips_of_a_diff_are_those_that_the_precision_lab_counted() {
    let lab = fixture("precision-lab");
    let output = diff(&lab.join("reference_f32.safetensors"), &lab.join("reference_bf16.safetensors"), &["--json"]);
    let found = &parsed(&output)["comparison"];
    let counted = &read_json(&lab.join("lab.json"))["f32 -> bf16"]["flips"];
    let flips: Vec<Value> = found["routing"].as_array().unwrap().iter().map(|layer| layer["flips"].clone()).collect();
    assert_eq!(&Value::Array(flips), counted);
    // Attention's output is not in the f32 fixture, so that the input of the layer is equal does not blame the router.
    let input = json!({"hook": "blocks.0.hook_resid_pre", "equal": true, "immediate": false});
    assert_eq!(found["first_flip"]["input"], input);
}

#[test]
fn one_changed_value_is_found_in_any_subset() {
    let whole = reference("tiny-f32", "reference");
    let name = "blocks.1.hook_attn_out";
    let (_folder, subset) = edited(&whole, "t.safetensors", |trace| {
        trace.tensors.retain(|key, _| key == "tokens" || key == name);
        floats(trace, name)[7 * 64 + 2] += 0.5;
    });
    let output = diff(&whole, &subset, &[]);
    assert_eq!(output.status.code(), Some(1));
    let report = stdout(&output);
    assert!(report.contains(&format!("first difference: layer 1, `{name}`, position 7")), "{report}");
    assert!(report.contains("hooks are only in A, first `hook_embed`"), "{report}");
    assert!(stderr(&output).contains("1 of 1 hooks differ by more than allowed"), "{}", stderr(&output));
    assert_eq!(diff(&whole, &subset, &["--tolerance", "0.6"]).status.code(), Some(0));
    let (_folder, nan) = edited(&whole, "t.safetensors", |trace| floats(trace, name)[0] = f32::NAN);
    let output = diff(&whole, &nan, &["--tolerance", "9"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("0 values of A, 1 of B are NaN or infinite"), "{}", stdout(&output));
    let (_folder, other) = edited(&whole, "t.safetensors", |trace| {
        trace.tensors.retain(|key, _| key == "tokens" || key == "ln_final.hook_out");
    });
    assert_fails(&diff(&subset, &other, &[]), 1, "no hook in common");
}

#[test]
fn recordings_that_cannot_be_compared_say_why() {
    let whole = reference("tiny-f32", "reference");
    let other = reference("top1", "reference");
    assert_fails(&diff(&whole, &other, &[]), 1, "`hook_embed`: expected shape [1, 64] as in A, found [1, 32] in B");
    assert_fails(&diff(&whole, &fixture("tiny-f32/model/model.safetensors"), &[]), 1, "is not a saved run");
    assert_fails(&mixscope(["diff", text(&whole)]), 2, "required");
    assert_fails(
        &diff(&whole, &whole, &["--tolerance", "NaN"]),
        2,
        "--tolerance: expected a number of at least 0, found `NaN`",
    );
    let (_folder, narrow) = edited(&whole, "t.safetensors", |trace| {
        let tensor = trace.tensors.get_mut("ln_final.hook_out").unwrap();
        tensor.shape = vec![tensor.shape[0], 32, 2];
    });
    assert_fails(
        &diff(&whole, &narrow, &[]),
        1,
        "`ln_final.hook_out`: expected shape [39, 64] as in A, found [39, 32, 2]",
    );
    let folder = tempfile::tempdir().unwrap();
    let cut = folder.path().join("cut.safetensors");
    let bytes = std::fs::read(&whole).unwrap();
    std::fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
    assert_fails(&diff(&whole, &cut, &[]), 1, "the file is damaged or was cut off");
    std::fs::write(&cut, &bytes[..3000]).unwrap();
    assert_eq!(diff(&whole, &cut, &[]).status.code(), Some(1));
}
