//! Hook points change nothing when observed, everything when edited; chunks, steps and branches agree bit for bit.

use crate::support::{Recorder, Reference, forward, in_recordings, load, precision, record};
use anyhow::Result;
use mixscope::control::Control;
use mixscope::model::{Activations, Hooks, Loaded, NoHooks, at, at_ids};
use mixscope::trace::{Hook, HookKind, Policy};
use std::collections::BTreeMap;
use std::ops::Range;

const CASES: [(&str, &str, Policy); 7] = [
    ("tiny-f32", "reference", Policy::Hf),
    ("tiny-bf16", "reference", Policy::Hf),
    ("tiny-bf16", "reference", Policy::F32Router),
    ("tiny-bf16", "reference_float32", Policy::F32),
    ("gqa-headdim", "reference", Policy::Hf),
    ("tied-window-legacy", "reference", Policy::Hf),
    ("top3", "reference", Policy::Hf),
];

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|x| x.to_bits()).collect()
}

#[test]
fn observing_every_hook_leaves_the_logits_bit_equal() {
    for (case, stem, policy) in CASES {
        let loaded = load(case, policy);
        let ids = Reference::read(case, stem).ids();
        let bare = forward(&loaded, &ids, &mut loaded.model.new_cache(), &mut NoHooks);
        let mut recorder = Recorder::default();
        let mut every = (Others::default(), &mut recorder);
        let observed = forward(&loaded, &ids, &mut loaded.model.new_cache(), &mut every);
        assert_eq!(bits(&bare), bits(&observed), "{case} {policy}");
        let seen = every.0.0 + recorder.seen.len();
        assert_eq!(seen, Hook::all(loaded.meta.dims).count());
    }
}

/// Counts the hooks that a [`Recorder`] leaves out.
#[derive(Default)]
struct Others(usize);

impl Hooks for Others {
    fn wants(&self, hook: Hook) -> bool {
        !in_recordings(hook)
    }
    fn at(&mut self, _: Hook, _: &mut [f32], _: Range<usize>) -> Result<()> {
        self.0 += 1;
        Ok(())
    }
}

#[test]
fn a_closure_at_a_hook_of_the_other_kind_is_refused() {
    let loaded = load("tiny-f32", Policy::Hf);
    let logits = |hooks: &mut dyn Hooks| {
        let mut cache = loaded.model.new_cache();
        loaded.model.forward(&[1, 5, 9], &mut cache, loaded.precision(), hooks, &Control::none())
    };
    for hook in Hook::all(loaded.meta.dims) {
        let (floats, ids) = (logits(&mut at(hook, |_, _| {})), logits(&mut at_ids(hook, |_, _| {})));
        let (right, wrong) = if hook.kind == HookKind::ExpertIndices { (ids, floats) } else { (floats, ids) };
        assert!(right.is_ok(), "{hook}");
        assert!(wrong.unwrap_err().to_string().contains("in place of"), "{hook}");
    }
    let plain = logits(&mut NoHooks).unwrap();
    let swapped = logits(&mut at_ids(HookKind::ExpertIndices.at(0), |ids, _| ids.reverse())).unwrap();
    assert_ne!(bits(&plain), bits(&swapped));
}

