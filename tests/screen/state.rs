//! What keys do: tables of keys and effects, and thousands of random actions against a simulated engine.

mod random;
mod tree;

use crate::support::still::demo;
use mixscope::analysis::Pick;
use mixscope::analysis::view::{Tab, View};
use mixscope::protocol::{self, Ask, Failure, Outcome, RequestId};
use mixscope::protocol::{FormerRun, RunAction};
use mixscope::state::input::{Code, Key};
use mixscope::state::{Choice, Effect, Event, Geometry, Origin, Overlay, Phase, State, StripColour, Wanted, update};
use mixscope::trace::Prompt;
use mixscope::trace::{
    Candidate, Direction, HookKind, HookValues, LensSite, Meta, Policy, Prediction, Row, Sampling, Score, Source,
    TokenRecord,
};
use proptest::prelude::*;
use std::sync::Arc;

fn meta() -> Arc<Meta> {
    demo().meta.clone()
}

fn record(id: u32) -> Arc<TokenRecord> {
    let d = meta().dims;
    let mut values = HookValues::new(d.layers);
    for layer in 0..d.layers {
        values.insert(HookKind::RouterLogits.at(layer), Row::F32(vec![0.5; d.experts].into()));
        values.insert(HookKind::ExpertIndices.at(layer), Row::U32(vec![id % 8, (id + 1) % 8].into()));
    }
    let top = (0..10).map(|i| Candidate { id: i, piece: "x".into(), logit: 0.0, prob: 0.1 }).collect();
    Arc::new(TokenRecord {
        id,
        piece: format!("▁t{id}").into(),
        source: Source::Prompt,
        score: Some(Score { nll: 1.0, entropy: 1.0, rank: 1 }),
        next: Arc::new(Prediction { top, entropy: 1.0 }),
        values: Arc::new(values),
        sites: Vec::new(),
    })
}

fn fresh() -> State {
    State::new(None, Sampling::default(), Policy::Hf, vec!["older".into(), "old".into()])
}

fn engine(state: &mut State, event: protocol::Event) -> Vec<Effect> {
    update(state, Event::Engine(event))
}

/// A state with an open model and `n` tokens, no overlay.
fn with_tokens(n: u32) -> State {
    let mut state = fresh();
    engine(&mut state, protocol::Event::Ready { id: RequestId(0), meta: meta() });
    press(&mut state, "esc");
    let tokens = (0..n).map(record).collect();
    engine(&mut state, protocol::Event::Tokens { id: RequestId(0), keep: 0, tokens, ms: 10.0 });
    state
}

fn key(name: &str) -> Key {
    let (ctrl, name) = name.strip_prefix("ctrl-").map_or((false, name), |rest| (true, rest));
    let code = match name {
        "enter" => Code::Enter,
        "esc" => Code::Esc,
        "tab" => Code::Tab,
        "backspace" => Code::Backspace,
        "left" => Code::Left,
        "right" => Code::Right,
        "up" => Code::Up,
        "down" => Code::Down,
        "home" => Code::Home,
        "end" => Code::End,
        "space" => Code::Char(' '),
        other => Code::Char(other.chars().next().unwrap()),
    };
    Key { ctrl, ..Key::of(code) }
}

fn press(state: &mut State, keys: &str) -> Vec<Effect> {
    keys.split_whitespace().flat_map(|name| update(state, Event::Key(key(name)))).collect()
}

fn asks(effects: &[Effect]) -> Vec<Ask> {
    effects.iter().filter_map(|e| if let Effect::Ask(_, ask) = e { Some(ask.clone()) } else { None }).collect()
}

fn finish(state: &mut State, effects: &[Effect]) {
    for effect in effects {
        if let Effect::Ask(id, _) = effect {
            engine(state, protocol::Event::Finished { id: *id, outcome: Outcome::Done });
        }
    }
}

#[test]
fn keys_faster_than_frames_count_from_the_last_line_of_a_page() {
    let mut state = with_tokens(3);
    press(&mut state, "?");
    update(
        &mut state,
        Event::Drawn(Wanted::default().into(), Geometry { page_overflow: Some(15), ..Geometry::default() }),
    );
    press(&mut state, "space space space up");
    assert!(matches!(state.overlays.last(), Some(Overlay::Page(page)) if page.line == 14), "{:?}", state.overlays);
}

