use super::*;
use crate::trace::{Dtype, Hook, HookKind as K, TraceTensor, Values};
use serde_json::json;

const POS: usize = 3;

fn floats(dtype: Dtype, shape: &[usize], values: &[f32]) -> TraceTensor {
    TraceTensor { shape: shape.to_vec(), dtype, values: Values::F32(values.to_vec()) }
}

/// `[pos, width]` of a constant, with some values replaced.
fn rows(dtype: Dtype, width: usize, constant: f32, other: &[(usize, f32)]) -> TraceTensor {
    let mut values = vec![constant; POS * width];
    other.iter().for_each(|(at, value)| values[*at] = *value);
    floats(dtype, &[POS, width], &values)
}

fn comparer(mode: Mode, tolerance: Option<f32>, dtypes: [Dtype; 2]) -> Comparer {
    Comparer::new(mode, tolerance, dtypes, vec![1, 0, 2], 2, false)
}

fn compare(dtypes: [Dtype; 2], tolerance: Option<f32>, pairs: &[(Hook, TraceTensor, TraceTensor)]) -> Comparison {
    compare_as(Mode::EndToEnd, dtypes, tolerance, pairs)
}

fn compare_as(
    mode: Mode,
    dtypes: [Dtype; 2],
    tolerance: Option<f32>,
    pairs: &[(Hook, TraceTensor, TraceTensor)],
) -> Comparison {
    let mut comparer = comparer(mode, tolerance, dtypes);
    for (hook, a, b) in pairs {
        comparer.add(*hook, Some(a.clone()), Some(b.clone())).unwrap();
    }
    comparer.finish()
}

const F32: [Dtype; 2] = [Dtype::F32; 2];
const BF16: [Dtype; 2] = [Dtype::Bf16; 2];

#[test]
fn equal_recordings_agree_in_everything() {
    let same = rows(Dtype::F32, 4, 0.5, &[(3, -7.0)]);
    let found = compare(F32, Some(0.0), &[(K::ResidMid.at(0), same.clone(), same)]);
    assert!(found.ok && found.failures.is_empty() && found.first_difference.is_none());
    assert_eq!(found.equal(), (12, 12));
    assert_eq!(found.hooks[0].relative_l2, 0.0);
}

#[test]
fn one_step_is_one_step_of_the_coarser_dtype() {
    let a = rows(Dtype::Bf16, 40, 1.0, &[]);
    let b = rows(Dtype::Bf16, 40, 1.0, &[(41, 1.0 + 1.0 / 128.0)]);
    let found = compare(BF16, None, &[(K::AttnOut.at(0), a.clone(), b)]);
    let diff = &found.hooks[0];
    assert_eq!((diff.equal, diff.values, diff.max_ulps, diff.first_unequal), (119, 120, 1.0, Some(1)));
    assert_eq!(diff.max_abs, 1.0 / 128.0);
    assert!((diff.mean_abs - 1.0 / 128.0 / 120.0).abs() < 1e-12);
    assert!((diff.relative_l2 - 1.0 / 128.0 / 120f64.sqrt()).abs() < 1e-9);
    assert!(found.ok, "one step in one of 120 values is what rounding gives");
    assert!(!compare(BF16, Some(0.0), &[(K::AttnOut.at(0), a.clone(), rows(Dtype::Bf16, 40, 1.0, &[(0, 1.5)]))]).ok);
    // Seven of 120 are more than 5 %.
    let other: Vec<(usize, f32)> = (0..7).map(|i| (i, 1.0 + 1.0 / 128.0)).collect();
    assert!(!compare(BF16, None, &[(K::AttnOut.at(0), a, rows(Dtype::Bf16, 40, 1.0, &other))]).ok);
}

#[test]
fn dtypes_that_differ_are_compared_after_rounding_too() {
    let a = rows(Dtype::F32, 1, 1.001, &[(2, 1.01)]);
    let b = rows(Dtype::Bf16, 1, 1.0, &[]);
    let found = compare([Dtype::F32, Dtype::Bf16], None, &[(K::AttnOut.at(0), a, b)]);
    let diff = &found.hooks[0];
    assert_eq!((diff.equal, diff.equal_rounded), (0, Some(2)));
    assert!((diff.max_ulps - 0.01 * 128.0).abs() < 1e-3, "{}", diff.max_ulps);
}

