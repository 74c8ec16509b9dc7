//! Tokens followed through the lens, distributions as they are sampled from, and what would follow candidates.

use crate::events::{finished, until};
use crate::support::still::demo;
use crate::support::{self, Reference, assert_close};
use mixscope::analysis::view::{Tab, View};
use mixscope::app::Still;
use mixscope::control::Control;
use mixscope::engine::{Capture, Engine, Live, OpenOptions, Run, lens_cells, open_target, tempered, trajectories};
use mixscope::engine::{spell, what_if};
use mixscope::model::{Distribution, Loaded, sampling};
use mixscope::protocol::{Ask, Derive, Derived, Event, Outcome, RequestId, Spelled};
use mixscope::state::input::{Action, Code, Key};
use mixscope::state::{Effect, Event as StateEvent, Geometry, Gesture, LensMeasure, State, Target, Wanted, update};
use mixscope::trace::Prompt;
use mixscope::trace::{Device, LensCell, LensKey, LensSite, Policy, Sampling, Source};
use mixscope::ui::{Depth, Theme, draw};
use ratatui::layout::Rect;
use std::sync::Arc;
use tokio::sync::mpsc::channel;

const CAPITAL: &str = "The capital of France is";

fn live(loaded: Arc<Loaded>, ids: &[u32]) -> Live {
    let layers = loaded.meta.dims.layers;
    let mut live = Live::new(loaded, Capture::for_views(layers), 64);
    extend(&mut live, ids);
    live
}

fn extend(live: &mut Live, ids: &[u32]) {
    live.extend(ids, Source::Prompt, &Control::none()).unwrap();
}

fn capital() -> Live {
    let loaded = demo();
    let ids = live(loaded.clone(), &[1]).tokenize(CAPITAL, true).unwrap();
    live(loaded, &ids)
}

#[test]
fn trajectories_are_the_lens_of_each_layer() {
    let live = capital();
    let d = live.meta().dims;
    for pos in [0, live.tokens().len() - 1] {
        let answer = live.tokens()[pos].next.top[0].clone();
        let second = live.tokens()[pos].next.top[1].id;
        let found = trajectories(&live, pos, &[answer.id, second, d.vocab as u32], &Control::none()).unwrap();
        assert_eq!(found.len(), 2, "an id outside the vocabulary has no way");
        assert_eq!((found[0].id, &found[0].piece, found[0].points.len()), (answer.id, &answer.piece, d.layers * 2));
        for (i, (layer, site, rank, prob)) in found[0].points.iter().enumerate() {
            assert_eq!((*layer, *site), (i / 2, [LensSite::ResidMid, LensSite::ResidPost][i % 2]));
            let key = LensKey { pos, layer: *layer, site: *site };
            let (_, cell) = lens_cells(&Run::from(live.clone()), &[key], d.vocab, &Control::none()).unwrap().remove(0);
            assert_eq!((*rank, *prob), (cell.final_rank, cell.final_prob), "{key:?}");
            let (_, _, rank, prob) = found[1].points[i];
            let at = cell.top.iter().position(|candidate| candidate.id == second).unwrap();
            assert_eq!(prob, cell.top[at].prob);
            let larger = cell.top.iter().filter(|candidate| candidate.logit > cell.top[at].logit).count();
            assert_eq!(rank as usize, larger + 1);
        }
    }
    assert!(trajectories(&live, 99, &[1], &Control::none()).unwrap().is_empty());
    assert!(
        trajectories(&live, 0, &[1], &Control::cancelled_by(&|| true)).unwrap_err().is::<mixscope::control::Stopped>()
    );
}

#[test]
fn trajectories_of_the_final_answer_are_the_references() {
    for (case, policy) in [("tiny-f32", Policy::Hf), ("gqa-headdim", Policy::Hf), ("top3", Policy::Hf)] {
        let reference = Reference::read(case, "reference");
        let live = live(Arc::new(support::load(case, policy)), &reference.ids());
        for pos in 0..live.tokens().len() {
            let answer = live.tokens()[pos].next.top[0].id;
            let found = trajectories(&live, pos, &[answer], &Control::none()).unwrap();
            for (layer, site, rank, prob) in &found[0].points {
                let want = |what: &str| reference.extras.get(&format!("lens.{layer}.{site}.{what}")).unwrap();
                let what = format!("{case} {layer} {site} {pos}");
                assert_eq!(rank - 1, want("final_rank").u32().unwrap()[pos], "{what}");
                assert_close(&what, &[*prob], &want("final_prob").f32().unwrap()[pos..=pos], 1e-5, 0.0);
            }
        }
    }
}

