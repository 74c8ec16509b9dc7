//! The program itself, in a pseudo-terminal: keys in, screens out, and the terminal as it was afterwards.

use crate::support::pty::{Pty, Setup, Shot, find, find_last, poll_until};
use nix::sys::signal::Signal;

const NONE: [&str; 0] = [];
const ESC: &str = "\x1b";
const UP: &str = "\x1b[A";
const DOWN: &str = "\x1b[B";
const RIGHT: &str = "\x1b[C";
const LEFT: &str = "\x1b[D";
const CTRL_C: &str = "\x03";
const CTRL_L: &str = "\x0c";
const CTRL_U: &str = "\x15";
const CTRL_Z: &str = "\x1a";

const FRANCE: &str = "The capital of France is";
const FRANCE_SHOWN: &str = "<s>·The·capital·of·France·is";
const FRANCE_LEN: usize = 8;
const EDITOR: &str = "enter runs it";

/// The demo model with `FRANCE` read.
fn france() -> Pty {
    let pty = Setup::program(["--prompt", FRANCE]).start();
    pty.wait_tokens(FRANCE_LEN);
    pty
}

/// A run without end of text: at this temperature one token is as probable as another.
fn endless() -> Pty {
    let pty = Setup::program(["--prompt", "Once upon a time", "--temperature", "50", "--seed", "1"]).start();
    pty.wait_until("the prompt read", |shot| shot.is_idle() && shot.tokens() > Some(0));
    pty
}

#[test]
fn a_typed_prompt_runs_and_space_steps() {
    let pty = Setup::program(NONE).start();
    let shot = pty.wait_for(EDITOR);
    assert!(shot.is_alternate() && shot.marks_pastes() && shot.has_cursor());
    assert!(shot.header().starts_with(" mixscope  demo"), "{}", shot.header());
    assert_eq!(shot.tokens(), Some(0));
    assert!(shot.has("no text yet") || shot.has("tab fills in an example"));
    pty.send(FRANCE);
    pty.wait_until("the cursor behind the text", |shot| shot.before_cursor().ends_with(FRANCE));
    pty.send("\r");
    let shot = pty.wait_tokens(FRANCE_LEN);
    assert_eq!(shot.strip(), FRANCE_SHOWN);
    assert!(!shot.has_cursor() && !shot.has(EDITOR));
    for (count, more) in [(1, "·P"), (2, "·Par"), (3, "·Paris")] {
        pty.send(" ");
        let shot = pty.wait_tokens(FRANCE_LEN + count);
        assert_eq!(shot.strip(), format!("{FRANCE_SHOWN}{more}"));
    }
    pty.wait_for("token 10 ‘is’  layer 5");
    // The cursor's token looks different.
    let shot = pty.press("0", "token 0 ‘<s>’");
    assert_eq!(shot.italics(), "·Paris", "what the model said is in italics");
}

#[test]
fn fast_steps_are_all_done() {
    let pty = france();
    pty.send("   ");
    assert_eq!(pty.wait_tokens(FRANCE_LEN + 3).strip(), format!("{FRANCE_SHOWN}·Paris"));
}

#[test]
fn a_prompt_on_the_command_line_runs_at_once() {
    let pty = Setup::program(["--prompt", FRANCE, "--precision", "f32"]).start();
    let shot = pty.wait_tokens(FRANCE_LEN);
    assert_eq!(shot.strip(), FRANCE_SHOWN);
    assert!(!shot.has(EDITOR) && shot.header().contains("policy f32 "));
}

#[test]
fn example_prompts_are_offered() {
    let pty = Setup::program(NONE).start();
    pty.wait_for("tab fills in an example");
    pty.wait_for(EDITOR);
    pty.send("\t\r");
    assert_eq!(pty.wait_tokens(FRANCE_LEN).strip(), FRANCE_SHOWN);
}

/// What the views show when they are whole, by key.
const VIEWS: [(&str, [&str; 2]); 5] = [
    ("2", ["attention · all heads", "weights of this row"]),
    ("3", ["lens · resid_post", "leads "]),
    ("4", ["next · after token", "▸   1"]),
    ("5", ["fidelity · what was validated", "policy hf: "]),
    ("1", ["routing · token", "share of choices"]),
];

#[test]
fn every_view_has_its_number_key() {
    let pty = france();
    for (key, texts) in VIEWS {
        pty.send(key);
        let is_whole = |shot: &Shot| texts.iter().all(|text| shot.has(text)) && !shot.has("deriving");
        let shot = pty.wait_until(&texts.join(" and "), is_whole);
        assert_eq!(shot.strip(), FRANCE_SHOWN);
    }
    // Tab and shift-tab go through them.
    pty.press("\t", "attention · all heads");
    pty.press("\x1b[Z", "routing · token");
    pty.press("\x1b[Z", "fidelity · what");
}

#[test]
fn the_views_are_filled() {
    let pty = france();
    let shot = pty.screen();
    assert!(shot.line("▸L5").contains('['), "the chosen experts are in brackets: {}", shot.line("▸L5"));
    assert!(shot.has("margin entropy") && shot.has("share of choices"));
    pty.press("2", "‘·is’ looks at · layer 5 head 0");
    let shot = pty.wait_until("attention", |shot| shot.has("weights of this row") && shot.has("query ↓ key →"));
    assert!(shot.has("‘·is’ looks at") && shot.line("L0").contains('▀'), "{}", shot.text());
    pty.press("3", "final answer ‘·P’");
    let shot = pty.wait_for("leads from");
    assert!(shot.line(" out").contains("·P") && shot.line("▸L5").contains("·P"), "{}", shot.text());
    let shot = pty.press("4", "next · after token 7");
    assert!(shot.line("▸   1").contains("·P "), "{}", shot.line("▸   1"));
    let shot = pty.press("5", "fidelity ·");
    assert!(shot.has("policy hf") && shot.has("✓ tensors: all 189 present"));
}