#[test]
fn f32_allows_what_the_reference_values_allow() {
    let at = |hook: K, a: f32, b: f32| {
        let tensor = |x| rows(Dtype::F32, 1, x, &[]);
        compare(F32, None, &[(hook.at(0), tensor(a), tensor(b))]).ok
    };
    assert!(at(K::AttnOut, 10.0, 10.0 + 2.9e-4));
    assert!(!at(K::AttnOut, 10.0, 10.0 + 3.2e-4));
    assert!(at(K::MixingWeights, 0.5, 0.5 + 1.9e-5));
    assert!(!at(K::MixingWeights, 0.5, 0.5 + 2.3e-5));
}

#[test]
fn no_number_is_equal_to_no_number() {
    let bad = rows(Dtype::F32, 2, 1.0, &[(4, f32::NAN), (5, f32::INFINITY)]);
    let found = compare(F32, Some(1e9), &[(K::ResidPost.at(0), bad.clone(), bad)]);
    assert!(!found.ok);
    assert_eq!((found.hooks[0].equal, found.hooks[0].non_finite), (4, [2, 2]));
    assert_eq!((found.hooks[0].first_unequal, found.hooks[0].max_abs), (Some(2), 0.0));
    assert!(found.failures[0].contains("NaN or infinity in 2 values of A and 2 of B"), "{:?}", found.failures);
}

/// Router logits whose third row has A choose {0, 1} and B {0, 2}.
fn flip(gap: f32, dtype: Dtype) -> (Hook, TraceTensor, TraceTensor) {
    let a = floats(dtype, &[POS, 3], &[3.0, 2.0, 1.0, 3.0, 2.0, 1.0, 2.0, 1.0, 1.0 - gap]);
    let b = floats(dtype, &[POS, 3], &[3.0, 2.0, 1.0, 3.0, 2.0, 1.0, 2.0, 1.0 - gap, 1.0]);
    (K::RouterLogits.at(1), a, b)
}

#[test]
fn a_flip_tells_its_margin_and_whether_the_hidden_state_parted_first() {
    let hidden =
        |other: &[(usize, f32)]| (K::ResidMid.at(1), rows(Dtype::F32, 2, 1.0, &[]), rows(Dtype::F32, 2, 1.0, other));
    for (other, equal) in [(vec![], true), (vec![(4, 1.1)], false), (vec![(0, 1.1)], true)] {
        let found = compare(F32, None, &[hidden(&other), flip(1.0, Dtype::F32)]);
        let first = found.first_flip.as_ref().unwrap();
        assert_eq!((first.layer, first.position), (1, 2));
        assert_eq!(first.experts, [vec![0, 1], vec![0, 2]]);
        assert_eq!(first.gaps, [Some(1.0), Some(1.0)]);
        assert_eq!(first.input, Some(RouterInput { hook: K::ResidMid.at(1), equal, immediate: true }), "{other:?}");
        let layer = &found.routing[0];
        assert_eq!((layer.flips, layer.first_flips, layer.tokens), (1, 0, 3));
        assert!((layer.jaccard - (2.0 + 1.0 / 3.0) / 3.0).abs() < 1e-12);
        // Σ p (log p - log q) with p = softmax [2, 1, 0].
        let e = 1f64.exp();
        let kl = (e - 1.0) / (e * e + e + 1.0);
        assert!((layer.kl_max.unwrap() - kl).abs() < 1e-9 && (layer.kl_mean.unwrap() - kl / 3.0).abs() < 1e-9);
        assert!(!found.ok);
    }
}

