//! Hook points change nothing when observed, everything when edited; chunks, steps and branches agree bit for bit.

use crate::support::{Recorder, Reference, forward, load, precision};
use anyhow::Result;
use candle_core::{DType, Tensor};
use mixscope::model::{Loaded, NoTaps, Taps};
use mixscope::trace::{Hook, HookKind, Policy};
use std::collections::BTreeMap;

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
        let bare = forward(&loaded, &ids, &mut loaded.model.new_cache(), &mut NoTaps);
        let mut recorder = Recorder::default();
        let observed = forward(&loaded, &ids, &mut loaded.model.new_cache(), &mut recorder);
        assert_eq!(bits(&bare), bits(&observed), "{case} {policy}");
        assert_eq!(recorder.seen.len(), Hook::count(loaded.meta.dims.layers));
    }
}

/// Returns every value unchanged, as an edit.
struct Echo;

impl Taps for Echo {
    fn wants(&self, _: Hook) -> bool {
        true
    }
    fn tap(&mut self, _: Hook, value: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(value.copy()?))
    }
}

#[test]
fn editing_every_hook_to_what_it_was_leaves_the_logits_bit_equal() {
    for (case, stem, policy) in CASES {
        let loaded = load(case, policy);
        let ids = Reference::read(case, stem).ids();
        let bare = forward(&loaded, &ids, &mut loaded.model.new_cache(), &mut NoTaps);
        let echoed = forward(&loaded, &ids, &mut loaded.model.new_cache(), &mut Echo);
        assert_eq!(bits(&bare), bits(&echoed), "{case} {policy}");
    }
}

/// Replaces one hook's value.
struct Edit(Hook);

impl Taps for Edit {
    fn wants(&self, hook: Hook) -> bool {
        hook == self.0
    }
    fn tap(&mut self, hook: Hook, value: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(match hook.kind {
            // Another expert for every slot; a reversed ranking for the router.
            HookKind::ExpertIndices => ((value + 1.0)? - (value.ge(3u32)?.to_dtype(DType::U32)? * 4.0)?)?,
            HookKind::RouterLogits | HookKind::ExpertWeights => value.neg()?,
            _ => (value * 1.5)?,
        }))
    }
}

#[test]
fn an_edit_at_any_hook_reaches_the_logits() {
    let loaded = load("tiny-f32", Policy::Hf);
    let ids = Reference::read("tiny-f32", "reference").ids();
    let bare = forward(&loaded, &ids, &mut loaded.model.new_cache(), &mut NoTaps);
    for hook in Hook::all(loaded.meta.dims.layers) {
        // RMSNorm of a scaled residual is the same, but its sum with the rest is not; only the very last is scale-free.
        let scale_free = hook == HookKind::ResidPost.at(loaded.meta.dims.layers - 1);
        let edited = forward(&loaded, &ids, &mut loaded.model.new_cache(), &mut Edit(hook));
        let moved = edited.iter().zip(&bare).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(scale_free || moved > 1e-3, "{hook}: logits moved by {moved}");
    }
}

#[test]
fn an_edit_of_another_shape_is_an_error_that_names_the_hook() {
    struct Wrong;
    impl Taps for Wrong {
        fn wants(&self, hook: Hook) -> bool {
            hook.kind == HookKind::Z
        }
        fn tap(&mut self, _: Hook, value: &Tensor) -> Result<Option<Tensor>> {
            Ok(Some(value.flatten_all()?))
        }
    }
    let loaded = load("tiny-f32", Policy::Hf);
    let mut cache = loaded.model.new_cache();
    let error = loaded.model.forward(&[1, 2], &mut cache, precision(&loaded), &mut Wrong).unwrap_err();
    assert!(error.to_string().contains("blocks.0.attn.hook_z"), "{error}");
    assert_eq!(cache.len(), 0, "a failed pass leaves nothing in the cache");
    let after = forward(&loaded, &[1, 2], &mut cache, &mut NoTaps);
    assert_eq!(bits(&after), bits(&forward(&loaded, &[1, 2], &mut loaded.model.new_cache(), &mut NoTaps)));
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
    forward(&loaded, &ids, &mut trunk, &mut NoTaps);
    for keep in [0, 1, 13, 32, 33, ids.len() - 1] {
        let mut branch = trunk.clone();
        branch.truncate(keep);
        let other: Vec<u32> = ids[..keep].iter().copied().chain([77, 5, 300]).collect();
        let got = forward(&loaded, &other[keep..], &mut branch, &mut NoTaps);
        let fresh = forward(&loaded, &other, &mut loaded.model.new_cache(), &mut NoTaps);
        assert_eq!(bits(&got), bits(&fresh[keep * loaded.meta.dims.vocab..]), "branch at {keep}");
    }
    let mut again = trunk.clone();
    again.truncate(ids.len() - 1);
    let last = forward(&loaded, &ids[ids.len() - 1..], &mut again, &mut NoTaps);
    let whole = forward(&loaded, &ids, &mut loaded.model.new_cache(), &mut NoTaps);
    assert_eq!(
        bits(&last),
        bits(&whole[(ids.len() - 1) * loaded.meta.dims.vocab..]),
        "the trunk is untouched by its branches"
    );
}
