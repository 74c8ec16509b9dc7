//! Other families than Mixtral through the engine: contributions, patterns, edits, saved runs and the self-test.

use crate::edits::{Case, differ, sites};
use crate::support::fixture;
use mixscope::control::Control;
use mixscope::engine::{Capture, Live, Replay, Run, Verdict, attribution, check_against, pattern, self_test, texts};
use mixscope::trace::{HookKind as K, Policy, TraceFile, TracePlan, TraceReader};

const FAMILIES: [&str; 9] = [
    "olmoe",
    "olmoe-clip",
    "qwen2-moe",
    "qwen2-moe-dense",
    "qwen3-moe",
    "qwen3-moe-yarn",
    "granite-moe",
    "gpt-oss",
    "gpt-oss-mxfp4",
];

fn case(name: &str, policy: Policy) -> Case {
    Case::new(&format!("families/{name}"), policy)
}

#[test]
fn contributions_add_up_to_the_logit_and_parts_to_their_blocks() {
    for name in FAMILIES {
        let case = case(name, Policy::F32);
        let layers = case.loaded.meta.dims.layers;
        let mut live = Live::new(case.loaded.clone(), Capture::for_views(layers), 1);
        live.set_prompt(&case.ids, &Control::none(), &mut |_, _| {}).unwrap();
        let found = attribution(&live, 15, 9, 0..layers, &Control::none()).unwrap();
        let size = 1.0 + found.attn.iter().chain(&found.mlp).map(|share| share.abs()).sum::<f64>();
        assert!(found.remainder.abs() <= 1e-4 * size, "{name}: {}", found.remainder);
        for shares in &found.details {
            let what = format!("{name} layer {}", shares.layer);
            assert!(shares.heads_remainder.abs() <= 1e-4 * size, "{what}: heads {}", shares.heads_remainder);
            assert!(shares.experts_remainder.abs() <= 1e-4 * size, "{what}: experts {}", shares.experts_remainder);
            let dims = case.loaded.meta.dims;
            assert_eq!(shares.experts.is_empty(), !dims.has_router(shares.layer), "{what}");
            assert_eq!(shares.shared.is_some(), dims.d_shared > 0 && dims.has_router(shares.layer), "{what}");
            assert_eq!(shares.bias != 0.0, name.starts_with("gpt-oss"), "{what}");
        }
    }
}

#[test]
fn patterns_follow_from_queries_and_keys_bit_for_bit_also_in_a_saved_run() {
    let folder = tempfile::tempdir().unwrap();
    for name in FAMILIES {
        for policy in [Policy::F32, Policy::Hf] {
            let case = case(name, policy);
            let dims = case.loaded.meta.dims;
            let path = folder.path().join(format!("{name}-{policy}.safetensors"));
            let records = case.plain.records();
            let plan = TracePlan::new(&records, &serde_json::json!({}), false, &[], |kind, _| kind != K::Pattern);
            plan.unwrap().write(&path).unwrap();
            let saved = Run::from(Replay::open(&path).unwrap());
            let mut sum = 0.0;
            for layer in 0..dims.layers {
                assert!(saved.meta().has_attention(layer), "{name}");
                for head in 0..dims.heads {
                    let derived = pattern(&saved, layer, head).unwrap();
                    for (query, token) in case.plain.tokens().iter().enumerate() {
                        let kept = &token.row(K::Pattern, layer).unwrap()[head * (query + 1)..][..query + 1];
                        let row = &derived.weights[query * (query + 1) / 2..][..query + 1];
                        assert_eq!(kept, row, "{name} {policy} L{layer}.H{head} query {query}");
                        sum += kept.iter().sum::<f32>();
                    }
                }
            }
            let rows = (dims.layers * dims.heads * case.ids.len()) as f32;
            let has_sinks = !case.loaded.meta.scores.sinks.is_empty();
            assert_eq!(sum < 0.97 * rows, has_sinks, "{name}: {sum} of {rows}");
        }
    }
}

#[test]
fn edits_act_on_the_shared_expert_and_on_layers_with_a_router() {
    let case = case("qwen2-moe-dense", Policy::F32);
    let zeroed = case.under(&["zero L*.shared"]);
    let routed = case.loaded.meta.dims.routed().count();
    assert_eq!(sites(zeroed.tokens()), routed * case.ids.len());
    assert!(differ(&case.plain, &zeroed));
    for token in zeroed.tokens() {
        assert!(token.row(K::SharedOut, 0).unwrap().iter().all(|x| *x == 0.0));
    }
    let halved = case.under(&["scale L0.shared 0.5"]);
    let found = attribution(&halved, 15, 9, 0..1, &Control::none()).unwrap();
    let plain = attribution(&case.plain, 15, 9, 0..1, &Control::none()).unwrap();
    let [found, plain] = [found, plain].map(|found| found.details[0].experts_remainder.abs());
    assert!(found < 1e-4 && plain < 1e-4, "{found} {plain}");
    let banned = case.under(&["ban L*.E0"]);
    assert!(banned.tokens().iter().all(|token| !token.experts(0).unwrap().contains(&0)));
    let dims = case.loaded.meta.dims;
    for (text, said) in
        [("ban L1.E0", "has no router"), ("zero L1.shared", "has no router"), ("topk L1 1", "no router")]
    {
        let error = text.parse::<mixscope::trace::Edit>().unwrap().check(dims).unwrap_err().to_string();
        assert!(error.contains(said), "{text}: {error}");
    }
    "zero L1.mlp".parse::<mixscope::trace::Edit>().unwrap().check(dims).unwrap();
}

#[test]
fn every_operation_is_what_its_definition_gives() {
    for name in FAMILIES {
        for policy in [Policy::F32, Policy::Hf] {
            let case = case(name, policy);
            let mut texts = texts(&case.loaded).unwrap_or_else(|found| panic!("{name}: {}", found.why));
            texts.truncate(1);
            let found = self_test(&case.loaded, &texts, &Control::none()).unwrap();
            assert!(found.ok, "{name} {policy}: {:?}", found.failures);
            let family = case.loaded.config.family;
            assert!(found.verdict.contains(family), "{}", found.verdict);
        }
    }
}

#[test]
fn recordings_of_transformers_agree_operation_by_operation() {
    for name in FAMILIES {
        let case = case(name, Policy::F32);
        let trace = TraceReader::open(&fixture(&format!("families/{name}/reference.safetensors"))).unwrap();
        let found = check_against(&case.loaded, &trace, None, None, &Control::none()).unwrap();
        assert!(found.ok && found.verdict != Verdict::Differs, "{name}: {:?}", found.guilty);
    }
}

#[test]
fn a_saved_run_of_a_model_with_layers_without_a_router_opens() {
    let case = case("qwen3-moe", Policy::F32);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.safetensors");
    TracePlan::new(&case.plain.records(), &serde_json::json!({}), false, &[], |_, _| true)
        .unwrap()
        .write(&path)
        .unwrap();
    let saved = Replay::open(&path).unwrap();
    for (a, b) in case.plain.tokens().iter().zip(saved.tokens()) {
        for layer in 0..3 {
            assert_eq!(a.experts(layer), b.experts(layer));
            assert_eq!(a.experts(layer).is_some(), layer == 1, "only every second layer has a router");
        }
    }
    assert!(TraceFile::read(&path).unwrap().tensors.contains_key("blocks.0.attn.q_norm.hook_out"));
}
