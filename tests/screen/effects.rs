//! Effects from the keyboard: maps, patching, contributions of all layers, and two runs side by side.

use crate::support::explorer::{Explorer, Setup};
use crate::support::still::demo;
use mixscope::analysis::view::View;
use mixscope::analysis::{EffectMap, Found, How, MapKey, MapOf, MapOver, Watch};
use mixscope::protocol::{self, Ask, Derive, Derived, MapPart, MapRequest, RequestId};
use mixscope::state::{Effect, Event, Geometry, State, Wanted, update};
use mixscope::trace::{Policy, Prompt, Sampling};

const FRANCE: &str = "The capital of France is";
const LEN: usize = 6;

fn france() -> Explorer {
    Setup::of("demo").prompt(FRANCE).size(160, 45).start_with(LEN)
}

#[test]
fn an_effect_map_is_computed_and_its_largest_place_becomes_an_edit() {
    let mut explorer = france();
    explorer.press("6", "enter computes what each of the experts does");
    explorer.send("enter");
    explorer.wait_until("the map", |shot| shot.has("L5.E0: target ") && !shot.has("esc stops"));
    explorer.press("O", "zero heads");
    explorer.wait_until("heads", |shot| shot.has("L5.H0: target") && !shot.has("esc stops"));
    explorer.press("W", "mean heads");
    explorer.press("O", "mean blocks");
    explorer.press("W", "zero blocks");
    explorer.wait_until("blocks", |shot| shot.has("attn") && !shot.has("esc stops") && shot.has("L5.attn: target"));
    explorer.press("b", "the largest of 12 places");
    explorer.press("A", "place ");
    // Without a first layer nothing is said.
    let shot = explorer.press("enter", "zero L0.mlp");
    assert!(shot.has("edit the pass"), "{}", shot.text());
    explorer.send("down");
    explorer.press("enter", "zero L0.mlp: 6 sites");
}

#[test]
fn an_exchanged_choice_is_offered_as_an_edit_of_this_token() {
    let mut explorer = france();
    explorer.send("6 v");
    explorer.press("enter", "instead of");
    let shot =
        explorer.wait_until("the map", |shot| shot.is_idle() && !shot.has("esc stops") && shot.has("flips above"));
    assert!(shot.has("near-tie"), "{}", shot.text());
    explorer.send("left left");
    let shot = explorer.press("enter", "edit the pass at this token");
    assert!(shot.has("force L5.E") && shot.has("@3"), "{}", shot.text());
    explorer.press("enter", "force L5.E");
    explorer.wait_for("1 site,");
}

#[test]
fn a_second_prompt_is_compared_and_patched_into() {
    let mut explorer = france();
    explorer.press("C", "a second prompt");
    explorer.send("ctrl-u");
    explorer.type_text("The capital of Italy is");
    explorer.press("enter", "compare · A this run, B ‘The capital of Italy is’");
    let shot =
        explorer.wait_until("all numbers", |shot| shot.has("mean KL(A ‖ B)") && !shot.has("…") && shot.has("│ ·Rome"));
    assert!(shot.line("   4 ").contains("·France") && shot.line("   4 ").contains("·Italy"), "{}", shot.line("   4 "));
    explorer.send("6 v v");
    explorer.press("enter", "recovery of ‘·Paris’ − ‘·Rome’ after 5");
    let shot = explorer.wait_until("the map", |shot| shot.has("clean ") && !shot.has("esc stops") && shot.is_idle());
    assert!(shot.has("L5@5 ·is") && shot.has("corrupted −"), "{}", shot.text());
    // A prompt of another length is refused in a sentence.
    explorer.press("C", "a second prompt");
    explorer.send("ctrl-u");
    explorer.type_text("The capital is");
    explorer.press("enter", "patching needs equal lengths");
    // No second prompt any more.
    explorer.press("C", "a second prompt");
    explorer.send("ctrl-u");
    explorer.press("enter", "C types a second (corrupted) prompt");
}

