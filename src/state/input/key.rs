//! Keys and pairs of keys, and how they are written.

use std::fmt;
use std::str::FromStr;

/// A key without its modifiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// A character as typed.
    Char(char),
    /// Enter.
    Enter,
    /// Escape.
    Esc,
    /// Backspace.
    Backspace,
    /// Delete.
    Delete,
    /// Tab.
    Tab,
    /// Shift and Tab.
    BackTab,
    /// Arrow up.
    Up,
    /// Arrow down.
    Down,
    /// Arrow left.
    Left,
    /// Arrow right.
    Right,
    /// Home.
    Home,
    /// End.
    End,
    /// Page up.
    PageUp,
    /// Page down.
    PageDown,
}

use Code as C;

/// Names of keys that are not characters. The first name of a key is shown; all names are understood.
const NAMES: [(Code, &[&str]); 16] = [
    (C::Char(' '), &["space"]),
    (C::Enter, &["enter", "return"]),
    (C::Esc, &["esc", "escape"]),
    (C::Backspace, &["backspace"]),
    (C::Delete, &["del", "delete"]),
    // Comes before Tab, as it is written as Tab with shift.
    (C::BackTab, &["shift-tab", "backtab"]),
    (C::Tab, &["tab"]),
    (C::Up, &["↑", "up"]),
    (C::Down, &["↓", "down"]),
    (C::Left, &["←", "left"]),
    (C::Right, &["→", "right"]),
    (C::Home, &["home"]),
    (C::End, &["end"]),
    (C::PageUp, &["pgup", "pageup"]),
    (C::PageDown, &["pgdn", "pagedown"]),
    (C::Char('-'), &["-", "minus"]),
];

/// A key with its modifiers; a character includes its shift.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// The key without its modifiers.
    pub code: Code,
    /// Ctrl was held.
    pub ctrl: bool,
    /// Alt was held.
    pub alt: bool,
    /// Shift was held with a key that is not a character.
    pub shift: bool,
}

impl Key {
    /// The key alone.
    pub const fn of(code: Code) -> Self {
        Self { code, ctrl: false, alt: false, shift: false }
    }

    /// The character that the key types, if any.
    pub fn typed(self) -> Option<char> {
        match self.code {
            Code::Char(c) if !self.ctrl && !self.alt => Some(c),
            _ => None,
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (held, name) in [(self.ctrl, "ctrl-"), (self.alt, "alt-"), (self.shift, "shift-")] {
            if held {
                f.write_str(name)?;
            }
        }
        match (NAMES.iter().find(|(code, _)| *code == self.code), self.code) {
            (Some((_, names)), _) => f.write_str(names[0]),
            (None, Code::Char(c)) => write!(f, "{c}"),
            (None, other) => write!(f, "{other:?}"),
        }
    }
}

impl FromStr for Key {
    type Err = String;

    /// `x`, `X`, `space`, `ctrl-p`, `alt-enter`, `shift-left`, `pgup`, `↑` or `up`.
    fn from_str(name: &str) -> Result<Self, String> {
        let unknown = || format!("`{name}` is not a key; keys are written as x, X, space, enter, up, ctrl-x, alt-x");
        let mut key = Key::of(Code::Esc);
        let mut rest = name;
        loop {
            let lower = rest.to_lowercase();
            if let Some((code, _)) = NAMES.iter().find(|(_, names)| names.contains(&lower.as_str())) {
                key.code = *code;
                break;
            }
            let mut chars = rest.chars();
            if let (Some(c), None) = (chars.next(), chars.next()) {
                if c.is_control() || c.is_whitespace() {
                    return Err(unknown());
                }
                // With ctrl a terminal does not report capitals.
                key.code = Code::Char(if key.ctrl { c.to_ascii_lowercase() } else { c });
                break;
            }
            let held = [("ctrl-", &mut key.ctrl), ("alt-", &mut key.alt), ("shift-", &mut key.shift)];
            let Some((after, flag)) =
                held.into_iter().find_map(|(name, flag)| lower.starts_with(name).then(|| (&rest[name.len()..], flag)))
            else {
                return Err(unknown());
            };
            if std::mem::replace(flag, true) || after.is_empty() {
                return Err(unknown());
            }
            rest = after;
        }
        match key.code {
            Code::Char(c) if key.shift => Err(format!("`{name}`: write the character that shift and `{c}` type")),
            Code::Tab if key.shift => Ok(Key { code: Code::BackTab, shift: false, ..key }),
            Code::BackTab if key.shift => Err(unknown()),
            _ => Ok(key),
        }
    }
}

/// One key, or two keys pressed one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Chord {
    /// The first of two keys.
    pub prefix: Option<Key>,
    /// The only key, or the second of two.
    pub key: Key,
}