#[test]
fn what_is_added_to_the_hidden_state_counts_where_the_sum_is_not_there() {
    let pair =
        |kind: K, other: &[(usize, f32)]| (kind.at(1), rows(Dtype::F32, 2, 1.0, &[]), rows(Dtype::F32, 2, 1.0, other));
    for (before, added, equal) in
        [(vec![], vec![(5, 2.0)], false), (vec![(5, 2.0)], vec![], false), (vec![], vec![], true)]
    {
        let pairs = [pair(K::ResidPre, &before), pair(K::AttnOut, &added), flip(1.0, Dtype::F32)];
        let input = compare(F32, None, &pairs).first_flip.unwrap().input;
        assert_eq!(input, Some(RouterInput { hook: K::AttnOut.at(1), equal, immediate: true }));
    }
}

#[test]
fn recorded_choices_come_before_those_that_follow_from_logits() {
    let chosen = |last: u32| TraceTensor {
        shape: vec![POS, 2],
        dtype: Dtype::F32,
        values: Values::U32(vec![0, 1, 0, 1, 1, last]),
    };
    let found = compare(F32, None, &[(K::ExpertIndices.at(0), chosen(0), chosen(2))]);
    let first = found.first_flip.unwrap();
    assert_eq!((first.experts, first.gaps), ([vec![1, 0], vec![1, 2]], [None, None]));
    assert_eq!((first.input, found.routing[0].kl_mean), (None, None));
}

#[test]
fn alone_only_within_rounding_may_flip_in_16_bits_and_what_follows_is_left_out() {
    let after = || {
        let b = rows(Dtype::Bf16, 2, 1.0, &[(4, 9.0), (5, 9.0)]);
        (K::MlpOut.at(1), rows(Dtype::Bf16, 2, 1.0, &[]), b)
    };
    let near = compare_as(Mode::Isolated, BF16, None, &[flip(1.0 / 64.0, Dtype::Bf16), after()]);
    assert!(near.ok, "{:?}", near.failures);
    assert_eq!(near.routing[0].within_rounding, 1);
    assert_eq!(near.hook(K::MlpOut.at(1)).unwrap().max_abs, 8.0);
    let router = |gap| {
        let (hook, mut a, mut b) = flip(gap, Dtype::Bf16);
        // The logits are close, but the recorded indices differ beyond rounding.
        (a.values, b.values) = (b.values.clone(), b.values);
        (hook, a, b)
    };
    let chosen = |last: u32| TraceTensor {
        shape: vec![POS, 2],
        dtype: Dtype::F32,
        values: Values::U32(vec![0, 1, 0, 1, 0, last]),
    };
    let choice = (K::ExpertIndices.at(1), chosen(1), chosen(2));
    let wide = compare_as(Mode::Isolated, BF16, None, &[router(0.5), choice, after()]);
    assert!(!wide.ok);
    assert_eq!(wide.hook(K::ExpertIndices.at(1)).unwrap().first_beyond, Some(2));
}

#[test]
fn what_a_norm_divides_by_follows_from_values_that_are_rounded() {
    let at = |hook: K, gap: f32| {
        let (a, b) = (rows(Dtype::F32, 1, 3.0, &[]), rows(Dtype::F32, 1, 3.0 * (1.0 + gap), &[]));
        compare(BF16, None, &[(hook.at(0), a, b)]).ok
    };
    assert!(at(K::Ln2Scale, 1e-3), "less than an ulp of bf16");
    assert!(!at(K::Ln2Scale, 0.02));
    assert!(!at(K::MixingWeights, 1e-3), "a softmax of equal logits is equal up to f32");
}

