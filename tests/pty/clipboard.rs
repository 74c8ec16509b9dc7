//! The clipboard of the terminal.

use crate::france;
use crate::support::pty::{find, find_last, poll_until};

/// The text of the OSC 52 that was sent last.
fn clipboard(raw: &[u8]) -> Option<String> {
    const START: &[u8] = b"\x1b]52;c;";
    let at = find_last(raw, START)? + START.len();
    let coded = &raw[at..at + find(&raw[at..], b"\x07")?];
    let digit = |c: &u8| match c {
        b'A'..=b'Z' => c - b'A',
        b'a'..=b'z' => c - b'a' + 26,
        b'0'..=b'9' => c - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        other => panic!("{other} is not a digit"),
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
    assert!(row.starts_with("position,layer,expert,logit,prob,rank,weight\r\n5,5,0,"), "{row}");
    assert!(row.contains(&cell[3..]) && row.lines().count() == 9);
    // Nothing of it is left on the screen, and the program goes on.
    let shot = pty.press("yx", "y x means nothing");
    assert!(!shot.text().contains("]52"));
    pty.send("q");
    assert_eq!(pty.end_restored().0, 0);
}
