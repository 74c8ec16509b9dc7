//! Attention as the screen sees it: maps that grow with the run, heads together, columns, scores, and the keys for them.

use crate::support::still::demo;
use mixscope::analysis::view::Tab;
use mixscope::analysis::{HeadMap, HeadScores, HeadStats, Measure, MeasuredOn, Pattern, Pick};
use mixscope::app::Still;
use mixscope::control::Control;
use mixscope::engine::{Capture, Core, HeadCache, Live, Run, head_rows, pattern};
use mixscope::protocol::{Ask, Derive, Derived, Event as Reported, RequestId};
use mixscope::state::input::{Code, Key};
use mixscope::state::{Event, Geometry, Over, update};
use mixscope::trace::Prompt;
use mixscope::trace::{Policy, Source};
use mixscope::ui::Depth;
use proptest::prelude::*;
use std::sync::Arc;

const PROMPT: &str = "drum apple seven blue owl key | drum apple seven";

/// Ids that repeat now and then.
fn ids(n: usize, salt: u32) -> Vec<u32> {
    std::iter::once(1).chain((0..n as u32 - 1).map(|i| 300 + (i * 37 + i / 9 * salt) % 97)).collect()
}

fn read(run: &mut Run, ids: &[u32]) {
    run.need_live_mut().unwrap().extend(ids, Source::Prompt, &Control::none()).unwrap();
}

fn run(ids: &[u32]) -> Run {
    let mut run = Live::new(demo(), Capture::for_views(6), 1).into();
    read(&mut run, ids);
    run
}

fn bits(maps: &[Arc<HeadMap>]) -> Vec<(usize, Pick, usize, usize, Vec<u32>)> {
    let cells = |map: &HeadMap| map.cells.iter().map(|x| x.to_bits()).collect();
    maps.iter().map(|map| (map.layer, map.pick, map.n, map.block, cells(map))).collect()
}

const MAPS: [(usize, Pick, usize); 5] =
    [(5, Pick::One(4), 16), (5, Pick::One(4), 50), (0, Pick::One(7), 9), (3, Pick::Mean, 30), (3, Pick::Max, 30)];
const HEADS: [(usize, usize); 3] = [(5, 4), (2, 5), (0, 0)];

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn maps_figures_and_columns_that_grew_are_those_of_the_whole_run(
        parts in prop::collection::vec((1usize..70, 0usize..60), 1..5),
    ) {
        let mut growing = run(&ids(3, 1));
        let mut cache = HeadCache::default();
        let no = Control::none();
        for (i, (more, back)) in parts.into_iter().enumerate() {
            cache.maps(&growing, &MAPS, &no).unwrap();
            cache.stats(&growing, &HEADS, &no).unwrap();
            let n = growing.tokens().len();
            growing.need_live_mut().unwrap().truncate((n - back.min(n - 1)).max(1));
            read(&mut growing, &ids(more + 1, i as u32)[1..]);
            let mut fresh = HeadCache::default();
            let whole = fresh.maps(&growing, &MAPS, &no).unwrap();
            prop_assert_eq!(bits(&cache.maps(&growing, &MAPS, &no).unwrap()), bits(&whole));
            let whole = fresh.stats(&growing, &HEADS, &no).unwrap();
            prop_assert_eq!(cache.stats(&growing, &HEADS, &no).unwrap(), whole);
            let key = growing.tokens().len() / 2;
            for pick in [Pick::One(2), Pick::Mean] {
                let grown = cache.column(&growing, 5, pick, key, &no).unwrap();
                prop_assert_eq!(grown, fresh.column(&growing, 5, pick, key, &no).unwrap());
            }
        }
    }
}

#[test]
fn maps_and_columns_hold_the_forward_passs_own_weights() {
    let run = run(&ids(150, 3));
    let mut cache = HeadCache::default();
    let ids: Vec<u32> = run.tokens().iter().map(|token| token.id).collect();
    for (layer, head) in HEADS {
        let whole = pattern(&run, layer, head).unwrap();
        for max_side in [20, 200] {
            let pooled = HeadMap::pool(layer, Pick::One(head), &whole, max_side);
            let map = cache.maps(&run, &[(layer, Pick::One(head), max_side)], &Control::none()).unwrap();
            assert_eq!(bits(&map), bits(&[Arc::new(pooled)]));
        }
        let stats = cache.stats(&run, &[(layer, head)], &Control::none()).unwrap();
        assert_eq!(stats, [(layer, head, HeadStats::of(&whole, &ids))]);
        for key in [0, 77, 149] {
            let column = cache.column(&run, layer, Pick::One(head), key, &Control::none()).unwrap().unwrap();
            let want: Vec<f32> = (key..150).map(|query| whole.row(query)[key]).collect();
            assert_eq!(column.weights, want, "L{layer}H{head} key {key}");
        }
        assert_eq!(cache.column(&run, layer, Pick::One(head), 150, &Control::none()).unwrap(), None);
    }
}

