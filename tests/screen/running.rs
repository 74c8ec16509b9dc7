//! Reading prompts, generating, going back and forcing tokens, with the engine on its thread.

use crate::support::explorer::{Explorer, Setup};
use crate::support::still::demo;
use mixscope::engine::Core;
use mixscope::protocol::{Ask, RequestId};
use mixscope::state::text::show_piece;
use mixscope::trace::{Prompt, Sampling};

const FRANCE: &str = "The capital of France is";
const FRANCE_SHOWN: &str = "<s>·The·capital·of·France·is";
const FRANCE_LEN: usize = 6;
const EDITOR: &str = "enter runs it";

/// The demo model with `FRANCE` read.
fn france() -> Explorer {
    Setup::of("demo").prompt(FRANCE).start_with(FRANCE_LEN)
}

/// The strip after that prompt and `count` generated tokens, the likeliest each time.
fn france_and(count: usize) -> String {
    let mut core = Core::new(demo());
    core.answer(RequestId(1), Ask::Prompt(Prompt::Text(FRANCE.to_owned())));
    core.answer(RequestId(2), Ask::Step { count: Some(count), sampling: Sampling::default() });
    let text: String = core.run().tokens()[FRANCE_LEN..].iter().map(|token| show_piece(&token.piece)).collect();
    assert!(text.starts_with("·Paris"), "{text}");
    format!("{FRANCE_SHOWN}{text}")
}

/// A run without end of text: at this temperature one token is as probable as another.
fn endless() -> Explorer {
    let setup = Setup::of("demo").prompt("Once upon a time");
    let mut explorer = setup.with(|options| (options.sampling.temperature, options.sampling.seed) = (50.0, 1)).start();
    explorer.wait_until("the prompt read", |shot| shot.is_idle() && shot.tokens() > Some(0));
    explorer
}

#[test]
fn fast_steps_are_all_done() {
    let mut explorer = france();
    explorer.send("space space space");
    assert_eq!(explorer.wait_tokens(FRANCE_LEN + 3).strip(), france_and(3));
}

#[test]
fn fast_steps_back_are_all_done() {
    let mut explorer = france();
    explorer.send("u u u u");
    assert_eq!(explorer.wait_tokens(FRANCE_LEN - 4).strip(), "<s>·The");
}

#[test]
fn example_prompts_are_offered() {
    let mut explorer = Setup::of("demo").start();
    explorer.wait_for("tab fills in an example");
    explorer.wait_for(EDITOR);
    explorer.send("tab enter");
    assert_eq!(explorer.wait_tokens(FRANCE_LEN).strip(), FRANCE_SHOWN);
}

#[test]
fn go_runs_until_it_is_paused() {
    let mut explorer = endless();
    for key in ["ctrl-g", "space", "esc"] {
        let start = explorer.screen().tokens();
        explorer.press("ctrl-g", "generating");
        explorer.wait_until("three more tokens", |shot| shot.tokens() > start.map(|n| n + 3));
        explorer.send(key);
        let shot = explorer.wait_until("a pause", |shot| shot.is_idle());
        assert!(shot.has("token ") && !shot.has("the model ended the text"), "{}", shot.text());
        // Nothing more comes: other things are done and the run has not grown.
        explorer.press("5", "fidelity: [validated]");
        explorer.press("?", "keys ·");
        explorer.press("q", "fidelity: [validated]");
        let later = explorer.press("1", "routing: [token]");
        assert!(later.is_idle());
        assert_eq!(later.tokens(), shot.tokens());
    }
}

#[test]
fn stepping_back_drops_the_last_token_and_rewinding_all_after_the_cursor() {
    let mut explorer = france();
    explorer.send("space space space");
    explorer.wait_tokens(FRANCE_LEN + 3);
    explorer.send("u");
    assert_eq!(explorer.wait_tokens(FRANCE_LEN + 2).strip(), france_and(2));
    explorer.send("backspace");
    assert_eq!(explorer.wait_tokens(FRANCE_LEN + 1).strip(), france_and(1));
    // The same comes again.
    explorer.send("space space");
    assert_eq!(explorer.wait_tokens(FRANCE_LEN + 3).strip(), france_and(3));
    explorer.press("0 l l", "token 2 ‘·capital’");
    explorer.send("U");
    assert_eq!(explorer.wait_tokens(3).strip(), "<s>·The·capital");
    // The first token stays.
    explorer.send("u");
    explorer.wait_tokens(2);
    explorer.send("u");
    explorer.wait_tokens(1);
    explorer.press("u 5", "fidelity: [validated]");
    assert_eq!(explorer.wait_tokens(1).strip(), "<s>");
}

