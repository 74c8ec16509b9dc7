//! Divides the bytes of a terminal into inputs.

use super::Input;
use super::sequence::{Sequence, key, sequence};
use crate::state::input::{Code, Key};
use std::time::Duration;

/// A paste without its end mark is over after this long without a byte: then keys are keys again.
const PASTE_SILENCE: Duration = Duration::from_millis(750);
/// An incomplete sequence is given up after this long.
const SEQUENCE_SILENCE: Duration = Duration::from_millis(100);
/// A single escape is the key after this long: the rest of a sequence may come with the next bytes.
const ESCAPE_SILENCE: Duration = Duration::from_millis(25);
/// Bytes that come at once. More than these are no keys, so they belong to a paste that was only late.
const MOST_KEYS: usize = 16;

const END_OF_PASTE: &[u8] = b"\x1b[201~";
const ESCAPE: u8 = 0x1b;
const CTRL_C: u8 = 0x03;

/// Divides the bytes of a terminal into inputs; keeps those of a sequence that is not complete.
#[derive(Debug, Default)]
pub struct Parser {
    bytes: Vec<u8>,
    /// Whether `bytes` are the text of a paste.
    is_paste: bool,
    /// How many bytes of a paste were searched for its end mark.
    searched: usize,
    /// Whether the last paste ended without its end mark, and no key came since.
    is_cut: bool,
}

impl Parser {
    /// Takes bytes that came at once.
    pub fn take(&mut self, bytes: &[u8]) -> Vec<Input> {
        let mut found = Vec::new();
        if self.is_paste && are_reports(bytes) {
            // Terminals remove escapes from pastes: the mouse moved, so the paste was cut.
            self.end_paste(self.bytes.len(), &mut found);
            self.is_cut = true;
        }
        if self.is_paste && bytes == [CTRL_C] {
            // Terminals remove control characters from pastes: this is the key.
            self.end_paste(self.bytes.len(), &mut found);
        }
        if self.is_cut && !self.is_paste && !are_reports(bytes) {
            self.is_cut = false;
            self.is_paste = bytes.len() > MOST_KEYS || position(bytes, END_OF_PASTE).is_some();
        }
        self.bytes.extend_from_slice(bytes);
        while !self.bytes.is_empty() {
            if self.is_paste {
                let from = self.searched.saturating_sub(END_OF_PASTE.len() - 1);
                match position(&self.bytes[from..], END_OF_PASTE) {
                    Some(at) => {
                        self.end_paste(from + at, &mut found);
                        self.bytes.drain(..END_OF_PASTE.len());
                    }
                    None => {
                        self.searched = self.bytes.len();
                        break;
                    }
                }
                continue;
            }
            match sequence(&self.bytes) {
                Sequence::Incomplete => break,
                Sequence::Nothing(length) => drop(self.bytes.drain(..length)),
                Sequence::Input(length, input) => {
                    self.bytes.drain(..length);
                    found.push(input);
                }
                Sequence::Paste(length) => {
                    self.bytes.drain(..length);
                    self.is_paste = true;
                }
            }
        }
        found
    }

    /// How long to wait for more bytes before [`Parser::give_up`]; `None` if nothing is incomplete.
    pub fn patience(&self) -> Option<Duration> {
        match (self.is_paste, &self.bytes[..]) {
            (true, _) => Some(PASTE_SILENCE),
            (false, []) => None,
            (false, [ESCAPE]) => Some(ESCAPE_SILENCE),
            (false, _) => Some(SEQUENCE_SILENCE),
        }
    }

    /// Takes what is incomplete as it is.
    pub fn give_up(&mut self) -> Vec<Input> {
        let mut found = Vec::new();
        if self.is_paste {
            self.end_paste(self.bytes.len(), &mut found);
            self.is_cut = true;
            return found;
        }
        match self.bytes[..] {
            [ESCAPE] => found.push(Input::Key(Key::of(Code::Esc))),
            [ESCAPE, byte] => found.extend(key(byte).map(|key| Input::Key(Key { alt: true, ..key }))),
            _ => {}
        }
        self.bytes.clear();
        found
    }

    /// Ends a paste of the first `length` bytes.
    fn end_paste(&mut self, length: usize, found: &mut Vec<Input>) {
        let text: Vec<u8> = self.bytes.drain(..length).collect();
        (self.is_paste, self.searched) = (false, 0);
        if !text.is_empty() {
            found.push(Input::Paste(String::from_utf8_lossy(&text).into_owned()));
        }
    }
}

/// Whether these are reports of the mouse and nothing else.
fn are_reports(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while !rest.is_empty() {
        match sequence(rest) {
            Sequence::Input(length, Input::Mouse(..)) => rest = &rest[length..],
            // A button that means nothing here.
            Sequence::Nothing(length) if rest.starts_with(b"\x1b[<") => rest = &rest[length..],
            _ => return false,
        }
    }
    !bytes.is_empty()
}

