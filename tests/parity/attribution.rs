//! What a logit is made of: shares of embedding, layers, heads and experts against transformers' own activations.

use crate::support::{self, CASES, Reference, fixture, model_dir, record};
use mixscope::analysis::Attribution;
use mixscope::control::Control;
use mixscope::engine::{Capture, Live, attribution};
use mixscope::model::{Loaded, Location, derive_z, open};
use mixscope::trace::{HookKind, Policy, Source, TraceFile, TraceTensor};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Largest difference between shares of f32 passes, relative to the sum of all products' sizes.
const CLOSE: f64 = 2e-5;
/// Half a step of bf16 and f16, relative.
const BF16: f64 = 1.0 / 256.0;
const F16: f64 = 1.0 / 2048.0;

fn session(loaded: Loaded, ids: &[u32]) -> Live {
    let loaded = Arc::new(loaded);
    let capture = Capture::for_views(loaded.meta.dims.layers);
    let mut session = Live::new(loaded, capture, 5);
    session.extend(ids, Source::Prompt, &Control::none()).unwrap();
    session
}

fn whole(session: &Live, pos: usize, target: u32) -> Attribution {
    attribution(session, pos, target, 0..session.meta().dims.layers, &Control::none()).unwrap()
}

/// The tensors of all shards of a fixture's model.
fn weights(case: &str) -> BTreeMap<String, TraceTensor> {
    let (dir, _temp) = model_dir(case);
    let files = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|e| e == "safetensors"));
    files.flat_map(|path| TraceFile::read(&path).unwrap().tensors).collect()
}

/// A direction in the residual stream, computed from the reference's last residual and the fixture's own weights.
struct Expected {
    u: Vec<f64>,
    /// `Σ |u x|`: what differences are measured against.
    size: f64,
}

impl Expected {
    fn of(weights: &BTreeMap<String, TraceTensor>, last: &[f32], target: u32, eps: f64) -> Self {
        let unembed = weights.get("lm_head.weight").unwrap_or_else(|| &weights["model.embed_tokens.weight"]);
        let (d, gain) = (last.len(), weights["model.norm.weight"].f32().unwrap());
        let row = &unembed.f32().unwrap()[target as usize * d..][..d];
        let mean = last.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / d as f64;
        let scale = 1.0 / (mean + eps).sqrt();
        let u: Vec<f64> = row.iter().zip(gain).map(|(w, g)| scale * f64::from(*w) * f64::from(*g)).collect();
        let size = 1.0 + u.iter().zip(last).map(|(u, x)| (u * f64::from(*x)).abs()).sum::<f64>();
        Self { u, size }
    }

    fn share(&self, part: &[f32]) -> f64 {
        self.u.iter().zip(part).map(|(u, x)| u * f64::from(*x)).sum()
    }

    fn check(&self, what: &str, got: f64, want: f64) {
        assert!((got - want).abs() <= CLOSE * self.size, "{what}: {got} against {want}, of {}", self.size);
    }
}

/// `W_O` of one head `[d_model, d_head]` times its `z`.
fn through(o: &[f32], z: &[f32], head: usize, heads: usize) -> Vec<f32> {
    let (d_head, width) = (z.len(), z.len() * heads);
    let row = |row: &[f32]| row[head * d_head..][..d_head].iter().zip(z).map(|(w, z)| w * z).sum();
    o.chunks_exact(width).map(row).collect()
}

