//! Contributions: the engine that derives them, the panel that shows them, the table that keeps them.

use crate::support::cli::{Run, assert_fails};
use crate::support::still::demo;
use mixscope::analysis::{Attribution, AttributionKey};
use mixscope::app::Still;
use mixscope::control::{Control, Stopped};
use mixscope::engine::{Capture, Core, Engine, Live, OpenOptions, attribution, open_target};
use mixscope::protocol::{Ask, Derive, Derived, Event, Failure, Outcome, RequestId};
use mixscope::state::{Effect, Event as UiEvent, Geometry, State, Wanted, update};
use mixscope::trace::Prompt;
use mixscope::trace::{Device, HookKind, HookValues, Policy, Sampling, Source};
use mixscope::ui::{Depth, Theme, draw};
use ratatui::layout::Rect;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::mpsc::{Receiver, channel};

fn whole(session: &Live, pos: usize, target: u32) -> Attribution {
    attribution(session, pos, target, 0..session.meta().dims.layers, &Control::none()).unwrap()
}

const PROMPT: &str = "drum apple seven blue owl key | drum apple seven";
const KEY: AttributionKey = AttributionKey { pos: 3, target: 300, layer: 2 };

fn demo_core() -> Core {
    let mut core = Core::new(demo());
    answer(&mut core, 1, Ask::Prompt(Prompt::Text(PROMPT.to_owned())));
    core
}

fn answer(core: &mut Core, id: u64, ask: Ask) -> Vec<Event> {
    core.answer(RequestId(id), ask)
}

#[test]
fn the_engine_looks_into_the_requested_layer_only() {
    let mut core = demo_core();
    let events = answer(&mut core, 2, Ask::Derive(Derive::Attribution(KEY)));
    let [Event::Derived { result: Derived::Attribution(found), .. }, Event::Finished { .. }] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(found.keys().collect::<Vec<_>>(), [KEY]);
    let all = whole(core.run().live().unwrap(), 3, 300);
    assert_eq!(found.details, all.details[2..=2]);
    assert_eq!((&found.attn, &found.mlp, found.logit), (&all.attn, &all.mlp, all.logit));
}

#[test]
fn what_is_gone_is_cancelled_and_what_does_not_exist_is_refused() {
    let mut core = demo_core();
    answer(&mut core, 2, Ask::Truncate { len: 3 });
    let events = answer(&mut core, 3, Ask::Derive(Derive::Attribution(KEY)));
    assert!(matches!(&events[..], [Event::Finished { outcome: Outcome::Cancelled, .. }]), "{events:?}");
    for wrong in [AttributionKey { pos: 1, layer: 99, ..KEY }, AttributionKey { pos: 1, target: 1 << 20, ..KEY }] {
        let events = answer(&mut core, 4, Ask::Derive(Derive::Attribution(wrong)));
        let [Event::Failed { failure, .. }] = &events[..] else { panic!("{events:?}") };
        assert!(failure.summary.contains("outside"), "{failure:?}");
    }
    let loaded = demo();
    let mut bare = Live::new(loaded, Capture::of([HookKind::ResidPost], 0..6, 6), 5);
    bare.extend(&[1, 300], Source::Prompt, &Control::none()).unwrap();
    let error = attribution(&bare, 1, 300, 0..1, &Control::none()).unwrap_err();
    assert!(error.to_string().contains("not captured"), "{error}");
}

#[test]
fn cancelling_is_seen_between_layers() {
    let core = demo_core();
    let checks = AtomicUsize::new(0);
    let cancelled = || checks.fetch_add(1, Ordering::Relaxed) >= 5;
    let control = Control::cancelled_by(&cancelled);
    let error = attribution(core.run().live().unwrap(), 3, 300, 0..6, &control).unwrap_err();
    assert!(error.is::<Stopped>());
    assert_eq!(checks.load(Ordering::Relaxed), 6, "two looks a layer, stopped in the third");
}

/// An engine with the demo and the prompt, whose events wait in a channel of this capacity.
fn engine(capacity: usize) -> (Engine, Receiver<Event>) {
    let (sender, mut events) = channel(capacity);
    let options = OpenOptions { policy: Policy::Hf, dtype: None, ids_only: false, device: Device::Cpu };
    let engine = Engine::start(Arc::new(open_target), options, sender).unwrap();
    engine.ask(RequestId(1), Ask::Open("demo".to_owned())).unwrap();
    until(&mut events, 1);
    engine.ask(RequestId(2), Ask::Prompt(Prompt::Text(PROMPT.to_owned()))).unwrap();
    until(&mut events, 2);
    (engine, events)
}