fn position(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn typed(bytes: &[u8]) -> Vec<String> {
        let mut parser = Parser::default();
        let found = [parser.take(bytes), if bytes.ends_with(b"\x1b") { parser.give_up() } else { Vec::new() }].concat();
        found.iter().map(word).collect()
    }

    fn word(input: &Input) -> String {
        match input {
            Input::Key(key) => key.to_string(),
            Input::Paste(text) => format!("<{text}>"),
            Input::Mouse(gesture, (x, y)) => format!("{gesture:?} {x},{y}"),
        }
    }

    #[test]
    fn keys_of_many_terminals_are_understood() {
        for (bytes, keys) in [
            ("aZ é", "a Z space é"),
            ("\r\t\x7f\x1b[Z", "enter tab backspace shift-tab"),
            ("\x03\x08\x0a\x00\x1f", "ctrl-c ctrl-h ctrl-j ctrl-space ctrl-7"),
            ("\x1b[A\x1bOB\x1b[1;5C\x1b[1;2D\x1b[1;3A", "↑ ↓ ctrl-→ shift-← alt-↑"),
            ("\x1b[H\x1b[4~\x1b[1~\x1bOF\x1b[5~\x1b[6;5~\x1b[3~", "home end home end pgup ctrl-pgdn del"),
            ("\x1bx\x1b\r\x1b\x7f\x1bé", "alt-x alt-enter alt-backspace alt-é"),
            ("\x1b\x1b[A", "esc ↑"),
            // rxvt.
            ("\x1b[7$\x1b[3$\x1b[5^\x1b[8@x", "shift-home shift-del ctrl-pgup ctrl-shift-end x"),
            ("\x1b[a\x1b[d\x1bOc", "shift-↑ shift-← ctrl-→"),
            // With modifyOtherKeys or the keyboard protocol of kitty, which the user may have switched on.
            ("\x1b[27;5;97~\x1b[97;5u\x1b[13;3u\x1b[27u\x1b[97;2u\x1b[9;2u", "ctrl-a ctrl-a alt-enter esc A shift-tab"),
            ("\x1b[97;5:3u\x1b[1;1:3A\x1b[1;1:2A", "↑"),
            // Answers and keys that mean nothing here.
            ("\x1b[?62;4c\x1b[12;40R\x1b[I\x1b[O\x1b[15~\x1b[[A\x1bOP\x1b[201~x", "x"),
        ] {
            assert_eq!(typed(bytes.as_bytes()).join(" "), keys, "{bytes:?}");
        }
        assert_eq!(typed(b"\xff\x80a\xc3"), ["a"], "not UTF-8");
    }

    #[test]
    fn the_mouse_is_understood_in_three_forms() {
        assert_eq!(typed(b"\x1b[<0;3;4M\x1b[<0;3;4m"), ["Press 2,3", "Release 2,3"]);
        assert_eq!(typed(b"\x1b[<32;3;4M\x1b[<64;1;1M\x1b[<65;1;1M"), ["Drag 2,3", "WheelUp 0,0", "WheelDown 0,0"]);
        assert_eq!(typed(b"\x1b[32;3;4M\x1b[35;3;4M"), ["Press 2,3", "Release 2,3"]);
        assert_eq!(typed(b"\x1b[M #$\x1b[M##$x"), ["Press 2,3", "Release 2,3", "x"]);
        assert!(typed(b"\x1b[<2;3;4M\x1b[<35;3;4M\x1b[<0;0;0M").is_empty(), "the right button, and motion");
    }

    #[test]
    fn a_paste_ends_with_its_mark_with_silence_or_with_ctrl_c() {
        assert_eq!(typed(b"\x1b[200~q\x1b[Aq\x1b[201~q"), ["<q\x1b[Aq>", "q"]);
        let mut parser = Parser::default();
        assert!(parser.take(b"\x1b[200~half\x1b[20").is_empty());
        assert!(parser.take(b"\x1b").is_empty() && parser.patience() == Some(PASTE_SILENCE));
        assert_eq!(parser.give_up(), [Input::Paste("half\x1b[20\x1b".to_owned())]);
        assert_eq!(parser.patience(), None);
        assert!(parser.take(b"\x1b").is_empty() && parser.patience() == Some(ESCAPE_SILENCE));
        assert_eq!(parser.give_up(), [Input::Key(Key::of(Code::Esc))]);
        // What comes late is text, too.
        parser.take(b"\x1b[200~half");
        parser.give_up();
        assert!(parser.take(b"the other half of the paste").is_empty());
        assert_eq!(parser.take(b"!\x1b[201~"), [Input::Paste("the other half of the paste!".to_owned())]);
        parser.take(b"\x1b[200~half");
        let words: Vec<String> = parser.take(&[CTRL_C]).iter().map(word).collect();
        assert_eq!(words, ["<half>", "ctrl-c"]);
    }

    #[test]
    fn reports_of_the_mouse_end_a_cut_paste_and_are_no_text() {
        let report = b"\x1b[<0;10;12M\x1b[<32;11;12M\x1b[<35;11;12M\x1b[<0;10;12m";
        let mouse = ["Press 9,11", "Drag 10,11", "Release 9,11"];
        let words = |found: Vec<Input>| found.iter().map(word).collect::<Vec<String>>();
        let mut parser = Parser::default();
        parser.take(b"\x1b[200~half");
        assert_eq!(words(parser.take(report)), [&["<half>"], &mouse[..]].concat());
        // The other half is still text.
        assert!(parser.take(b"the other half of the paste\x1b[201~").len() == 1);
        parser.take(b"\x1b[200~half");
        parser.give_up();
        assert_eq!(words(parser.take(report)), mouse);
        assert_eq!(words(parser.take(b"q")), ["q"]);
    }

    #[test]
    fn a_key_whose_bytes_come_in_two_pieces_is_one() {
        for (bytes, key) in [("\x1b[A", "↑"), ("\x1bOB", "↓"), ("\x1b[1;5C", "ctrl-→"), ("\x1bx", "alt-x"), ("é", "é")]
        {
            for cut in 1..bytes.len() {
                let (first, second) = bytes.as_bytes().split_at(cut);
                let mut parser = Parser::default();
                assert!(parser.take(first).is_empty() && parser.patience().is_some(), "{bytes:?}");
                assert_eq!(parser.take(second).iter().map(word).collect::<Vec<_>>(), [key], "{bytes:?} cut at {cut}");
            }
        }
    }

    #[test]
    fn answers_of_the_terminal_are_no_text() {
        for answer in [
            "\x1b]11;rgb:1e1e/1e1e/1e1e\x07",
            "\x1b]52;c;aGVsbG8=\x1b\\",
            "\x1b]lsome title\x1b\\",
            "\x1bP>|XTerm(380)\x1b\\",
            "\x1bP1+r544e=787465726d\x1b\\",
            "\x1b_Gi=31;OK\x1b\\",
            "\x1b[?2026;2$y",
        ] {
            for cut in 1..answer.len() {
                let mut parser = Parser::default();
                let (first, second) = answer.as_bytes().split_at(cut);
                let found = [parser.take(first), parser.take(second), parser.take(b"x")].concat();
                assert_eq!(found.iter().map(word).collect::<Vec<_>>(), ["x"], "{answer:?} cut at {cut}");
            }
        }
        // Keys that begin in the same way, and an answer without its end.
        assert_eq!(typed(b"\x1b]q\x1bPq\x1b_q\x1b^q"), ["alt-]", "q", "alt-P", "q", "alt-_", "q", "alt-^", "q"]);
        assert_eq!(typed(b"\x1b]11;rgb\x03"), ["ctrl-c"]);
        assert_eq!(typed(b"\x1b]11;rgb\x1b[A"), ["↑"]);
        let mut parser = Parser::default();
        assert!(parser.take(b"\x1b]").is_empty());
        assert_eq!(parser.give_up().iter().map(word).collect::<Vec<_>>(), ["alt-]"]);
        assert!(parser.take(b"\x1b]11;rgb").is_empty() && parser.give_up().is_empty());
    }

    #[test]
    fn an_incomplete_sequence_is_given_up() {
        let mut parser = Parser::default();
        assert!(parser.take(b"\x1b").is_empty());
        assert_eq!(parser.give_up(), [Input::Key(Key::of(Code::Esc))]);
        assert!(parser.take(b"\x1b[").is_empty() && parser.patience() == Some(SEQUENCE_SILENCE));
        assert_eq!(word(&parser.give_up()[0]), "alt-[");
        assert!(parser.take(b"\x1b[1;").is_empty());
        assert!(parser.give_up().is_empty() && parser.patience().is_none());
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_pieces_are_read_alike(bytes in prop::collection::vec(
            prop_oneof![Just(0x1b), Just(b'['), Just(b'<'), Just(b'M'), Just(b'2'), Just(b'0'), Just(b'~'), Just(b';'), any::<u8>()], 0..60),
            cut in 0usize..60)
        {
            let mut whole = Parser::default();
            let all = whole.take(&bytes);
            let mut parts = Parser::default();
            let (first, second) = bytes.split_at(cut.min(bytes.len()));
            prop_assume!(second != [CTRL_C] && !are_reports(second));
            let found = [parts.take(first), parts.take(second)].concat();
            prop_assert_eq!(all, found);
            prop_assert_eq!(whole.give_up(), parts.give_up());
        }
    }
}
