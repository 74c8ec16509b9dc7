//! `--device`: products by candle, here on the CPU; f32 and GGUF references are held against it beside our own kernels.

use crate::support::cli::{assert_fails, command, mixscope, stderr, stdout};
use crate::support::{self, Recorder, Reference, equal_share, fixture, forward, load, record};
use mixscope::control::Control;
use mixscope::engine::{Capture, Live, Replay, attribution};
use mixscope::model::{Loaded, NoHooks, Variation};
use mixscope::trace::{Device, HookKind, Policy, Source, Values};
use serde_json::Value;
use std::sync::Arc;

fn elsewhere(case: &str, policy: Policy) -> Loaded {
    load(case, policy).on(Device::Candle).unwrap()
}

fn session(loaded: &Arc<Loaded>, ids: &[u32]) -> Live {
    let mut session = Live::new(loaded.clone(), Capture::for_views(loaded.meta.dims.layers), 5);
    session.extend(ids, Source::Prompt, &Control::none()).unwrap();
    session
}

#[test]
fn rounding_is_that_of_transformers() {
    let reference = Reference::read("tiny-bf16", "reference");
    let loaded = elsewhere("tiny-bf16", Policy::Hf);
    let layers = loaded.meta.dims.layers;
    let mut fed = Recorder::default();
    for hook in (0..layers).map(|layer| HookKind::ResidPre.at(layer)) {
        fed.replace.insert(hook, reference.trace.get(&hook.to_string()).unwrap().clone());
    }
    forward(&loaded, &reference.ids(), &mut loaded.model.new_cache(), &mut fed);
    let end_to_end = record(&loaded, &reference.ids());
    for (name, got) in &fed.seen {
        match &reference.trace.get(name).unwrap().values {
            // In the order of their probabilities.
            Values::U32(want) => {
                for got in [got, &end_to_end.seen[name]] {
                    assert_eq!(&got.iter().map(|x| *x as u32).collect::<Vec<_>>(), want, "{name}");
                }
            }
            Values::F32(want) => {
                let always_f32 = name.parse::<mixscope::trace::Hook>().unwrap().kind.always_f32();
                let close = |(a, b): &(&f32, &f32)| (*a - *b).abs() <= 1e-6;
                let share = match always_f32 {
                    true => got.iter().zip(want).filter(close).count() as f64 / got.len() as f64,
                    false => equal_share(got, want),
                };
                assert!(share >= 0.95, "{name}: {:.2} % bit-equal", share * 100.0);
            }
        }
    }
}

#[test]
fn a_tokens_values_do_not_depend_on_what_is_read_with_it() {
    for (case, policy) in [("tiny-bf16", Policy::Hf), ("tiny-f32", Policy::Hf), ("top3", Policy::F32Router)] {
        let loaded = elsewhere(case, policy);
        let ids = Reference::read(case, "reference").ids();
        let whole = forward(&loaded, &ids, &mut loaded.model.new_cache(), &mut NoHooks);
        for size in [1, 7, 33] {
            let mut cache = loaded.model.new_cache();
            let parts: Vec<f32> =
                ids.chunks(size).flat_map(|ids| forward(&loaded, ids, &mut cache, &mut NoHooks)).collect();
            assert!(parts == whole, "{case} in pieces of {size}");
        }
    }
}