#[test]
fn contributions_are_those_to_target_minus_foil() {
    let mut explorer = france();
    explorer.send("6 v v v");
    let shot = explorer.wait_for("logit ");
    assert!(shot.line("   1 L5.E").contains('+'), "{}", shot.text());
    explorer.press("F", "the token that the target is compared with");
    explorer.type_text("·Rome");
    explorer.press("enter", "the foil is ‘·Rome’");
    explorer.wait_for("logit(target) − logit(foil)");
    // The target stays where it was pinned.
    explorer.press("=", "the target is ‘·Paris’ after token 5");
    let shot = explorer.press("left", "token 4");
    assert!(shot.has("‘·Paris’ − ‘·Rome’ after 5 (pinned)"), "{}", shot.text());
    explorer.press("=", "follows the cursor again");
    explorer.send("F ctrl-u");
    explorer.press("enter", "no foil any more");
}

fn state() -> State {
    let mut state = State::new(None, Sampling::default(), Policy::Hf, Vec::new());
    update(&mut state, Event::Engine(protocol::Event::Ready { id: RequestId(0), meta: demo().meta.clone() }));
    update(&mut state, Event::Key("esc".parse().unwrap()));
    state
}

#[test]
fn escape_cancels_a_map_and_enter_goes_on_after_what_is_computed() {
    let mut state = state();
    state.pane_mut().show(View::EffectsMap);
    state.maps_on = true;
    let watch = Some(Watch { position: 0, token: 5, foil: None });
    let key = MapKey { of: MapOf::Parts(MapOver::Experts, How::Zero), watch };
    let request = MapRequest { key, tokens: 0, second: None };
    let drawn = |state: &mut State, done: usize| {
        let mut wanted = Wanted::default();
        wanted.experiments.map = Some((request.clone(), done));
        update(state, Event::Drawn(Box::new(wanted), Geometry::default()))
    };
    let asked = drawn(&mut state, 0);
    let [Effect::Ask(id, Ask::Derive(Derive::Effects { done: 0, .. }))] = &asked[..] else { panic!("{asked:?}") };
    let id = *id;
    assert_eq!(drawn(&mut state, 0), [], "it is pending");
    assert_eq!(update(&mut state, Event::Key("esc".parse().unwrap())), [Effect::Cancel(id)]);
    assert!(!state.maps_on);
    let finished = protocol::Event::Finished { id, outcome: protocol::Outcome::Cancelled };
    update(&mut state, Event::Engine(finished));
    update(&mut state, Event::Key("enter".parse().unwrap()));
    assert!(!state.maps_on, "there is no token to compute a map of");
    let again = drawn(&mut state, 7);
    let [Effect::Ask(id, Ask::Derive(Derive::Effects { done: 7, .. }))] = &again[..] else { panic!("{again:?}") };
    // Parts that don't continue what has arrived are of another run.
    let part = |from: usize, done: usize, places: &[usize]| {
        let found = places.iter().map(|column| (0, *column, Found::Nothing)).collect();
        let part =
            MapPart { request: request.clone(), shape: (1, 4), baselines: None, from, done, refused: None, found };
        Event::Engine(protocol::Event::Derived { id: *id, result: Derived::Effects(Box::new(part)) })
    };
    update(&mut state, part(7, 8, &[3]));
    assert!(state.derived.effect_map(&request).is_none(), "nothing came before place 7");
    update(&mut state, part(0, 2, &[0, 1]));
    update(&mut state, part(3, 4, &[3]));
    assert_eq!(state.derived.effect_map(&request).map(EffectMap::progress), Some((2, 4)), "place 2 is missing");
    update(&mut state, part(2, 4, &[2, 3]));
    assert!(state.derived.effect_map(&request).is_some_and(EffectMap::is_complete));
    // Another second prompt is another map.
    let other = MapRequest { second: Some(Prompt::Text("x".to_owned())), ..request.clone() };
    assert!(state.derived.effect_map(&other).is_none());
}

#[test]
fn a_comparison_follows_tokens_that_are_appended() {
    let mut explorer = france();
    explorer.press("C", "a second prompt");
    explorer.send("ctrl-u");
    explorer.type_text("The capital of Italy is");
    explorer.press("enter", "compare · A this run, B");
    explorer.wait_until("all numbers", |shot| shot.has("mean KL(A ‖ B)") && !shot.has("…"));
    explorer.send("space");
    // Texts of unequal length are aligned by their beginning and end: the new token has no counterpart.
    let shot = explorer
        .wait_until("the new row", |shot| shot.tokens() == Some(7) && shot.has("mean KL(A ‖ B)") && !shot.has("…"));
    assert!(shot.line("   6 ").contains('–'), "{}", shot.text());
}