#[test]
fn a_norm_divides_by_the_root_of_the_mean_square_and_an_edit_of_it_is_followed() {
    for (case, stem, policy) in CASES {
        let loaded = load(case, policy);
        let (d, layers) = (loaded.meta.dims.d_model, loaded.meta.dims.layers);
        let ids = Reference::read(case, stem).ids();
        let norms = (0..layers).flat_map(|layer| {
            [(HookKind::ResidPre, HookKind::Ln1Scale), (HookKind::ResidMid, HookKind::Ln2Scale)]
                .map(|(from, to)| (from.at(layer), to.at(layer)))
        });
        let last = (HookKind::ResidPost.at(layers - 1), HookKind::LnFinalScale.at(0));
        let resid = record(&loaded, &ids).seen;
        for (from, to) in norms.chain([last]) {
            let mut found = Vec::new();
            forward(
                &loaded,
                &ids,
                &mut loaded.model.new_cache(),
                &mut at(to, |value, _| found.extend_from_slice(value)),
            );
            assert_eq!(found.len(), ids.len(), "{case} {to}");
            for (x, found) in resid[&from.to_string()].chunks_exact(d).zip(found) {
                let mean = x.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / d as f64;
                let want = (mean + loaded.config.arch.eps).sqrt();
                assert!((f64::from(found) - want).abs() < 1e-6 * want, "{case} {to}: {found} {want}");
            }
        }
    }
    let loaded = load("tiny-f32", Policy::Hf);
    let output = |scale: f32| {
        let mut normed = Vec::new();
        let mut hooks = (
            at(HookKind::Ln2Scale.at(1), |value, _| value.iter_mut().for_each(|value| *value *= scale)),
            at(HookKind::Ln2.at(1), |value, _| normed.extend_from_slice(value)),
        );
        forward(&loaded, &[1, 5, 9], &mut loaded.model.new_cache(), &mut hooks);
        normed
    };
    let halved: Vec<f32> = output(1.0).iter().map(|x| x / 2.0).collect();
    assert_eq!(bits(&output(2.0)), bits(&halved));
}

/// Writes to every value what it was.
struct Echo;

impl Hooks for Echo {
    fn wants(&self, _: Hook) -> bool {
        true
    }
    fn at(&mut self, _: Hook, value: &mut [f32], _: Range<usize>) -> Result<()> {
        let same = value.to_vec();
        value.copy_from_slice(&same);
        Ok(())
    }
}

#[test]
fn editing_every_hook_to_what_it_was_leaves_the_logits_bit_equal() {
    for (case, stem, policy) in CASES {
        let loaded = load(case, policy);
        let ids = Reference::read(case, stem).ids();
        let bare = forward(&loaded, &ids, &mut loaded.model.new_cache(), &mut NoHooks);
        let echoed = forward(&loaded, &ids, &mut loaded.model.new_cache(), &mut Echo);
        assert_eq!(bits(&bare), bits(&echoed), "{case} {policy}");
    }
}

/// Changes one hook's value.
struct Edit(Hook);

impl Hooks for Edit {
    fn wants(&self, hook: Hook) -> bool {
        hook == self.0
    }
    fn at(&mut self, hook: Hook, value: &mut [f32], _: Range<usize>) -> Result<()> {
        let factor = match hook.kind {
            // A reversed ranking for the router.
            HookKind::RouterLogits | HookKind::ExpertWeights | HookKind::ChoiceScores => -1.0,
            _ => 1.5,
        };
        value.iter_mut().for_each(|x| *x *= factor);
        Ok(())
    }
    fn at_ids(&mut self, _: Hook, ids: &mut [u32], _: Range<usize>) -> Result<()> {
        // Another expert for every slot.
        ids.iter_mut().for_each(|id| *id = (*id + 1) % 4);
        Ok(())
    }
}

#[test]
fn an_edit_at_any_hook_reaches_the_logits() {
    let loaded = load("tiny-f32", Policy::Hf);
    let ids = Reference::read("tiny-f32", "reference").ids();
    let bare = forward(&loaded, &ids, &mut loaded.model.new_cache(), &mut NoHooks);
    for hook in Hook::all(loaded.meta.dims) {
        // RMSNorm of a scaled residual is the same, but its sum with the rest is not; only the very last is scale-free.
        let scale_free = hook == HookKind::ResidPost.at(loaded.meta.dims.layers - 1);
        let edited = forward(&loaded, &ids, &mut loaded.model.new_cache(), &mut Edit(hook));
        let moved = edited.iter().zip(&bare).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(scale_free || moved > 1e-3, "{hook}: logits moved by {moved}");
    }
}