#[test]
fn what_would_follow_a_candidate_is_what_follows_it() {
    let live = capital();
    let n = live.tokens().len();
    for pos in [2, n - 1] {
        for candidate in &live.tokens()[pos].next.top[..5] {
            let found = what_if(&live, pos, candidate.id, &Control::none()).unwrap().unwrap();
            let mut forced = live.clone();
            forced.truncate(pos + 1);
            extend(&mut forced, &[candidate.id]);
            let next = &forced.tokens()[pos + 1].next;
            assert_eq!((found.pos, found.id, found.entropy), (pos, candidate.id, next.entropy));
            assert_eq!(found.top, next.top[..5]);
        }
    }
    assert_eq!(live.tokens().len(), n, "the run stays");
    assert!(what_if(&live, n, 5, &Control::none()).unwrap().is_none());
    assert!(what_if(&live, 0, 5, &Control::cancelled_by(&|| true)).unwrap_err().is::<mixscope::control::Stopped>());
    assert!(what_if(&live, 0, u32::MAX, &Control::none()).is_err());
}

#[test]
fn at_the_end_of_the_context_nothing_follows() {
    let loaded = demo();
    let context = loaded.meta.dims.context;
    let ids: Vec<u32> = (0..context as u32).map(|i| 300 + i % 1000).collect();
    let live = live(loaded, &ids);
    assert!(what_if(&live, context - 2, 5, &Control::none()).unwrap().is_some());
    assert!(what_if(&live, context - 1, 5, &Control::none()).unwrap().is_none());
}

/// Softmax at a temperature in f64, most probable first, cut; (id, probability) renormalised.
fn directly(logits: &[f32], how: &Sampling) -> Vec<(usize, f64)> {
    let scaled = logits.iter().map(|x| (f64::from(*x) / how.temperature).exp());
    let mut all: Vec<(usize, f64)> = scaled.enumerate().collect();
    let sum: f64 = all.iter().map(|(_, w)| w).sum();
    all.iter_mut().for_each(|(_, w)| *w /= sum);
    all.sort_by(|a, b| b.1.total_cmp(&a.1));
    all.truncate(how.top_k.unwrap_or(usize::MAX));
    if let Some(p) = how.top_p {
        let mut reached = 0.0;
        let needed = all.iter().take_while(|(_, w)| {
            let is_needed = reached < p;
            reached += w;
            is_needed
        });
        let needed = needed.count();
        all.truncate(needed);
    }
    let sum: f64 = all.iter().map(|(_, w)| w).sum();
    all.into_iter().map(|(id, w)| (id, w / sum)).collect()
}

fn entropy(kept: &[(usize, f64)]) -> f32 {
    kept.iter().map(|(_, p)| if *p > 0.0 { -p * p.ln() } else { 0.0 }).sum::<f64>() as f32
}