/// Reads events until `id` is over.
fn until(events: &mut Receiver<Event>, id: u64) -> Vec<Event> {
    let mut seen = Vec::new();
    loop {
        let event = events.blocking_recv().expect("the engine is there");
        let done = match &event {
            Event::Finished { id, .. } | Event::Failed { id, .. } => Some(id.0),
            _ => None,
        };
        seen.push(event);
        if done == Some(id) {
            return seen;
        }
    }
}

fn found(events: &[Event]) -> Vec<Arc<Attribution>> {
    let found = |event: &Event| match event {
        Event::Derived { result: Derived::Attribution(found), .. } => Some(found.clone()),
        _ => None,
    };
    events.iter().filter_map(found).collect()
}

#[test]
fn the_latest_request_wins() {
    // A prompt is one piece of work with several events, and the channel holds one: after the first the engine waits in it
    // for the reader, and all three requests are there when it goes on.
    let (engine, mut events) = engine(1);
    engine.ask(RequestId(3), Ask::Prompt(Prompt::Text("The capital of France is".to_owned()))).unwrap();
    while !matches!(events.blocking_recv().expect("the engine is there"), Event::Tokens { id: RequestId(3), .. }) {}
    for (id, pos) in [(4, 1), (5, 2), (6, 3)] {
        engine.ask(RequestId(id), Ask::Derive(Derive::Attribution(AttributionKey { pos, ..KEY }))).unwrap();
    }
    let seen = until(&mut events, 6);
    assert_eq!(found(&seen).iter().map(|found| found.pos).collect::<Vec<_>>(), [3]);
    let ends = seen.iter().filter_map(|event| match event {
        Event::Finished { id, outcome } => Some((id.0, outcome.clone())),
        _ => None,
    });
    let want = [(3, Outcome::Done), (4, Outcome::Cancelled), (5, Outcome::Cancelled), (6, Outcome::Done)];
    assert_eq!(ends.collect::<Vec<_>>(), want);
}

#[test]
fn it_is_derived_between_the_tokens_of_a_generation() {
    let (engine, mut events) = engine(64);
    let hot = Sampling { temperature: 3.0, ..Default::default() };
    engine.ask(RequestId(3), Ask::Step { count: Some(300), sampling: hot }).unwrap();
    while !matches!(events.blocking_recv(), Some(Event::Tokens { id: RequestId(3), .. })) {}
    engine.ask(RequestId(4), Ask::Derive(Derive::Attribution(KEY))).unwrap();
    let seen = until(&mut events, 4);
    let got = found(&seen);
    assert_eq!(got.len(), 1);
    let after = until(&mut events, 3);
    assert!(after.iter().any(|e| matches!(e, Event::Tokens { .. })), "the generation went on");
    let mut alone = demo_core();
    let want = found(&answer(&mut alone, 9, Ask::Derive(Derive::Attribution(KEY))));
    assert_eq!(got, want, "what comes after a position has no part in it");
}

/// position, target_id, target, component, layer, index, share, norm, cosine, text
type AttributionRow = (usize, u32, String, String, Option<usize>, Option<usize>, f64, Option<f64>, Option<f64>, String);

fn table(run: &Run) -> Vec<AttributionRow> {
    let bytes = run.files["attribution.csv"].as_slice();
    assert!(bytes.starts_with(b"position,target_id,target,component,layer,index,share,norm,cosine,text\r\n"));
    csv::Reader::from_reader(bytes).deserialize().map(Result::unwrap).collect()
}