#[test]
fn the_cursor_moves_in_every_view_by_arrows_and_letters() {
    for view in ["1", "2", "3"] {
        let mut state = with_tokens(30);
        press(&mut state, view);
        assert_eq!((state.cursor.token, state.cursor.layer), (29, 5));
        for (keys, token, layer) in [
            ("left", 28, 5),
            ("h", 27, 5),
            ("down", 27, 4),
            ("j j", 27, 2),
            ("up", 27, 3),
            ("k", 27, 4),
            ("right", 28, 4),
            ("l l l l", 29, 4),
            ("home", 0, 4),
            ("left", 0, 4),
            ("L", 10, 4),
            ("H H", 0, 4),
            ("$", 29, 4),
            ("0", 0, 4),
            ("end", 29, 4),
            ("k k k k", 29, 5),
            ("j j j j j j j j", 29, 0),
        ] {
            press(&mut state, keys);
            assert_eq!((state.cursor.token, state.cursor.layer), (token, layer), "view {view} after {keys}");
        }
        press(&mut state, "[ ] ] ] , . .");
        assert_eq!((state.cursor.head, state.cursor.expert), (3, 2));
        press(&mut state, "] ] ] ] ] ] ] ] ] . . . . . . . . .");
        assert_eq!((state.cursor.head, state.cursor.expert), (7, 7), "clamped to what exists");
    }
}

#[test]
fn views_and_layouts_turn() {
    let mut state = with_tokens(3);
    for (keys, view) in [
        ("2", Tab::Attention),
        ("3", Tab::Lens),
        ("4", Tab::Next),
        ("5", Tab::Fidelity),
        ("1", Tab::Routing),
        ("tab", Tab::Attention),
    ] {
        press(&mut state, keys);
        assert_eq!(state.tab(), view);
    }
    press(&mut state, "1 v");
    assert_eq!(state.view(), View::RoutingLayer);
    for lens in [View::RoutingMap, View::RoutingUsage, View::RoutingPairs, View::RoutingToken] {
        press(&mut state, "v");
        assert_eq!(state.view(), lens);
    }
    press(&mut state, "3 v");
    assert_eq!(state.pane().lens.site, Some(LensSite::ResidMid));
    press(&mut state, "1 c");
    assert_eq!(state.colour, StripColour::Loss);
}

#[test]
fn running_stepping_pausing_and_going_back() {
    let mut state = with_tokens(5);
    let step = press(&mut state, "space");
    assert_eq!(asks(&step), [Ask::Step { count: Some(1), sampling: Sampling::default() }]);
    let more = press(&mut state, "space space");
    assert_eq!(asks(&more).len(), 2, "single steps queue up");
    finish(&mut state, &step);
    finish(&mut state, &more);
    assert!(!state.is_busy());

    let go = press(&mut state, "g o");
    assert_eq!(asks(&go), [Ask::Step { count: None, sampling: Sampling::default() }]);
    let Effect::Ask(id, _) = go[0] else { panic!() };
    for pause in ["g o", "space", "esc", "u"] {
        assert_eq!(press(&mut state, pause), [Effect::Cancel(id)], "{pause} pauses");
    }
    engine(&mut state, protocol::Event::Finished { id, outcome: Outcome::Cancelled });
    let back = press(&mut state, "u");
    assert_eq!(asks(&back), [Ask::Back]);
    assert_eq!(asks(&press(&mut state, "u u")), [Ask::Back, Ask::Back], "steps back queue up");
    finish(&mut state, &back);
    press(&mut state, "home right");
    assert_eq!(asks(&press(&mut state, "U")), [Ask::Truncate { len: 2 }]);
}

#[test]
fn a_number_of_tokens_is_requested_and_checked() {
    let mut state = with_tokens(2);
    press(&mut state, "r ctrl-u x enter");
    assert!(matches!(state.overlays.last(), Some(Overlay::Input(input)) if input.error.is_some()));
    let run = press(&mut state, "backspace 7 enter");
    assert_eq!(asks(&run), [Ask::Step { count: Some(7), sampling: Sampling::default() }]);
    assert!(state.overlays.is_empty());
}

#[test]
fn forcing_a_candidate_rewinds_to_the_cursor_first() {
    let mut state = with_tokens(5);
    assert!(press(&mut state, "enter").is_empty());
    assert_eq!(state.tab(), Tab::Next, "enter first shows the candidates");
    assert_eq!(asks(&press(&mut state, "down down enter")), [Ask::ForceToken(2)]);

    let mut state = with_tokens(5);
    press(&mut state, "4 left left");
    assert_eq!(asks(&press(&mut state, "down enter")), [Ask::Branch { len: 3, token: 1 }]);
}