#[test]
fn the_sampled_distribution_is_the_one_computed_directly() {
    let live = capital();
    let pos = live.tokens().len() - 1;
    let token = &live.tokens()[pos];
    let resid = token.row(mixscope::trace::HookKind::ResidPost, live.meta().dims.layers - 1).unwrap();
    let logits = live.loaded().model.lens(resid, live.precision()).unwrap();
    let base = Sampling::default();
    for how in [
        Sampling { temperature: 1.0, ..base },
        Sampling { temperature: 0.5, ..base },
        Sampling { temperature: 1.7, top_k: Some(40), ..base },
        Sampling { temperature: 1.3, top_p: Some(0.6), ..base },
        Sampling { temperature: 2.0, top_k: Some(30), top_p: Some(0.2), ..base },
        // The K tokens sum to less than P: nothing more is cut.
        Sampling { temperature: 2.5, top_k: Some(2), top_p: Some(0.99), ..base },
        Sampling { temperature: 1.0, top_p: Some(1.0), ..base },
    ] {
        let found = tempered(&live, pos, &how).unwrap().unwrap();
        let kept = directly(&logits, &how);
        assert_eq!(found.kept, kept.len(), "{how:?}");
        let all = directly(&logits, &Sampling { top_k: None, top_p: None, ..how });
        assert_close("after temperature", &[found.heated], &[entropy(&all)], 1e-4, 1e-4);
        assert_close("after the cuts", &[found.entropy], &[entropy(&kept)], 1e-4, 1e-4);
        for (candidate, p) in token.next.top.iter().zip(&found.probs) {
            let want = kept.iter().find(|(id, _)| *id == candidate.id as usize).map_or(0.0, |(_, p)| *p);
            assert_close("probability", &[*p], &[want as f32], 1e-6, 1e-4);
        }
        // What the sampler draws is what is kept, and often enough all of it.
        let draw = |seed| sampling::sample(&logits, &Sampling { seed, ..how }, pos).unwrap() as usize;
        let drawn: std::collections::HashSet<usize> = (0..400).map(draw).collect();
        assert!(drawn.iter().all(|id| kept.iter().any(|(kept, _)| kept == id)), "{how:?}");
        let probable = kept.iter().filter(|(_, p)| *p > 0.05);
        assert!(probable.clone().count() > 0 && probable.into_iter().all(|(id, _)| drawn.contains(id)), "{how:?}");
    }
    let greedy = tempered(&live, pos, &base).unwrap().unwrap();
    assert_eq!((greedy.kept, greedy.entropy, greedy.heated, greedy.probs[0]), (1, 0.0, 0.0, 1.0));
    let one = tempered(&live, pos, &Sampling { temperature: 1.0, ..base }).unwrap().unwrap();
    assert_close("entropy at T 1", &[one.heated], &[token.next.entropy], 1e-5, 1e-4);
    assert_eq!(token.next.entropy, Distribution::of(&logits).entropy());
    assert!(tempered(&live, 99, &base).unwrap().is_none());
}

#[test]
fn a_typed_target_is_the_first_token_of_its_text() {
    let live = capital();
    let texts = [" Paris".to_owned(), " ball game".to_owned(), "ing".to_owned()];
    let found = spell(&live, &texts).unwrap();
    let first: Vec<&str> = found.iter().map(|found| &*found.tokens[0].1).collect();
    assert_eq!(first[1..], ["▁ball", "ing"]);
    assert!(first[0].starts_with("▁P") && found[1].tokens.len() > 1);

    let mut still = Still::new(demo(), Some(CAPITAL));
    still.press("3 T").unwrap();
    still.type_text(" ball game");
    still.press("enter").unwrap();
    assert_eq!(still.state.targets[0].piece, "▁ball".into());
    let said = &still.state.message.as_ref().unwrap().failure.summary;
    let count = found[1].tokens.len();
    assert_eq!(*said, format!("‘·ball·game’ is {count} tokens; the first, ·ball, is followed"));
    still.press("esc T enter esc").unwrap();
    assert_eq!((still.state.targets.len(), still.state.message.is_none()), (1, true), "an empty text is not a target");
    still.press("T").unwrap();
    still.type_text(" ball");
    still.press("enter").unwrap();
    assert_eq!(still.state.targets.len(), 1, "no token twice");
}

#[test]
fn no_typed_target_is_lost_while_the_engine_is_slow() {
    let still = Still::new(demo(), Some(CAPITAL));
    let mut state = still.state.clone();
    let mut type_target = |text: &str| {
        let keys = "T".chars().chain(text.chars()).map(Code::Char).chain([Code::Enter]);
        keys.flat_map(|code| update(&mut state, StateEvent::Key(Key::of(code)))).collect::<Vec<Effect>>()
    };
    let [Effect::Ask(first, _)] = type_target("one")[..] else { panic!() };
    let effects = type_target("two");
    let [Effect::Ask(second, Ask::Derive(Derive::Spell { texts }))] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(texts, &["one", "two"], "the later request takes the place of the earlier one");
    let one = |text: &str, id: u32| Spelled { text: text.to_owned(), tokens: vec![(id, text.into())] };
    let answer = |state: &mut State, id, spelled| {
        update(state, StateEvent::Engine(Event::Derived { id, result: Derived::Spelled(spelled) }));
    };
    answer(&mut state, first, vec![one("one", 7)]);
    assert!(state.targets.is_empty(), "that answer is no longer waited for");
    let vocab = state.meta().unwrap().dims.vocab as u32;
    let spelled = vec![one("one", 7), one("two", 8), one("beyond", vocab)];
    answer(&mut state, *second, spelled);
    assert_eq!(state.targets.iter().map(|target| target.id).collect::<Vec<_>>(), [7, 8]);
    let said = state.message.unwrap().failure.summary;
    let expected = format!("‘beyond’ is token {vocab}; the model predicts those below {vocab}");
    assert!(said.contains(&expected), "{said}");
}