#[test]
fn shares_are_those_of_the_references_activations_and_weights() {
    for (case, stem, policy) in CASES {
        let expected = if case == "tied-window-modern" { "tied-window-legacy" } else { case };
        let (reference, weights) = (Reference::read(expected, stem), weights(case));
        let ids = reference.ids();
        let session = session(support::load(case, policy.parse().unwrap()), &ids);
        let (d, eps) = (session.meta().dims, session.loaded().model.arch().eps);
        let hook = |name: &str| reference.trace.get(name).unwrap();
        let at = |name: &str, pos: usize, width: usize| &hook(name).f32().unwrap()[pos * width..][..width];
        for pos in [0, 1, ids.len() / 2, ids.len() - 1] {
            let logits = at("unembed.hook_out", pos, d.vocab);
            let last = at(&format!("blocks.{}.hook_resid_post", d.layers - 1), pos, d.d_model);
            let best = (0..d.vocab).max_by(|a, b| logits[*a].total_cmp(&logits[*b])).unwrap();
            for target in [best as u32, ids[pos], 7] {
                let want = Expected::of(&weights, last, target, eps);
                let got = whole(&session, pos, target);
                let what = |part: &str| format!("{case} {pos} {target} {part}");
                want.check(&what("logit"), f64::from(got.logit), f64::from(logits[target as usize]));
                want.check(&what("sum"), got.sum(), f64::from(logits[target as usize]));
                assert!(got.remainder.abs() <= 1e-4 * want.size, "{}: {}", what("remainder"), got.remainder);
                assert!((got.sum() + got.remainder - f64::from(got.logit)).abs() < 1e-9, "{}", what("identity"));
                want.check(&what("embed"), got.embed, want.share(at("hook_embed", pos, d.d_model)));
                assert_eq!((got.attn.len(), got.mlp.len(), got.details.len()), (d.layers, d.layers, d.layers));
                for (layer, shares) in got.details.iter().enumerate() {
                    let block = |name: &str| format!("blocks.{layer}.{name}");
                    let attn = want.share(at(&block("hook_attn_out"), pos, d.d_model));
                    let mlp = want.share(at(&block("hook_mlp_out"), pos, d.d_model));
                    want.check(&what(&block("attn")), got.attn[layer], attn);
                    want.check(&what(&block("mlp")), got.mlp[layer], mlp);
                    let o = weights[&format!("model.layers.{layer}.self_attn.o_proj.weight")].f32().unwrap();
                    let z = at(&block("attn.hook_z"), pos, d.heads * d.d_head);
                    assert_eq!(shares.heads.len(), d.heads);
                    for (head, (z, share)) in z.chunks_exact(d.d_head).zip(&shares.heads).enumerate() {
                        let share_of_head = want.share(&through(o, z, head, d.heads));
                        want.check(&what(&block(&format!("head {head}"))), *share, share_of_head);
                    }
                    want.check(&what(&block("heads remainder")), shares.heads_remainder, 0.0);
                    want.check(&what(&block("experts remainder")), shares.experts_remainder, 0.0);
                    let chosen = &hook(&block("mlp.hook_expert_indices")).u32().unwrap()[pos * d.top_k..][..d.top_k];
                    assert_eq!(shares.experts.iter().map(|e| e.expert).collect::<Vec<_>>(), chosen);
                    let weights = at(&block("mlp.hook_mixing_weights"), pos, d.top_k);
                    let outputs = at(&block("mlp.hook_expert_out"), pos, d.top_k * d.d_model);
                    let whole = at(&block("hook_mlp_out"), pos, d.d_model);
                    let norm = |x: &[f32]| x.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
                    for ((expert, weight), out) in shares.experts.iter().zip(weights).zip(outputs.chunks(d.d_model)) {
                        let weighted: Vec<f32> = out.iter().map(|x| x * weight).collect();
                        let dot: f64 = weighted.iter().zip(whole).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
                        let what = |part: &str| what(&block(&format!("expert {} {part}", expert.expert)));
                        want.check(&what("share"), expert.share, want.share(&weighted));
                        assert!(
                            (expert.norm - norm(&weighted)).abs() <= 1e-4 * (1.0 + norm(&weighted)),
                            "{}",
                            what("norm")
                        );
                        let cosine = dot / (norm(&weighted) * norm(whole));
                        assert!((expert.cosine.unwrap() - cosine).abs() <= 1e-4, "{}: {cosine}", what("cosine"));
                        assert!((expert.weight - weight).abs() <= 2e-5, "{}", what("weight"));
                    }
                }
            }
        }
    }
}

#[test]
fn the_only_expert_of_a_top1_model_is_its_whole_mixture() {
    let ids = Reference::read("top1", "reference").ids();
    let session = session(support::load("top1", Policy::Hf), &ids);
    let got = whole(&session, ids.len() - 1, ids[0]);
    for shares in &got.details {
        let [only] = &shares.experts[..] else { panic!("{:?}", shares.experts) };
        assert_eq!(only.weight, 1.0);
        assert!((only.cosine.unwrap() - 1.0).abs() < 1e-9);
    }
}

#[test]
fn the_logit_outputs_of_experts_and_heads_are_those_of_the_pass_bit_for_bit() {
    for (case, policy) in [
        ("tiny-bf16", Policy::Hf),
        ("tiny-bf16", Policy::F32Router),
        ("tiny-f16", Policy::Hf),
        ("tied-window-legacy", Policy::Hf),
        ("gqa-headdim", Policy::Hf),
        ("top1", Policy::Hf),
        ("top3", Policy::Hf),
    ] {
        let ids = Reference::read(case, "reference").ids();
        let recorded = record(&support::load(case, policy), &ids);
        let session = session(support::load(case, policy), &ids);
        let (d, model, precision) = (session.meta().dims, &session.loaded().model, session.precision());
        for (pos, token) in session.tokens().iter().enumerate() {
            let logits = &recorded.seen["unembed.hook_out"][pos * d.vocab..][..d.vocab];
            let last = token.row(HookKind::ResidPost, d.layers - 1).unwrap();
            for target in [0, d.vocab / 3, d.vocab - 1] {
                let direction = model.direction(last, target as u32, precision).unwrap();
                assert_eq!(direction.logit.to_bits(), logits[target].to_bits(), "{case} {policy} logit {pos} {target}");
            }
            for layer in 0..d.layers {
                let of = |hook: &str, width: usize| {
                    &recorded.seen[&format!("blocks.{layer}.{hook}")][pos * width..][..width]
                };
                let outputs = model.derive_expert_out(token, layer, precision).unwrap().unwrap();
                assert_eq!(outputs, of("mlp.hook_expert_out", d.top_k * d.d_model), "{case} {policy} L{layer} {pos}");
                for (head, want) in of("attn.hook_z", d.heads * d.d_head).chunks_exact(d.d_head).enumerate() {
                    let at = (layer, head);
                    let (run, dims) = ((session.tokens(), session.cache()), (d, model.scores()));
                    let z = derive_z(run, at, pos, dims, precision.module, None).unwrap();
                    assert_eq!(z, want, "{case} {policy} L{layer}H{head} {pos}");
                }
            }
        }
    }
}