#[test]
fn the_prompt_is_edited_remembered_and_run() {
    let mut state = fresh();
    engine(&mut state, protocol::Event::Ready { id: RequestId(0), meta: meta() });
    assert!(matches!(state.overlays[..], [Overlay::Input(_)]), "the first thing is a prompt");
    let effects = press(&mut state, "h i enter");
    assert_eq!(effects[0], Effect::Remember("hi".into()));
    assert_eq!(asks(&effects), [Ask::Prompt(Prompt::Text("hi".into()))]);
    press(&mut state, "i");
    let Some(Overlay::Input(input)) = state.overlays.last() else { panic!() };
    assert_eq!(input.editor.text(), "hi", "editing starts from the prompt");
    for (key, text) in
        [("up", "hi"), ("up", "old"), ("up", "older"), ("up", "older"), ("down", "old"), ("down", "hi"), ("down", "hi")]
    {
        press(&mut state, key);
        let Some(Overlay::Input(input)) = state.overlays.last() else { panic!() };
        assert_eq!(input.editor.text(), text, "after {key}");
    }
}

#[test]
fn examples_fill_the_prompt_of_the_demo_model() {
    let mut state = fresh();
    engine(&mut state, protocol::Event::Ready { id: RequestId(0), meta: meta() });
    let mut seen = std::collections::HashSet::new();
    for _ in 0..8 {
        press(&mut state, "tab");
        let Some(Overlay::Input(input)) = state.overlays.last() else { panic!() };
        seen.insert(input.editor.text().to_owned());
    }
    assert_eq!(seen.len(), mixscope::state::overlays::examples::EXAMPLES.len());
}

#[test]
fn pasted_text_is_text_and_never_keys() {
    let mut state = with_tokens(3);
    assert!(update(&mut state, Event::Paste("q\x1b[31mg\r\nU".into())).is_empty());
    let Some(Overlay::Input(input)) = state.overlays.last() else { panic!("a prompt opens") };
    assert_eq!(input.editor.text(), "q\x1b[31mg\nU");
    assert_eq!(state.tokens.len(), 3);
    press(&mut state, "esc r");
    for pasted in ["3", "2"] {
        update(&mut state, Event::Paste(pasted.into()));
    }
    let Some(Overlay::Input(input)) = state.overlays.last() else { panic!("how many tokens") };
    assert_eq!(input.editor.text(), "32", "in the place of what was suggested");
}

#[test]
fn the_sampling_form_checks_its_values() {
    let mut state = with_tokens(1);
    press(&mut state, "s ctrl-u 0 . 8 down 4 0 down 1 . 5 enter");
    assert!(
        matches!(state.overlays.last(), Some(Overlay::Form(form)) if form.error.as_deref().unwrap().contains("top-p"))
    );
    press(&mut state, "backspace backspace backspace . 9 down ctrl-u 7 enter");
    assert_eq!(state.sampling, Sampling { temperature: 0.8, top_k: Some(40), top_p: Some(0.9), seed: 7 });
    assert_eq!(asks(&press(&mut state, "space")), [Ask::Step { count: Some(1), sampling: state.sampling }]);
}

#[test]
fn the_cursor_follows_new_tokens_only_from_the_end() {
    let mut state = with_tokens(3);
    let add = |state: &mut State, keep, id| {
        engine(state, protocol::Event::Tokens { id: RequestId(1), keep, tokens: vec![record(id)], ms: 1.0 });
    };
    add(&mut state, 3, 9);
    assert_eq!(state.cursor.token, 3);
    press(&mut state, "left");
    add(&mut state, 4, 10);
    assert_eq!(state.cursor.token, 2);
    engine(&mut state, protocol::Event::Tokens { id: RequestId(1), keep: 1, tokens: vec![], ms: 0.0 });
    assert_eq!((state.cursor.token, state.tokens.len(), state.shown.len()), (0, 1, 1));
}

#[test]
fn failures_of_the_engine_leave_what_was_computed() {
    let mut state = with_tokens(4);
    let run = press(&mut state, "g o");
    let Effect::Ask(id, _) = run[0] else { panic!() };
    let failure = Failure { summary: "boom".into(), causes: vec!["why".into()] };
    engine(&mut state, protocol::Event::Failed { id, failure: failure.clone() });
    assert!(!state.is_busy() && state.tokens.len() == 4);
    assert!(state.message.as_ref().is_some_and(|m| m.is_error && m.failure.summary == "boom"));
    press(&mut state, "!");
    assert!(matches!(state.overlays.last(), Some(Overlay::Page(_))));
    engine(&mut state, protocol::Event::Gone(failure));
    press(&mut state, "esc left 3");
    assert_eq!((state.tab(), state.cursor.token), (Tab::Lens, 2));
}

