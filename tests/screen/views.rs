//! Every view: its keys, its layouts, and what fills it.

use crate::support::explorer::{Explorer, Setup};
use crate::support::shot::Shot;

const FRANCE: &str = "The capital of France is";
const FRANCE_SHOWN: &str = "<s>·The·capital·of·France·is";
const FRANCE_LEN: usize = 6;

fn france() -> Explorer {
    Setup::of("demo").prompt(FRANCE).start_with(FRANCE_LEN)
}

/// What the views show when they are whole, by key.
const VIEWS: [(&str, [&str; 2]); 6] = [
    ("6", ["effects: [map]", "enter computes"]),
    ("2", ["attention: [grid]", "weights of this row"]),
    ("3", ["lens: [post]", "leads "]),
    ("4", ["next · after token", "▸   1"]),
    ("5", ["fidelity: [validated]", "policy hf: "]),
    ("1", ["routing: [token]", "share of choices"]),
];

#[test]
fn every_view_has_its_number_key() {
    let mut explorer = france();
    for (key, texts) in VIEWS {
        explorer.send(key);
        let is_whole = |shot: &Shot| texts.iter().all(|text| shot.has(text)) && !shot.has("deriving");
        let shot = explorer.wait_until(&texts.join(" and "), is_whole);
        assert_eq!(shot.strip(), FRANCE_SHOWN);
    }
    // Tab and shift-tab go through them.
    explorer.press("tab", "attention: [grid]");
    explorer.press("shift-tab", "routing: [token]");
    explorer.press("shift-tab", "effects: [map]");
}

#[test]
fn the_views_are_filled() {
    let mut explorer = france();
    let shot = explorer.screen();
    assert!(shot.line("▸L5").contains('['), "the chosen experts are in brackets: {}", shot.line("▸L5"));
    assert!(shot.has("margin entropy") && shot.has("share of choices"));
    explorer.press("2", "‘·is’ looks at · layer 5 head 0");
    explorer.wait_until("attention", |shot| {
        shot.has("weights of this row")
            && shot.has("query ↓ key →")
            && shot.has("‘·is’ looks at")
            && shot.line("L0").contains('▀')
    });
    explorer.press("3", "final answer ‘·Paris’");
    let shot = explorer.wait_for("leads from");
    let has_answer = |label: &str| shot.lines.iter().any(|line| line.contains(label) && line.contains("·Paris "));
    assert!(has_answer(" out") && has_answer("▸L5"), "{}", shot.text());
    let shot = explorer.press("4", "next · after token 5");
    assert!(shot.line("▸   1").contains("·Paris "), "{}", shot.line("▸   1"));
    let shot = explorer.press("5", "fidelity: [validated]");
    assert!(shot.has("policy hf") && shot.has("✓ tensors: all 189 present"));
}

#[test]
fn every_layout_of_a_view_is_reached_with_v() {
    let mut explorer = france();
    explorer.press("v", "[layer]");
    explorer.press("v", "[map]");
    explorer.press("v", "[usage]");
    explorer.press("v", "[pairs]");
    explorer.press("v", "routing: [token]");
    explorer.press("2", "attention: [grid]");
    explorer.send("v");
    explorer.wait_until("one head", |shot| shot.is_idle() && shot.has("layer 5 head 0") && !shot.has("[grid]"));
    explorer.press("v", "[scores]");
    explorer.press("v", "attention: [grid]");
    explorer.press("3", "lens: [post]");
    explorer.press("v", "[mid]");
    explorer.press("v", "[both]");
    explorer.press("v", "[plot]");
    explorer.press("v", "lens: [post]");
}

#[test]
fn brackets_choose_the_head_and_comma_and_point_the_expert() {
    let mut explorer = france();
    explorer.press("]", "head 1  expert 0");
    explorer.press("]", "head 2  expert 0");
    explorer.press("[", "head 1  expert 0");
    explorer.press(".", "head 1  expert 1");
    explorer.press(".", "head 1  expert 2");
    explorer.press(",", "head 1  expert 1");
    explorer.press("[ [ [ [ , , , ,", "head 0  expert 0");
    explorer.press("] ] ] ] ] ] ] ] ] ] . . . . . . . . . .", "head 7  expert 7");
}

