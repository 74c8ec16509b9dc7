//! The byte sequences of keys and of the mouse, as xterm and its relatives send them.

use super::Input;
use crate::state::Gesture;
use crate::state::input::{Code, Key};

const ESCAPE: u8 = 0x1b;
/// A longer sequence is none.
const LONGEST: usize = 64;
/// A longer answer is given up.
const LONGEST_ANSWER: usize = 1 << 16;
/// What X10 mouse reports and rxvt ones add to the button.
const BUTTON_BASE: u16 = 32;

/// What bytes begin with, and how long that is.
pub enum Sequence {
    /// A sequence whose end is missing.
    Incomplete,
    /// Bytes that mean nothing here.
    Nothing(usize),
    /// An input.
    Input(usize, Input),
    /// The start mark of a paste.
    Paste(usize),
}

use Sequence::{Incomplete, Nothing};

/// Modifiers as sequences number them.
const SHIFT: u32 = 2;
const CTRL: u32 = 5;
const CTRL_SHIFT: u32 = 6;

/// The first sequence of `bytes`, which are not empty.
pub fn sequence(bytes: &[u8]) -> Sequence {
    match *bytes {
        [] | [ESCAPE] => Incomplete,
        [ESCAPE, ESCAPE, ..] => Sequence::Input(1, Input::Key(Key::of(Code::Esc))),
        [ESCAPE, b'[', ..] => control(bytes),
        [ESCAPE, b'O'] => Incomplete,
        [ESCAPE, b'O', last @ b'a'..=b'd', ..] => {
            of_key(3, named(last.to_ascii_uppercase()).map(|code| held(code, CTRL)))
        }
        [ESCAPE, b'O', last, ..] => of_key(3, named(last).map(Key::of)),
        [ESCAPE, b']' | b'P' | b'_'] => Incomplete,
        [ESCAPE, b']', b'0'..=b'9' | b'l' | b'L', ..]
        | [ESCAPE, b'P', b'0'..=b'9' | b'!' | b'$' | b'+' | b'=' | b'>', ..]
        | [ESCAPE, b'_', b'G', ..] => answer(bytes),
        [ESCAPE, ..] => match character(&bytes[1..]) {
            Some((0, _)) => Incomplete,
            Some((length, key)) => of_key(1 + length, key.map(|key| Key { alt: true, ..key })),
            None => Nothing(2),
        },
        _ => match character(bytes) {
            Some((0, _)) => Incomplete,
            Some((length, key)) => of_key(length, key),
            None => Nothing(1),
        },
    }
}

/// An answer of the terminal, which means nothing here: `ESC ]`, `ESC P` or `ESC _` up to a bell or `ESC \`.
fn answer(bytes: &[u8]) -> Sequence {
    let Some(at) = bytes[2..].iter().position(|byte| *byte < 0x20) else {
        return if bytes.len() > LONGEST_ANSWER { Nothing(bytes.len()) } else { Incomplete };
    };
    match bytes[2 + at..] {
        [0x07, ..] => Nothing(3 + at),
        [ESCAPE] => Incomplete,
        [ESCAPE, b'\\', ..] => Nothing(4 + at),
        // It was cut off by a key.
        _ => Nothing(2 + at),
    }
}

fn of_key(length: usize, key: Option<Key>) -> Sequence {
    key.map_or(Nothing(length), |key| Sequence::Input(length, Input::Key(key)))
}

/// The key of one byte.
pub fn key(byte: u8) -> Option<Key> {
    let ctrl = |c: u8| Key { ctrl: true, ..Key::of(Code::Char(char::from(c))) };
    Some(match byte {
        b'\r' => Key::of(Code::Enter),
        b'\t' => Key::of(Code::Tab),
        0x7f => Key::of(Code::Backspace),
        ESCAPE => Key::of(Code::Esc),
        0 => ctrl(b' '),
        1..=0x1a => ctrl(byte - 1 + b'a'),
        0x1c..=0x1f => ctrl(byte - 0x1c + b'4'),
        0x20..=0x7e => Key::of(Code::Char(char::from(byte))),
        _ => return None,
    })
}

/// The first character and its length; a length of 0 if its end is missing, `None` if it is not UTF-8.
fn character(bytes: &[u8]) -> Option<(usize, Option<Key>)> {
    let length = match bytes.first()? {
        0..=0x7f => return Some((1, key(bytes[0]))),
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => return None,
    };
    let there = &bytes[..length.min(bytes.len())];
    match std::str::from_utf8(there) {
        Ok(text) => Some((length, text.chars().next().map(|c| Key::of(Code::Char(c))))),
        // The end is missing, and what is there is right.
        Err(error) if error.error_len().is_none() => Some((0, None)),
        Err(_) => None,
    }
}

