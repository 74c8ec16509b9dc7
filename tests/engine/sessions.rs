//! Sessions that come back, and a cursor that stands still: state and engine together, without terminal and file.

use crate::support::still::demo;
use mixscope::analysis::view::{Tab, View};
use mixscope::app::Still;
use mixscope::engine::Core;
use mixscope::protocol::{self, Ask, Failure, Outcome, RequestId};
use mixscope::state::{Effect, Event, Gesture, Phase, Saved, Spot, State, update};
use mixscope::trace::Prompt;
use mixscope::trace::{Meta, Policy, Recording, Sampling, Source};
use std::sync::Arc;

/// A session with tokens of all three sources.
fn explored() -> Still {
    let mut still = Still::new(demo(), Some("The capital of France is"));
    still.press("space space f").unwrap();
    still.type_text(" and");
    still.press("enter space v v left left down ] m").unwrap();
    still
}

fn engine(state: &mut State, event: protocol::Event) -> Vec<Effect> {
    update(state, Event::Engine(event))
}

/// A state that goes on with `saved` and whose model is open; its request.
fn resuming(saved: &Saved) -> (State, RequestId, Ask) {
    let mut state = State::new(None, saved.sampling, saved.precision, Vec::new());
    let effects = state.resume(saved.clone());
    let [Effect::Ask(id, Ask::Open(name))] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(name, &saved.model);
    let effects = engine(&mut state, protocol::Event::Ready { id: *id, meta: demo().meta.clone() });
    let ask = effects.into_iter().find_map(|e| if let Effect::Ask(id, ask) = e { Some((id, ask)) } else { None });
    let (id, ask) = ask.unwrap();
    (state, id, ask)
}

#[test]
fn a_session_comes_back_bit_for_bit_with_cursor_and_views() {
    let before = explored();
    let saved = before.state.saved().unwrap();
    let sources = [Source::Prompt, Source::Generated, Source::Forced];
    assert!(sources.iter().all(|source| saved.tokens.iter().any(|(_, other)| other == source)));
    let (mut state, id, ask) = resuming(&saved);
    let mut core = Core::new(demo());
    for event in core.answer(id, ask) {
        assert_eq!(state.saved(), None, "half of a session does not replace the whole");
        engine(&mut state, event);
    }
    assert_eq!(state.saved(), Some(saved));
    assert_eq!((state.view(), state.cursor), (View::RoutingMap, before.state.cursor));
    assert_eq!(state.bookmarks, before.state.bookmarks);
    assert!(!state.bookmarks.is_empty());
    assert_eq!((&state.shown, &state.lines), (&before.state.shown, &before.state.lines), "marks have their cells");
    assert!(state.overlays.is_empty() && state.message.is_none());
    for (a, b) in state.tokens.iter().zip(&before.state.tokens) {
        assert_eq!((a.source, a.score, &a.next), (b.source, b.score, &b.next));
    }
    // The prompt is known again: undo of a later one comes back to it, and the editor starts from it.
    update(&mut state, Event::Key("i".parse().unwrap()));
    assert_eq!(state.prompt, "The capital of France is");
}

#[test]
fn a_session_that_does_not_fit_its_model_is_refused_and_its_file_stays() {
    let beyond = demo().meta.dims.vocab as u32;
    let saved =
        Saved { tokens: vec![(1, Source::Prompt), (beyond, Source::Forced)], ..explored().state.saved().unwrap() };
    let (mut state, id, ask) = resuming(&saved);
    let mut core = Core::new(demo());
    core.answer(id, ask).into_iter().for_each(|event| drop(engine(&mut state, event)));
    let message = state.message.clone().unwrap();
    assert!(message.is_error && message.failure.summary.contains("does not fit this model"), "{message:?}");
    assert!(message.failure.causes[0].contains(&beyond.to_string()));
    assert_eq!((state.saved(), state.tokens.len()), (None, 0));
}

#[test]
fn a_session_stopped_on_its_way_back_is_kept_until_something_else_is_run() {
    let before = explored();
    let saved = before.state.saved().unwrap();
    let (mut state, id, _) = resuming(&saved);
    let some = before.state.tokens[..4].to_vec();
    engine(&mut state, protocol::Event::Tokens { id, keep: 0, tokens: some, ms: 1.0 });
    assert_eq!(update(&mut state, Event::Key("esc".parse().unwrap())), [Effect::Cancel(id)]);
    engine(&mut state, protocol::Event::Finished { id, outcome: Outcome::Cancelled });
    assert!(state.message.as_ref().unwrap().failure.summary.contains("restored only in part"));
    assert_eq!(state.saved(), None);
    update(&mut state, Event::Key("space".parse().unwrap()));
    assert_eq!(state.saved().unwrap().tokens.len(), 4);
}