#[test]
fn heads_together_are_the_mean_and_the_maximum_of_the_heads() {
    let run = run(&ids(40, 5));
    let heads: Vec<Pattern> = (0..8).map(|head| pattern(&run, 4, head).unwrap()).collect();
    let mean = |query: usize, key: usize| heads.iter().map(|head| head.row(query)[key]).sum::<f32>() / 8.0;
    let max = |query: usize, key: usize| heads.iter().map(|head| head.row(query)[key]).fold(0.0, f32::max);
    let maps = HeadCache::default().maps(&run, &[(4, Pick::Mean, 40), (4, Pick::Max, 40)], &Control::none()).unwrap();
    for query in 0..40 {
        let rows = head_rows(&run, 4, query).unwrap();
        assert_eq!(rows.len(), 10, "eight heads, their mean and their maximum");
        for key in 0..=query {
            assert_eq!(maps[0].cells[query * 40 + key], mean(query, key));
            assert_eq!(maps[1].cells[query * 40 + key], max(query, key));
            assert_eq!((rows[8].pick, rows[8].weights[key]), (Pick::Mean, mean(query, key)));
            assert_eq!((rows[9].pick, rows[9].weights[key]), (Pick::Max, max(query, key)));
        }
    }
    let column = HeadCache::default().column(&run, 4, Pick::Max, 7, &Control::none()).unwrap().unwrap();
    assert_eq!(column.weights, (7..40).map(|query| max(query, 7)).collect::<Vec<_>>());
}

fn answer(core: &mut Core, id: u64, ask: Ask) -> Vec<Reported> {
    core.answer(RequestId(id), ask)
}

fn scores(events: &[Reported]) -> Arc<HeadScores> {
    let found = events.iter().find_map(|event| match event {
        Reported::Derived { result: Derived::HeadScores(scores), .. } => Some(scores.clone()),
        _ => None,
    });
    found.expect("scores arrive")
}

#[test]
fn repeated_random_tokens_find_the_induction_heads_and_leave_the_run_alone() {
    let mut core = Core::new(demo());
    answer(&mut core, 1, Ask::Prompt(Prompt::Text(PROMPT.into())));
    let before = core.run().tokens().to_vec();
    let events = answer(&mut core, 2, Ask::Derive(Derive::HeadScores));
    assert!(events.iter().any(|event| matches!(event, Reported::Progress { total: 65, .. })), "32 twice, and BOS");
    let first = scores(&events);
    assert_eq!((first.repeated, first.stats.len()), (32, 48));
    assert!(core.run().tokens().iter().zip(&before).all(|(a, b)| Arc::ptr_eq(a, b)));

    let mut best: Vec<(usize, usize, f32)> = (0..6)
        .flat_map(|layer| (0..8).map(move |head| (layer, head)))
        .map(|(layer, head)| (layer, head, first.get(layer, head).unwrap().induction.unwrap()))
        .collect();
    best.sort_by(|a, b| b.2.total_cmp(&a.2));
    // The model card names these induction heads...
    let mut names: Vec<(usize, usize)> = best[..4].iter().map(|(layer, head, _)| (*layer, *head)).collect();
    names.sort_unstable();
    assert_eq!(names, [(5, 0), (5, 1), (5, 6), (5, 7)], "{best:?}");
    assert!(best[3].2 > 0.8 && best[4].2 < 0.7, "{best:?}");
    // ...and these previous-token heads.
    for (layer, head) in [(3, 1), (4, 1)] {
        assert!(first.get(layer, head).unwrap().previous.unwrap() > 0.7);
    }

    let again = answer(&mut core, 3, Ask::Derive(Derive::HeadScores));
    assert!(Arc::ptr_eq(&first, &scores(&again)) && !again.iter().any(|e| matches!(e, Reported::Progress { .. })));
    answer(&mut core, 4, Ask::Policy(Policy::F32));
    let exact = scores(&answer(&mut core, 5, Ask::Derive(Derive::HeadScores)));
    assert_ne!(exact.stats, first.stats, "another policy is measured again");
}