#[test]
fn every_lens_of_a_view_is_reached_with_v() {
    let pty = france();
    pty.press("v", "routing · layer 5 · probability by token");
    pty.press("v", "routing · map");
    pty.press("v", "routing · load");
    pty.press("v", "routing · pairs");
    pty.press("v", "routing · token 7");
    pty.press("2", "attention · all heads");
    pty.send("v");
    pty.wait_until("one head", |shot| shot.is_idle() && shot.has("layer 5 head 0") && !shot.has("all heads"));
    pty.press("v", "attention · all heads");
    pty.press("3", "lens · resid_post");
    pty.press("v", "lens · resid_mid ·");
    pty.press("v", "lens · resid_mid and resid_post ·");
    pty.press("v", "lens · plot after ‘·is’");
    pty.press("v", "lens · resid_post");
}

#[test]
fn arrows_and_letters_move_token_and_layer() {
    let pty = france();
    pty.wait_for("token 7 ‘·is’  layer 5  head 0  expert 0");
    for (key, text) in [
        (LEFT, "token 6 ‘ce’  layer 5"),
        ("h", "token 5 ‘ran’  layer 5"),
        (RIGHT, "token 6 ‘ce’  layer 5"),
        ("l", "token 7 ‘·is’  layer 5"),
        (DOWN, "token 7 ‘·is’  layer 4"),
        ("j", "token 7 ‘·is’  layer 3"),
        (UP, "token 7 ‘·is’  layer 4"),
        ("k", "token 7 ‘·is’  layer 5"),
        ("0", "token 0 ‘<s>’  layer 5"),
        ("$", "token 7 ‘·is’  layer 5"),
        ("\x1b[H", "token 0 ‘<s>’  layer 5"),
        ("\x1b[F", "token 7 ‘·is’  layer 5"),
        ("\x1b[1;2D", "token 0 ‘<s>’  layer 5"),
        ("\x1b[1;2C", "token 7 ‘·is’  layer 5"),
    ] {
        pty.press(key, text);
    }
    // At the edges it stays; the keys in between are taken in order.
    pty.press("lllkkkh", "token 6 ‘ce’  layer 5");
}

#[test]
fn brackets_choose_the_head_and_comma_and_point_the_expert() {
    let pty = france();
    pty.press("]", "head 1  expert 0");
    pty.press("]", "head 2  expert 0");
    pty.press("[", "head 1  expert 0");
    pty.press(".", "head 1  expert 1");
    pty.press(".", "head 1  expert 2");
    pty.press(",", "head 1  expert 1");
    pty.press("[[[[,,,,", "head 0  expert 0");
    pty.press("]]]]]]]]]]..........", "head 7  expert 7");
}

#[test]
fn go_runs_until_it_is_paused() {
    let pty = endless();
    for key in ["g", " ", ESC] {
        let start = pty.screen().tokens();
        pty.press("g", "generating");
        pty.wait_until("three more tokens", |shot| shot.tokens() > start.map(|n| n + 3));
        pty.send(key);
        let shot = pty.wait_until("a pause", |shot| shot.is_idle());
        assert!(shot.has("token ") && !shot.has("the model ended the text"), "{}", shot.text());
        // Nothing more comes: other things are done and the run has not grown.
        pty.press("5", "fidelity ·");
        pty.press("?", "keys ·");
        pty.press("q", "fidelity ·");
        let later = pty.press("1", "routing ·");
        assert!(later.is_idle());
        assert_eq!(later.tokens(), shot.tokens());
    }
}

#[test]
fn keys_are_answered_while_it_generates() {
    let pty = endless();
    // As good as without end: longer than the context, which is said and not cut.
    pty.press("r", "tokens to generate");
    pty.send(&format!("{CTRL_U}1000000\r"));
    for (key, text) in [
        ("2", "attention · all heads"),
        ("3", "lens · resid_post"),
        ("4", "next · after token"),
        ("5", "fidelity ·"),
        ("?", "keys ·"),
        ("?", "fidelity ·"),
        ("1", "routing · token"),
        ("v", "routing · layer"),
        ("0", "token 0 ‘<s>’"),
        ("l", "token 1 ‘·Once’"),
        ("s", "temperature"),
    ] {
        let before = pty.screen().tokens();
        pty.send(key);
        pty.wait_until(text, |shot| shot.has(text) && shot.header().contains("generating"));
        pty.wait_until("more tokens", |shot| shot.tokens() > before);
    }
    pty.send(ESC);
    pty.wait_gone("temperature");
    pty.send(ESC);
    let shot = pty.wait_until("a pause", |shot| shot.is_idle());
    assert!(shot.has("token 1 ‘·Once’"), "the cursor stays where it was put");
    pty.send("q");
    assert_eq!(pty.end_restored().0, 0);
}

#[test]
fn it_can_be_left_while_it_generates() {
    let pty = endless();
    pty.press("g", "generating");
    pty.send("q");
    assert_eq!(pty.end_restored().0, 0);
}