#[test]
fn a_run_writes_every_share_of_every_position_on_request() {
    const ARGS: [&str; 6] = ["--prompt", PROMPT, "--steps", "2", "--format", "csv"];
    let run = Run::ok(&[&ARGS[..], &["--attribution"]].concat());
    let plain = Run::ok(&ARGS);
    assert!(!plain.files.contains_key("attribution.csv"));
    assert_eq!(run.files.len(), plain.files.len() + 1);
    run.same_tables(&plain);
    let rows = table(&run);
    let ids = run.ids();
    let mut core = demo_core();
    answer(&mut core, 2, Ask::Step { count: Some(2), sampling: Sampling::default() });
    let tokens = core.run().live().unwrap().tokens();
    assert_eq!(tokens.iter().map(|token| token.id).collect::<Vec<_>>(), ids);
    let per_position = rows.len() / ids.len();
    assert_eq!(rows.len() % ids.len(), 0);
    for (pos, rows) in rows.chunks_exact(per_position).enumerate() {
        let target = ids.get(pos + 1).copied().unwrap_or(tokens[pos].next.top[0].id);
        let want = whole(core.run().live().unwrap(), pos, target);
        assert!(rows.iter().all(|row| (row.0, row.1, &*row.2) == (pos, target, &*want.piece)));
        assert!(rows.iter().all(|row| row.9 == want.piece.text()));
        let of = |what: &str| rows.iter().filter(|row| row.3 == what).collect::<Vec<_>>();
        let shares = |what: &str| of(what).iter().map(|row| row.6).collect::<Vec<f64>>();
        assert_eq!((shares("attn"), shares("mlp")), (want.attn.clone(), want.mlp.clone()));
        assert_eq!((shares("embed"), shares("remainder")), (vec![want.embed], vec![want.remainder]));
        let logit: f64 = ["embed", "attn", "mlp", "remainder"].iter().flat_map(|what| shares(what)).sum();
        assert!((logit - f64::from(want.logit)).abs() < 1e-9);
        let heads = want.details.iter().flat_map(|d| d.heads.iter().enumerate().map(|(h, x)| (d.layer, h, *x)));
        assert!(of("head").iter().map(|row| (row.4.unwrap(), row.5.unwrap(), row.6)).eq(heads));
        let experts = want.details.iter().flat_map(|d| d.experts.iter().map(|e| (d.layer, e)));
        let experts = experts.map(|(l, e)| (Some(l), Some(e.expert as usize), e.share, Some(e.norm), e.cosine));
        assert!(of("expert").iter().map(|row| (row.4, row.5, row.6, row.7, row.8)).eq(experts));
        assert!(rows.iter().all(|row| row.3 == "expert" || (row.7, row.8) == (None, None)));
    }
    let some = table(&Run::ok(&[&ARGS[..], &["--attribution", "--layers", "2..4"]].concat()));
    let keep = |row: &&AttributionRow| !matches!(&*row.3, "head" | "expert") || (2..4).contains(&row.4.unwrap());
    assert!(some.iter().eq(rows.iter().filter(keep)), "--layers keeps the sums whole");
}

#[test]
fn attribution_without_csv_is_wrong_usage() {
    let run = Run::of(&["--prompt", "hi", "--format", "json", "--attribution"]);
    assert_fails(&run.output, 2, "--attribution");
    assert!(run.files.is_empty());
}

fn still(keys: &str) -> Still {
    crate::support::still::still(PROMPT, keys)
}

/// What a frame of this size lacks.
fn wanted(state: &State, width: u16, height: u16) -> Wanted {
    let area = Rect::new(0, 0, width, height);
    draw(state, &Theme::new(Depth::Mono), area).wanted
}

fn lines(still: &mut Still, width: u16, height: u16, depth: Depth) -> Vec<String> {
    let screen = still.screen(width, height, depth);
    let symbol = |y: u16| (0..width).map(move |x| (x, y));
    (0..height).map(|y| symbol(y).map(|at| screen[at].symbol()).collect::<String>()).collect()
}

#[test]
fn contributions_are_requested_only_while_they_are_seen() {
    let mut still = still("");
    assert_eq!(wanted(&still.state, 160, 45).attribution, None);
    still.press("D").unwrap();
    for (w, h) in [(160, 45), (80, 24), (40, 10)] {
        let key = still.state.contribution_key();
        assert_eq!(wanted(&still.state, w, h).attribution, key);
        assert!(key.is_some());
    }
    for view in ["2", "3", "4"] {
        still.press(view).unwrap();
        assert!(wanted(&still.state, 160, 45).attribution.is_some(), "view {view}");
    }
    still.press("5").unwrap();
    assert_eq!(wanted(&still.state, 160, 45).attribution, None);
    still.press("D").unwrap();
    assert!(still.state.message.is_some(), "a key that does nothing says so");
    still.press("1 d").unwrap();
    assert_eq!(wanted(&still.state, 160, 45).attribution, None);
}

#[test]
fn the_panel_shows_the_shares_and_the_check() {
    let mut still = still("D");
    let found = whole(
        demo_core().run().live().unwrap(),
        still.state.cursor.token,
        still.state.contribution_target().unwrap().id,
    );
    let sign = |x: f64| if x.abs() < 5e-4 { format!("{x:+.1e}") } else { format!("{x:+.3}") }.replace('-', "−");
    for (w, h) in [(160, 45), (80, 45), (80, 24), (40, 10)] {
        let text = lines(&mut still, w, h, Depth::Mono).join("\n");
        for expert in &found.layer(5).unwrap().experts {
            let (name, share) = (format!("E{} ", expert.expert), sign(expert.share));
            assert!(text.contains(&name) && text.contains(&share), "{w}×{h} {name} {share}:\n{text}");
        }
        for number in [format!("{:.3}", found.logit), format!("{:.3}", found.sum()), sign(found.remainder)] {
            assert!(text.contains(&number), "{w}×{h}: {number} in\n{text}");
        }
        assert!(!text.contains("deriving"), "{text}");
    }
    let text = lines(&mut still, 160, 45, Depth::Mono).join("\n");
    for share in found.attn.iter().chain(&found.mlp).chain(&found.layer(5).unwrap().heads).chain([&found.embed]) {
        assert!(text.contains(&sign(*share)), "{share} in\n{text}");
    }
    assert!(lines(&mut still, 160, 45, Depth::True).iter().any(|line| line.contains("contributions to")));
}