#[test]
fn a_frame_asks_once_for_what_it_lacks() {
    let mut state = with_tokens(4);
    let key = mixscope::trace::LensKey { pos: 3, layer: 2, site: LensSite::ResidPost };
    let wanted = Wanted { lens: vec![key], maps: vec![(0, Pick::One(0), 8)], ..Default::default() };
    assert_eq!(update(&mut state, Event::Drawn(wanted.clone().into(), Geometry::default())).len(), 2);
    assert_eq!(
        update(&mut state, Event::Drawn(wanted.clone().into(), Geometry::default())).len(),
        0,
        "they are under way"
    );
    let other = mixscope::trace::LensKey { pos: 1, ..key };
    let moved = Wanted { lens: vec![other], ..Default::default() };
    let again = update(&mut state, Event::Drawn(moved.into(), Geometry::default()));
    assert_eq!(asks(&again).len(), 1, "something else is wanted now");
}

#[test]
fn control_keys_work_whatever_is_open() {
    for open in ["", "i", "s", "?", "r"] {
        for (name, effect) in [("ctrl-c", Effect::Quit), ("ctrl-z", Effect::Suspend), ("ctrl-l", Effect::Redraw)] {
            let mut state = with_tokens(2);
            press(&mut state, open);
            assert_eq!(press(&mut state, name), [effect], "{name} with {open:?} open");
        }
    }
}

/// The text in the picker, if it is open.
fn picked(state: &State) -> Option<&str> {
    match state.overlays.last() {
        Some(Overlay::Picker(picker)) => Some(picker.editor.text()),
        _ => None,
    }
}

#[test]
fn another_model_is_chosen_opened_next_to_this_one_and_given_the_prompt() {
    let mut state = with_tokens(3);
    press(&mut state, "i ctrl-u h i enter");
    let found = press(&mut state, "o");
    assert_eq!(found, [Effect::FindModels(String::new())]);
    for c in "a/b".chars() {
        press(&mut state, &c.to_string());
    }
    assert_eq!(picked(&state), Some("a/b"));
    let effects = press(&mut state, "enter");
    let [Effect::Ask(id, Ask::Open(name))] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!((name.as_str(), picked(&state)), ("a/b", None));
    let id = *id;
    assert!(state.meta().is_some(), "the model in use stays");
    let download = protocol::Download { done: 1, total: 4, ..Default::default() };
    engine(&mut state, protocol::Event::Opening { id, download });
    assert_eq!(state.opening.as_ref().and_then(|o| o.download.as_ref()).map(|d| d.total), Some(4));
    let effects = engine(&mut state, protocol::Event::Ready { id, meta: meta() });
    assert!(effects.contains(&Effect::RememberModel(meta().name.clone())));
    assert!(asks(&effects).contains(&Ask::Prompt(Prompt::Text("hi".into()))), "{effects:?}");
    assert!(state.opening.is_none() && state.tokens.is_empty());
}

#[test]
fn a_model_that_cannot_be_opened_leaves_the_one_in_use_and_escape_cancels() {
    let mut state = with_tokens(3);
    let effects = state.open_model("a/b".into());
    let Effect::Ask(id, _) = effects[0] else { panic!() };
    let failure = protocol::Failure { summary: "gated".into(), causes: Vec::new() };
    engine(&mut state, protocol::Event::Failed { id, failure });
    assert!(state.meta().is_some() && state.opening.is_none());
    assert!(state.message.as_ref().is_some_and(|message| message.is_error));
    let effects = state.open_model("a/b".into());
    let Effect::Ask(id, _) = effects[0] else { panic!() };
    let second = state.open_model("c/d".into());
    assert_eq!(second[0], Effect::CancelOpening(id), "a later choice replaces an earlier one");
    state.overlays.clear();
    state.jobs.clear();
    assert!(matches!(press(&mut state, "esc")[..], [Effect::CancelOpening(_)]));
    assert!(state.meta().is_some());

    let mut state = fresh();
    state.open_model("a/b".into());
    press(&mut state, "esc");
    assert!(matches!(&state.phase, Phase::Failed(failure) if failure.summary.contains("cancelled")));
    assert_eq!(press(&mut state, "o"), [Effect::FindModels(String::new())], "another can be chosen");
}