#[test]
fn a_candidate_can_be_forced() {
    let mut explorer = france();
    explorer.press("4", "next · after token 5");
    explorer.press("down", "▸   2");
    let shot = explorer.press("down", "▸   3");
    let line = shot.line("▸   3").to_owned();
    let third = line.split_whitespace().skip_while(|word| *word != "3").nth(1).unwrap();
    explorer.send("enter");
    let shot = explorer.wait_tokens(FRANCE_LEN + 1);
    assert_eq!(shot.strip(), format!("{FRANCE_SHOWN}{third}"));
    assert!(shot.has(&format!("next · after token 6 ‘{third}’")));
    // In the middle of the run, what follows is dropped.
    let shot = explorer.press("0 l", "next · after token 1 ‘·The’");
    assert!(shot.has("not → ‘·capital’ and what follows"), "{}", shot.text());
    let shot = explorer.press("down", "▸   2");
    let line = shot.line("▸   2").to_owned();
    let second = line.split_whitespace().skip_while(|word| *word != "2").nth(1).unwrap();
    explorer.send("enter");
    assert_eq!(explorer.wait_tokens(3).strip(), format!("<s>·The{second}"));
    // Elsewhere enter shows the candidates.
    explorer.press("1", "routing: [token]");
    explorer.press("enter", "next · after token");
    assert_eq!(explorer.screen().tokens(), Some(3));
}

#[test]
fn a_typed_text_can_be_forced() {
    let mut explorer = france();
    explorer.press("f", "read next, as text");
    explorer.type_text(" the town");
    explorer.wait_for("the town");
    explorer.send("enter");
    let read = format!("{FRANCE_SHOWN}·the·town");
    let shot = explorer.wait_until("the text", |shot| shot.is_idle() && shot.strip().ends_with("·the·town"));
    assert_eq!(shot.strip(), read, "one space before a new word");
    assert!(shot.has("forced · "));
    // Without a space the word goes on.
    explorer.press("f", "read next, as text");
    explorer.type_text("ship");
    explorer.send("enter");
    let shot = explorer.wait_until("the text", |shot| shot.is_idle() && shot.strip().ends_with("ship"));
    assert_eq!(shot.strip(), format!("{read}ship"), "no space within a word");
}

#[test]
fn the_sampling_form_takes_values_and_refuses_wrong_ones() {
    let mut explorer = france();
    assert!(explorer.screen().header().contains("greedy"));
    explorer.press("s", "▸temperature");
    explorer.press("ctrl-u 0 . 8", "▸temperature 0.8");
    explorer.press("down 0", "▸top-k       0");
    explorer.press("enter", "top-k: at least 1, or empty");
    explorer.press("backspace 4 0", "▸top-k       40");
    explorer.press("tab 0 . 9", "▸top-p       0.9");
    explorer.press("tab ctrl-u 7", "▸seed        7");
    explorer.send("enter");
    explorer.wait_until("the values in the header", |shot| shot.header().contains("T 0.8 k 40 p 0.9 seed 7"));
    // What is closed with esc changes nothing.
    explorer.press("s", "▸temperature 0.8");
    explorer.press("9", "▸temperature 9");
    explorer.send("esc");
    assert!(explorer.wait_gone("▸temperature").header().contains("T 0.8 k 40 p 0.9 seed 7"));
    // The same seed says the same again.
    explorer.send("space space");
    let first = explorer.wait_tokens(FRANCE_LEN + 2).strip();
    explorer.send("u");
    explorer.wait_tokens(FRANCE_LEN + 1);
    explorer.send("u");
    explorer.wait_tokens(FRANCE_LEN);
    explorer.send("space space");
    assert_eq!(explorer.wait_tokens(FRANCE_LEN + 2).strip(), first);
}