#[test]
fn only_what_is_waited_for_is_kept() {
    let still = Still::new(demo(), Some(CAPITAL));
    let mut state = still.state.clone();
    let key = LensKey { pos: 0, layer: 1, site: LensSite::ResidPost };
    let cell = Arc::new(LensCell { top: Vec::new(), final_rank: 1, final_prob: 0.5, entropy: 1.0, kl: 0.0 });
    let answer = |state: &mut State, id, key| {
        let result = Derived::Lens(vec![(key, cell.clone())]);
        update(state, StateEvent::Engine(Event::Derived { id, result }));
    };
    let wanted = Wanted { lens: vec![key, LensKey { pos: 1, ..key }], ..Wanted::default() };
    let [Effect::Ask(id, _)] = update(&mut state, StateEvent::Drawn(wanted.into(), Geometry::default()))[..] else {
        panic!()
    };
    answer(&mut state, RequestId(id.0 + 1000), key);
    assert!(state.derived.lens(key).is_none(), "nothing requested that");
    answer(&mut state, id, key);
    answer(&mut state, id, LensKey { pos: 1, ..key });
    assert!(state.derived.lens(key).is_some() && state.derived.lens(LensKey { pos: 1, ..key }).is_some(), "both parts");
    update(&mut state, StateEvent::Engine(Event::Finished { id, outcome: Outcome::Done }));
    answer(&mut state, id, LensKey { pos: 2, ..key });
    assert!(state.derived.lens(LensKey { pos: 2, ..key }).is_none(), "it is over");
}

fn text(still: &mut Still, w: u16, h: u16) -> String {
    let screen = still.screen(w, h, Depth::Mono);
    let row = |y| (0..w).map(|x| screen[(x, y)].symbol().to_owned()).collect::<String>();
    (0..h).map(row).collect::<Vec<_>>().join("\n")
}

#[test]
fn targets_come_from_both_views_and_go() {
    let mut still = Still::new(demo(), Some(CAPITAL));
    let second = still.state.tokens.last().unwrap().next.top[1].clone();
    still.press("4 down +").unwrap();
    assert_eq!(still.state.targets, [Target { id: second.id, piece: second.piece.clone() }]);
    still.press("+").unwrap();
    assert_eq!(still.state.targets.len(), 1);
    assert!(still.state.message.take().unwrap().failure.summary.contains("already"));
    assert!(text(&mut still, 160, 45).contains("  2 ●"), "Next marks what is followed");
    still.press("3 j j").unwrap();
    let shown = text(&mut still, 160, 45);
    let key = LensKey { pos: still.state.cursor.token, layer: 3, site: LensSite::ResidPost };
    let top = still.state.derived.lens(key).unwrap().top[0].clone();
    let point = still.state.derived.trajectory(key.pos, second.id).unwrap().points[7];
    assert_eq!((point.0, point.1), (3, LensSite::ResidPost));
    assert!(shown.contains(&format!("rank {}", point.2)), "{shown}");
    still.press("+").unwrap();
    assert_eq!(still.state.targets.last().unwrap().id, top.id);
    still.press("space").unwrap();
    assert_eq!(still.state.targets.len(), 2, "kept over runs");
    let meta = still.state.meta().unwrap().clone();
    let mut other = still.state.clone();
    still.press("- -").unwrap();
    assert!(still.state.targets.is_empty() && still.state.message.is_none());
    still.press("-").unwrap();
    assert!(still.state.message.is_some());
    let ready = Event::Ready { id: RequestId(0), meta };
    update(&mut other, StateEvent::Engine(ready));
    assert!(other.targets.is_empty(), "ids mean other tokens to another model");
}