#[test]
fn stepping_back_forgets_the_last_token_and_rewinding_all_behind_the_cursor() {
    let pty = france();
    pty.send("   ");
    pty.wait_tokens(FRANCE_LEN + 3);
    pty.send("u");
    assert_eq!(pty.wait_tokens(FRANCE_LEN + 2).strip(), format!("{FRANCE_SHOWN}·Par"));
    pty.send("\x7f");
    assert_eq!(pty.wait_tokens(FRANCE_LEN + 1).strip(), format!("{FRANCE_SHOWN}·P"));
    // The same comes again.
    pty.send("  ");
    assert_eq!(pty.wait_tokens(FRANCE_LEN + 3).strip(), format!("{FRANCE_SHOWN}·Paris"));
    pty.press("0ll", "token 2 ‘·capital’");
    pty.send("U");
    assert_eq!(pty.wait_tokens(3).strip(), "<s>·The·capital");
    // The first token stays.
    pty.send("u");
    pty.wait_tokens(2);
    pty.send("u");
    pty.wait_tokens(1);
    pty.press("u5", "fidelity ·");
    assert_eq!(pty.wait_tokens(1).strip(), "<s>");
}

#[test]
fn fast_steps_back_are_all_done() {
    let pty = france();
    pty.send("uuuu");
    assert_eq!(pty.wait_tokens(FRANCE_LEN - 4).strip(), "<s>·The·capital·of");
}

#[test]
fn a_candidate_can_be_forced() {
    let pty = france();
    pty.press("4", "next · after token 7");
    pty.press(DOWN, "▸   2");
    let shot = pty.press(DOWN, "▸   3");
    let line = shot.line("▸   3").to_owned();
    let third = line.split_whitespace().skip_while(|word| *word != "3").nth(1).unwrap();
    pty.send("\r");
    let shot = pty.wait_tokens(FRANCE_LEN + 1);
    assert_eq!(shot.strip(), format!("{FRANCE_SHOWN}{third}"));
    assert!(shot.has(&format!("next · after token 8 ‘{third}’")));
    // In the middle of the run what follows is forgotten.
    let shot = pty.press("0l", "next · after token 1 ‘·The’");
    assert!(shot.has("not → ‘·capital’ and what follows"), "{}", shot.text());
    let shot = pty.press(DOWN, "▸   2");
    let line = shot.line("▸   2").to_owned();
    let second = line.split_whitespace().skip_while(|word| *word != "2").nth(1).unwrap();
    pty.send("\r");
    assert_eq!(pty.wait_tokens(3).strip(), format!("<s>·The{second}"));
    // Elsewhere enter shows the candidates.
    pty.press("1", "routing · token");
    pty.press("\r", "next · after token");
    assert_eq!(pty.screen().tokens(), Some(3));
}

#[test]
fn a_typed_text_can_be_forced() {
    let pty = france();
    pty.press("f", "read next, as text");
    pty.press(" the town", "the town");
    pty.send("\r");
    let read = format!("{FRANCE_SHOWN}·the·town");
    let is_read = |shot: &Shot| shot.is_idle() && shot.strip().ends_with("·the·town");
    let shot = pty.wait_until("the text", is_read);
    assert_eq!(shot.strip(), read, "one space before a new word");
    assert!(shot.has("forced · "));
    // Without a space the word goes on.
    pty.press("f", "read next, as text");
    pty.send("ship\r");
    let shot = pty.wait_until("the text", |shot| shot.is_idle() && shot.strip().ends_with("ship"));
    assert_eq!(shot.strip(), format!("{read}ship"), "no space within a word");
}

#[test]
fn the_sampling_form_takes_values_and_refuses_wrong_ones() {
    let pty = france();
    assert!(pty.screen().header().contains("greedy"));
    pty.press("s", "▸temperature");
    pty.press(&format!("{CTRL_U}0.8"), "▸temperature 0.8");
    pty.press(&format!("{DOWN}0"), "▸top-k       0");
    pty.press("\r", "top-k: at least 1, or empty");
    pty.press("\x7f40", "▸top-k       40");
    pty.press("\t0.9", "▸top-p       0.9");
    pty.press(&format!("\t{CTRL_U}7"), "▸seed        7");
    pty.send("\r");
    pty.wait_until("the values in the header", |shot| shot.header().contains("T 0.8 k 40 p 0.9 seed 7"));
    // What is closed with esc changes nothing.
    pty.press("s", "▸temperature 0.8");
    pty.press("9", "▸temperature 9");
    pty.send(ESC);
    assert!(pty.wait_gone("▸temperature").header().contains("T 0.8 k 40 p 0.9 seed 7"));
    // The same seed says the same again.
    pty.send("  ");
    let first = pty.wait_tokens(FRANCE_LEN + 2).strip();
    pty.send("u");
    pty.wait_tokens(FRANCE_LEN + 1);
    pty.send("u");
    pty.wait_tokens(FRANCE_LEN);
    pty.send("  ");
    assert_eq!(pty.wait_tokens(FRANCE_LEN + 2).strip(), first);
}

#[test]
fn the_policy_is_switched_and_the_same_tokens_read_again() {
    let pty = france();
    pty.send(" ");
    pty.wait_tokens(FRANCE_LEN + 1);
    let row = pty.wait_for("▸L5").line("▸L5").to_owned();
    for policy in ["policy f32 ", "policy f32-router ", "policy hf "] {
        pty.send("p");
        let shot = pty.wait_until(policy, |shot| {
            shot.header().contains(policy) && shot.is_idle() && shot.tokens() == Some(FRANCE_LEN + 1) && shot.has("▸L5")
        });
        assert_eq!(shot.strip(), format!("{FRANCE_SHOWN}·P"));
    }
    let shot = pty.screen();
    assert_eq!(shot.line("▸L5"), row, "the same policy gives the same numbers");
    assert!(shot.has("generated · "), "what was generated stays so");
}

