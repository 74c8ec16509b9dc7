//! Palette, search and clipboard of the program itself, in a pseudo-terminal.

use crate::support;
use crate::support::pty::{Pty, Setup, find, poll_until};

const FRANCE: &str = "The capital of France is";
const FRANCE_LEN: usize = 8;

fn france() -> Pty {
    let pty = Setup::program(["--prompt", FRANCE]).start();
    pty.wait_tokens(FRANCE_LEN);
    pty
}

/// The text of the OSC 52 that was sent last.
fn clipboard(raw: &[u8]) -> Option<String> {
    const START: &[u8] = b"\x1b]52;c;";
    let at = support::pty::find_last(raw, START)? + START.len();
    let coded = &raw[at..at + find(&raw[at..], b"\x07")?];
    let digit = |c: &u8| match c {
        b'A'..=b'Z' => c - b'A',
        b'a'..=b'z' => c - b'a' + 26,
        b'0'..=b'9' => c - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        other => panic!("{other} is no digit"),
    };
    let digits: Vec<u8> = coded.iter().filter(|c| **c != b'=').map(digit).collect();
    let bytes: Vec<u8> = digits
        .chunks(4)
        .flat_map(|four| {
            let bits = (0..4).fold(0u32, |bits, i| bits << 6 | u32::from(four.get(i).copied().unwrap_or(0)));
            bits.to_be_bytes()[1..four.len()].to_vec()
        })
        .collect();
    Some(String::from_utf8(bytes).unwrap())
}

#[test]
fn what_is_copied_reaches_the_clipboard_of_the_terminal() {
    let pty = france();
    pty.press("y", "copy the view as CSV");
    pty.press("c", "copied E0 0.");
    poll_until("an OSC 52", || clipboard(&pty.raw()).is_some_and(|text| text.starts_with("E0 0.")));
    let cell = clipboard(&pty.raw()).unwrap();
    assert!(pty.screen().has(&format!("copied {cell}")));
    pty.press("yr", "copied the experts of the layer as CSV, 8 rows");
    let row = clipboard(&pty.raw()).unwrap();
    assert!(row.starts_with("position,layer,expert,logit,prob,rank,weight\r\n7,5,0,"), "{row}");
    assert!(row.contains(&cell[3..]) && row.lines().count() == 9);
    // Nothing of it is left on the screen, and the program goes on.
    let shot = pty.press("yx", "y x means nothing");
    assert!(!shot.text().contains("]52"));
    pty.send("q");
    assert_eq!(pty.end_restored().0, 0);
}

#[test]
fn the_palette_runs_what_it_finds() {
    let pty = france();
    pty.press(":", "command palette");
    pty.press("attention where", "▸ Attention: where each head looks");
    pty.press("\r", "attention · all heads");
    pty.press("\x10", "▸ Attention: where each head looks");
    pty.press("3", "go to token 3");
    pty.press("\r", "token 3 ‘");
    pty.send("\x1b");
    pty.wait_gone("command palette");
}

#[test]
fn search_undo_and_bookmarks_by_keys() {
    let pty = france();
    pty.press("/", "search in the text");
    pty.press("CAPITAL\r", "‘CAPITAL’ is not in the text");
    pty.press("/capital\r", "match 1 of 1 for ‘capital’");
    pty.press("m", "bookmark on token");
    pty.wait_for("◆·capital");
    pty.send(" ");
    pty.wait_tokens(FRANCE_LEN + 1);
    pty.press("z", "undid the step");
    pty.wait_tokens(FRANCE_LEN);
    pty.press("Z", "did again the step");
    pty.wait_tokens(FRANCE_LEN + 1);
}