/// `ESC [ parameters last`
fn control(bytes: &[u8]) -> Sequence {
    match bytes.get(2) {
        // F1 to F5 of the Linux console.
        Some(b'[') => return if bytes.len() < 4 { Incomplete } else { Nothing(4) },
        // A mouse report of fixed length.
        Some(b'M') => {
            let Some([button, x, y]) = bytes.get(3..6) else { return Incomplete };
            let [button, x, y] = [button, x, y].map(|byte| u16::from(*byte));
            let report = [button.wrapping_sub(BUTTON_BASE), x.wrapping_sub(32), y.wrapping_sub(32)];
            return mouse(6, report, false);
        }
        _ => {}
    }
    // rxvt's keys with shift. In other sequences `$` comes before the last byte.
    if let Some(digits) =
        bytes[2..].iter().position(|byte| !byte.is_ascii_digit()).filter(|count| (1..=2).contains(count))
        && bytes[2 + digits] == b'$'
    {
        let number = std::str::from_utf8(&bytes[2..2 + digits]).ok().and_then(|digits| digits.parse().ok());
        return of_key(3 + digits, number.and_then(numbered).map(|code| held(code, SHIFT)));
    }
    let is_parameter = |byte: &u8| (0x20..=0x3f).contains(byte);
    let count = bytes[2..].iter().take(LONGEST).take_while(|byte| is_parameter(byte)).count();
    let Some(last) = bytes.get(2 + count) else { return Incomplete };
    let length = 3 + count;
    if !(0x40..=0x7e).contains(last) {
        // Not a sequence; the byte at its end may begin one.
        return Nothing(2 + count);
    }
    let parameters = std::str::from_utf8(&bytes[2..2 + count]).unwrap_or_default();
    if let Some(report) = parameters.strip_prefix('<') {
        return match (numbers(report), last) {
            (Some(report), b'M') => mouse(length, report, false),
            (Some(report), b'm') => mouse(length, report, true),
            _ => Nothing(length),
        };
    }
    let mut parts = parameters.split(';');
    let mut number = || parts.next().map(|part| part.split(':').next().unwrap_or(part).parse::<u32>().unwrap_or(1));
    let (first, second, third) = (number().unwrap_or(1), number().unwrap_or(1), number());
    // The kind of an event follows the modifiers: 3 is a release.
    if parameters.split(';').nth(1).and_then(|part| part.split(':').nth(1)) == Some("3") {
        return Nothing(length);
    }
    match (last, first, third) {
        (b'M', ..) => match numbers(parameters) {
            Some([button, x, y]) => mouse(length, [button.wrapping_sub(BUTTON_BASE), x, y], false),
            None => Nothing(length),
        },
        (b'~', 200, _) => Sequence::Paste(length),
        (b'~', 27, Some(code)) => of_key(length, coded(code, second)),
        (b'~', ..) => of_key(length, numbered(first).map(|code| held(code, second))),
        // rxvt's keys with ctrl.
        (b'^', ..) => of_key(length, numbered(first).map(|code| held(code, CTRL))),
        (b'@', ..) => of_key(length, numbered(first).map(|code| held(code, CTRL_SHIFT))),
        (b'a'..=b'd', ..) if count == 0 => {
            of_key(length, named(last.to_ascii_uppercase()).map(|code| held(code, SHIFT)))
        }
        (b'u', ..) => of_key(length, coded(first, second)),
        (b'Z', ..) => of_key(length, Some(Key::of(Code::BackTab))),
        (last, ..) => of_key(length, named(*last).map(|code| held(code, second))),
    }
}

/// Three numbers.
fn numbers(text: &str) -> Option<[u16; 3]> {
    let all: Vec<u16> = text.split(';').map(str::parse).collect::<Result<_, _>>().ok()?;
    all.try_into().ok()
}

/// The key with this last byte.
fn named(last: u8) -> Option<Code> {
    Some(match last {
        b'A' => Code::Up,
        b'B' => Code::Down,
        b'C' => Code::Right,
        b'D' => Code::Left,
        b'H' => Code::Home,
        b'F' => Code::End,
        _ => return None,
    })
}

/// The key with this number.
fn numbered(number: u32) -> Option<Code> {
    Some(match number {
        1 | 7 => Code::Home,
        4 | 8 => Code::End,
        3 => Code::Delete,
        5 => Code::PageUp,
        6 => Code::PageDown,
        _ => return None,
    })
}

/// A key that is no character, with its modifiers.
fn held(code: Code, modifiers: u32) -> Key {
    let bits = modifiers.saturating_sub(1);
    Key { code, shift: bits & 1 != 0, alt: bits & 2 != 0, ctrl: bits & 4 != 0 }
}

/// The key with this Unicode code point. A character includes its shift, and so does back-tab.
fn coded(code: u32, modifiers: u32) -> Option<Key> {
    let key = held(Code::Esc, modifiers);
    let code = match code {
        13 => Code::Enter,
        27 => Code::Esc,
        127 => Code::Backspace,
        9 if key.shift => return Some(Key { code: Code::BackTab, shift: false, ..key }),
        9 => Code::Tab,
        // Keys without characters have codes of the private use area.
        0..32 | 0xe000..=0xf8ff => return None,
        _ => {
            let c = char::from_u32(code)?;
            let c = if key.shift { c.to_uppercase().next().unwrap_or(c) } else { c };
            return Some(Key { code: Code::Char(c), shift: false, ..key });
        }
    };
    Some(Key { code, ..key })
}

/// A mouse report of button, column and line, which count from 1.
fn mouse(length: usize, [button, x, y]: [u16; 3], is_release: bool) -> Sequence {
    let (Some(x), Some(y)) = (x.checked_sub(1), y.checked_sub(1)) else { return Nothing(length) };
    // Shift, alt and ctrl do not matter.
    let gesture = match button & !0b1_1100 {
        0 if is_release => Gesture::Release,
        0 => Gesture::Press,
        // Older reports do not say which button was released.
        3 if !is_release => Gesture::Release,
        32 => Gesture::Drag,
        64 => Gesture::WheelUp,
        65 => Gesture::WheelDown,
        _ => return Nothing(length),
    };
    Sequence::Input(length, Input::Mouse(gesture, (x, y)))
}
