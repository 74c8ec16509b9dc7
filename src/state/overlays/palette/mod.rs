//! The command palette: every action of the views by its name.

mod arguments;
mod search;

use super::Overlay;
use crate::state::input::editor::Editor;
use crate::state::input::{Action, Scope, TextEdit};
use crate::state::{Effect, State};
use search::{fuzzy, words};

/// Number of recent actions that are kept.
const MOST_RECENT: usize = 5;
/// Score of an action whose keys are typed.
const KEYS_FIT: i32 = 1_000;

/// The palette.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Palette {
    /// The typed text.
    pub editor: Editor,
    /// The marked row.
    pub marked: usize,
}

/// A row of the palette.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The action.
    pub action: Action,
    /// Its line in the help.
    pub text: String,
    /// Its keys, as text.
    pub keys: String,
    /// Indices of the characters of `text` that fit the typed text.
    pub places: Vec<usize>,
    /// Whether the action was recently used from the palette.
    pub is_recent: bool,
}

impl Palette {
    /// Types text.
    pub(in crate::state) fn insert(&mut self, text: &str) {
        self.editor.insert(text.trim_matches(['\n', '\r']));
        self.marked = 0;
    }

    /// Edits the text or moves the mark among `count` rows.
    fn edit(&mut self, edit: TextEdit, count: usize) {
        let last = count.saturating_sub(1);
        let before = self.editor.text().len();
        match edit {
            TextEdit::Up | TextEdit::HistoryBack => self.marked = self.marked.checked_sub(1).unwrap_or(last),
            TextEdit::Down | TextEdit::HistoryForward => {
                self.marked = if self.marked < last { self.marked + 1 } else { 0 }
            }
            TextEdit::PageUp => self.marked = self.marked.saturating_sub(10),
            TextEdit::PageDown => self.marked = (self.marked + 10).min(last),
            _ => self.editor.edit(edit),
        }
        if self.editor.text().len() != before {
            self.marked = 0;
        }
    }
}

impl State {
    /// The actions that fit the typed text, best first. Without a text: recent actions, then the order of the help.
    pub fn commands(&self, palette: &Palette) -> Vec<Command> {
        let query = palette.editor.text().trim();
        let offered = self.offered(query).into_iter();
        let mut found: Vec<(i32, Command)> = offered.map(|(rank, command)| (rank * KEYS_FIT, command)).collect();
        for entry in self.keymap.of(Scope::Explore).filter(|entry| entry.action != Action::Palette) {
            let written: Vec<String> = entry.keys.iter().map(ToString::to_string).collect();
            let by_key = written.iter().any(|keys| keys == query);
            let name = entry.action.to_string().replace('-', " ");
            let by_words = words(query, &[&name, entry.hint, entry.words], entry.help);
            // Words that are no action's, as in `policy hf`, are a command that is not known. Letters of some other sentence
            // must not make it one, which may undo or step back.
            let fuzzy = fuzzy(query, entry.help).filter(|_| !query.contains(' '));
            let Some((score, places)) = by_words.or(fuzzy).or(by_key.then(Default::default)) else { continue };
            let used = self.recent.iter().position(|action| *action == entry.action);
            let recency = used.filter(|_| query.is_empty()).map_or(0, |at| (MOST_RECENT - at) as i32);
            let command = Command {
                action: entry.action,
                text: entry.help.to_owned(),
                keys: written.join("  "),
                places,
                is_recent: recency > 0,
            };
            found.push((score + recency + if by_key { KEYS_FIT } else { 0 }, command));
        }
        // The sort is stable: equal scores stay in the order of the help.
        found.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
        found.into_iter().map(|(_, command)| command).collect()
    }

    pub(in crate::state) fn open_palette(&mut self) {
        self.overlays.push(Overlay::Palette(Palette::default()));
    }

    pub(in crate::state) fn edit_palette(&mut self, edit: TextEdit) {
        let Some(Overlay::Palette(palette)) = self.overlays.last() else { return };
        let count = self.commands(palette).len();
        if let Some(Overlay::Palette(palette)) = self.overlays.last_mut() {
            palette.edit(edit, count);
        }
    }

    /// Closes the palette and carries out the marked action.
    pub(in crate::state) fn run_command(&mut self) -> Vec<Effect> {
        let Some(Overlay::Palette(palette)) = self.overlays.last() else { return Vec::new() };
        let Some(command) = self.commands(palette).into_iter().nth(palette.marked) else { return Vec::new() };
        // A row that says what cannot be read: the words stay, to be mended.
        if command.action == Action::Palette {
            return Vec::new();
        }
        self.overlays.pop();
        if self.keymap.of(Scope::Explore).any(|entry| entry.action == command.action) {
            self.recent.retain(|action| *action != command.action);
            self.recent.insert(0, command.action);
            self.recent.truncate(MOST_RECENT);
        }
        self.act(command.action)
    }
}
