//! The text of a screen at one moment, whoever drew it.

use std::ops::Range;

/// The screen at one moment.
#[derive(Clone, Default)]
pub struct Shot {
    /// Its rows, without trailing space.
    pub lines: Vec<String>,
    /// The text in italics.
    pub italics: String,
    /// The text left of the cursor, in its row; `None` without a cursor.
    pub before_cursor: Option<String>,
}

impl Shot {
    /// Whether a text cursor is shown.
    pub fn has_cursor(&self) -> bool {
        self.before_cursor.is_some()
    }

    /// Whether the text left of the cursor ends with `text`.
    pub fn is_typed(&self, text: &str) -> bool {
        self.before_cursor.as_ref().is_some_and(|before| before.ends_with(text))
    }

    /// All of it.
    pub fn text(&self) -> String {
        self.lines.join("\n")
    }

    /// Whether a line has `text` in it.
    pub fn has(&self, text: &str) -> bool {
        self.lines.iter().any(|line| line.contains(text))
    }

    /// The first line that has `text` in it.
    #[track_caller]
    pub fn line(&self, text: &str) -> &str {
        let found = self.lines.iter().find(|line| line.contains(text));
        found.unwrap_or_else(|| panic!("no line with `{text}`; the screen:\n{}", self.text()))
    }

    /// The line with model and state.
    pub fn header(&self) -> &str {
        &self.lines[0]
    }

    /// The line with messages and hints.
    pub fn footer(&self) -> &str {
        self.lines.last().unwrap()
    }

    /// Whether the engine has nothing to do.
    pub fn is_idle(&self) -> bool {
        self.header().contains("idle")
    }

    /// Tokens of the run, by the header.
    pub fn tokens(&self) -> Option<usize> {
        self.header().split(" · ").find_map(|part| part.trim().strip_suffix(" tok")?.parse().ok())
    }

    /// The rows between header and tabs.
    pub fn strip_rows(&self) -> Range<usize> {
        1..self.lines.iter().position(|line| line.starts_with(" 1 ")).unwrap_or(self.lines.len())
    }

    /// The text of the run.
    pub fn strip(&self) -> String {
        let inside = self.lines[self.strip_rows()].iter().filter(|line| !line.starts_with(['┌', '└']));
        inside.map(|line| line.trim_matches(['│', ' '])).collect()
    }

    /// The text of the run; bytes that are tokens of their own are written as the characters they are.
    pub fn strip_with_bytes(&self) -> String {
        let strip = self.strip();
        let mut pieces = strip.split('‹');
        let mut text = pieces.next().unwrap().to_owned();
        for piece in pieces {
            let (byte, rest) = piece.split_once('›').unwrap();
            text.push(u8::from_str_radix(byte, 16).unwrap().into());
            text += rest;
        }
        text
    }

    /// The marked choice of a list.
    pub fn marked(&self) -> &str {
        self.lines.iter().find(|line| line.contains("▸ ")).map_or("", String::as_str)
    }
}
