use super::*;
use crate::analysis::entropy;
use crate::analysis::routing::{TokenRouting, closest_calls};
use crate::trace::{HookKind, HookValues, Prediction, Row, Score, Source};
use proptest::prelude::*;

fn dims(layers: usize, experts: usize, top_k: usize) -> Dims {
    Dims {
        layers,
        d_model: 8,
        d_ff: 8,
        heads: 1,
        kv_heads: 1,
        d_head: 8,
        experts,
        top_k,
        vocab: 10,
        context: 100,
        window: None,
        ..Dims::default()
    }
}

/// A token with these logits in one layer each; `None` = nothing captured.
fn token(layers: &[Option<&[f32]>], k: usize, nll: f32) -> Arc<TokenRecord> {
    let mut values = HookValues::new(layers.len());
    for (layer, logits) in layers.iter().enumerate() {
        let Some(logits) = logits else { continue };
        let sum: f32 = logits.iter().map(|x| x.exp()).sum();
        let probs: Vec<f32> = logits.iter().map(|x| x.exp() / sum).collect();
        let chosen: Vec<u32> = crate::analysis::routing::ranked(logits).into_iter().take(k).map(|e| e as u32).collect();
        let total: f32 = chosen.iter().map(|e| probs[*e as usize]).sum();
        let weights: Vec<f32> = chosen.iter().map(|e| probs[*e as usize] / total).collect();
        values.insert(HookKind::RouterLogits.at(layer), Row::F32((*logits).into()));
        values.insert(HookKind::ExpertWeights.at(layer), Row::F32(probs.into()));
        values.insert(HookKind::ExpertIndices.at(layer), Row::U32(chosen.into()));
        values.insert(HookKind::MixingWeights.at(layer), Row::F32(weights.into()));
    }
    Arc::new(TokenRecord {
        id: 0,
        piece: "x".into(),
        source: Source::Prompt,
        score: Some(Score { nll, entropy: 1.0, rank: 1 }),
        next: Arc::new(Prediction { top: Vec::new(), entropy: 0.0 }),
        values: Arc::new(values),
        sites: Vec::new(),
    })
}

#[test]
fn hand_made_tokens_give_hand_counted_shares() {
    // Chosen: 0+1, 0+1 (a near-tie in bf16), 2+0; expert 3 never.
    let logits: [&[f32]; 3] = [&[3.0, 2.0, 1.0, 0.0], &[3.0, 2.0, 1.9921875, 0.0], &[1.0, 0.0, 2.0, -1.0]];
    let tokens: Vec<_> = logits.iter().map(|row| token(&[Some(*row)], 2, 0.5)).collect();
    let stats = RunUsage::of(&tokens, &dims(1, 4, 2), Dtype::Bf16);
    let layer = stats.layer(0).unwrap();
    assert_eq!((stats.tokens(), layer.tokens, layer.margins), (3, 3, 3));
    assert_eq!((&layer.first[..], &layer.chosen[..]), (&[2, 0, 1, 0][..], &[3, 2, 1, 0][..]));
    assert_eq!([layer.first_share(0), layer.chosen_share(0)], [Some(2.0 / 3.0), Some(0.5)]);
    assert_eq!(layer.near_ties, [1]);
    assert_eq!(layer.never_used().collect::<Vec<_>>(), [3]);
    assert_eq!([layer.together(0, 1), layer.together(1, 0), layer.together(0, 2), layer.together(1, 2)], [2, 2, 1, 0]);
    assert_eq!([layer.also(0, 1), layer.also(1, 0), layer.also(3, 0)], [Some(2.0 / 3.0), Some(1.0), None]);
    assert_eq!(layer.most_also(), 1.0);
    let repeats = layer.repeats();
    assert_eq!((repeats.pairs, repeats.first, repeats.either), (2, 0.5, 1.0));
    // Both times it was second by one logit.
    let second = 1.0 / (1.0 + 1f64.exp());
    assert!((layer.mean_weight(1).unwrap() - second).abs() < 1e-6);
    assert_eq!(layer.mean_weight(3), None);
    assert_eq!(stats.mean_loss(), Some(0.5));
    let expected: f64 = tokens.iter().map(|t| f64::from(entropy(t.row(HookKind::ExpertWeights, 0).unwrap()))).sum();
    assert!((layer.entropy().unwrap() - expected / 3.0).abs() < 1e-9);
}

#[test]
fn one_choice_has_no_pairs_and_all_chosen_has_no_margin() {
    let one = RunUsage::of(&[token(&[Some(&[0.0, 1.0, 0.5])], 1, 1.0)], &dims(1, 3, 1), Dtype::F32);
    let layer = one.layer(0).unwrap();
    assert_eq!((layer.also(1, 0), layer.also(1, 1), layer.margins), (Some(0.0), Some(1.0), 1));
    let all = RunUsage::of(&[token(&[Some(&[0.0, 1.0])], 2, 1.0)], &dims(1, 2, 2), Dtype::F32);
    assert_eq!((all.layer(0).unwrap().margins, all.layer(0).unwrap().also(0, 1)), (0, Some(1.0)));
    assert_eq!(RunUsage::new(&dims(1, 2, 2), Dtype::F32).layer(0).unwrap().first_share(0), None);
}