#[test]
fn the_help_shows_the_keys_and_scrolls() {
    let pty = france();
    let shot = pty.press("?", "keys · ↑↓ scroll");
    assert!(shot.has("in the views") && shot.has("generate one token; pause if it runs") && shot.has("↓ more"));
    pty.send(&" ".repeat(40));
    let shot = pty.wait_for("suspend; fg comes back");
    assert!(!shot.has("↓ more") && !shot.has("in the views"));
    pty.press(UP, "↓ more");
    for close in ["q", "?", ESC] {
        pty.send(close);
        pty.wait_gone("keys · ↑↓ scroll");
        pty.press("?", "keys · ↑↓ scroll");
    }
}

#[test]
fn a_number_of_tokens_can_be_asked_for() {
    let pty = france();
    pty.press("r", "tokens to generate");
    pty.press(&format!("{CTRL_U}0"), "enter starts");
    pty.press("\r", "a whole number of tokens, at least 1");
    pty.press(&format!("{CTRL_U}3"), "enter starts");
    pty.send("\r");
    assert_eq!(pty.wait_tokens(FRANCE_LEN + 3).strip(), format!("{FRANCE_SHOWN}·Paris"));
}

#[test]
fn an_edited_prompt_keeps_the_shared_part() {
    let pty = france();
    pty.send("   ");
    pty.wait_tokens(FRANCE_LEN + 3);
    pty.press("0lll", "token 3 ‘·of’");
    let shot = pty.wait_for("▸L5");
    let (row, score) = (shot.line("▸L5").to_owned(), shot.line("loss").to_owned());
    // The editor starts from the prompt.
    pty.press("i", EDITOR);
    pty.wait_for(FRANCE);
    pty.press("\x17\x17Italy is", "The capital of Italy is");
    pty.send("\r");
    let shot = pty.wait_until("the new prompt", |shot| shot.is_idle() && shot.strip().contains("·It"));
    assert!(shot.strip().starts_with("<s>·The·capital·of·It") && shot.strip().ends_with("·is"), "{}", shot.strip());
    assert!(!shot.strip().contains("France") && shot.italics().is_empty());
    let count = shot.tokens().unwrap();
    pty.press("0lll", "token 3 ‘·of’");
    let shot = pty.screen();
    assert_eq!((shot.line("▸L5"), shot.line("loss")), (row.as_str(), score.as_str()));
    // A prompt that is only the shared part.
    pty.press("i", EDITOR);
    pty.send("\x17\x17\x7f");
    pty.wait_until("a shorter prompt", |shot| shot.before_cursor().ends_with("The capital of"));
    pty.send("\r");
    let shot = pty.wait_until("a shorter run", |shot| shot.is_idle() && shot.tokens() < Some(count));
    assert_eq!(shot.strip(), "<s>·The·capital·of");
}

#[test]
fn the_next_run_offers_earlier_prompts() {
    let folder = tempfile::tempdir().unwrap();
    let start = || {
        let pty = Setup::program(NONE).state(folder.path()).start();
        pty.wait_for(EDITOR);
        pty
    };
    let pty = start();
    pty.press("first of all\r", "<s>·");
    pty.press("i", EDITOR);
    pty.send(CTRL_U);
    pty.press("two\x1b\rlines", "lines");
    pty.send("\r");
    pty.wait_until("the second prompt", |shot| shot.is_idle() && shot.strip().contains("↵"));
    pty.send("q");
    assert_eq!(pty.end_restored().0, 0);

    let pty = start();
    let shot = pty.press(UP, "lines");
    assert!(shot.has("two") && !shot.has("two↵"), "a prompt of two lines has two lines");
    // Through its lines, then on to the one before.
    pty.send(UP);
    pty.press(UP, "first of all");
    pty.send("\r");
    pty.wait_until("the first prompt", |shot| shot.is_idle() && shot.tokens() > Some(0));
    pty.send("q");
    pty.end_restored();

    // What was used last is offered first.
    let pty = start();
    pty.press(UP, "first of all");
}

/// A paste that a terminal would obey: colour, a title, a bell, a C1 control, an answer to be typed.
const HOSTILE: &str = "red \x1b[31mX\rtitle \x1b]0;owned\x07 line\r\n\u{9b}32mY\x1b[6n\x1bP$q\x1b\\ q\tend";

/// Nothing of [`HOSTILE`] may come back as the terminal would obey it.
#[track_caller]
fn assert_harmless(raw: &[u8]) {
    for bad in ["\x1b[31mX", "\x1b]", "\x07", "\u{9b}", "\x1bP", "\x1b\\", "owned\x07"] {
        assert!(find(raw, bad.as_bytes()).is_none(), "{bad:?} came back raw");
    }
}