#[test]
fn an_expert_that_the_model_lacks_is_an_error_that_names_the_hook() {
    struct Wrong;
    impl Hooks for Wrong {
        fn wants(&self, hook: Hook) -> bool {
            hook == HookKind::ExpertIndices.at(1)
        }
        fn at(&mut self, _: Hook, _: &mut [f32], _: Range<usize>) -> Result<()> {
            Ok(())
        }
        fn at_ids(&mut self, _: Hook, ids: &mut [u32], _: Range<usize>) -> Result<()> {
            ids[1] = 4;
            Ok(())
        }
    }
    let loaded = load("tiny-f32", Policy::Hf);
    let mut cache = loaded.model.new_cache();
    let run = |cache: &mut _, hooks: &mut dyn Hooks| {
        loaded.model.forward(&[1, 2], cache, precision(&loaded), hooks, &Control::none())
    };
    let error = run(&mut cache, &mut Wrong).unwrap_err();
    assert_eq!(error.to_string(), "the hook at `blocks.1.mlp.hook_expert_indices` chose expert 4 of 4");
    assert_eq!(cache.len(), 0, "a failed pass leaves nothing in the cache");
    let after = run(&mut cache, &mut NoHooks).unwrap();
    assert_eq!(bits(&after), bits(&run(&mut loaded.model.new_cache(), &mut NoHooks).unwrap()));
}

#[test]
fn a_banned_expert_is_replaced_by_the_next_best_with_its_own_probability() {
    let loaded = load("top3", Policy::Hf);
    let ids = Reference::read("top3", "reference").ids();
    let (d, hook) = (loaded.meta.dims, HookKind::ChoiceScores.at(0));
    let plain = record(&loaded, &ids).seen;
    let name = |kind: HookKind| kind.at(0).to_string();
    let banned = plain[&name(HookKind::ExpertIndices)][0] as usize;
    let ban = at(hook, |scores, positions| {
        assert_eq!(scores.len(), positions.len() * d.experts);
        scores.chunks_exact_mut(d.experts).for_each(|row| row[banned] = f32::NEG_INFINITY);
    });
    let mut recorder = Recorder::default();
    forward(&loaded, &ids, &mut loaded.model.new_cache(), &mut (ban, &mut recorder));
    let edited = recorder.seen;
    let probs = &plain[&name(HookKind::ExpertWeights)];
    assert_eq!(bits(&edited[&name(HookKind::ExpertWeights)]), bits(probs), "the probabilities stay");
    let rows = |seen: &BTreeMap<String, Vec<f32>>, kind| {
        seen[&name(kind)].chunks_exact(d.top_k).map(<[f32]>::to_vec).collect::<Vec<_>>()
    };
    let (chosen, weights) = (rows(&edited, HookKind::ExpertIndices), rows(&edited, HookKind::MixingWeights));
    for (pos, probs) in probs.chunks_exact(d.experts).enumerate() {
        let mut left: Vec<usize> = (0..d.experts).filter(|expert| *expert != banned).collect();
        left.sort_by(|a, b| probs[*b].total_cmp(&probs[*a]));
        let want: Vec<f32> = left[..d.top_k].iter().map(|expert| *expert as f32).collect();
        assert_eq!(chosen[pos], want, "position {pos}");
        let sum: f32 = left[..d.top_k].iter().map(|expert| probs[*expert]).sum();
        let want: Vec<f32> = left[..d.top_k].iter().map(|expert| probs[*expert] / sum).collect();
        assert_eq!(bits(&weights[pos]), bits(&want), "position {pos}");
    }
    let mut was = rows(&plain, HookKind::ExpertIndices);
    was.retain(|row| row.contains(&(banned as f32)));
    assert!(!was.is_empty() && chosen != rows(&plain, HookKind::ExpertIndices));
}

#[test]
fn unedited_choice_scores_are_the_expert_weights() {
    for (case, stem, policy) in CASES {
        let loaded = load(case, policy);
        let ids = Reference::read(case, stem).ids();
        let mut kept = Activations::all(loaded.meta.dims);
        let logits = forward(&loaded, &ids, &mut loaded.model.new_cache(), &mut kept);
        assert_eq!(bits(&logits), bits(&forward(&loaded, &ids, &mut loaded.model.new_cache(), &mut NoHooks)));
        for layer in 0..loaded.meta.dims.layers {
            let of = |kind: HookKind| kept.get(&kind.at(layer).to_string()).unwrap();
            assert_eq!(of(HookKind::ChoiceScores), of(HookKind::ExpertWeights), "{case} {policy} layer {layer}");
        }
    }
}

