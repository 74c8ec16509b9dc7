//! Bookmarks on tokens.

use super::Lines;
use crate::state::State;
use crate::trace::Direction;
use std::collections::BTreeSet;

impl State {
    /// Sets or removes a bookmark on the token at the cursor.
    pub(in crate::state) fn toggle_bookmark(&mut self) {
        let pos = self.cursor.token;
        let Some((text, _)) = self.shown.get(pos) else { return };
        let text = text.clone();
        let summary = if self.bookmarks.remove(&pos) {
            format!("removed the bookmark from token {pos} ‘{text}’")
        } else {
            self.bookmarks.insert(pos);
            format!("bookmark on token {pos} ‘{text}’ · {} in all", self.bookmarks.len())
        };
        let by = if self.bookmarks.contains(&pos) { 1 } else { -1 };
        self.widen(pos, by);
        self.lines = Lines::of(&self.shown, self.lines.room());
        self.say(summary);
    }

    /// Replaces all bookmarks; those beyond the run are left out.
    pub(in crate::state) fn set_bookmarks(&mut self, bookmarks: BTreeSet<usize>) {
        let old = std::mem::take(&mut self.bookmarks);
        old.into_iter().for_each(|pos| self.widen(pos, -1));
        self.bookmarks = bookmarks.into_iter().filter(|pos| *pos < self.shown.len()).collect();
        self.bookmarks.clone().into_iter().for_each(|pos| self.widen(pos, 1));
        self.lines = Lines::of(&self.shown, self.lines.room());
    }

    /// Changes the width of a token, as its bookmark takes a cell.
    fn widen(&mut self, pos: usize, by: i16) {
        if let Some((_, cells)) = self.shown.get_mut(pos) {
            *cells = cells.saturating_add_signed(by);
        }
    }

    /// Goes to the next or the previous bookmark, around the ends.
    pub(in crate::state) fn next_bookmark(&mut self, direction: Direction) {
        let at = self.cursor.token;
        let all = &self.bookmarks;
        let found = match direction {
            Direction::Back => all.range(..at).next_back().or(all.last()),
            Direction::Forward => all.range(at + 1..).next().or(all.first()),
        };
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
