//! What must never be excused as rounding, and recordings that hold almost nothing.

use crate::support::load;
use crate::support::recordings::{edited, floats, reference};
use mixscope::control::Control;
use mixscope::engine::{Fidelity, Verdict, check_against};
use mixscope::trace::{Dtype, Hook, HookKind as K, Policy, TraceFile, TraceReader, Values};

/// What the check says of an edited recording of `case`.
fn check(case: &str, stem: &str, policy: Policy, edit: impl FnOnce(&mut TraceFile)) -> Fidelity {
    let (_folder, path) = edited(&reference(case, stem), "t.safetensors", edit);
    check_against(&load(case, policy), &TraceReader::open(&path).unwrap(), None, None, &Control::none()).unwrap()
}

fn differs_at(found: &Fidelity, hook: Hook) {
    let guilty = found.guilty.as_ref().unwrap_or_else(|| panic!("{hook}: {:?}, {:?}", found.verdict, found.kinds));
    assert_eq!((found.verdict, guilty.hook), (Verdict::Differs, hook), "{}", guilty.sentence);
}

#[test]
fn nan_is_no_rounding() {
    for kind in [K::Ln1, K::Q, K::RotK, K::Z, K::AttnOut, K::ExpertOut, K::MlpOut] {
        let hook = kind.at(1);
        let nan = |trace: &mut TraceFile| floats(trace, &hook.to_string())[7] = f32::NAN;
        let found = check("tiny-bf16", "reference", Policy::Hf, nan);
        differs_at(&found, hook);
        assert!(found.guilty.unwrap().sentence.contains("NaN"), "{hook}");
    }
}

#[test]
fn one_token_of_many_is_enough() {
    // Five per cent at one token, also of one expert's outputs.
    for kind in [K::Q, K::AttnOut, K::ExpertOut, K::MlpOut] {
        let hook = kind.at(1);
        let last_token = |trace: &mut TraceFile| {
            let values = floats(trace, &hook.to_string());
            let from = values.len() - 64;
            values[from..].iter_mut().for_each(|x| *x *= 1.05);
        };
        for case in ["tiny-f32", "tiny-bf16"] {
            differs_at(&check(case, "reference", Policy::Hf, last_token), hook);
        }
    }
}

#[test]
fn a_kind_of_rounding_does_not_hide_a_fault_at_some_tokens() {
    let zeroed = |trace: &mut TraceFile| floats(trace, "blocks.1.hook_mlp_out")[20 * 64..22 * 64].fill(0.0);
    let found = check("tiny-bf16", "reference_eager_experts", Policy::Hf, zeroed);
    differs_at(&found, K::MlpOut.at(1));
    assert!(found.kinds.iter().any(|fit| fit.cause.contains("added one by one")), "{:?}", found.kinds);
}

#[test]
fn a_scale_is_no_f16_sum() {
    let scaled = |trace: &mut TraceFile| {
        floats(trace, "blocks.0.attn.hook_q").iter_mut().for_each(|x| *x *= 1.0005);
    };
    let found = check("tiny-f32", "reference", Policy::Hf, scaled);
    differs_at(&found, K::Q.at(0));
    assert_eq!(found.guilty.unwrap().cause, None);
}

#[test]
fn the_same_expert_twice_is_no_tie() {
    let twice = |trace: &mut TraceFile| {
        let name = "blocks.2.mlp.hook_expert_indices";
        let Values::U32(ids) = &mut trace.tensors.get_mut(name).unwrap().values else { panic!() };
        ids[1] = ids[0];
    };
    differs_at(&check("tiny-f32", "reference", Policy::Hf, twice), K::ExpertIndices.at(2));
}

#[test]
fn a_recording_of_any_one_hook_is_judged() {
    let names: Vec<String> = Hook::recorded(mixscope::trace::Dims { layers: 3, ..Default::default() })
        .map(|hook| hook.to_string())
        .collect();
    for case in ["tiny-f32", "tiny-bf16"] {
        for name in &names {
            let alone = |trace: &mut TraceFile| trace.tensors.retain(|other, _| other == name || other == "tokens");
            if !TraceReader::open(&reference(case, "reference")).unwrap().has(name) {
                continue;
            }
            let found = check(case, "reference", Policy::Hf, alone);
            assert_eq!(found.verdict, Verdict::Agrees, "{case}, {name}: {:?}", found.guilty);
        }
    }
}

#[test]
fn tied_logits_have_no_other_head_to_suspect() {
    let scaled = |trace: &mut TraceFile| floats(trace, "unembed.hook_out").iter_mut().for_each(|x| *x *= 1.1);
    let found = check("tied-window-legacy", "reference", Policy::Hf, scaled);
    differs_at(&found, K::Logits.at(0));
    assert_eq!(found.guilty.unwrap().cause, None);
}