#[test]
fn pasted_text_is_text_and_never_obeyed() {
    let pty = Setup::program(["--prompt", FRANCE]).start();
    pty.wait_tokens(FRANCE_LEN);
    // In the views it opens the prompt; its line ends are line ends, its letters no keys.
    pty.paste(HOSTILE);
    let shot = pty.wait_for(EDITOR);
    assert!(shot.has("red ␛[31mX") && shot.has("title ␛]0;owned␇ line") && shot.has("⇥end"), "{}", shot.text());
    assert!(!shot.line("red ␛").contains("title"), "line ends stand: {}", shot.text());
    assert_eq!(shot.tokens(), Some(FRANCE_LEN));
    pty.send("\r");
    let shot = pty.wait_until("the pasted prompt", |shot| shot.is_idle() && shot.strip().contains("↵"));
    assert!(shot.strip().contains("‹1B›") || shot.strip().contains("␛"), "{}", shot.strip());
    // Shown again by all views, the editor, and in the list of candidates.
    for (key, text) in [("2", "attention ·"), ("3", "lens ·"), ("4", "next ·"), ("1", "routing ·"), ("i", EDITOR)] {
        pty.press(key, text);
        pty.wait_until("an idle engine", |shot| shot.is_idle());
    }
    // Into an open input it is inserted.
    pty.send(ESC);
    pty.wait_gone(EDITOR);
    pty.press("f", "read next, as text");
    pty.paste(HOSTILE);
    pty.wait_for("owned␇");
    pty.send(ESC);
    pty.wait_gone("read next, as text");
    // A page of text takes no paste.
    pty.press("?", "keys ·");
    pty.paste("qqqqq");
    pty.press(ESC, "routing ·");
    // A form takes what is a number.
    pty.press("s", "▸temperature");
    pty.send(CTRL_U);
    pty.paste("\x1b[31m0.5\r\n");
    pty.wait_until("the number", |shot| shot.line("▸temperature").contains("0.5"));
    pty.send(CTRL_C);
    let (code, raw) = pty.end_restored();
    assert_eq!(code, 0);
    assert_harmless(&raw);
}

#[test]
fn an_earlier_hostile_prompt_is_harmless_in_the_next_run() {
    let folder = tempfile::tempdir().unwrap();
    let pty = Setup::program(NONE).state(folder.path()).start();
    pty.wait_for(EDITOR);
    pty.paste(HOSTILE);
    pty.wait_for("owned␇");
    pty.send("\r");
    pty.wait_until("the prompt read", |shot| shot.is_idle() && shot.tokens() > Some(0));
    pty.send("q");
    assert_harmless(&pty.end().1);
    let pty = Setup::program(NONE).state(folder.path()).start();
    pty.wait_for(EDITOR);
    pty.press(UP, "owned␇");
    pty.send(CTRL_C);
    assert_harmless(&pty.end().1);
}

#[test]
fn the_screen_is_right_after_every_resize() {
    let pty = france();
    let before = pty.screen();
    for (columns, rows) in [(40, 10), (20, 5), (80, 24), (200, 60), (120, 40)] {
        pty.resize(columns, rows);
        if (columns, rows) == (20, 5) {
            let shot = pty.wait_until("the size that is needed", |shot| shot.text().contains("40×10"));
            assert!(!shot.has("routing"));
            continue;
        }
        // As a program draws that was started at this size.
        let fresh = Setup::program(["--prompt", FRANCE]).size(columns, rows).start();
        let wanted = fresh.wait_until("a prompt read", |shot| shot.is_idle() && shot.has("·France·is"));
        pty.wait_until(&format!("the screen of {columns}×{rows}\n{}\n", wanted.text()), |shot| {
            shot.lines[1..] == wanted.lines[1..] && shot.is_idle()
        });
    }
    assert_eq!(pty.screen().text(), before.text());
    // While something lies over it, too.
    pty.press("i", EDITOR);
    let before = pty.screen();
    pty.resize(50, 12);
    let shot = pty.wait_until("the editor", |shot| shot.has("prompt ─") && shot.has(FRANCE));
    assert!(shot.lines.iter().all(|line| line.chars().count() <= 50));
    pty.resize(20, 5);
    pty.wait_gone(FRANCE);
    pty.resize(120, 40);
    pty.wait_until("the screen as it was", |shot| shot.text() == before.text());
}

#[test]
fn a_storm_of_resizes_ends_with_the_last_size() {
    let pty = france();
    let before = pty.screen();
    for i in 0..40u16 {
        pty.resize(20 + 7 * (i % 23), 5 + 3 * (i % 17));
    }
    pty.resize(120, 40);
    pty.wait_until("the screen as it was", |shot| shot.text() == before.text());
}

#[test]
fn keys_right_after_a_resize_are_answered() {
    let pty = france();
    for i in 0..40 {
        let (key, text) = if i % 2 == 0 { ("5", "fidelity ·") } else { ("1", "routing · token") };
        pty.resize(100 + i, 30 + i % 7);
        pty.press(key, text);
    }
}

#[test]
fn a_burst_of_keys_is_read_whole() {
    // As a terminal sends a paste that it does not mark.
    let pty = Setup::program(NONE).size(120, 100).start();
    pty.wait_for(EDITOR);
    let words: String = (0..1500).map(|i| format!("w{i}")).collect();
    pty.send(&words);
    let shot = pty.wait_for("w1499");
    let is_part = |part: &&str| part.contains('w') && part.chars().all(|c| c == 'w' || c.is_ascii_digit());
    let text: String = shot.lines.iter().flat_map(|line| line.split(['│', ' ']).filter(is_part)).collect();
    assert_eq!(text, words);
}

/// Parameters of all SGR sequences.
fn sgr(raw: &[u8]) -> Vec<u16> {
    let text = String::from_utf8_lossy(raw);
    let parts = text.split("\x1b[").filter_map(|part| {
        let (parameters, _) = part.split_once('m')?;
        let is_sgr = parameters.chars().all(|c| c.is_ascii_digit() || c == ';' || c == ':');
        is_sgr.then(|| parameters.split([';', ':']).map(|n| n.parse().unwrap_or(0)).collect::<Vec<u16>>())
    });
    parts.flatten().collect()
}