#[test]
fn what_is_derived_later_is_what_the_pass_had() {
    let loaded = Arc::new(elsewhere("tiny-bf16", Policy::Hf));
    let ids = Reference::read("tiny-bf16", "reference").ids();
    let recorded = record(&loaded, &ids);
    let (d, precision) = (loaded.meta.dims, support::precision(&loaded));
    let logits = &recorded.seen["unembed.hook_out"];
    let last = &recorded.seen[&HookKind::ResidPost.at(d.layers - 1).to_string()];
    assert!(loaded.model.lens(last, precision).unwrap() == *logits);
    let session = session(&loaded, &ids);
    let (pos, target) = (ids.len() - 2, ids[ids.len() - 1]);
    let found = attribution(&session, pos, target, 0..d.layers, &Control::none()).unwrap();
    assert_eq!(found.logit, logits[pos * d.vocab + target as usize]);
    for layer in 0..d.layers {
        let outputs = loaded.model.derive_expert_out(&session.tokens()[pos], layer, precision).unwrap().unwrap();
        let width = d.top_k * d.d_model;
        let want = &recorded.seen[&HookKind::ExpertOut.at(layer).to_string()][pos * width..][..width];
        assert!(outputs == want, "layer {layer}");
    }
}

#[test]
fn copies_of_weights_that_are_read_differently_are_kept_apart() {
    let loaded = elsewhere("tiny-bf16", Policy::Hf);
    let here = load("tiny-bf16", Policy::Hf);
    let ids = Reference::read("tiny-bf16", "reference").ids();
    let precision = support::precision(&loaded);
    let variations = [Variation::NormEps(1e-5), Variation::PermutedHeads, Variation::SwappedGateUp];
    let logits = |loaded: &Loaded, variation: Variation| {
        let model = loaded.model.varied(variation);
        model.forward(&ids, &mut model.new_cache(), precision, &mut NoHooks, &Control::none()).unwrap()
    };
    let apart = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
    let wants = variations.map(|variation| logits(&here, variation));
    for (i, variation) in variations.into_iter().enumerate() {
        let got = logits(&loaded, variation);
        let far = wants.each_ref().map(|want| apart(&got, want));
        // What rounding does is far less than what another reading of the weights does.
        for (j, other) in far.iter().enumerate().filter(|(j, _)| *j != i) {
            assert!(far[i] * 4.0 < *other, "{variation}: {} from itself, {other} from {}", far[i], variations[j]);
        }
    }
}

#[test]
fn the_device_is_named_in_what_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let run = |device: &str| {
        let mut run = command(dir.path());
        run.args(["run", "demo", "--prompt", "Once", "--steps", "2", "--force", "--quiet", "--device", device]);
        let output = run.arg("--out").arg(&out).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let json: Value = serde_json::from_slice(&std::fs::read(out.join("run.json")).unwrap()).unwrap();
        let trace = mixscope::trace::TraceFile::read(&out.join("trace.safetensors")).unwrap();
        let made: Value = serde_json::from_str(&trace.metadata["provenance"]).unwrap();
        (json["device"].clone(), made["device"].clone(), json["generated_ids"].clone())
    };
    let (here, there) = (run("cpu"), run("candle"));
    assert_eq!((&here.0, &here.1), (&"cpu".into(), &"cpu".into()));
    assert_eq!((&there.0, &there.1), (&"candle".into(), &"candle".into()));
    assert_eq!(here.2, there.2);

    let trace = out.join("trace.safetensors");
    // A saved run is still that of its device, and of none if it does not say.
    let saved = Replay::open(&trace).unwrap();
    assert_eq!(saved.meta().computed_on().as_deref(), Some("candle"));
    let recorded = Replay::open(&fixture("tiny-bf16/reference.safetensors")).unwrap();
    assert_eq!(recorded.meta().computed_on(), None);

    let diff = mixscope(["diff", trace.to_str().unwrap(), trace.to_str().unwrap()]);
    assert!(stdout(&diff).contains("· precision hf · device candle · demo\n"), "{}", stdout(&diff));
    let info = mixscope(["info", "demo", "--device", "candle"]);
    assert!(stdout(&info).contains("\ndevice        candle\n"), "{}", stdout(&info));
    let info: Value = serde_json::from_slice(&mixscope(["info", "demo", "--json"]).stdout).unwrap();
    assert_eq!((&info["device"], &info["copied_bytes"]), (&"cpu".into(), &Value::Null));
    let info: Value =
        serde_json::from_slice(&mixscope(["info", "demo", "--json", "--device", "candle"]).stdout).unwrap();
    assert!(info["copied_bytes"].as_u64() > info["weight_bytes"].as_u64(), "{info}");
    assert!(info["verdict"].as_str().unwrap().starts_with("fits: candle uses f32 copies of the weights"), "{info}");
}

