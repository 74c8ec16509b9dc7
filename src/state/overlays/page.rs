//! Pages to read.

use crate::state::State;
use crate::state::input::TextEdit;
use crate::state::input::editor::Editor;

/// What a page is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// The keys.
    Help,
    /// The last message with its causes.
    Message,
    /// The whole text and value of the cell at the cursor.
    Cell,
}

/// A page, scrolled by lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// What it is about.
    pub topic: Topic,
    /// Its first line on the screen.
    pub line: usize,
    /// The words that its lines have to contain.
    pub filter: Editor,
    /// Whether these words are being typed.
    pub is_typing: bool,
}

impl Page {
    /// The beginning of a page.
    pub fn new(topic: Topic) -> Self {
        Self { topic, line: 0, filter: Editor::default(), is_typing: false }
    }

    /// Scrolls back to line `last` if the page is further down.
    pub(in crate::state) fn end_at(&mut self, last: usize) {
        self.line = self.line.min(last);
    }

    /// Types words.
    pub(in crate::state) fn insert(&mut self, text: &str) {
        if self.is_typing {
            self.filter.insert(text.trim_matches(['\n', '\r']));
            self.line = 0;
        }
    }

    /// Scrolls, or edits the words that are being typed.
    pub(in crate::state) fn edit(&mut self, edit: TextEdit) {
        match edit {
            TextEdit::Up => self.line = self.line.saturating_sub(1),
            TextEdit::Down => self.line = self.line.saturating_add(1),
            TextEdit::PageUp => self.line = self.line.saturating_sub(10),
            TextEdit::PageDown => self.line = self.line.saturating_add(10),
            TextEdit::LineStart if !self.is_typing => self.line = 0,
            TextEdit::LineEnd if !self.is_typing => self.line = usize::MAX,
            _ if self.is_typing => {
                self.filter.edit(edit);
                self.line = 0;
            }
            _ => {}
        }
    }

    /// Ends the search for words. Returns whether there was one.
    pub(in crate::state) fn clear(&mut self) -> bool {
        let had = self.is_typing || !self.filter.text().is_empty();
        (self.is_typing, self.filter) = (false, Editor::default());
        had
    }
}

impl State {
    /// Opens a page on top of everything.
    pub(in crate::state) fn open_page(&mut self, topic: Topic) {
        self.geometry.page_overflow = None;
        self.overlays.push(super::Overlay::Page(Page::new(topic)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_after_the_end_stay_there_until_the_page_is_drawn() {
        let mut page = Page::new(Topic::Help);
        for edit in [TextEdit::LineEnd, TextEdit::Down, TextEdit::PageDown] {
            page.edit(edit);
        }
        page.end_at(14);
        assert_eq!(page.line, 14);
    }
}
