//! Tokens that the user marked, to come back to.

use super::{Lines, State};

impl State {
    /// Marks the token at the cursor, or takes its mark away.
    pub(super) fn toggle_bookmark(&mut self) {
        let pos = self.cursor.token;
        let Some((text, _)) = self.shown.get(pos) else { return };
        let text = text.clone();
        let summary = if self.bookmarks.remove(&pos) {
            format!("took the bookmark off token {pos} ‘{text}’")
        } else {
            self.bookmarks.insert(pos);
            format!("bookmark on token {pos} ‘{text}’ · {} in all", self.bookmarks.len())
        };
        // The mark has a cell of its own.
        let cells = &mut self.shown[pos].1;
        *cells = if self.bookmarks.contains(&pos) { cells.saturating_add(1) } else { cells.saturating_sub(1) };
        self.lines = Lines::of(&self.shown, self.lines.room());
        self.say(summary);
    }

    /// Goes to the next bookmark or the one before, around the ends.
    pub(super) fn next_bookmark(&mut self, back: bool) {
        let at = self.cursor.token;
        let all = &self.bookmarks;
        let found =
            if back { all.range(..at).next_back().or(all.last()) } else { all.range(at + 1..).next().or(all.first()) };
        let summary = match found.copied() {
            None => "no bookmarks yet: m sets one".to_owned(),
            Some(pos) => {
                self.go_to(pos);
                let before = self.bookmarks.range(..=pos).count();
                format!("bookmark {before} of {}", self.bookmarks.len())
            }
        };
        self.say(summary);
    }
}
