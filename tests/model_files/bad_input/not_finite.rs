//! Weights and values that are NaN or infinite.

use super::*;

#[test]
fn weights_that_are_nan_stop_the_run_at_the_hook_where_they_show() {
    let (output, files) = run(&fixture("malformed/nan-weight"), &["--prompt-ids", "1,3,4,5", "--steps", "2"]);
    assert_refused(&output, &["NaN", "blocks.0.mlp.", "experts.0.w1.weight"], "nan-weight");
    assert_finite(&files);
    for policy in ["f32", "f32-router"] {
        let args = ["--prompt-ids", "1,3,4,5", "--precision", policy, "--quiet"];
        let (output, files) = run(&fixture("malformed/nan-weight"), &args);
        assert_refused(&output, &["NaN", "blocks.0.mlp."], policy);
        assert_finite(&files);
    }
}

#[test]
fn what_was_computed_before_a_nan_is_kept() {
    // Only token 300 has a NaN, so all before it is sound.
    let model = with_values("model.embed_tokens.weight", 300, &[f32::NAN]);
    let ids = (0..70).map(|i| (3 + i).to_string()).chain(["300".to_owned()]).collect::<Vec<_>>().join(",");
    let (output, files) = run(model.path(), &["--prompt-ids", &ids, "--steps", "2"]);
    assert_refused(&output, &["NaN", "hook_embed", "position 70"], "the message");
    let kept = rows(&files, "tokens.csv").len();
    assert_eq!(kept, 70);
    assert_mentions(message(&output), &[&format!("{kept} tokens")], "the message");
    assert_finite(&files);
    assert!(files.contains_key("run.json") && files.contains_key("trace.safetensors"), "{:?}", files.keys());
    let trace = mixscope::trace::TraceFile::parse(&files["trace.safetensors"]).unwrap();
    assert_eq!(trace.get("tokens").unwrap().shape, [kept]);
    for (name, tensor) in trace.tensors.iter().filter(|(_, tensor)| tensor.u32().is_err()) {
        assert!(tensor.f32().unwrap().iter().all(|x| x.is_finite()), "{name}");
    }
}

#[test]
fn infinite_weights_and_overflow_stop_the_run() {
    let infinite = with_values("model.norm.weight", 0, &[f32::INFINITY]);
    let (output, files) = run(infinite.path(), &["--prompt-ids", "1,3,4", "--steps", "2"]);
    assert_refused(&output, &["infinite", "ln_final.hook_out", "model.norm.weight"], "infinite");
    assert_finite(&files);
    let huge = with_values("lm_head.weight", 5, &[f32::MAX; 16]);
    let (output, files) = run(huge.path(), &["--prompt-ids", "1,3,4", "--steps", "2"]);
    assert_refused(&output, &["finite", "unembed.hook_out"], "huge");
    assert_finite(&files);
}

#[test]
fn a_lab_names_the_policy_under_which_values_are_not_finite() {
    // 1e6 is a number in f32 and infinite in f16.
    let large = with_values("model.layers.0.post_attention_layernorm.weight", 0, &[1e6; 16]);
    let temp = tempfile::tempdir().unwrap();
    let fixed = ["lab".as_ref(), large.path().as_os_str(), "--out".as_ref(), temp.path().as_os_str()];
    let lab = |args: &[&str]| mixscope(fixed.into_iter().chain(args.iter().map(OsStr::new)));
    let args = ["--prompt-ids", "1,3,4", "--dtype", "f16", "--base", "f32", "--policies"];
    assert_refused(&lab(&[&args[..], &["hf"]].concat()), &["under the policy hf", "infinity", "blocks.0."], "f16");
    assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), 0, "nothing is left behind");
    let output = lab(&[&args[..], &["bf16"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", message(&output));
}