#[test]
fn losses_come_from_logits() {
    // Tokens 1, 0, 2: the first row predicts 0, the second 2.
    let a = floats(Dtype::F32, &[POS, 3], &[0.0, 0.0, 0.0, 0.0, 0.0, 5.0, 0.0, 0.0, 1.0]);
    let b = floats(Dtype::F32, &[POS, 3], &[0.0, 0.0, 0.0, 5.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
    let found = compare(F32, None, &[(K::Logits.at(0), a, b)]);
    let loss = found.loss.unwrap();
    assert!((loss.nll[0][0] - 3f32.ln()).abs() < 1e-6);
    assert_eq!(loss.top_changed, Some([1, 3]));
    assert!((loss.max_abs - 5.0).abs() < 1e-5 && (loss.mean[1].unwrap() - loss.mean[0].unwrap() - 2.5).abs() < 1e-5);
}

#[test]
fn tensors_that_do_not_fit_are_named() {
    let mut comparer = comparer(Mode::EndToEnd, None, F32);
    let tensor = |width| Some(rows(Dtype::F32, width, 0.0, &[]));
    let error = comparer.add(K::Q.at(2), tensor(4), tensor(5)).unwrap_err().to_string();
    assert_eq!(error, "`blocks.2.attn.hook_q`: expected shape [3, 4] as in A, found [3, 5] in B");
    let short = || Some(floats(Dtype::F32, &[2, 1], &[0.0, 0.0]));
    let error = comparer.add(K::AttnOut.at(2), short(), short()).unwrap_err().to_string();
    assert!(error.contains("blocks.2.hook_attn_out") && error.contains("3 positions"), "{error}");
}

#[test]
fn texts_are_compared_as_far_as_they_are_the_same() {
    let prefix = |a: &[u32], b: &[u32]| CommonPrefix::of(a, b).unwrap();
    assert_eq!(prefix(&[1, 5], &[1, 5]), None);
    let other = prefix(&[1, 5, 7], &[1, 6]).unwrap();
    assert_eq!((other.length, other.next_ids, other.tokens), (1, [Some(5), Some(6)], [3, 2]));
    let said = other.to_string();
    assert!(
        said.contains(
            "differ from position 1 on (A has id 5, B has id 6): only the first token is compared (A has 3, B 2)"
        ),
        "{said}"
    );
    let longer = prefix(&[1, 5], &[1, 5, 9]).unwrap().to_string();
    assert!(longer.contains("position 2 on (A ends, B has id 9)"), "{longer}");
    let error = CommonPrefix::of(&[1], &[2]).unwrap_err().to_string();
    assert!(error.contains("A begins with id 1, B with id 2"), "{error}");

    let prefix = CommonPrefix { length: 2, next_ids: [Some(0), None], tokens: [3, 2] };
    let tensor = |shape: &[usize]| {
        let count = shape.iter().product::<usize>();
        floats(Dtype::F32, shape, &(0..count).map(|i| i as f32).collect::<Vec<_>>())
    };
    let cut = |kind: K, shape: &[usize]| prefix.cut(kind, 0, tensor(shape));
    assert_eq!(cut(K::ResidPost, &[3, 2]), tensor(&[2, 2]));
    let pattern = floats(Dtype::F32, &[2, 2, 2], &[0.0, 1.0, 3.0, 4.0, 9.0, 10.0, 12.0, 13.0]);
    assert_eq!(cut(K::Pattern, &[2, 3, 3]), pattern);
    assert_eq!(cut(K::Pattern, &[3, 2, 2]), tensor(&[3, 2, 2]), "not of three tokens");
    assert_eq!(prefix.cut(K::ResidPost, 1, tensor(&[2, 2])), tensor(&[2, 2]));
}

#[test]
fn configs_are_compared_wherever_they_keep_a_key() {
    let old = json!({"rope_theta": 1e6, "sliding_window": null, "num_experts_per_tok": 2});
    let new = json!({"rope_parameters": {"rope_theta": 1000000.0}, "num_experts_per_tok": 2, "head_dim": 16});
    assert!(config_differences(&old, &new).is_empty());
    let other = json!({"rope_parameters": {"rope_theta": 10000.0}, "sliding_window": 8});
    let found = config_differences(&old, &other);
    assert_eq!(found.iter().map(|diff| diff.key).collect::<Vec<_>>(), ["rope_theta", "sliding_window"]);
    assert!(found[1].to_string().contains("none in A's config and 8 in B's"));
}

#[test]
fn small_numbers_have_ulps_too() {
    assert_eq!(Dtype::F16.ulp(1e-7), 2f32.powi(-24));
    assert!(Dtype::F32.ulp(0.0) > 0.0 && Dtype::Bf16.ulp(0.0) > 0.0);
    assert_eq!(Dtype::F16.coarser(Dtype::Bf16), Dtype::Bf16);
    assert_eq!(Dtype::F32.coarser(Dtype::F16), Dtype::F16);
}