#[test]
fn a_view_of_many_heads_arrives_in_parts_of_one_request() {
    let mut core = Core::new(demo());
    answer(&mut core, 1, Ask::Prompt(Prompt::Text(PROMPT.into())));
    let maps: Vec<(usize, Pick, usize)> = (0..48).map(|i| (i / 8, Pick::One(i % 8), 16)).collect();
    let events = answer(&mut core, 2, Ask::Derive(Derive::HeadMaps { maps }));
    let parts: Vec<usize> = events
        .iter()
        .filter_map(|e| {
            if let Reported::Derived { result: Derived::HeadMaps(maps), .. } = e { Some(maps.len()) } else { None }
        })
        .collect();
    assert_eq!(parts, [16, 16, 16]);
    assert_eq!(events.iter().filter(|e| matches!(e, Reported::Finished { .. })).count(), 1);
}

fn still(prompt: &str) -> Still {
    let mut still = Still::new(demo(), Some(prompt));
    still.state.pane_mut().show_tab(Tab::Attention);
    still.screen(160, 45, Depth::Mono);
    still
}

fn text(still: &mut Still, size: (u16, u16)) -> String {
    let screen = still.screen(size.0, size.1, Depth::Mono);
    let line = |y: u16| (0..size.0).map(|x| screen[(x, y)].symbol().to_owned()).collect::<String>() + "\n";
    (0..size.1).map(line).collect()
}

#[test]
fn keys_choose_the_measure_the_order_and_the_best_head() {
    let mut still = still(PROMPT);
    let measures = [Measure::Previous, Measure::First, Measure::Induction, Measure::Duplicate, Measure::Entropy];
    for measure in measures {
        still.press("a").unwrap();
        assert_eq!(still.state.pane().heads.measure, measure);
        let screen = text(&mut still, (160, 45));
        assert!(
            screen.contains(&format!(
                "[{}] {}/5",
                measure.name(),
                Measure::ALL.iter().position(|one| *one == measure).unwrap() + 1
            )),
            "{screen}"
        );
        let value =
            |layer, head| measure.of(still.state.head_stats(&still.state.pane().heads, layer, head).unwrap()).unwrap();
        let all: Vec<f32> = (0..48).map(|i| value(i / 8, i % 8)).collect();
        let best = all.iter().copied().reduce(|a, b| if measure.order(a, b).is_le() { a } else { b }).unwrap();
        still.press("b").unwrap();
        let cursor = still.state.cursor;
        assert_eq!(value_of(&still, cursor.layer, cursor.head), best, "{measure}");
        let said = still.state.message.as_ref().unwrap().failure.summary.clone();
        assert!(said.contains(&format!("{best:.4}")) && said.contains("of 48 heads"), "{said}");
    }
    still.press("a a a A b").unwrap();
    let ranking = still.state.ranking(&still.state.pane().heads);
    assert!(ranking.windows(2).all(|pair| pair[0].value >= pair[1].value));
    assert_eq!((still.state.cursor.layer, still.state.cursor.head), (ranking[0].layer, ranking[0].head));
    still.press("] ]").unwrap();
    assert_eq!((still.state.cursor.layer, still.state.cursor.head), (ranking[2].layer, ranking[2].head));
    still.press("[").unwrap();
    let screen = text(&mut still, (160, 45));
    for ranked in &ranking[..3] {
        assert!(screen.contains(&format!("L{}H{} ", ranked.layer, ranked.head)), "{ranked:?} in {screen}");
    }
}

fn value_of(still: &Still, layer: usize, head: usize) -> f32 {
    still
        .state
        .pane()
        .heads
        .measure
        .of(still.state.head_stats(&still.state.pane().heads, layer, head).unwrap())
        .unwrap()
}

