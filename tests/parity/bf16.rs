//! The `hf` policy against transformers in bf16: rounding points, routing, loss.

use crate::support::{Recorder, Reference, equal_share, fixture, forward, in_recordings, load, record};
use mixscope::model::{Distribution, Loaded, NoHooks};
use mixscope::trace::{Hook, HookKind, Policy, TraceFile, Values};

fn losses(loaded: &Loaded, ids: &[u32]) -> Vec<f32> {
    let logits = forward(loaded, ids, &mut loaded.model.new_cache(), &mut NoHooks);
    let rows: Vec<Distribution> = logits.chunks_exact(loaded.meta.dims.vocab).map(Distribution::of).collect();
    ids[1..].iter().zip(&rows).map(|(id, row)| -row.log_prob(*id as usize) as f32).collect()
}

fn mean(values: &[f32]) -> f32 {
    values.iter().sum::<f32>() / values.len() as f32
}

/// Tokens of a layer whose set of chosen experts differs.
fn flips(got: &[f32], want: &[u32], k: usize) -> usize {
    let set = |chosen: Vec<u32>| chosen.into_iter().collect::<std::collections::BTreeSet<_>>();
    let got = got.chunks_exact(k).map(|row| set(row.iter().map(|x| *x as u32).collect()));
    got.zip(want.chunks_exact(k)).filter(|(got, want)| *got != set(want.to_vec())).count()
}

#[test]
fn each_layer_fed_the_references_input_reproduces_95_percent_bit_for_bit() {
    let loaded = load("tiny-bf16", Policy::Hf);
    let reference = Reference::read("tiny-bf16", "reference");
    let mut hooks = Recorder::default();
    for layer in 0..loaded.meta.dims.layers {
        let hook = HookKind::ResidPre.at(layer);
        hooks.replace.insert(hook, reference.trace.get(&hook.to_string()).unwrap().clone());
    }
    forward(&loaded, &reference.ids(), &mut loaded.model.new_cache(), &mut hooks);
    let mut compared = 0;
    for (name, got) in &hooks.seen {
        let want = reference.trace.get(name).unwrap();
        compared += 1;
        match &want.values {
            Values::U32(want) => assert_eq!(flips(got, want, loaded.meta.dims.top_k), 0, "{name}"),
            Values::F32(want) => {
                let share = equal_share(got, want);
                // The always-f32 tensors are a softmax of router logits: equal where those are, up to f32 rounding.
                let always_f32 = name.parse::<Hook>().unwrap().kind.always_f32();
                let share = if always_f32 { close_share(got, want, 1e-6) } else { share };
                assert!(share >= 0.95, "{name}: {:.2} % bit-equal", share * 100.0);
            }
        }
    }
    let all = Hook::all(loaded.meta.dims).filter(|hook| in_recordings(*hook)).count();
    assert_eq!(compared + hooks.replace.len(), all);
}

fn close_share(got: &[f32], want: &[f32], abs: f32) -> f64 {
    got.iter().zip(want).filter(|(a, b)| (*a - *b).abs() <= abs).count() as f64 / got.len() as f64
}

fn is_product(kind: HookKind) -> bool {
    use HookKind::{AttnOut, ExpertOut, K, Logits, Q, RouterLogits, V};
    matches!(kind, Q | K | V | AttnOut | RouterLogits | ExpertOut | Logits)
}

#[test]
fn end_to_end_no_expert_flips_and_the_loss_agrees() {
    let loaded = load("tiny-bf16", Policy::Hf);
    let reference = Reference::read("tiny-bf16", "reference");
    let ids = reference.ids();
    let recorded = record(&loaded, &ids);
    for (name, got) in &recorded.seen {
        let want = reference.trace.get(name).unwrap();
        match &want.values {
            Values::U32(want) => assert_eq!(flips(got, want, loaded.meta.dims.top_k), 0, "{name}"),
            Values::F32(want) => {
                let hook: Hook = name.parse().unwrap();
                let first = hook.kind == HookKind::Embed || (hook.layer == 0 && !hook.kind.is_global());
                let least = if first { 0.95 } else { 0.60 };
                let always_f32 = hook.kind.always_f32();
                let share = if always_f32 { close_share(got, want, 1e-6) } else { equal_share(got, want) };
                assert!(share >= least, "{name}: {:.2} % bit-equal", share * 100.0);
                // Products are added up in transformers' own order, so only what the exponentials of another libm round
                // otherwise may differ.
                if is_product(hook.kind) {
                    assert!(share >= 0.999, "{name}: {:.2} % bit-equal", share * 100.0);
                }
            }
        }
    }
    let nll = losses(&loaded, &ids);
    for (pos, (got, want)) in nll.iter().zip(reference.extras.get("nll").unwrap().f32().unwrap()).enumerate() {
        assert!((got - want).abs() <= 0.05, "nll[{pos}]: {got} against {want}");
    }
}

