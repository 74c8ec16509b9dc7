//! Whole sequences against transformers in f32: every hook point, lens, NLL, greedy continuation.

use crate::support::{self, CASES, Reference, assert_close, forward, load, record};
use mixscope::model::{Distribution, Loaded, NoHooks};
use mixscope::trace::{Device, HookKind, Policy, Values};

const ABS: f32 = 1e-4;
const REL: f32 = 2e-5;
const PROB: f32 = 2e-5;

fn reference(case: &str, stem: &str) -> Reference {
    let expected = if case == "tied-window-modern" { "tied-window-legacy" } else { case };
    Reference::read(expected, stem)
}

fn for_each_case(check: impl Fn(&str, &Loaded, &Reference)) {
    for (case, stem, policy) in CASES {
        for device in [Device::Cpu, Device::Candle] {
            let loaded = load(case, policy.parse().unwrap()).on(device).unwrap();
            check(&format!("{case} on {device}"), &loaded, &reference(case, stem));
        }
    }
}

#[test]
fn every_hook_point_agrees_on_the_whole_sequence() {
    for_each_case(|case, loaded, reference| {
        let recorded = record(loaded, &reference.ids());
        let mut compared = 0;
        for (name, want) in &reference.trace.tensors {
            if name == "tokens" {
                continue;
            }
            let got = &recorded.seen[name];
            let kind = name.parse::<mixscope::trace::Hook>().unwrap().kind;
            match &want.values {
                Values::U32(want) => {
                    let got: Vec<u32> = got.iter().map(|x| *x as u32).collect();
                    assert_eq!(&got, want, "{case} {name}");
                }
                Values::F32(want) => {
                    let prob = matches!(kind, HookKind::Pattern | HookKind::ExpertWeights | HookKind::MixingWeights);
                    let (abs, rel) = if prob { (PROB, 0.0) } else { (ABS, REL) };
                    assert_close(&format!("{case} {name}"), got, want, abs, rel);
                }
            }
            compared += 1;
        }
        assert_eq!(compared, recorded.seen.len(), "{case}: hooks without a reference");
    });
}

#[test]
fn losses_entropies_and_ranks_agree() {
    for_each_case(|case, loaded, reference| {
        let ids = reference.ids();
        let logits = forward(loaded, &ids, &mut loaded.model.new_cache(), &mut NoHooks);
        let rows: Vec<Distribution> = logits.chunks_exact(loaded.meta.dims.vocab).map(Distribution::of).collect();
        let nll: Vec<f32> = ids[1..].iter().zip(&rows).map(|(id, row)| -row.log_prob(*id as usize) as f32).collect();
        assert_close(&format!("{case} nll"), &nll, reference.extras.get("nll").unwrap().f32().unwrap(), 1e-4, 0.0);
        let entropy: Vec<f32> = rows.iter().map(Distribution::entropy).collect();
        assert_close(
            &format!("{case} entropy"),
            &entropy,
            reference.extras.get("entropy").unwrap().f32().unwrap(),
            1e-4,
            0.0,
        );
        // The reference counts ranks from 0.
        let rank: Vec<u32> = ids[1..].iter().zip(&rows).map(|(id, row)| row.rank(*id as usize) - 1).collect();
        assert_eq!(rank, reference.extras.get("rank").unwrap().u32().unwrap(), "{case} rank");
    });
}

#[test]
fn the_logit_lens_agrees_at_every_layer_and_position() {
    for_each_case(|case, loaded, reference| {
        let (d, precision) = (loaded.meta.dims, support::precision(loaded));
        let recorded = record(loaded, &reference.ids());
        let finals: Vec<Distribution> =
            recorded.seen["unembed.hook_out"].chunks_exact(d.vocab).map(Distribution::of).collect();
        for layer in 0..d.layers {
            for site in ["resid_mid", "resid_post"] {
                let resid = &recorded.seen[&format!("blocks.{layer}.hook_{site}")];
                let logits = loaded.model.lens(resid, precision).unwrap();
                let want = |what: &str| reference.extras.get(&format!("lens.{layer}.{site}.{what}")).unwrap();
                let (mut top_logits, mut probs, mut entropy, mut kl) = (vec![], vec![], vec![], vec![]);
                for (pos, (row, last)) in logits.chunks_exact(d.vocab).zip(&finals).enumerate() {
                    let lens = Distribution::of(row);
                    let top = lens.top(10);
                    let reference_top = &want("top_ids").u32().unwrap()[pos * 10..][..10];
                    for (k, (got, want)) in top.iter().zip(reference_top).enumerate() {
                        let tie = (lens.prob(*got) - lens.prob(*want as usize)).abs() < 1e-6;
                        assert!(*got == *want as usize || tie, "{case} lens {layer} {site} {pos} {k}: {got} {want}");
                    }
                    top_logits.extend(reference_top.iter().map(|id| row[*id as usize]));
                    let answer = last.top(1)[0];
                    assert_eq!(
                        lens.rank(answer) - 1,
                        want("final_rank").u32().unwrap()[pos],
                        "{case} {layer} {site} {pos}"
                    );
                    probs.push(lens.prob(answer));
                    entropy.push(lens.entropy());
                    kl.push(last.kl(&lens));
                }
                let what = format!("{case} lens {layer} {site}");
                assert_close(&what, &top_logits, want("top_logits").f32().unwrap(), ABS, REL);
                assert_close(&what, &probs, want("final_prob").f32().unwrap(), PROB, 0.0);
                assert_close(&what, &entropy, want("entropy").f32().unwrap(), 1e-4, 0.0);
                assert_close(&what, &kl, want("kl_final_to_lens").f32().unwrap(), 1e-4, 1e-5);
            }
        }
    });
}