#[test]
fn sixteen_bits_of_another_program_are_rounding_under_f32() {
    for stem in ["reference", "reference_eager_experts"] {
        let found = check("tiny-bf16", stem, Policy::F32, |_| {});
        assert_eq!(found.verdict, Verdict::AgreesUpToRounding, "{stem}: {:?}", found.guilty);
    }
}

/// Rounds every floating-point tensor, or those of one kind, as saving it in `dtype` does.
fn save_in(dtype: Dtype, only: Option<&'static str>) -> impl FnOnce(&mut TraceFile) {
    move |trace| {
        let names = trace.tensors.iter_mut().filter(|(name, _)| only.is_none_or(|part| name.ends_with(part)));
        for (_, tensor) in names {
            if let Values::F32(values) = &mut tensor.values {
                values.iter_mut().for_each(|x| *x = dtype.round(*x));
                tensor.dtype = dtype;
            }
        }
    }
}

#[test]
fn what_was_rounded_when_it_was_saved_is_no_fault() {
    for (dtype, only) in [Dtype::Bf16, Dtype::F16].into_iter().flat_map(|dtype| {
        [None, Some("attn.hook_q"), Some("hook_resid_pre"), Some("mlp.hook_expert_out")].map(|only| (dtype, only))
    }) {
        let found = check("tiny-f32", "reference", Policy::F32, save_in(dtype, only));
        assert_ne!(
            found.verdict,
            Verdict::Differs,
            "{dtype} {only:?}: {:?}",
            found.guilty.map(|guilty| guilty.sentence)
        );
    }
    // A fault stays one.
    let both = |trace: &mut TraceFile| {
        floats(trace, "blocks.1.attn.hook_rot_q").iter_mut().for_each(|x| *x = -*x);
        save_in(Dtype::Bf16, None)(trace);
    };
    differs_at(&check("tiny-f32", "reference", Policy::F32, both), K::RotQ.at(1));
}

#[test]
fn noise_beyond_that_of_saving_is_a_fault() {
    for (kind, dtype, size) in
        [(K::Q, Dtype::Bf16, 0.012), (K::AttnOut, Dtype::Bf16, 0.012), (K::MlpOut, Dtype::F16, 0.0015)]
    {
        let hook = kind.at(1);
        let noisy = |trace: &mut TraceFile| {
            for (i, x) in floats(trace, &hook.to_string()).iter_mut().enumerate() {
                // No pattern that a column or a token follows.
                *x *= 1.0 + size * (i as f32 * 12.9898).sin();
            }
            save_in(dtype, None)(trace);
        };
        differs_at(&check("tiny-f32", "reference", Policy::F32, noisy), hook);
    }
}

#[test]
fn a_second_fault_is_named_beside_the_first() {
    let two = |trace: &mut TraceFile| {
        floats(trace, "blocks.0.attn.hook_rot_q").fill(0.0);
        floats(trace, "blocks.1.mlp.hook_mixing_weights").iter_mut().for_each(|x| *x *= 0.5);
    };
    let found = check("tiny-f32", "reference", Policy::F32, two);
    differs_at(&found, K::RotQ.at(0));
    let also: Vec<Hook> = found.also.iter().map(|guilty| guilty.hook).collect();
    // The recorded scores do not follow from queries of 0 either, and are not explained by their being 0.
    assert!(also.contains(&K::MixingWeights.at(1)), "{also:?}");
}

#[test]
fn a_recording_that_starts_in_the_middle_of_a_text_is_named_as_such() {
    let cut = |trace: &mut TraceFile| {
        let n = trace.tensors["tokens"].shape[0];
        trace.tensors.retain(|name, _| {
            name == "tokens"
                || ["attn.hook_q", "attn.hook_k", "hook_rot_q", "hook_rot_k"].iter().any(|end| name.ends_with(end))
        });
        for tensor in trace.tensors.values_mut() {
            let from = 17 * tensor.shape[1..].iter().product::<usize>();
            tensor.shape[0] = n - 17;
            match &mut tensor.values {
                Values::F32(values) => drop(values.drain(..from)),
                Values::U32(values) => drop(values.drain(..from)),
            }
        }
        let keep = trace.tensors.keys().filter(|name| name.contains("rot")).count();
        assert!(keep > 0, "the recording holds rotated queries");
    };
    for case in ["tiny-f32", "tiny-bf16"] {
        let found = check(case, "reference", Policy::Hf, cut);
        let sentence = found.guilty.map(|guilty| guilty.sentence).unwrap_or_default();
        assert!(sentence.contains("as if 17 tokens came before"), "{case}: {sentence}");
    }
}