#[test]
fn a_session_whose_model_fails_to_open_is_not_read_by_another() {
    let saved = explored().state.saved().unwrap();
    let mut state = State::new(None, saved.sampling, saved.precision, Vec::new());
    let [Effect::Ask(id, _)] = state.resume(saved)[..] else { panic!() };
    let failure = Failure { summary: "gone".into(), causes: Vec::new() };
    engine(&mut state, protocol::Event::Failed { id, failure });
    assert!(matches!(state.phase, Phase::Failed(_)) && state.saved().is_none());
    state.open_model("demo".to_owned());
    let effects = engine(&mut state, protocol::Event::Ready { id: RequestId(99), meta: demo().meta.clone() });
    assert!(!effects.iter().any(|e| matches!(e, Effect::Ask(_, Ask::Restore { .. }))), "{effects:?}");
}

#[test]
fn a_run_that_is_a_file_already_is_no_session() {
    let mut state = explored().state;
    assert!(state.saved().is_some());
    let meta = Meta { recording: Some(Recording::default()), ..(**state.meta().unwrap()).clone() };
    state.phase = Phase::Ready(Arc::new(meta));
    assert_eq!(state.saved(), None);
}

#[test]
fn with_reduced_motion_the_cursor_joins_the_end_when_the_run_is_over() {
    let tokens = explored().state.tokens;
    let mut state = State::new(Some(Prompt::Text("x".into())), Sampling::default(), Policy::Hf, Vec::new());
    state.reduced_motion = true;
    let arrive = |state: &mut State, id, range: std::ops::Range<usize>| {
        let (keep, tokens) = (range.start, tokens[range].to_vec());
        engine(state, protocol::Event::Tokens { id, keep, tokens, ms: 1.0 });
    };
    let run = |state: &mut State, key: &str| {
        let effects = update(state, Event::Key(key.parse().unwrap()));
        let Some(Effect::Ask(id, _)) = effects.last() else { panic!("{effects:?}") };
        *id
    };
    let effects = engine(&mut state, protocol::Event::Ready { id: RequestId(0), meta: demo().meta.clone() });
    let Some(Effect::Ask(reading, _)) = effects.last().cloned() else { panic!("{effects:?}") };
    let done = |state: &mut State, id| engine(state, protocol::Event::Finished { id, outcome: Outcome::Done });
    arrive(&mut state, reading, 0..2);
    arrive(&mut state, reading, 2..4);
    assert_eq!(state.cursor.token, 0, "still while the prompt is read");
    done(&mut state, reading);
    assert_eq!(state.cursor.token, 3);
    let going = run(&mut state, "ctrl-g");
    arrive(&mut state, going, 4..5);
    arrive(&mut state, going, 5..6);
    assert_eq!((state.cursor.token, state.tokens.len()), (3, 6));
    done(&mut state, going);
    assert_eq!(state.cursor.token, 5);
    // Whoever moves it meanwhile keeps it where it was put.
    let going = run(&mut state, "ctrl-g");
    arrive(&mut state, going, 6..7);
    update(&mut state, Event::Key("left".parse().unwrap()));
    done(&mut state, going);
    assert_eq!(state.cursor.token, 4);
    assert_eq!(state.tab(), Tab::Routing);
    // Whatever moves it: a click, a drag, or a jump to one of the closest calls.
    let spot = |token| Some(Spot { token: Some(token), in_strip: true, ..Spot::default() });
    let jump = |state: &mut State| {
        for key in ["t", "enter"] {
            update(state, Event::Key(key.parse().unwrap()));
        }
    };
    let moves: [&dyn Fn(&mut State); 3] = [
        &|state| drop(update(state, Event::Mouse(Gesture::Press, spot(1)))),
        &|state| drop(update(state, Event::Mouse(Gesture::Drag, spot(2)))),
        &jump,
    ];
    for go in moves {
        engine(&mut state, protocol::Event::Tokens { id: going, keep: 6, tokens: Vec::new(), ms: 1.0 });
        update(&mut state, Event::Mouse(Gesture::Press, spot(5)));
        let going = run(&mut state, "ctrl-g");
        arrive(&mut state, going, 6..7);
        assert_eq!((state.cursor.token, state.tokens.len()), (5, 7));
        go(&mut state);
        let put = state.cursor.token;
        done(&mut state, going);
        assert!(state.cursor.token == put && put < 6, "{} {put}", state.cursor.token);
    }
}