impl Chord {
    /// One key.
    pub const fn of(key: Key) -> Self {
        Self { prefix: None, key }
    }

    /// Two characters, typed one after the other.
    pub const fn pair(prefix: char, key: char) -> Self {
        Self { prefix: Some(Key::of(Code::Char(prefix))), key: Key::of(Code::Char(key)) }
    }

    /// The key that is pressed first.
    pub fn first(self) -> Key {
        self.prefix.unwrap_or(self.key)
    }
}

impl fmt::Display for Chord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(prefix) = self.prefix {
            write!(f, "{prefix} ")?;
        }
        self.key.fmt(f)
    }
}

impl FromStr for Chord {
    type Err = String;

    /// One key or two with white space between them: `e`, `ctrl-p`, `w s`.
    fn from_str(text: &str) -> Result<Self, String> {
        let keys: Vec<Key> = text.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
        match keys[..] {
            [key] => Ok(Self::of(key)),
            [prefix, key] => Ok(Self { prefix: Some(prefix), key }),
            [] => Err("a key is missing; the space bar is written as space".to_owned()),
            _ => Err(format!("`{text}`: expected one key, or two keys one after the other")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn keys_are_read_as_people_write_them() {
        let ctrl_p = Key { ctrl: true, ..Key::of(Code::Char('p')) };
        for (text, chord) in [
            ("x", Chord::of(Key::of(Code::Char('x')))),
            ("X", Chord::of(Key::of(Code::Char('X')))),
            ("-", Chord::of(Key::of(Code::Char('-')))),
            ("ctrl--", Chord::of(Key { ctrl: true, ..Key::of(Code::Char('-')) })),
            ("ctrl-P", Chord::of(ctrl_p)),
            ("Ctrl-p", Chord::of(ctrl_p)),
            ("up", Chord::of(Key::of(Code::Up))),
            ("↑", Chord::of(Key::of(Code::Up))),
            ("Shift-Tab", Chord::of(Key::of(Code::BackTab))),
            ("shift-left", Chord::of(Key { shift: true, ..Key::of(Code::Left) })),
            ("w  s", Chord::pair('w', 's')),
            ("space pgdn", Chord { prefix: Some(Key::of(Code::Char(' '))), key: Key::of(Code::PageDown) }),
        ] {
            assert_eq!(text.parse(), Ok(chord), "{text}");
        }
        for wrong in ["", " ", "ctrl-", "ctrl-ctrl-x", "shift-a", "f99", "hyper-x", "a b c", "shift-shift-tab", "\u{7}"]
        {
            assert!(wrong.parse::<Chord>().is_err(), "{wrong:?}");
        }
    }

    fn any_key() -> impl Strategy<Value = Key> {
        let named = prop::sample::select(NAMES.iter().map(|(code, _)| *code).collect::<Vec<_>>());
        let typed = "[!-~é日]".prop_map(|text| Code::Char(text.chars().next().unwrap_or('x')));
        (prop_oneof![named, typed], any::<[bool; 3]>()).prop_map(|(code, [ctrl, alt, shift])| {
            let code = match code {
                Code::Char(c) if ctrl => Code::Char(c.to_ascii_lowercase()),
                code => code,
            };
            Key { code, ctrl, alt, shift: shift && !matches!(code, Code::Char(_) | Code::Tab | Code::BackTab) }
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(prefix in prop::option::of(any_key()), key in any_key()) {
            let chord = Chord { prefix, key };
            prop_assert_eq!(chord.to_string().parse(), Ok(chord));
        }
    }
}