#[test]
fn the_self_test_and_a_recording_pass_there() {
    let check = mixscope(["check", "demo", "--device", "candle"]);
    assert_eq!(check.status.code(), Some(0), "{}", stdout(&check));
    assert!(stdout(&check).contains("token by token = one prefill"));
    assert!(stdout(&check).starts_with("demo (small model trained for mixscope) · device candle\n"));
    let (model, trace) = (fixture("tiny-bf16/model"), fixture("tiny-bf16/reference.safetensors"));
    let args = ["check", model.to_str().unwrap(), "--against", trace.to_str().unwrap(), "--device", "candle"];
    let check = mixscope(args);
    assert_eq!(check.status.code(), Some(0), "{}", stdout(&check));
}

#[test]
fn without_weights_in_place_bench_has_no_floor() {
    let bench = ["bench", "demo", "--prompt-tokens", "4", "--steps", "2", "--quiet", "--device", "candle"];
    let output = mixscope(bench);
    let text = stdout(&output);
    assert!(text.contains("· candle\n") && text.contains("–\n"), "{text}");
    assert!(!text.contains("streaming read ") && !text.contains("at least"), "{text}");
    let found: Value = serde_json::from_slice(&mixscope(bench.into_iter().chain(["--json"])).stdout).unwrap();
    assert_eq!((&found["device"], &found["bandwidth"]), (&"candle".into(), &Value::Null));
    assert_eq!((&found["bare"]["of_floor"], &found["captured"]["of_floor"]), (&Value::Null, &Value::Null));
    assert!(found["bare"]["step_ms"].as_f64().unwrap() > 0.0);
}

#[test]
fn devices_that_are_not_there_are_refused() {
    for command in ["run --out x", "check", "lab --out x", "bench", "info", ""] {
        let args = |device| command.split_whitespace().chain(["--device", device]);
        let message = "`gpu` is not one of cpu, candle, cuda, cuda:N, metal, metal:N";
        assert_fails(&mixscope(args("gpu")), 2, message);
        if cfg!(not(feature = "cuda")) {
            assert_fails(
                &mixscope(args("cuda:1")),
                2,
                "this build can't use cuda:1: build mixscope with `--features cuda`",
            );
        }
        if cfg!(not(feature = "metal")) {
            assert_fails(&mixscope(args("metal")), 2, "build mixscope with `--features metal`");
        }
    }
}

#[test]
#[cfg(not(feature = "cuda"))]
fn a_device_of_the_configuration_matters_once_it_is_used() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("config.toml");
    std::fs::write(&config, "[defaults]\ndevice = \"cuda:1\"\n").unwrap();
    let explore = |args: &[&str]| {
        let args = ["--config", config.to_str().unwrap()].into_iter().chain(args.iter().copied());
        command(dir.path()).args(args).output().unwrap()
    };
    let printed = explore(&["--print-config"]);
    assert!(stdout(&printed).contains("device = \"cuda:1\""), "{}", stderr(&printed));
    let message = "`device` in [defaults] of the configuration: this build can't use cuda:1: build mixscope with `--features cuda`";
    assert_fails(&explore(&[]), 1, message);
    // Nor does a saved run use it.
    let trace = fixture("tiny-bf16/reference.safetensors");
    assert_fails(&explore(&[trace.to_str().unwrap()]), 2, "the explorer needs a terminal");
    // What the command line says comes first: now only the terminal is missing.
    assert_fails(&explore(&["--device", "cpu"]), 2, "the explorer needs a terminal");
}