fn is_colour(parameter: u16) -> bool {
    matches!(parameter, 30..=38 | 40..=48 | 58 | 90..=97 | 100..=107)
}

/// Shows every view, an error of a form and the help, and leaves.
fn tour(pty: &Pty) -> Vec<u8> {
    for (key, text) in [
        ("v", "routing · layer"),
        ("v", "routing · map"),
        ("2", "weights of this row"),
        ("3", "leads "),
        ("4", "next · after"),
        ("5", "fidelity ·"),
        ("s", "▸temperature"),
        ("...\r", "temperature: "),
    ] {
        pty.press(key, text);
    }
    pty.send(ESC);
    pty.wait_gone("▸temperature");
    pty.press("?", "keys ·");
    pty.send(CTRL_C);
    let (code, raw) = pty.end_restored();
    assert_eq!(code, 0);
    raw
}

#[test]
fn no_color_means_no_colour() {
    let pty = Setup::program(["--prompt", FRANCE]).env("NO_COLOR", "1").start();
    let shot = pty.wait_tokens(FRANCE_LEN);
    assert!(shot.line("▸L5").contains("[."), "brackets say what colour does elsewhere");
    let used = sgr(&tour(&pty));
    assert!(!used.iter().any(|parameter| is_colour(*parameter)), "{used:?}");
}

#[test]
fn an_empty_no_color_is_none() {
    let pty = Setup::program(["--prompt", FRANCE]).env("NO_COLOR", "").start();
    pty.wait_tokens(FRANCE_LEN);
    let raw = tour(&pty);
    assert!(find(&raw, b"38;2;").is_some() && find(&raw, b"48;2;").is_some());
}

#[test]
fn colours_are_those_that_the_terminal_has() {
    let setup = |color| Setup::program(["--prompt", FRANCE, "--color", color]);
    for color in ["256", "16", "never"] {
        let pty = setup(color).start();
        pty.wait_tokens(FRANCE_LEN);
        let raw = tour(&pty);
        assert!(find(&raw, b"8;2;").is_none(), "24-bit colours with --color {color}");
        assert_eq!(sgr(&raw).into_iter().any(is_colour), color != "never");
    }
}

#[test]
fn q_leaves_with_status_0_and_the_terminal_as_it_was() {
    let pty = france();
    pty.send("q");
    assert_eq!(pty.end_restored().0, 0);
    assert_eq!(pty.screen().text().trim(), "");
}

#[test]
fn ctrl_c_leaves_from_everywhere() {
    let leave = |pty: &Pty| {
        pty.send(CTRL_C);
        assert_eq!(pty.end_restored().0, 0);
        assert_eq!(pty.screen().text().trim(), "");
    };
    leave(&france());
    let pty = Setup::program(NONE).start();
    pty.wait_for(EDITOR);
    pty.press("some text", "some text");
    leave(&pty);
    let pty = france();
    pty.press("?", "keys ·");
    leave(&pty);
}

#[test]
fn closing_the_window_ends_it() {
    for _ in 0..5 {
        assert_eq!(france().hang_up().signal(), None);
    }
    let pty = endless();
    pty.press("g", "generating");
    assert_eq!(pty.hang_up().signal(), None);
}

#[test]
fn signals_leave_with_status_1_and_the_terminal_as_it_was() {
    for signal in [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT] {
        let pty = france();
        pty.signal(signal);
        assert_eq!(pty.end_restored().0, 1, "{signal}");
        pty.screen().line(&format!("mixscope: ended by {signal}"));
    }
    // Busy or not.
    let pty = endless();
    pty.press("g", "generating");
    pty.signal(Signal::SIGTERM);
    assert_eq!(pty.end_restored().0, 1);
}

#[test]
#[cfg_attr(not(debug_assertions), ignore = "faults can be asked for in debug builds only")]
fn a_defect_of_the_screen_gives_the_terminal_back_and_then_speaks() {
    let pty = Setup::program(NONE).env("MIXSCOPE_FAULT", "ui").start();
    let (code, raw) = pty.end_restored();
    assert_eq!(code, 1);
    let said = find(&raw, b"fault asked for by MIXSCOPE_FAULT").unwrap();
    assert!(find_last(&raw[..said], b"\x1b[?1049l") > find_last(&raw[..said], b"\x1b[?1049h"), "said too early");
    // All of it can be read: nothing was written over.
    let shot = pty.screen();
    let place = |text: &str| shot.lines.iter().position(|line| line.contains(text)).unwrap_or_else(|| panic!("{text}"));
    let order =
        ["panicked at", "fault asked for by MIXSCOPE_FAULT", "mixscope: a defect in mixscope ended it"].map(place);
    assert!(order.is_sorted(), "not in the order it was said:\n{}", shot.text());
    assert!(shot.before_cursor().is_empty() && shot.lines[shot.cursor_row()..].concat().is_empty(), "{}", shot.text());
}