#[test]
fn under_a_rounding_policy_the_remainders_are_what_rounding_can_do() {
    for (case, step) in [("tiny-bf16", BF16), ("tiny-f16", F16)] {
        let ids = Reference::read(case, "reference").ids();
        let recorded = record(&support::load(case, Policy::Hf), &ids);
        let session = session(support::load(case, Policy::Hf), &ids);
        let d = session.meta().dims;
        let mut rounded = 0;
        for (pos, token) in session.tokens().iter().enumerate() {
            let target = token.next.top[0].id;
            let last = token.row(HookKind::ResidPost, d.layers - 1).unwrap();
            let u = session.loaded().model.direction(last, target, session.precision()).unwrap().u;
            let size = |x: &[f32]| u.iter().zip(x).map(|(u, x)| (u * f64::from(*x)).abs()).sum::<f64>();
            let got = whole(&session, pos, target);
            assert_eq!(got.logit, token.next.top[0].logit);
            // The norm is rounded twice, the logit once; the rest is for sums in f32.
            let most = step * (2.0 * size(last) + f64::from(got.logit).abs()) * 1.02;
            assert!(got.remainder.abs() <= most, "{case} {pos}: {} of {most}", got.remainder);
            rounded += usize::from(got.remainder.abs() > 1e-7);
            for (layer, shares) in got.details.iter().enumerate() {
                let of = |hook: HookKind| &recorded.seen[&hook.at(layer).to_string()][pos * d.d_model..][..d.d_model];
                let (mid, post) = (of(HookKind::ResidMid), of(HookKind::ResidPost));
                let experts = step * (size(of(HookKind::MlpOut)) + size(post)) * 1.02;
                assert!(shares.experts_remainder.abs() <= experts, "{case} {pos} L{layer}: {shares:?} of {experts}");
                let heads = step * (size(of(HookKind::AttnOut)) + size(mid)) * 1.02;
                assert!(shares.heads_remainder.abs() <= heads, "{case} {pos} L{layer}: {shares:?} of {heads}");
                rounded += usize::from(shares.experts_remainder.abs() > 1e-7);
            }
        }
        assert!(rounded > ids.len(), "{case}: nothing was rounded, so nothing was tested");
    }
}

#[test]
fn quantised_weights_are_read_in_place() {
    for name in ["tiny-Q8_0", "tiny-Q4_0", "kq-Q4_K_M", "tiny-legacy-split-F16"] {
        let open =
            || open(&Location::Gguf(fixture("gguf").join(format!("{name}.gguf"))), Policy::Hf, None, false).unwrap();
        let vocab = open().meta.dims.vocab as u32;
        let ids: Vec<u32> = (3..30).map(|id| id % vocab).collect();
        let recorded = record(&open(), &ids);
        let session = session(open(), &ids);
        let (d, model, precision) = (session.meta().dims, &session.loaded().model, session.precision());
        let (pos, target) = (ids.len() - 1, session.tokens()[ids.len() - 1].next.top[0].id);
        let token = &session.tokens()[pos];
        let u = model.direction(token.row(HookKind::ResidPost, d.layers - 1).unwrap(), target, precision).unwrap().u;
        let got = whole(&session, pos, target);
        assert_eq!(got.logit, token.next.top[0].logit, "{name}");
        for (layer, shares) in got.details.iter().enumerate() {
            for (hook, sum) in [
                (HookKind::AttnOut, shares.heads.iter().sum::<f64>()),
                (HookKind::MlpOut, shares.experts.iter().map(|expert| expert.share).sum()),
            ] {
                let out = &recorded.seen[&hook.at(layer).to_string()][pos * d.d_model..][..d.d_model];
                let parts = || u.iter().zip(out).map(|(u, x)| u * f64::from(*x));
                let (want, size) = (parts().sum::<f64>(), parts().map(f64::abs).sum::<f64>());
                // What `hf` rounds is a step of f16 at most.
                assert!((sum - want).abs() <= 1.02 * F16 * size, "{name} {layer} {hook:?}: {sum} against {want}");
                assert!(want.abs() > 1e-6, "{name} {layer} {hook:?}: nothing to compare");
            }
        }
    }
}
