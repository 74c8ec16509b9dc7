//! The precision lab against transformers: the founding experiment, variant by variant.

mod common;

use common::{Recorder, equal_share, fixture, forward, model_dir};
use mixscope::model::{Distribution, Location, open};
use mixscope::trace::{Dtype, HookKind, Policy, TraceTensor, Values};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

const COMPONENTS: [(HookKind, &str); 3] =
    [(HookKind::AttnOut, "attn_out"), (HookKind::MlpOut, "mlp_out"), (HookKind::ResidPost, "resid_post")];

/// What transformers calls the variants, and the policy and dtype that are the same here.
const VARIANTS: [(&str, Policy, Option<Dtype>); 7] = [
    ("f32", Policy::F32, None),
    ("bf16", Policy::Hf, None),
    ("bf16-eager-experts", Policy::EagerExperts, None),
    ("bf16-hf4", Policy::Hf4, None),
    ("bf16-router-softmax-bf16", Policy::RouterSoftmaxBf16, None),
    ("bf16-router-f32", Policy::F32Router, None),
    ("f16", Policy::Hf, Some(Dtype::F16)),
];

fn lab() -> Value {
    serde_json::from_slice(&std::fs::read(fixture("precision-lab/lab.json")).unwrap()).unwrap()
}

fn ids() -> Vec<u32> {
    lab()["prompt_ids"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
}

/// A run of a variant and its mean loss; `fed` gives every layer the input it had in that run.
fn run(variant: &str, fed: Option<&Recorder>) -> (Recorder, f64) {
    let (_, policy, dtype) = VARIANTS.into_iter().find(|(name, ..)| *name == variant).unwrap();
    let (dir, _temp) = model_dir("precision-lab");
    let loaded = open(&Location::Dir(dir), policy, dtype, false).unwrap();
    let (ids, dims) = (ids(), loaded.meta.dims);
    let mut taps = Recorder { except: vec![HookKind::Pattern], ..Default::default() };
    for layer in fed.iter().flat_map(|_| 0..dims.layers) {
        let hook = HookKind::ResidPre.at(layer);
        let values = Values::F32(fed.unwrap().seen[&hook.to_string()].clone());
        let tensor = TraceTensor { shape: vec![ids.len(), dims.d_model], values, dtype: Dtype::F32 };
        taps.replace.insert(hook, tensor);
    }
    let logits = forward(&loaded, &ids, &mut loaded.model.new_cache(), &mut taps);
    let nll = ids[1..]
        .iter()
        .zip(logits.chunks_exact(dims.vocab))
        .map(|(id, row)| -Distribution::of(row).log_prob(*id as usize));
    (taps, nll.sum::<f64>() / (ids.len() - 1) as f64)
}

/// Tokens whose set of experts in `layer` differs.
fn flips(a: &Recorder, b: &Recorder, layer: usize) -> usize {
    let sets = |run: &Recorder| -> Vec<BTreeSet<u32>> {
        let chosen = &run.seen[&HookKind::ExpertIndices.at(layer).to_string()];
        chosen.chunks_exact(2).map(|row| row.iter().map(|e| *e as u32).collect()).collect()
    };
    sets(a).iter().zip(&sets(b)).filter(|(a, b)| a != b).count()
}

/// Last-bit differences of matrix products (REFERENCE: 97 to 100 % of the values are reproduced) move the share of equal
/// values by up to 2 points and, over 256 tokens, which of the near-ties flip: the flips of a layer by 2.
#[test]
fn every_variant_changes_what_it_changes_in_transformers() {
    let lab = lab();
    let mut runs: BTreeMap<&str, (Recorder, f64)> = BTreeMap::new();
    for (name, ..) in VARIANTS {
        runs.insert(name, run(name, None));
    }
    for (pair, want) in lab["pairs"].as_object().unwrap() {
        let (a, b) = pair.split_once(" -> ").unwrap();
        let isolated = run(b, Some(&runs[a].0)).0;
        for (mode, other) in [("end_to_end", &runs[b].0), ("isolated_layers", &isolated)] {
            for (layer, want) in want[mode].as_array().unwrap().iter().enumerate() {
                let what = format!("{pair}, {mode}, layer {layer}");
                for (kind, name) in COMPONENTS {
                    let hook = kind.at(layer).to_string();
                    let (got, want) = (equal_share(&runs[a].0.seen[&hook], &other.seen[&hook]), want[name].as_f64());
                    let want = want.unwrap();
                    assert!((got - want).abs() <= 0.02, "{what}: {name}: {got:.4} equal, {want:.4} in transformers");
                    // What a variant leaves alone, it leaves alone to the bit, and what it changes differs.
                    assert_eq!(want == 1.0, got == 1.0, "{what}: {name}");
                }
                let (got, want) = (flips(&runs[a].0, other, layer), want["flips"].as_u64().unwrap() as usize);
                assert!(got.abs_diff(want) <= 2, "{what}: {got} flips, {want} in transformers");
            }
        }
    }
    for (name, (_, loss)) in &runs {
        let want = &lab["variants"][name];
        let want = want["mean_loss"].as_f64().unwrap_or_else(|| panic!("{name}: {want}"));
        // Flips of a few tokens in 256 carry the loss; f32 has none.
        let within = if *name == "f32" { 1e-4 } else { 0.03 };
        assert!((loss - want).abs() <= within, "{name}: loss {loss:.4}, {want:.4} in transformers");
        println!("{name}: {loss:.4} ({want:.4})");
    }
}

#[test]
fn the_bf16_policy_is_hf_on_bf16_weights_and_a_quantised_router_changes_only_the_routing() {
    let (dir, _temp) = model_dir("precision-lab");
    let ids = ids();
    let pass = |policy: Policy, dtype: Option<Dtype>| {
        let loaded = open(&Location::Dir(dir.clone()), policy, dtype, false).unwrap();
        let mut taps = Recorder { except: vec![HookKind::Pattern], ..Default::default() };
        forward(&loaded, &ids[..64], &mut loaded.model.new_cache(), &mut taps);
        taps
    };
    let hf = pass(Policy::Hf, None);
    assert_eq!(hf.seen, pass(Policy::Bf16, None).seen);
    assert_eq!(hf.seen, pass(Policy::Bf16, Some(Dtype::F32)).seen, "whatever else they are computed in");
    let (q8, q4) = (pass(Policy::RouterQ8, None), pass(Policy::RouterQ4, None));
    let logits = HookKind::RouterLogits.at(0).to_string();
    let off = |run: &Recorder| {
        let pairs = hf.seen[&logits].iter().zip(&run.seen[&logits]);
        pairs.map(|(a, b)| (a - b).abs()).fold(0f32, f32::max)
    };
    assert!(0.0 < off(&q8) && off(&q8) < off(&q4) && off(&q4) < 2.0, "{} {}", off(&q8), off(&q4));
    let before = HookKind::Ln2.at(0).to_string();
    assert_eq!((&hf.seen[&before], &hf.seen[&before]), (&q8.seen[&before], &q4.seen[&before]));
}

#[test]
fn angles_in_bf16_leave_the_first_position_alone_and_grow_with_the_others() {
    let (dir, _temp) = model_dir("precision-lab");
    let ids = ids();
    let queries = |policy: Policy| {
        let loaded = open(&Location::Dir(dir.clone()), policy, None, false).unwrap();
        let mut taps = Recorder { except: vec![HookKind::Pattern], ..Default::default() };
        forward(&loaded, &ids, &mut loaded.model.new_cache(), &mut taps);
        taps.seen.remove(&HookKind::RotQ.at(0).to_string()).unwrap()
    };
    let (hf, rounded) = (queries(Policy::Hf), queries(Policy::RopeBf16));
    let width = hf.len() / ids.len();
    let off = |pos: usize| -> f32 {
        let rows = hf[pos * width..][..width].iter().zip(&rounded[pos * width..][..width]);
        rows.map(|(a, b)| (a - b).abs()).sum()
    };
    assert_eq!(off(0), 0.0);
    let mean = |range: std::ops::Range<usize>| range.clone().map(off).sum::<f32>() / range.len() as f32;
    assert!(mean(1..32) > 0.0 && mean(200..256) > 3.0 * mean(1..32), "{} {}", mean(1..32), mean(200..256));
}