#[test]
fn on_repeated_tokens_the_best_induction_head_is_found_whatever_the_text() {
    let mut still = still("The capital of France is");
    still.press("a a a b").unwrap();
    let said = still.state.message.as_ref().unwrap().failure.summary.clone();
    assert!(said.contains("no token occurs twice"), "{said}");
    still.press("R esc").unwrap();
    assert_eq!(still.state.pane().heads.on, MeasuredOn::Repeated);
    let screen = text(&mut still, (160, 45));
    assert!(screen.contains("on 32 random tokens twice"), "{screen}");
    still.press("b").unwrap();
    let cursor = still.state.cursor;
    assert!([(5, 0), (5, 1), (5, 6), (5, 7)].contains(&(cursor.layer, cursor.head)), "{cursor:?}");
    // Going back to the text gives its own figures.
    still.press("R").unwrap();
    assert_eq!(still.state.head_stats(&still.state.pane().heads, 5, 4).unwrap().n, still.state.tokens.len());
}

#[test]
fn the_side_the_heads_and_the_scale_are_named_and_exact() {
    let mut still = still(PROMPT);
    still.press("a a a b esc").unwrap();
    let (layer, head, token) = (still.state.cursor.layer, still.state.cursor.head, still.state.cursor.token);
    let row = still.state.derived.row(layer, Pick::One(head), token);
    let row = row.cloned().unwrap_or_else(|| {
        text(&mut still, (160, 45));
        still.state.derived.row(layer, Pick::One(head), token).unwrap().clone()
    });
    let (key, weight) = (row.strongest[0], row.weights[row.strongest[0]]);
    let screen = text(&mut still, (160, 45));
    assert!(screen.contains("from the cursor (row), 0 to 1"), "{screen}");
    assert!(screen.contains(&format!("{weight:.4} {key:>5} ")) && screen.contains(&format!("{token} ‘")), "{screen}");

    for _ in 0..token - key {
        still.press("left").unwrap();
    }
    still.press("X").unwrap();
    let screen = text(&mut still, (160, 45));
    assert!(screen.contains("to the cursor (column)") && screen.contains("is looked at by"), "{screen}");
    let column = still.state.derived.column(layer, Pick::One(head), key).unwrap();
    assert_eq!(column.weight(token), Some(weight), "row and column cross in the same value");
    assert!(screen.contains(&format!("{weight:.4} {token:>5} ")), "{screen}");

    for (over, named) in [(Over::Mean, "mean of heads"), (Over::Max, "max of heads"), (Over::One, "head")] {
        still.press("x").unwrap();
        assert_eq!(still.state.pane().heads.over, over);
        assert!(text(&mut still, (160, 45)).contains(&format!("layer {layer} {named}")));
    }
    still.press("%").unwrap();
    let screen = text(&mut still, (160, 45));
    assert!(screen.contains("≤1e-4") && screen.contains("1 log"), "{screen}");
}

#[test]
fn every_way_of_looking_fits_every_size() {
    let mut still = still(&"Once upon a time there was a girl. ".repeat(12));
    for keys in ["", "A", "a a a R", "x", "x X", "%", "v", "A x", "c"] {
        still.press(keys).unwrap();
        for size in [(40, 10), (41, 12), (80, 24), (100, 28), (120, 30), (160, 45), (300, 80), (40, 90), (400, 10)] {
            let screen = text(&mut still, size);
            assert!(screen.contains("Attention"), "{keys} {size:?}: {screen}");
        }
    }
    // Long runs are pooled, and say so.
    let screen = text(&mut still, (80, 24));
    assert!(screen.contains("max of"), "{screen}");
}

#[test]
fn maps_follow_a_generation_and_are_derived_once_a_token() {
    let mut still = still(PROMPT);
    still.take(Event::Key(Key::of(Code::Char('h'))));
    for _ in 0..3 {
        still.press("space").unwrap();
        text(&mut still, (160, 45));
        let n = still.state.tokens.len();
        assert!((0..48).all(|i| still.state.derived.stats(i / 8, i % 8).unwrap().n == n));
        let settled = still.screen(160, 45, Depth::Mono);
        assert_eq!(settled, still.screen(160, 45, Depth::Mono));
    }
    // A request under way is not repeated as the run grows.
    let (mut state, wanted) = (
        still.state.clone(),
        mixscope::state::Wanted {
            maps: vec![(5, Pick::One(4), 16), (5, Pick::One(5), 16)],
            stats: vec![(5, 4)],
            ..Default::default()
        },
    );
    assert_eq!(update(&mut state, Event::Drawn(wanted.clone().into(), Geometry::default())).len(), 2);
    let part = mixscope::state::Wanted { maps: wanted.maps[..1].to_vec(), ..wanted };
    assert_eq!(update(&mut state, Event::Drawn(part.into(), Geometry::default())).len(), 0);
}