#[test]
fn the_help_shows_the_keys_and_scrolls() {
    let mut explorer = france();
    let shot = explorer.press("?", "keys · / search");
    assert!(
        shot.has("prompt and generation") && shot.has("generate one token; pause if it runs") && shot.has("↓ more")
    );
    for _ in 0..40 {
        explorer.send("space");
        explorer.screen();
    }
    let shot = explorer.wait_for("suspend; fg continues");
    assert!(!shot.has("↓ more") && !shot.has("prompt and generation"));
    explorer.press("up", "↓ more");
    for close in ["q", "?", "esc"] {
        explorer.send(close);
        explorer.wait_gone("keys · / search");
        explorer.press("?", "keys · / search");
    }
}

#[test]
fn the_palette_runs_what_it_finds() {
    let mut explorer = france();
    explorer.press(":", "command palette");
    explorer.type_text("attention where");
    explorer.wait_for("▸ Attention: where each head looks");
    explorer.press("enter", "attention: [grid]");
    explorer.press("ctrl-p", "▸ Attention: where each head looks");
    explorer.press("3", "go to token 3");
    explorer.press("enter", "token 3 ‘");
    explorer.send("esc");
    explorer.wait_gone("command palette");
}

#[test]
fn search_undo_and_bookmarks_by_keys() {
    let mut explorer = france();
    explorer.press("/", "search in the text");
    explorer.type_text("CAPITAL");
    explorer.press("enter", "‘CAPITAL’ is not in the text");
    explorer.send("/");
    explorer.type_text("capital");
    explorer.press("enter", "match 1 of 1 for ‘capital’");
    explorer.press("m", "bookmark on token");
    explorer.wait_for("◆·capital");
    explorer.send("space");
    explorer.wait_tokens(FRANCE_LEN + 1);
    explorer.press("z", "undid the step");
    explorer.wait_tokens(FRANCE_LEN);
    explorer.press("Z", "did again the step");
    explorer.wait_tokens(FRANCE_LEN + 1);
}

#[test]
fn the_first_start_says_how_to_begin_and_later_ones_do_not() {
    let state = tempfile::tempdir().unwrap();
    let hint = "a small trained Mixtral: 6 layers of 8 experts, 2 of them per token";
    for (columns, rows) in [(80, 24), (160, 45), (40, 10)] {
        let state = tempfile::tempdir().unwrap();
        let mut explorer = Setup::of("demo").state(state.path()).size(columns, rows).start();
        explorer.wait_for("a small trained Mixtral");
    }
    let mut explorer = Setup::of("demo").state(state.path()).start();
    let shot = explorer.wait_for(hint);
    assert!(shot.has("enter reads the text · space adds a token · 1 to 6 look inside · ? keys"), "{}", shot.text());
    for (key, what) in [("alt-1", "3 Lens:"), ("alt-2", "(induction)"), ("alt-3", "know the language")] {
        let at = shot.lines.iter().position(|line| line.contains(key)).unwrap();
        assert!(shot.lines[at + 1].contains(what), "{}", shot.text());
    }
    explorer.send("alt-2");
    explorer.wait_until("the second example", |shot| shot.is_typed("| drum apple seven"));
    explorer.send("enter");
    explorer.wait_until("the prompt read", |shot| shot.is_idle() && shot.tokens() > Some(8));
    let shot = explorer.press("i", "enter runs it");
    assert!(!shot.has(hint));
    explorer.send("ctrl-c");
    assert!(explorer.is_over);
    explorer.end();
    let mut explorer = Setup::of("demo").state(state.path()).start();
    assert!(!explorer.wait_for("tab fills in an example").has(hint));
}
