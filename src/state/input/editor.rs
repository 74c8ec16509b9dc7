//! A small text editor: lines, a grapheme cursor, nothing else.

use super::action::TextEdit;
use unicode_segmentation::UnicodeSegmentation;

/// A text and the cursor in it, a byte offset on a grapheme boundary.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Editor {
    text: String,
    at: usize,
}

/// The extent of a movement or deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Motion {
    /// One grapheme back.
    Left,
    /// One grapheme forward.
    Right,
    /// To the start of the previous word.
    WordLeft,
    /// To the end of the next word.
    WordRight,
    /// To the start of the line.
    LineStart,
    /// To the end of the line.
    LineEnd,
}

impl Editor {
    /// An editor with the cursor after `text`.
    pub fn new(text: impl Into<String>) -> Self {
        let text = normalise(&text.into());
        Self { at: text.len(), text }
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text before the cursor.
    pub fn before(&self) -> &str {
        &self.text[..self.at]
    }

    /// Inserts typed or pasted text; line ends become `\n`.
    pub fn insert(&mut self, text: &str) {
        let text = normalise(text);
        self.text.insert_str(self.at, &text);
        self.at += text.len();
        // The inserted text may have joined the grapheme after it.
        self.at = self.boundary(self.at);
    }

    /// Moves the cursor.
    pub fn go(&mut self, motion: Motion) {
        self.at = self.target(motion);
    }

    /// Deletes from the cursor to the end of the motion.
    pub fn delete(&mut self, motion: Motion) {
        let to = self.target(motion);
        let (from, to) = (self.at.min(to), self.at.max(to));
        self.text.replace_range(from..to, "");
        self.at = self.boundary(from);
    }

    /// Moves the cursor or deletes text. Edits that concern lines, pages or the history change nothing.
    pub fn edit(&mut self, edit: TextEdit) {
        match edit {
            TextEdit::Left => self.go(Motion::Left),
            TextEdit::Right => self.go(Motion::Right),
            TextEdit::WordLeft => self.go(Motion::WordLeft),
            TextEdit::WordRight => self.go(Motion::WordRight),
            TextEdit::LineStart => self.go(Motion::LineStart),
            TextEdit::LineEnd => self.go(Motion::LineEnd),
            TextEdit::DeleteLeft => self.delete(Motion::Left),
            TextEdit::DeleteRight => self.delete(Motion::Right),
            TextEdit::DeleteWord => self.delete(Motion::WordLeft),
            TextEdit::DeleteToStart => self.delete(Motion::LineStart),
            TextEdit::DeleteToEnd => self.delete(Motion::LineEnd),
            TextEdit::Up | TextEdit::Down | TextEdit::PageUp | TextEdit::PageDown => {}
            TextEdit::HistoryBack | TextEdit::HistoryForward => {}
        }
    }

    /// Moves one line up; `false` if there is none.
    pub fn up(&mut self) -> bool {
        let start = self.line_start();
        if start == 0 {
            return false;
        }
        let column = self.text[start..self.at].graphemes(true).count();
        let above = self.text[..start - 1].rfind('\n').map_or(0, |i| i + 1);
        self.at = self.column(above, start - 1, column);
        true
    }

    /// Moves one line down; `false` if there is none.
    pub fn down(&mut self) -> bool {
        let Some(end) = self.text[self.at..].find('\n').map(|i| self.at + i) else { return false };
        let column = self.text[self.line_start()..self.at].graphemes(true).count();
        let below = end + 1;
        let stop = self.text[below..].find('\n').map_or(self.text.len(), |i| below + i);
        self.at = self.column(below, stop, column);
        true
    }

    fn line_start(&self) -> usize {
        self.text[..self.at].rfind('\n').map_or(0, |i| i + 1)
    }

    fn column(&self, start: usize, end: usize, column: usize) -> usize {
        let line = &self.text[start..end];
        start + line.grapheme_indices(true).nth(column).map_or(line.len(), |(i, _)| i)
    }

    /// The grapheme boundary at or after `at`.
    fn boundary(&self, at: usize) -> usize {
        let mut starts = self.text.grapheme_indices(true).map(|(i, _)| i);
        starts.find(|i| *i >= at).unwrap_or(self.text.len())
    }

    fn target(&self, motion: Motion) -> usize {
        let (before, after) = self.text.split_at(self.at);
        match motion {
            Motion::Left => before.grapheme_indices(true).next_back().map_or(0, |(i, _)| i),
            Motion::Right => self.at + after.graphemes(true).next().map_or(0, str::len),
            Motion::WordLeft => {
                let words = before.split_word_bound_indices().rev();
                words.skip_while(|(_, word)| word.trim().is_empty()).map(|(i, _)| i).next().unwrap_or(0)
            }
            Motion::WordRight => {
                let mut words = after.split_word_bound_indices().skip_while(|(_, word)| word.trim().is_empty());
                words.next().map_or(self.text.len(), |(i, word)| self.at + i + word.len())
            }
            Motion::LineStart => self.line_start(),
            Motion::LineEnd => after.find('\n').map_or(self.text.len(), |i| self.at + i),
        }
    }
}

fn normalise(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn edits_by_grapheme_word_and_line() {
        let mut editor = Editor::new("one two\r\nthré\u{301}e");
        assert_eq!(editor.text(), "one two\nthré\u{301}e");
        editor.delete(Motion::Left);
        editor.delete(Motion::Left);
        assert_eq!(editor.text(), "one two\nthr");
        assert!(editor.up());
        assert_eq!(editor.before(), "one");
        editor.delete(Motion::WordRight);
        assert_eq!(editor.text(), "one\nthr");
        assert!(!editor.up() && editor.down() && !editor.down());
        editor.go(Motion::LineStart);
        editor.insert("日本 ");
        assert_eq!(editor.text(), "one\n日本 thr");
        editor.delete(Motion::WordLeft);
        editor.delete(Motion::LineEnd);
        assert_eq!(editor.text(), "one\n日");
    }

    proptest! {
        #[test]
        fn the_cursor_stays_on_a_grapheme_boundary(ops in prop::collection::vec((0u8..10, ".{0,3}"), 0..40)) {
            let mut editor = Editor::default();
            for (op, text) in ops {
                match op {
                    0 | 1 => editor.insert(&text),
                    2 => editor.go(Motion::Left),
                    3 => editor.go(Motion::WordLeft),
                    4 => editor.go(Motion::Right),
                    5 => editor.delete(Motion::Left),
                    6 => editor.delete(Motion::WordRight),
                    7 => { editor.up(); }
                    8 => { editor.down(); }
                    _ => editor.insert("e\u{301}\n"),
                }
                let at = editor.before().len();
                let on_boundary = at == editor.text().len() || editor.text().grapheme_indices(true).any(|(i, _)| i == at);
                prop_assert!(on_boundary, "{:?} {at}", editor.text());
            }
        }
    }
}