#[test]
fn the_policy_is_switched_and_the_same_tokens_read_again() {
    let mut explorer = france();
    explorer.send("space");
    explorer.wait_tokens(FRANCE_LEN + 1);
    let row = explorer.wait_for("▸L5").line("▸L5").to_owned();
    for policy in ["policy f32 ", "policy f32-router ", "policy hf "] {
        explorer.send("p");
        let shot = explorer.wait_until(policy, |shot| {
            shot.header().contains(policy) && shot.is_idle() && shot.tokens() == Some(FRANCE_LEN + 1) && shot.has("▸L5")
        });
        assert_eq!(shot.strip(), format!("{FRANCE_SHOWN}·Paris"));
    }
    let shot = explorer.screen();
    assert_eq!(shot.line("▸L5"), row, "the same policy gives the same numbers");
    assert!(shot.has("generated · "), "what was generated stays so");
}

#[test]
fn a_number_of_tokens_can_be_requested() {
    let mut explorer = france();
    explorer.press("r", "tokens to generate");
    explorer.press("ctrl-u 0", "enter starts");
    explorer.press("enter", "a whole number of tokens, at least 1");
    explorer.press("ctrl-u 3", "enter starts");
    explorer.send("enter");
    assert_eq!(explorer.wait_tokens(FRANCE_LEN + 3).strip(), france_and(3));
}

#[test]
fn an_edited_prompt_keeps_the_shared_part() {
    let mut explorer = france();
    explorer.send("space space space");
    explorer.wait_tokens(FRANCE_LEN + 3);
    explorer.press("0 l l l", "token 3 ‘·of’");
    let shot = explorer.wait_for("▸L5");
    let (row, score) = (shot.line("▸L5").to_owned(), shot.line("loss").to_owned());
    // The editor starts from the prompt.
    explorer.press("i", EDITOR);
    explorer.wait_for(FRANCE);
    explorer.send("ctrl-w ctrl-w");
    explorer.type_text("Italy is");
    explorer.wait_for("The capital of Italy is");
    explorer.send("enter");
    let shot = explorer.wait_until("the new prompt", |shot| shot.is_idle() && shot.strip().contains("·Italy"));
    assert!(shot.strip().starts_with("<s>·The·capital·of·Italy") && shot.strip().ends_with("·is"), "{}", shot.strip());
    assert!(!shot.strip().contains("France") && shot.italics.is_empty());
    let count = shot.tokens().unwrap();
    explorer.press("0 l l l", "token 3 ‘·of’");
    let shot = explorer.screen();
    assert_eq!((shot.line("▸L5"), shot.line("loss")), (row.as_str(), score.as_str()));
    // A prompt that is only the shared part.
    explorer.press("i", EDITOR);
    explorer.send("ctrl-w ctrl-w backspace");
    explorer.wait_until("a shorter prompt", |shot| shot.is_typed("The capital of"));
    explorer.send("enter");
    let shot = explorer.wait_until("a shorter run", |shot| shot.is_idle() && shot.tokens() < Some(count));
    assert_eq!(shot.strip(), "<s>·The·capital·of");
}

#[test]
fn the_next_start_offers_earlier_prompts() {
    let folder = tempfile::tempdir().unwrap();
    let start = || {
        let mut explorer = Setup::of("demo").state(folder.path()).start();
        explorer.wait_for(EDITOR);
        explorer
    };
    let mut explorer = start();
    explorer.type_text("first of all");
    explorer.press("enter", "<s>·");
    explorer.press("i", EDITOR);
    explorer.send("ctrl-u");
    explorer.type_text("two");
    explorer.send("alt-enter");
    explorer.type_text("lines");
    explorer.wait_for("lines");
    explorer.send("enter");
    explorer.wait_until("the second prompt", |shot| shot.is_idle() && shot.strip().contains("↵"));
    explorer.end();

    let mut explorer = start();
    let shot = explorer.press("up", "lines");
    assert!(shot.has("two") && !shot.has("two↵"), "a prompt of two lines has two lines");
    // Through its lines, then on to the one before.
    explorer.send("up");
    explorer.press("up", "first of all");
    explorer.send("enter");
    explorer.wait_until("the first prompt", |shot| shot.is_idle() && shot.tokens() > Some(0));
    explorer.end();

    // The prompt that was used last is offered first.
    start().press("up", "first of all");
}
