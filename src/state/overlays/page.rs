//! Pages to read.

use crate::state::input::TextEdit;

/// A page, scrolled by lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// The help, from this line on.
    Help(usize),
    /// The last message with its causes, from this line on.
    Message(usize),
}

impl Page {
    /// Scrolls back to line `last` if the page is further down.
    pub(in crate::state) fn end_at(&mut self, last: usize) {
        let (Self::Help(line) | Self::Message(line)) = self;
        *line = (*line).min(last);
    }

    pub(in crate::state) fn scroll(&mut self, edit: TextEdit) {
        let (Self::Help(line) | Self::Message(line)) = self;
        *line = match edit {
            TextEdit::Up => line.saturating_sub(1),
            TextEdit::Down => *line + 1,
            TextEdit::PageUp => line.saturating_sub(10),
            TextEdit::PageDown => *line + 10,
            _ => *line,
        };
    }
}