#[test]
fn greedy_tokens_and_their_routing_agree() {
    for_each_case(|case, loaded, reference| {
        let d = loaded.meta.dims;
        let mut cache = loaded.model.new_cache();
        let mut logits = forward(loaded, &reference.ids(), &mut cache, &mut NoHooks);
        let greedy = reference.greedy();
        let top_ids = reference.extras.get("decode.top10_ids").unwrap().u32().unwrap();
        let top_logits = reference.extras.get("decode.top10_logits").unwrap().f32().unwrap();
        let experts = reference.extras.get("decode.expert_indices").unwrap().u32().unwrap();
        let weights = reference.extras.get("decode.mixing_weights").unwrap().f32().unwrap();
        let per_step = d.layers * d.top_k;
        for step in 0..greedy.len() {
            let last = &logits[logits.len() - d.vocab..];
            assert_eq!(Distribution::of(last).top(1)[0], greedy[step] as usize, "{case} step {step}");
            let got: Vec<f32> = top_ids[step * 10..][..10].iter().map(|id| last[*id as usize]).collect();
            assert_close(&format!("{case} step {step}"), &got, &top_logits[step * 10..][..10], ABS, REL);
            if step + 1 == greedy.len() {
                break;
            }
            let mut taps = support::Recorder::default();
            logits = forward(loaded, &greedy[step..=step], &mut cache, &mut taps);
            for layer in 0..d.layers {
                let at = (step + 1) * per_step + layer * d.top_k;
                let name = format!("blocks.{layer}.mlp");
                let got: Vec<u32> =
                    taps.seen[&format!("{name}.hook_expert_indices")].iter().map(|x| *x as u32).collect();
                assert_eq!(got, experts[at..][..d.top_k], "{case} step {step} layer {layer}");
                let got = &taps.seen[&format!("{name}.hook_mixing_weights")];
                assert_close(&format!("{case} step {step}"), got, &weights[at..][..d.top_k], PROB, 0.0);
            }
        }
    });
}

#[test]
fn the_precision_lab_agrees_in_f32() {
    let loaded = load("precision-lab", Policy::F32);
    let trace = mixscope::trace::TraceFile::read(&support::fixture("precision-lab/reference_f32.safetensors")).unwrap();
    let lab: serde_json::Value =
        serde_json::from_slice(&std::fs::read(support::fixture("precision-lab/lab.json")).unwrap()).unwrap();
    let ids = trace.get("tokens").unwrap().u32().unwrap().to_vec();
    let recorded = record(&loaded, &ids);
    for (name, want) in &trace.tensors {
        match &want.values {
            Values::U32(want) if name != "tokens" => {
                let got: Vec<u32> = recorded.seen[name].iter().map(|x| *x as u32).collect();
                assert_eq!(&got, want, "{name}");
            }
            Values::F32(want) if name.ends_with("mixing_weights") => {
                assert_close(name, &recorded.seen[name], want, PROB, 0.0)
            }
            Values::F32(want) => assert_close(name, &recorded.seen[name], want, ABS, REL),
            Values::U32(_) => {}
        }
    }
    let vocab = loaded.meta.dims.vocab;
    let logits = &recorded.seen["unembed.hook_out"];
    let rows: Vec<Distribution> = logits.chunks_exact(vocab).map(Distribution::of).collect();
    let nll: Vec<f32> = ids[1..].iter().zip(&rows).map(|(id, row)| -row.log_prob(*id as usize) as f32).collect();
    let want: Vec<f32> = serde_json::from_value(lab["variants"]["f32"]["nll"].clone()).unwrap();
    assert_close("lab nll", &nll, &want, 1e-4, 0.0);
}