#[test]
fn greedy_tokens_agree_in_bf16() {
    let loaded = load("tiny-bf16", Policy::Hf);
    let reference = Reference::read("tiny-bf16", "reference");
    let mut cache = loaded.model.new_cache();
    let mut logits = forward(&loaded, &reference.ids(), &mut cache, &mut NoHooks);
    for (step, want) in reference.greedy().into_iter().enumerate() {
        let got = Distribution::of(&logits[logits.len() - loaded.meta.dims.vocab..]).top(1)[0] as u32;
        assert_eq!(got, want, "step {step}");
        logits = forward(&loaded, &[got], &mut cache, &mut NoHooks);
    }
}

#[test]
fn older_expert_arithmetic_differs_only_after_the_experts() {
    let loaded = load("tiny-bf16", Policy::Hf);
    let reference = Reference::read("tiny-bf16", "reference_eager_experts");
    let recorded = record(&loaded, &reference.ids());
    for name in ["attn.hook_pattern", "hook_attn_out", "hook_resid_mid", "ln2.hook_out", "mlp.hook_expert_out"] {
        let name = format!("blocks.0.{name}");
        let share = equal_share(&recorded.seen[&name], reference.trace.get(&name).unwrap().f32().unwrap());
        assert!(share >= 0.95, "{name}: {share}");
    }
    let name = "blocks.0.hook_mlp_out";
    let share = equal_share(&recorded.seen[name], reference.trace.get(name).unwrap().f32().unwrap());
    assert!(share < 0.95, "rounding each expert's share must show: {share}");
    let nll = losses(&loaded, &reference.ids());
    let want = reference.json["mean_loss"].as_f64().unwrap() as f32;
    assert!((mean(&nll) - want).abs() < 0.05, "{} against {want}", mean(&nll));
}

#[test]
fn the_precision_lab_agrees_as_statistics() {
    let trace = TraceFile::read(&fixture("precision-lab/reference_bf16.safetensors")).unwrap();
    let lab: serde_json::Value =
        serde_json::from_slice(&std::fs::read(fixture("precision-lab/lab.json")).unwrap()).unwrap();
    let ids = trace.get("tokens").unwrap().u32().unwrap().to_vec();
    let loaded = load("precision-lab", Policy::Hf);
    let d = loaded.meta.dims;

    // Each layer alone, fed the reference's input.
    let mut hooks = Recorder::default();
    for layer in 0..d.layers {
        let before = if layer == 0 {
            "blocks.0.hook_resid_pre".to_owned()
        } else {
            format!("blocks.{}.hook_resid_post", layer - 1)
        };
        hooks.replace.insert(HookKind::ResidPre.at(layer), trace.get(&before).unwrap().clone());
    }
    forward(&loaded, &ids, &mut loaded.model.new_cache(), &mut hooks);
    for layer in 0..d.layers {
        for part in ["hook_attn_out", "hook_mlp_out", "hook_resid_post", "mlp.hook_router_logits"] {
            let name = format!("blocks.{layer}.{part}");
            let share = equal_share(&hooks.seen[&name], trace.get(&name).unwrap().f32().unwrap());
            assert!(share >= 0.95, "{name}: {share}");
        }
    }

    // End to end only statistics mean anything over 256 random-weight tokens.
    for (policy, variant) in [(Policy::Hf, "bf16"), (Policy::F32Router, "bf16-router-f32")] {
        let loaded = load("precision-lab", policy);
        let want = lab["variants"][variant]["mean_loss"].as_f64().unwrap() as f32;
        let got = mean(&losses(&loaded, &ids));
        assert!((got - want).abs() < 0.05, "{variant}: mean loss {got} against {want}");
    }
    let recorded = record(&loaded, &ids);
    let f32_trace = TraceFile::read(&fixture("precision-lab/reference_f32.safetensors")).unwrap();
    for layer in 0..d.layers {
        let name = format!("blocks.{layer}.mlp.hook_expert_indices");
        let got = flips(&recorded.seen[&name], f32_trace.get(&name).unwrap().u32().unwrap(), d.top_k);
        let want = lab["f32 -> bf16"]["flips"][layer].as_u64().unwrap() as usize;
        assert!(got.abs_diff(want) <= 8, "layer {layer}: {got} flips against f32, transformers has {want}");
    }
}
