use super::*;
use crate::analysis::heads::Measure;

/// A pattern with these weights on these keys for every query.
fn pattern(n: usize, looks: impl Fn(usize) -> Vec<(usize, f32)>) -> Pattern {
    let mut weights = Vec::new();
    for query in 0..n {
        let mut row = vec![0.0; query + 1];
        looks(query).into_iter().for_each(|(key, weight)| row[key] += weight);
        weights.extend(row);
    }
    Pattern { n, weights }
}

const TWICE: [u32; 9] = [1, 40, 41, 42, 43, 40, 41, 42, 43];

#[test]
fn ideal_heads_score_one_and_nothing_else() {
    let induction = pattern(9, |query| vec![(if query >= 5 { query - 3 } else { 0 }, 1.0)]);
    let stats = HeadStats::of(&induction, &TWICE);
    assert_eq!((stats.induction, stats.duplicate, stats.previous), (Some(1.0), Some(0.0), Some(1.0 / 8.0)));
    assert_eq!((stats.first, stats.entropy, stats.n, stats.stride), (Some(0.5), 0.0, 9, 1));

    let duplicate = pattern(9, |query| vec![(if query >= 5 { query - 4 } else { query }, 1.0)]);
    let stats = HeadStats::of(&duplicate, &TWICE);
    assert_eq!((stats.induction, stats.duplicate, stats.first), (Some(0.0), Some(1.0), Some(0.0)));

    let previous = HeadStats::of(&pattern(9, |query| vec![(query.saturating_sub(1), 1.0)]), &TWICE);
    assert_eq!((previous.previous, previous.first), (Some(1.0), Some(1.0 / 8.0)));
}

#[test]
fn weights_on_all_earlier_occurrences_are_added() {
    // Token 7 at 0, 2 and 3: the last query may look after each of them, itself included.
    let even = pattern(4, |query| (0..=query).map(|key| (key, 1.0 / (query + 1) as f32)).collect());
    let stats = HeadStats::of(&even, &[7, 8, 7, 7]);
    // Query 2 of 3 keys: after 0. Query 3 of 4 keys: after 0 and after 2.
    assert!((stats.induction.unwrap() - (1.0 / 3.0 + 2.0 / 4.0) / 2.0).abs() < 1e-6);
    assert!((stats.duplicate.unwrap() - (1.0 / 3.0 + 2.0 / 4.0) / 2.0).abs() < 1e-6);
    assert!((stats.entropy - (0.0 + 2f32.ln() + 3f32.ln() + 4f32.ln()) / 4.0).abs() < 1e-6);
}

#[test]
fn a_text_without_repetition_has_no_induction_score() {
    let stats = HeadStats::of(&pattern(3, |query| vec![(query, 1.0)]), &[1, 2, 3]);
    assert_eq!((stats.induction, stats.duplicate), (None, None));
    assert_eq!(Measure::Induction.of(&stats), None);
}

#[test]
fn one_token_has_nothing_before_it_to_look_at() {
    let stats = HeadStats::of(&pattern(1, |query| vec![(query, 1.0)]), &[1]);
    let figures = Measure::ALL.map(|measure| measure.of(&stats));
    assert_eq!(figures, [Some(0.0), None, None, None, None]);
}

#[test]
fn long_runs_are_measured_on_evenly_spaced_queries_whatever_way_they_came() {
    let ids: Vec<u32> = (0..1500).map(|i| i % 37).collect();
    let earlier = Earlier::of(&ids);
    let row =
        |query: usize| -> Vec<f32> { (0..=query).map(|key| ((query * 7 + key * 3) % 11) as f32 / 11.0).collect() };
    let fill = |scorer: &mut HeadScorer, n: usize| {
        while scorer.next() < n {
            scorer.push(&row(scorer.next()), &earlier);
        }
    };
    let whole = |n: usize| {
        let mut scorer = HeadScorer::default();
        fill(&mut scorer, n);
        scorer
    };
    assert_eq!([512, 513, 1024, 1025].map(|n| whole(n).stride), [1, 2, 2, 4]);
    let by_hand: f64 = (0..1500).step_by(4).map(|query| f64::from(crate::analysis::entropy(&row(query)))).sum();
    assert!(by_hand > 1.0);
    assert_eq!(whole(1500).stats(1500).entropy, (by_hand / 375.0) as f32);
    for (n, back, on) in [(1500, 700, 1500), (1500, 1200, 1300), (1500, 3, 20), (600, 599, 600), (1030, 1024, 1400)] {
        let mut scorer = whole(n);
        scorer.truncate(back);
        fill(&mut scorer, on);
        // NaN marks queries without such a key, so the figures are compared as they are printed.
        assert!(format!("{scorer:?}") == format!("{:?}", whole(on)), "{n} back to {back} on to {on}");
    }
}

#[test]
fn the_best_comes_first() {
    assert!(Measure::Entropy.order(0.5, 2.0).is_lt() && Measure::Induction.order(0.5, 2.0).is_gt());
    let mut heads = [(0, None), (1, Some(0.25)), (2, Some(0.5)), (3, None), (4, Some(0.25))];
    Measure::First.sort(&mut heads, |(_, value)| *value);
    assert_eq!(heads.map(|(head, _)| head), [2, 1, 4, 0, 3]);
}