#[test]
fn what_an_edit_put_into_the_stream_has_a_row() {
    let mut still = still("D M t");
    let edit = "add L2.resid_post tests/fixtures/edits/demo.vectors.safetensors:v 4.0";
    still.type_text(edit);
    still.press("enter esc").unwrap();
    let edits = Ask::Edits { edits: vec![edit.parse().unwrap()], at: 0 };
    let mut core = demo_core();
    answer(&mut core, 2, edits);
    let target = still.state.contribution_target().unwrap().id;
    let found = whole(core.run().live().unwrap(), still.state.cursor.token, target);
    let sign = |x: f64| format!("{x:+.3}").replace('-', "−");
    let text = lines(&mut still, 160, 45, Depth::Mono).join("\n");
    let row = format!("L2   {:>8} added: tests/fixtures/", sign(found.edits[0].share));
    assert!(text.contains(&row), "{row} in\n{text}");
    assert!(text.contains(&format!("embed + attn + mlp + edits = {:.3}", found.sum())), "{text}");
    let small = lines(&mut still, 80, 45, Depth::Mono).join("\n");
    assert!(small.contains(&sign(found.edits[0].share)), "{small}");
}

#[test]
fn the_candidate_marked_in_next_is_the_target() {
    let mut still = still("4 down down D");
    let marked = still.state.token().unwrap().next.top[2].clone();
    assert_eq!(still.state.contribution_target(), Some(&marked));
    let logit = format!("logit {:.3}", marked.logit);
    for keys in ["", "1", "2", "3"] {
        still.press(keys).unwrap();
        let text = lines(&mut still, 160, 45, Depth::Mono).join("\n").replace('−', "-");
        assert!(text.contains(&logit), "{logit} in\n{text}");
    }
}

#[test]
fn what_tokens_that_are_gone_had_a_part_in_is_forgotten() {
    let mut still = still("D");
    lines(&mut still, 160, 45, Depth::Mono);
    let last = still.state.contribution_key().unwrap();
    still.press("left left").unwrap();
    lines(&mut still, 160, 45, Depth::Mono);
    let earlier = still.state.contribution_key().unwrap();
    assert!(still.state.derived.attribution(last).is_some());
    still.press("u").unwrap();
    assert!(still.state.derived.attribution(last).is_none(), "its token is gone");
    assert!(still.state.derived.attribution(earlier).is_some(), "what came before stands");
    still.press("p").unwrap();
    assert!(still.state.derived.attribution(earlier).is_none(), "another policy gives other numbers");
}

#[test]
fn what_cannot_be_derived_is_reported_and_not_requested_again() {
    let mut state = still("D").state;
    let lacking = wanted(&state, 160, 45);
    let effects = update(&mut state, UiEvent::Drawn(lacking.clone().into(), Geometry::default()));
    let [Effect::Ask(id, Ask::Derive(Derive::Attribution(key)))] = &effects[..] else { panic!("{effects:?}") };
    assert!(update(&mut state, UiEvent::Drawn(lacking.into(), Geometry::default())).is_empty(), "it is under way");
    let failure = Failure { summary: "it needs the model\u{1b}[2J".into(), causes: Vec::new() };
    update(&mut state, UiEvent::Engine(Event::Failed { id: *id, failure }));
    assert_eq!(state.derived.attribution(*key), Some(Err("it needs the model\u{1b}[2J")));
    let lacking = wanted(&state, 160, 45);
    assert!(
        update(&mut state, UiEvent::Drawn(lacking.into(), Geometry::default())).is_empty(),
        "it is not requested again"
    );

    let mut state = still("D").state;
    let token = Arc::make_mut(&mut state.tokens[state.cursor.token]);
    token.values = Arc::new(HookValues::new(6));
    assert_eq!(wanted(&state, 160, 45).attribution, None, "no request for a record without residuals");
}

#[test]
fn every_size_draws_it() {
    let mut still = still("D");
    for keys in ["1", "4", "j j j", "2"] {
        still.press(keys).unwrap();
        for (w, h) in
            [(1, 1), (39, 10), (40, 10), (41, 14), (99, 28), (100, 28), (120, 28), (400, 100), (400, 10), (40, 100)]
        {
            let text = lines(&mut still, w, h, Depth::True).join("\n");
            let is_drawn = text.contains("contributions to") && text.contains("logit ");
            assert!(is_drawn || w < 40 || h < 10, "{keys} {w}×{h}:\n{text}");
        }
    }
}