#[test]
fn without_weights_and_logits_there_is_neither_a_mean_weight_nor_a_margin() {
    let mut bare = HookValues::new(1);
    bare.insert(HookKind::ExpertIndices.at(0), Row::U32([1, 0].into()));
    let whole = token(&[Some(&[0.0, 1.0, -1.0])], 2, 1.0);
    let bare = Arc::new(TokenRecord { values: Arc::new(bare), ..(*whole).clone() });
    let stats = RunUsage::of(std::slice::from_ref(&bare), &dims(1, 3, 2), Dtype::F32);
    let layer = stats.layer(0).unwrap();
    assert_eq!((layer.mean_weight(1), layer.chosen_share(1), layer.margins), (None, Some(0.5), 0));
    // The mean is over the weights that are there.
    let mixed = RunUsage::of(&[bare, whole.clone()], &dims(1, 3, 2), Dtype::F32);
    let alone = RunUsage::of(&[whole], &dims(1, 3, 2), Dtype::F32);
    assert_eq!(mixed.layer(0).unwrap().mean_weight(1), alone.layer(0).unwrap().mean_weight(1));
}

#[test]
fn experts_outside_the_model_are_counted_nowhere() {
    let wide = token(&[Some(&[0.0, 1.0, 2.0, 3.0])], 2, f32::NAN);
    let stats = RunUsage::of(&[wide.clone(), wide], &dims(1, 2, 2), Dtype::F32);
    let layer = stats.layer(0).unwrap();
    assert_eq!((&layer.first[..], &layer.chosen[..], layer.tokens), (&[0, 0][..], &[0, 0][..], 2));
}

#[test]
fn the_closest_calls_come_first() {
    let rows: [[&[f32]; 2]; 3] = [
        [&[2.0, 1.0, 0.0], &[1.0, 0.9, 0.0]],
        // The same gap is more steps of bf16 between smaller logits.
        [&[1.0, 0.5, 0.25], &[9.0, 8.5, 8.25]],
        [&[1.0, 0.5, 0.5], &[1.0, 0.0, -4.0]],
    ];
    let tokens: Vec<_> = rows.iter().map(|[a, b]| token(&[Some(*a), Some(*b)], 2, 1.0)).collect();
    let calls = closest_calls(&tokens, 10, 2, Dtype::Bf16, 500);
    let order: Vec<_> = calls.iter().map(|call| (call.pos, call.layer)).collect();
    assert_eq!(order[..2], [(12, 0), (11, 1)]);
    assert_eq!(order.len(), 6);
    assert_eq!((calls[0].kept, calls[0].lost, calls[0].gap, calls[0].ulps), (1, 2, 0.0, 0.0));
    assert_eq!((calls[1].gap, calls[1].ulps), (0.25, 0.25 / Dtype::Bf16.ulp(8.5)));
    assert!(calls[0].is_near_tie() && !calls[1].is_near_tie());
    assert!(calls.is_sorted_by(|a, b| a.ulps <= b.ulps));
    assert_eq!(closest_calls(&tokens, 10, 2, Dtype::Bf16, 2), calls[..2]);
}

fn any_token() -> impl Strategy<Value = Arc<TokenRecord>> {
    // Few different logits: ties and near-ties are frequent.
    let row =
        prop::option::weighted(0.8, prop::collection::vec(prop::sample::select(vec![0.0, 1.0, 1.0078125, 3.0]), 4));
    (prop::collection::vec(row, 3), 1usize..4, 0.0f32..9.0).prop_map(|(rows, k, nll)| {
        let rows: Vec<Option<&[f32]>> = rows.iter().map(|row: &Option<Vec<f32>>| row.as_deref()).collect();
        token(&rows, k, nll)
    })
}

proptest! {
    #[test]
    fn counts_kept_beside_a_run_are_those_of_a_count_from_the_start(
        steps in prop::collection::vec((prop::collection::vec(any_token(), 0..6), 0usize..30), 1..12),
    ) {
        let d = dims(3, 4, 2);
        let mut stats = RunUsage::new(&d, Dtype::Bf16);
        let mut run: Vec<Arc<TokenRecord>> = Vec::new();
        for (new, len) in steps {
            stats.extend(&new);
            run.extend(new);
            stats.truncate(&run, len);
            run.truncate(len);
            prop_assert_eq!(&stats, &RunUsage::of(&run, &d, Dtype::Bf16));
        }
        let exact = crate::analysis::mean_loss(&run);
        prop_assert!((stats.mean_loss().unwrap_or(0.0) - exact.unwrap_or(0.0)).abs() < 1e-9);
        for (layer, stats) in stats.layers().iter().enumerate() {
            let near = (0..run.len()).filter(|pos| {
                TokenRouting::of(&run[*pos], layer).and_then(|r| r.margin()).is_some_and(|m| m.is_near_tie(Dtype::Bf16))
            });
            prop_assert_eq!(&stats.near_ties, &near.collect::<Vec<_>>());
        }
    }
}