#[test]
fn an_edited_pattern_may_look_at_any_key_of_the_pass() {
    let loaded = load("tied-window-legacy", Policy::Hf);
    let ids = Reference::read("tied-window-legacy", "reference").ids();
    let (d, layer, n) = (loaded.meta.dims, 0, ids.len());
    let plain = record(&loaded, &ids).seen;
    // The first query looks at the last key alone: beyond the mask, and beyond the window.
    let look = at(HookKind::Pattern.at(layer), |pattern, _| {
        for head in pattern.chunks_exact_mut(n * n) {
            head[..n].fill(0.0);
            head[n - 1] = 1.0;
        }
    });
    let mut recorder = Recorder::default();
    forward(&loaded, &ids, &mut loaded.model.new_cache(), &mut (look, &mut recorder));
    let name = |kind: HookKind| kind.at(layer).to_string();
    let (z, v) = (&recorder.seen[&name(HookKind::Z)], &plain[&name(HookKind::V)]);
    for head in 0..d.heads {
        let value = &v[((n - 1) * d.kv_heads + head / (d.heads / d.kv_heads)) * d.d_head..][..d.d_head];
        assert_eq!(bits(&z[head * d.d_head..][..d.d_head]), bits(value), "head {head}");
    }
    let width = d.heads * d.d_head;
    assert_eq!(bits(&z[width..]), bits(&plain[&name(HookKind::Z)][width..]), "the other queries look where they did");
}

fn in_chunks(loaded: &Loaded, ids: &[u32], size: usize) -> (Vec<f32>, BTreeMap<String, Vec<f32>>) {
    let mut cache = loaded.model.new_cache();
    // A pattern has one row a query and as many columns as keys so far: its chunks don't concatenate.
    let mut recorder = Recorder { except: vec![HookKind::Pattern], ..Default::default() };
    let logits = ids.chunks(size).flat_map(|chunk| forward(loaded, chunk, &mut cache, &mut recorder)).collect();
    (logits, recorder.seen)
}

#[test]
fn prefill_chunks_and_single_steps_agree_bit_for_bit_at_every_hook() {
    for (case, stem, policy) in CASES {
        let loaded = load(case, policy);
        let ids = Reference::read(case, stem).ids();
        let (whole, seen) = in_chunks(&loaded, &ids, ids.len());
        for size in [1, 7, 16] {
            let (logits, chunked) = in_chunks(&loaded, &ids, size);
            assert_eq!(bits(&whole), bits(&logits), "{case} {policy} chunks of {size}");
            for (name, values) in &seen {
                assert_eq!(bits(values), bits(&chunked[name]), "{case} {policy} chunks of {size} {name}");
            }
        }
    }
}

#[test]
fn a_truncated_and_branched_cache_gives_the_bits_of_a_fresh_run() {
    let loaded = load("tied-window-legacy", Policy::Hf);
    let ids = Reference::read("tied-window-legacy", "reference").ids();
    let mut trunk = loaded.model.new_cache();
    forward(&loaded, &ids, &mut trunk, &mut NoHooks);
    for keep in [0, 1, 13, 32, 33, ids.len() - 1] {
        let mut branch = trunk.clone();
        branch.truncate(keep);
        let other: Vec<u32> = ids[..keep].iter().copied().chain([77, 5, 300]).collect();
        let got = forward(&loaded, &other[keep..], &mut branch, &mut NoHooks);
        let fresh = forward(&loaded, &other, &mut loaded.model.new_cache(), &mut NoHooks);
        assert_eq!(bits(&got), bits(&fresh[keep * loaded.meta.dims.vocab..]), "branch at {keep}");
    }
    let mut again = trunk.clone();
    again.truncate(ids.len() - 1);
    let last = forward(&loaded, &ids[ids.len() - 1..], &mut again, &mut NoHooks);
    let whole = forward(&loaded, &ids, &mut loaded.model.new_cache(), &mut NoHooks);
    assert_eq!(
        bits(&last),
        bits(&whole[(ids.len() - 1) * loaded.meta.dims.vocab..]),
        "the trunk is untouched by its branches"
    );
}