#[test]
#[cfg_attr(not(debug_assertions), ignore = "faults can be asked for in debug builds only")]
fn a_defect_of_the_engine_is_an_error_on_the_screen() {
    let pty = Setup::program(["--prompt", FRANCE]).env("MIXSCOPE_FAULT", "engine").start();
    pty.wait_tokens(FRANCE_LEN);
    pty.press(" ", "✗ a defect in mixscope stopped this work");
    let shot = pty.wait_tokens(FRANCE_LEN);
    assert_eq!(shot.strip(), FRANCE_SHOWN);
    for (key, text) in [("2", "attention · all"), ("3", "lens · resid"), ("4", "▸   1  ·P"), ("1", "routing · token")]
    {
        pty.press(key, text);
        pty.wait_until("an idle engine", |shot| shot.is_idle() && !shot.has("deriving"));
    }
    let shot = pty.press("!", "message · esc closes");
    assert!(shot.has("fault asked for by MIXSCOPE_FAULT") && shot.has("please report it"));
    pty.send(ESC);
    pty.wait_gone("message · esc closes");
    pty.send(ESC);
    pty.wait_gone("✗");
    // The engine goes on with other work.
    pty.press("f", "read next, as text");
    pty.send(" Paris\r");
    pty.wait_until("the forced text", |shot| shot.is_idle() && shot.strip().ends_with("·Paris"));
    pty.send("q");
    let (code, raw) = pty.end_restored();
    assert_eq!(code, 0);
    assert!(find(&raw, b"panicked at").is_none(), "the screen was written over");
}

/// An interactive shell with job control, and the explorer started from it.
fn shell() -> (Pty, Shot) {
    let pty = Setup::command("sh", ["-i"]).env("PS1", "ready$ ").env("BIN", env!("CARGO_BIN_EXE_mixscope")).start();
    wait_for_shell(&pty);
    pty.send("\"$BIN\" --prompt 'The capital of France is'; echo status=$?\n");
    let shot = pty.wait_tokens(FRANCE_LEN);
    assert!(shot.is_alternate());
    (pty, shot)
}

#[track_caller]
fn wait_for_shell(pty: &Pty) -> Shot {
    pty.wait_until("the shell", |shot| {
        let last = shot.lines.iter().rfind(|line| !line.is_empty());
        !shot.is_alternate() && last.is_some_and(|line| line == "ready$")
    })
}

/// Leaves the explorer and the shell.
#[track_caller]
fn leave_both(pty: &Pty) {
    pty.send("q");
    let shot = wait_for_shell(pty);
    assert!(shot.has_cursor() && !shot.has("mixscope:"), "{}", shot.text());
    pty.send("exit\n");
    pty.end();
}

#[test]
fn ctrl_z_returns_to_the_shell_and_fg_comes_back() {
    let (pty, before) = shell();
    for time in ["first", "second"] {
        pty.send(CTRL_Z);
        let shot = wait_for_shell(&pty);
        assert!(shot.has_cursor() && !shot.has("routing"));
        // The shell's terminal is a sane one.
        pty.send("clear; stty -a\n");
        let is_whole = |shot: &Shot| ["icrnl", "opost", "isig", "iexten"].iter().all(|mode| shot.has(mode));
        let shot = pty.wait_until("the modes", is_whole);
        for mode in ["isig", "icanon", "echo", "opost", "icrnl"] {
            assert!(shot.text().split_whitespace().any(|word| word == mode), "{mode} is off:\n{}", shot.text());
        }
        wait_for_shell(&pty);
        pty.send("fg\n");
        let shot = pty.wait_until("the explorer", |shot| shot.is_alternate() && shot.strip() == FRANCE_SHOWN);
        assert!(shot.marks_pastes() && !shot.has_cursor());
        assert_eq!(shot.lines[1..], before.lines[1..], "drawn whole");
        // It listens again.
        pty.press("5", "fidelity ·");
        pty.press("1", "routing · token");
        pty.send(" ");
        pty.wait_tokens(FRANCE_LEN + 1);
        pty.send("u");
        let shot = pty.wait_tokens(FRANCE_LEN);
        assert_eq!(shot.lines[1..], before.lines[1..], "the {time} time");
    }
    leave_both(&pty);
}

#[test]
fn it_comes_back_while_it_generates() {
    let (pty, _) = shell();
    pty.press("s", "▸temperature");
    pty.send(&format!("{CTRL_U}50\r"));
    pty.wait_gone("▸temperature");
    pty.press("g", "generating");
    pty.send(CTRL_Z);
    wait_for_shell(&pty);
    pty.send("fg\n");
    let shot = pty.wait_until("the explorer", |shot| shot.is_alternate() && shot.tokens() > Some(FRANCE_LEN));
    pty.wait_until("more tokens", |later| later.tokens() > shot.tokens());
    pty.send(ESC);
    pty.wait_until("a pause", |shot| shot.is_idle());
    leave_both(&pty);
}

#[test]
fn a_stop_from_outside_is_survived() {
    let (pty, before) = shell();
    nix::sys::signal::kill(pty.foreground(), Signal::SIGSTOP).unwrap();
    // The program could not tidy up; the shell writes where it was.
    pty.wait_for("ready$");
    pty.send("fg\n");
    pty.wait_until("the screen as it was", |shot| shot.is_alternate() && shot.lines[1..] == before.lines[1..]);
    pty.press("5", "fidelity ·");
    leave_both(&pty);
}

#[test]
fn started_in_the_background_it_comes_with_fg() {
    let (pty, before) = shell();
    pty.send("q");
    wait_for_shell(&pty);
    pty.send("clear; \"$BIN\" --prompt 'The capital of France is' &\n");
    pty.wait_until("the shell", |shot| shot.lines[0].starts_with("ready$"));
    pty.send("fg\n");
    pty.wait_until("the explorer", |shot| shot.is_alternate() && shot.lines[1..] == before.lines[1..]);
    pty.press("5", "fidelity ·");
    leave_both(&pty);
}