#[test]
fn a_click_on_a_name_follows_it_and_another_no_longer_does() {
    let mut still = Still::new(demo(), Some(CAPITAL));
    still.press("3 j j").unwrap();
    text(&mut still, 160, 45);
    let key = LensKey { pos: still.state.cursor.token, layer: 3, site: LensSite::ResidPost };
    let third = still.state.derived.lens(key).unwrap().top[2].clone();
    let (theme, area) = (Theme::new(Depth::Mono), Rect::new(0, 0, 160, 45));
    let hits = draw(&still.state, &theme, area).hits;
    let action = Some(Action::ToggleTarget(third.id));
    let spots = area.positions().filter_map(|at| hits.at(at.x, at.y));
    let spot = spots.into_iter().find(|spot| spot.action == action).expect("its name is in the details");
    still.take(StateEvent::Mouse(Gesture::Press, Some(spot)));
    assert_eq!(still.state.targets, [Target { id: third.id, piece: third.piece }]);
    still.take(StateEvent::Mouse(Gesture::Press, Some(spot)));
    assert!(still.state.targets.is_empty());
}

#[test]
fn the_lens_has_four_layouts_and_four_measures() {
    let mut still = Still::new(demo(), Some(CAPITAL));
    still.press("3").unwrap();
    let layout = |still: &Still| (still.state.view(), still.state.pane().lens.site);
    let mut seen = Vec::new();
    for (title, rows) in [("[post]", 6), ("[mid]", 6), ("[both]", 12), ("[plot]", 0)] {
        let shown = text(&mut still, 160, 45);
        assert!(shown.contains(title), "{title}\n{shown}");
        let labels = |line: &&str| line.starts_with("│ L") || line.starts_with("│▸L");
        // A long text wraps into bands, each with all rows.
        let count = shown.lines().filter(labels).count();
        assert!(if rows == 0 { count == 0 } else { count > 0 && count % rows == 0 }, "{title}\n{shown}");
        seen.push(layout(&still));
        still.press("v").unwrap();
    }
    assert_eq!(layout(&still), seen[0]);
    let d = still.state.meta().unwrap().dims;
    let key = LensKey { pos: still.state.cursor.token, layer: d.layers - 2, site: LensSite::ResidPost };
    for (measure, title) in [
        (LensMeasure::Kl, "KL(final ‖ lens), nats"),
        (LensMeasure::Entropy, "entropy, nats"),
        (LensMeasure::Rank, "rank of the final answer"),
        (LensMeasure::Top, "top token"),
    ] {
        still.press("a").unwrap();
        assert_eq!(still.state.pane().lens.measure, measure);
        let shown = text(&mut still, 160, 45);
        let cell = still.state.derived.lens(key).unwrap();
        let value = match measure {
            LensMeasure::Kl => format!(" {:.2}", cell.kl),
            LensMeasure::Entropy => format!(" {:.2}", cell.entropy),
            LensMeasure::Rank => format!(" {}", cell.final_rank),
            LensMeasure::Top => mixscope::state::text::show_piece(&cell.top[0].piece),
        };
        let lines: Vec<&str> = shown.lines().filter(|line| line.starts_with("│ L4")).collect();
        assert!(shown.contains(title) && lines.iter().any(|line| line.contains(&value)), "{value} in {lines:?}");
    }
}

#[test]
fn the_curves_of_the_plot_differ_without_colour() {
    let mut still = Still::new(demo(), Some(CAPITAL));
    still.press("4 down + 3 v v v").unwrap();
    assert_eq!(still.state.view(), View::LensTargets);
    let answer = mixscope::state::text::show_piece(&still.state.tokens.last().unwrap().next.top[0].piece);
    for (keys, scale, ticks) in [("", "linear", ["1.00", "0.25"]), ("%", "log", [" 1┤", "0.01┤"])] {
        still.press(keys).unwrap();
        let shown = text(&mut still, 120, 40);
        assert!(shown.contains(&format!("{scale} scale")) && shown.contains(&format!("★ {answer}")), "{shown}");
        let marks = |mark: char| shown.chars().filter(|c| *c == mark).count();
        // Besides twelve places of each curve, the legend and the details have marks.
        assert!(marks('★') > 12 && marks('●') > 12, "{shown}");
        assert!(
            ticks.iter().all(|tick| shown.contains(tick)) && shown.contains("L0") && shown.contains("L5"),
            "{shown}"
        );
    }
    for measure in ["kl", "entropy", "rank"] {
        still.press("a").unwrap();
        assert!(text(&mut still, 120, 40).contains(&format!("[{measure}]")));
        for (w, h) in [(40, 10), (41, 12), (80, 24), (200, 60)] {
            still.screen(w, h, Depth::True);
            text(&mut still, w, h);
        }
    }
}

