//! Keys and text as a terminal sends them.

use crate::support::pty::{Setup, find};
use crate::{EDITOR, ESC, FRANCE, FRANCE_LEN, FRANCE_SHOWN, NONE, endless, france};

const UP: &str = "\x1b[A";
const DOWN: &str = "\x1b[B";
const RIGHT: &str = "\x1b[C";
const LEFT: &str = "\x1b[D";
const CTRL_C: &str = "\x03";
const CTRL_U: &str = "\x15";

#[test]
fn a_typed_prompt_runs_and_space_steps() {
    let pty = Setup::program(NONE).start();
    let shot = pty.wait_for(EDITOR);
    assert!(shot.is_alternate() && shot.marks_pastes() && shot.has_cursor());
    assert!(shot.header().starts_with(" mixscope  demo"), "{}", shot.header());
    assert_eq!(shot.tokens(), Some(0));
    assert!(shot.has("no text yet") || shot.has("tab fills in an example"));
    pty.send(FRANCE);
    pty.wait_until("the cursor behind the text", |shot| shot.is_typed(FRANCE));
    pty.send("\r");
    let shot = pty.wait_tokens(FRANCE_LEN);
    assert_eq!(shot.strip(), FRANCE_SHOWN);
    assert!(!shot.has_cursor() && !shot.has(EDITOR));
    let mut said = String::new();
    for count in 1..=3 {
        pty.send(" ");
        let strip = pty.wait_tokens(FRANCE_LEN + count).strip();
        let more = strip.strip_prefix(FRANCE_SHOWN).unwrap();
        assert!(more.starts_with("·Paris") && more.len() > said.len() && more.starts_with(&said), "{strip}");
        said = more.to_owned();
    }
    pty.wait_for("token 8 ‘");
    // The cursor's token looks different.
    let shot = pty.press("0", "token 0 ‘<s>’");
    assert_eq!(shot.italics, said, "what the model said is in italics");
}

#[test]
fn arrows_and_letters_move_token_and_layer() {
    let pty = france();
    pty.wait_for("token 5 ‘·is’  layer 5  head 0  expert 0");
    for (key, text) in [
        (LEFT, "token 4 ‘·France’  layer 5"),
        ("h", "token 3 ‘·of’  layer 5"),
        (RIGHT, "token 4 ‘·France’  layer 5"),
        ("l", "token 5 ‘·is’  layer 5"),
        (DOWN, "token 5 ‘·is’  layer 4"),
        ("j", "token 5 ‘·is’  layer 3"),
        (UP, "token 5 ‘·is’  layer 4"),
        ("k", "token 5 ‘·is’  layer 5"),
        ("0", "token 0 ‘<s>’  layer 5"),
        ("$", "token 5 ‘·is’  layer 5"),
        ("\x1b[H", "token 0 ‘<s>’  layer 5"),
        ("\x1b[F", "token 5 ‘·is’  layer 5"),
        ("\x1b[1;2D", "token 0 ‘<s>’  layer 5"),
        ("\x1b[1;2C", "token 5 ‘·is’  layer 5"),
    ] {
        pty.press(key, text);
    }
    // At the edges it stays; the keys in between are taken in order.
    pty.press("lllkkkh", "token 4 ‘·France’  layer 5");
}

#[test]
fn keys_are_answered_while_it_generates() {
    let pty = endless();
    // As good as without end: longer than the context, which is reported and not cut.
    pty.press("r", "tokens to generate");
    pty.send(&format!("{CTRL_U}1000000\r"));
    for (key, text) in [
        ("2", "attention: [grid]"),
        ("3", "lens: [post]"),
        ("4", "next · after token"),
        ("5", "fidelity: [validated]"),
        ("?", "keys ·"),
        ("?", "fidelity: [validated]"),
        ("1", "routing: [token]"),
        ("v", "[layer]"),
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
    let state = tempfile::tempdir().unwrap();
    let pty = Setup::program(["--prompt", FRANCE]).state(state.path()).start();
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
    for (key, text) in [
        ("2", "attention: [grid]"),
        ("3", "lens: [post]"),
        ("4", "next · after"),
        ("1", "routing: [token]"),
        ("i", EDITOR),
    ] {
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
    pty.press(ESC, "routing: [token]");
    // A form takes what is a number.
    pty.press("s", "▸temperature");
    pty.send(CTRL_U);
    pty.paste("\x1b[31m0.5\r\n");
    pty.wait_until("the number", |shot| shot.line("▸temperature").contains("0.5"));
    pty.send(CTRL_C);
    let (code, raw) = pty.end_restored();
    assert_eq!(code, 0);
    assert_harmless(&raw);
    // The next start offers it as an earlier prompt.
    let pty = Setup::program(NONE).state(state.path()).start();
    pty.wait_for(EDITOR);
    pty.press(UP, "owned␇");
    pty.send(CTRL_C);
    assert_harmless(&pty.end().1);
}

#[test]
fn keys_are_keys_again_after_a_paste_that_never_ends() {
    let pty = Setup::program(NONE).start();
    pty.wait_for(EDITOR);
    pty.send("\x1b[200~half a paste");
    let shot = pty.wait_for("half a paste");
    assert!(shot.has(EDITOR));
    pty.send(ESC);
    pty.wait_gone(EDITOR);
    // In the middle of a paste.
    pty.send("\x1b[200~a whole text, and");
    pty.press(" its end\x1b[201~", "and its end");
    pty.send("\x1b[200~half");
    std::thread::sleep(std::time::Duration::from_millis(50));
    pty.send(CTRL_C);
    assert_eq!(pty.end_restored().0, 0);
}

#[test]
fn nothing_stays_of_graphemes_that_the_terminal_counts_otherwise() {
    let before = "x".repeat(40);
    for grapheme in ["🇩🇪", "हि", "กำ", "👩\u{200d}👩\u{200d}👧"] {
        let pty = Setup::program(NONE).size(80, 24).start();
        let empty = pty.wait_for(EDITOR);
        pty.send(&format!("{before}{grapheme}y"));
        pty.wait_until("the text", |shot| shot.has(&before) && shot.has("y"));
        pty.send(ESC);
        let shot = pty.wait_gone(EDITOR);
        let parts: Vec<char> = grapheme.chars().collect();
        assert!(!shot.text().contains(&parts[..]), "{grapheme} is left:\n{}", shot.text());
        // Opened again, the editor is as it was.
        let shot = pty.press("i", EDITOR);
        assert_eq!(shot.lines[1..], empty.lines[1..], "{grapheme}");
        pty.send(CTRL_C);
        assert_eq!(pty.end_restored().0, 0);
    }
}