#[test]
fn closing_the_window_of_the_shell_ends_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("status");
    let (pty, _) = shell();
    pty.send("q");
    wait_for_shell(&pty);
    // Something that outlives the terminal to tell of the end.
    pty.send(&format!("clear; (trap '' HUP; \"$BIN\" --prompt one; echo $? >'{}')\n", path.display()));
    pty.wait_until("the explorer", |shot| shot.is_alternate() && shot.is_idle() && shot.tokens() > Some(0));
    pty.hang_up();
    poll_until("an end of the program", || std::fs::read_to_string(&path).is_ok_and(|text| text.ends_with('\n')));
}

#[test]
fn ctrl_z_outside_of_a_shell_goes_on() {
    // The program leads its session: nobody could bring it back, so the system does not stop it.
    let pty = france();
    let before = pty.screen();
    let drawn = pty.raw().len();
    pty.send(CTRL_Z);
    pty.wait_until("the screen taken again", |_| true);
    pty.press("5", "fidelity ·");
    pty.press("1", "routing · token");
    pty.wait_until("the screen as it was", |shot| shot.is_alternate() && shot.text() == before.text());
    assert!(find(&pty.raw()[drawn..], b"\x1b[?1049h").is_some());
    pty.send("q");
    assert_eq!(pty.end_restored().0, 0);
}

#[test]
fn a_continue_signal_draws_the_screen_anew() {
    let pty = france();
    let before = pty.screen();
    let drawn = pty.raw().len();
    pty.signal(Signal::SIGSTOP);
    pty.signal(Signal::SIGCONT);
    pty.press("5", "fidelity ·");
    pty.press("1", "routing · token");
    pty.wait_until("the screen as it was", |shot| shot.text() == before.text());
    pty.signal(Signal::SIGCONT);
    pty.press("5", "fidelity ·");
    pty.send("q");
    let (code, raw) = pty.end_restored();
    assert_eq!(code, 0);
    assert!(find(&raw[drawn..], b"\x1b[?1049h").is_some(), "the screen was taken again");
}

/// Spoils the screen behind the program's back, as another program's output does.
fn spoil(pty: &Pty) {
    pty.spoil("garbage");
    pty.wait_for("garbage");
}

#[test]
fn ctrl_l_draws_the_screen_anew() {
    let pty = france();
    let before = pty.screen();
    spoil(&pty);
    pty.send(CTRL_L);
    pty.wait_until("the screen as it was", |shot| shot.text() == before.text());
    pty.send("q");
    assert_eq!(pty.end_restored().0, 0);
}

#[test]
fn a_terminal_that_answers_nothing_is_enough() {
    let pty = Setup::program(["--prompt", FRANCE]).mute().start();
    let before = pty.wait_tokens(FRANCE_LEN);
    spoil(&pty);
    pty.send(CTRL_L);
    pty.wait_until("the screen as it was", |shot| shot.text() == before.text());
    pty.signal(Signal::SIGCONT);
    pty.press("5", "fidelity ·");
    pty.resize(60, 24);
    pty.wait_until("a narrow screen", |shot| shot.has(" 1  2  3  4  5 Fidelity"));
    pty.send("q");
    assert_eq!(pty.end_restored().0, 0);
}

#[test]
fn a_model_that_cant_be_opened_says_why() {
    for size in [(120, 40), (80, 24), (40, 10)] {
        let pty = Setup::program(["tests/fixtures/malformed/missing-tensor"]).size(size.0, size.1).start();
        let shot = pty.wait_until("the failure", |shot| shot.has("stopped"));
        let text: String = shot.lines.iter().map(|line| line.trim()).collect();
        assert!(text.contains("model.layers.0.block_sparse_moe.experts.1.w2.weight"), "{}", shot.text());
        assert!(shot.is_alternate() && shot.lines.last().unwrap().starts_with("✗ cannot"), "{}", shot.text());
        // On the smallest screen the end is a page away.
        if size.1 > 10 {
            assert!(shot.has("disagree") && shot.has("q quits"), "{}", shot.text());
        }
        pty.press("!", "message · esc closes");
        pty.send("  ");
        pty.wait_until("the end of the message", |shot| !shot.has("↓ more"));
        pty.send(ESC);
        pty.wait_gone("message · esc closes");
        // Keys that need a model do nothing.
        pty.send("i g25fpur");
        pty.press("s", "temperature");
        pty.send(ESC);
        pty.wait_gone("temperature");
        pty.send("q");
        let (code, raw) = pty.end_restored();
        assert_eq!(code, 0);
        assert!(find(&raw, b"panicked").is_none());
    }
}

#[test]
fn a_warning_about_the_model_is_shown() {
    let pty = Setup::program(["tests/fixtures/malformed/dtype-mismatch"]).start();
    pty.wait_for(EDITOR);
    let footer = |shot: &Shot| shot.lines.last().unwrap().to_lowercase();
    let shot = pty.wait_until("the warning", |shot| shot.lines.last().unwrap().starts_with("! "));
    let text = footer(&shot);
    assert!(text.contains("bf16") && (text.contains("f16") || text.contains("float16")), "{text}");
    assert!(text.contains("!: all of it"));
    pty.send(ESC);
    pty.wait_gone(EDITOR);
    let shot = pty.press("!", "message · esc closes");
    assert!(shot.has("BF16") || shot.has("bf16"));
    pty.send(ESC);
    pty.wait_gone("message · esc closes");
    pty.press("5", "! ");
    pty.send("q");
    assert_eq!(pty.end_restored().0, 0);
}