#[test]
fn the_what_if_panel_is_derived_only_when_it_is_seen() {
    let mut still = Still::new(demo(), Some(CAPITAL));
    let pos = still.state.cursor.token;
    let top = still.state.tokens.last().unwrap().next.top.clone();
    let known = |still: &Still| top[..6].iter().filter(|c| still.state.derived.what_if(pos, c.id).is_some()).count();
    text(&mut still, 160, 45);
    assert_eq!(known(&still), 0, "not for the other views");
    still.press("4 d").unwrap();
    text(&mut still, 160, 45);
    assert_eq!((known(&still), still.state.tab()), (0, Tab::Next), "not while it is hidden");
    still.press("d").unwrap();
    let shown = text(&mut still, 160, 45);
    assert_eq!(known(&still), 5);
    let after = still.state.derived.what_if(pos, top[0].id).unwrap().clone();
    let line = format!("entropy {:.2} nats", after.entropy);
    assert!(shown.contains(&line), "{line}\n{shown}");
    still.press("enter").unwrap();
    assert_eq!(still.state.tokens.last().unwrap().next.top[..5], after.top);
    assert_eq!(known(&still), 5, "what would follow still holds");
    still.press("u u").unwrap();
    assert_eq!(known(&still), 0, "forgotten with its position");
}

#[test]
fn steps_come_before_what_ifs_which_then_go_on() {
    // The engine can be at most one event ahead of this test.
    let (sender, mut events) = channel(1);
    let options = OpenOptions { policy: Policy::Hf, dtype: None, ids_only: false, device: Device::Cpu };
    let engine = Engine::start(Arc::new(open_target), options, sender).unwrap();
    engine.ask(RequestId(1), Ask::Open("demo".to_owned())).unwrap();
    until(&mut events, finished(1));
    engine.ask(RequestId(2), Ask::Prompt(Prompt::Text(CAPITAL.to_owned()))).unwrap();
    until(&mut events, finished(2));
    let ids: Vec<u32> = (300..360).collect();
    engine.ask(RequestId(3), Ask::Derive(Derive::WhatIf { pos: 3, ids: ids.clone() })).unwrap();
    until(&mut events, |event| matches!(event, Event::Derived { id: RequestId(3), .. }));
    engine.ask(RequestId(4), Ask::Step { count: Some(3), sampling: Sampling::default() }).unwrap();
    let seen = until(&mut events, finished(4));
    let parts = |seen: &[Event]| seen.iter().filter(|e| matches!(e, Event::Derived { id: RequestId(3), .. })).count();
    assert!(parts(&seen) < 5, "{} what-ifs came before the steps", parts(&seen));
    let seen_after = until(&mut events, finished(3));
    assert!(matches!(seen_after.last(), Some(Event::Finished { outcome: Outcome::Done, .. })));
    assert_eq!(1 + parts(&seen) + parts(&seen_after), ids.len(), "none was lost");

    engine.ask(RequestId(5), Ask::Derive(Derive::WhatIf { pos: 2, ids: ids.clone() })).unwrap();
    engine.ask(RequestId(6), Ask::Derive(Derive::WhatIf { pos: 3, ids: vec![5] })).unwrap();
    let seen = until(&mut events, finished(6));
    let replaced = |e: &Event| matches!(e, Event::Finished { id: RequestId(5), outcome: Outcome::Cancelled });
    assert!(seen.iter().any(replaced), "a later one replaces it");
    let found = seen.iter().find_map(|event| match event {
        Event::Derived { id: RequestId(6), result: Derived::WhatIf(found) } => Some(found.len()),
        _ => None,
    });
    assert_eq!(found, Some(1));
}
