//! Text on the screen: [`show_piece`] and [`harmless`] are the only way for untrusted text to get there.

mod bookmarks;
mod lines;
mod search;
mod strip_colour;

pub use lines::Lines;
pub use search::Search;
pub use strip_colour::{FULL_NATS, StripColour};

use crate::trace::{Piece, byte_name, is_obeyed};
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

/// A token's spelling, safe to draw: white space is visible, and everything that a terminal would obey is escaped.
pub fn show_piece(piece: &Piece) -> String {
    if let Some(bytes) = piece.bytes() {
        return show_bytes(&bytes);
    }
    if let Some(byte) = byte_name(piece) {
        return show_bytes(&[byte]);
    }
    show_text(&piece.replace('▁', "·"))
}

/// Bytes of a token: what is no character by name.
fn show_bytes(bytes: &[u8]) -> String {
    match bytes {
        b"\n" => return "↵".to_owned(),
        b"\t" => return "⇥".to_owned(),
        [byte @ (..b' ' | b'\x7f'..)] => return format!("‹{byte:02X}›"),
        _ => {}
    }
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        text += &chunk.valid().replace(' ', "·");
        chunk.invalid().iter().for_each(|byte| text += &format!("‹{byte:02X}›"));
    }
    show_text(&text)
}

fn show_text(text: &str) -> String {
    let shown = harmless(text);
    if shown.is_empty() {
        "∅".to_owned()
    } else if shown.graphemes(true).next().is_some_and(|first| first.width() == 0) {
        // A lone combining mark would be drawn onto its neighbour.
        format!("◌{shown}")
    } else {
        shown
    }
}

/// Any text, safe to draw on one line.
pub fn harmless(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => out.push('↵'),
            '\t' => out.push('⇥'),
            '\0'..='\x1f' => out.extend(char::from_u32(0x2400 + c as u32)),
            '\x7f' => out.push('␡'),
            _ if is_obeyed(c) => out.extend(c.escape_unicode()),
            _ => out.push(c),
        }
    }
    out
}

/// The width of `text`, cells.
pub fn width(text: &str) -> usize {
    text.width()
}

/// `‘·ball’`
pub fn quoted(text: &str) -> String {
    format!("‘{text}’")
}

/// `text` cut to `max` cells by grapheme, with `…` at the end if it was cut.
pub fn fit(text: &str, max: usize) -> String {
    if width(text) <= max {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut used = 0;
    for grapheme in text.graphemes(true) {
        if used + width(grapheme) + 1 > max {
            break;
        }
        used += width(grapheme);
        out.push_str(grapheme);
    }
    if max > 0 {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn white_space_is_visible_and_bytes_are_named() {
        assert_eq!(show_piece(&"▁the".into()), "·the");
        assert_eq!(show_piece(&"<0x0A>".into()), "↵");
        assert_eq!(show_piece(&"<0xE4>".into()), "‹E4›");
        assert_eq!(show_piece(&"a\tb\r".into()), "a⇥b␍");
        assert_eq!(show_piece(&"\x1b[31mred".into()), "␛[31mred");
        assert_eq!(show_piece(&"\u{202e}abc".into()), "\\u{202e}abc");
        assert_eq!(show_piece(&"\u{301}".into()), "◌\u{301}");
        assert_eq!(show_piece(&"".into()), "∅");
        let shown = |spelling: &str| show_piece(&Piece::byte_level(spelling));
        assert_eq!(["ĠcafÃ©", "Ċ", "Ã", "ĠÃ", "Ģ", "ł"].map(shown), ["·café", "↵", "‹C3›", "·‹C3›", "‹80›", "‹A0›"]);
    }

    #[test]
    fn cutting_respects_graphemes_and_wide_cells() {
        assert_eq!(fit("你好吗", 5), "你好…");
        assert_eq!(fit("你好吗", 4), "你…");
        assert_eq!(fit("e\u{301}e\u{301}e\u{301}", 2), "e\u{301}…");
        assert_eq!(fit("abc", 3), "abc");
        assert_eq!(fit("abc", 0), "");
    }

    proptest! {
        #[test]
        fn nothing_that_a_terminal_obeys_gets_through(piece in any::<String>(), max in 0usize..20) {
            let shown = show_piece(&piece.as_str().into());
            prop_assert!(!shown.chars().any(|c| c.is_control() || is_obeyed(c)), "{shown:?}");
            prop_assert!(width(&shown) > 0);
            prop_assert!(width(&fit(&shown, max)) <= max);
        }
    }
}
