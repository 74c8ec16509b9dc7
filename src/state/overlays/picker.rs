//! The model picker: the demo, recent models, models in the Hub's cache, and typed paths.

use super::Overlay;
use super::choice::{Choice, Origin};
use super::dropped::dropped;
use crate::state::input::TextEdit;
use crate::state::input::editor::Editor;
use crate::state::{Effect, State};

/// The picker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Picker {
    /// The typed text.
    pub editor: Editor,
    /// The models and folders that were found for the typed text or an earlier one.
    found: Vec<Choice>,
    /// The marked row; `None` = the typed text is the choice.
    pub marked: Option<usize>,
    /// An error to show.
    pub error: Option<String>,
}

impl Picker {
    /// The choices that fit the typed text: paths under it first, then names that contain it.
    pub fn choices(&self) -> Vec<&Choice> {
        let text = self.editor.text().to_lowercase();
        let is_path = |choice: &&Choice| matches!(choice.origin, Origin::Path | Origin::Folder);
        let contains = |choice: &&Choice| choice.name.to_lowercase().contains(&text);
        let paths = self.found.iter().filter(|choice| is_path(choice) && contains(choice) && !text.is_empty());
        paths.chain(self.found.iter().filter(|choice| !is_path(choice) && contains(choice))).collect()
    }

    /// Keeps the models and folders that were found.
    pub(in crate::state) fn take(&mut self, found: Vec<Choice>) {
        self.found = found;
        self.mark_within();
    }

    fn mark_within(&mut self) {
        let count = self.choices().len();
        if self.editor.text().is_empty() && self.marked.is_none() {
            self.marked = Some(0);
        }
        self.marked = self.marked.filter(|_| count > 0).map(|at| at.min(count - 1));
    }

    /// Marks a row; returns whether it was marked already.
    pub(in crate::state) fn mark(&mut self, row: usize) -> bool {
        let before = self.marked.replace(row);
        self.mark_within();
        before == Some(row)
    }

    /// Types text.
    pub(in crate::state) fn insert(&mut self, text: &str) {
        self.editor.insert(text.trim_matches(['\n', '\r']));
        (self.marked, self.error) = (None, None);
        self.mark_within();
    }

    /// Edits the text or moves the mark; returns whether the text changed.
    pub(in crate::state) fn edit(&mut self, edit: TextEdit) -> bool {
        let count = self.choices().len();
        let step = |by: usize| match self.marked {
            None => 0,
            Some(at) => (at + by).min(count.saturating_sub(1)),
        };
        let back = |by: usize| self.marked.and_then(|at| at.checked_sub(by));
        match edit {
            TextEdit::Down | TextEdit::HistoryForward => self.marked = (count > 0).then(|| step(1)),
            TextEdit::PageDown => self.marked = (count > 0).then(|| step(10)),
            TextEdit::Up | TextEdit::HistoryBack => self.marked = back(1),
            TextEdit::PageUp => self.marked = back(10),
            _ => self.editor.edit(edit),
        }
        let changed = matches!(
            edit,
            TextEdit::DeleteLeft
                | TextEdit::DeleteRight
                | TextEdit::DeleteWord
                | TextEdit::DeleteToStart
                | TextEdit::DeleteToEnd
        );
        if changed {
            (self.marked, self.error) = (None, None);
        }
        self.mark_within();
        changed
    }

    /// Completes the typed text: to the marked choice, or to the common beginning of the paths under it.
    pub(in crate::state) fn complete(&mut self) {
        let choices = self.choices();
        let paths = || choices.iter().filter(|choice| matches!(choice.origin, Origin::Path | Origin::Folder));
        let completed = match self.marked.filter(|_| !self.editor.text().is_empty() || paths().next().is_none()) {
            Some(at) => choices.get(at).map(|choice| choice.name.clone()),
            None => paths().map(|choice| choice.name.clone()).reduce(|a, b| common_start(&a, &b)),
        };
        if let Some(completed) = completed.filter(|completed| completed.len() >= self.editor.text().len()) {
            self.editor = Editor::new(completed);
            (self.marked, self.error) = (None, None);
        }
    }

    /// The model to open: the marked choice, else the typed text.
    pub(in crate::state) fn chosen(&self) -> Option<Choice> {
        match self.marked.and_then(|at| self.choices().get(at).map(|choice| (*choice).clone())) {
            Some(choice) => Some(choice),
            None => {
                // A paste that the terminal does not mark comes as keys.
                let name = dropped(self.editor.text());
                (!name.is_empty()).then_some(Choice { name, origin: Origin::Path, note: String::new() })
            }
        }
    }

    /// Whether there is something under the typed path.
    pub(in crate::state) fn leads_on(&self) -> bool {
        self.choices().iter().any(|choice| matches!(choice.origin, Origin::Path | Origin::Folder))
    }

    /// Goes into a folder.
    pub(in crate::state) fn enter(&mut self, folder: &str) {
        self.editor = Editor::new(folder);
        self.marked = None;
    }
}

fn common_start(a: &str, b: &str) -> String {
    a.chars().zip(b.chars()).take_while(|(a, b)| a == b).map(|(a, _)| a).collect()
}

impl State {
    /// Looks for models that fit the text in the picker.
    pub(in crate::state) fn find_models(&self) -> Vec<Effect> {
        match self.overlays.last() {
            Some(Overlay::Picker(picker)) => vec![Effect::FindModels(picker.editor.text().to_owned())],
            _ => Vec::new(),
        }
    }

    /// Completes the text in the picker.
    pub(in crate::state) fn complete(&mut self) -> Vec<Effect> {
        let Some(Overlay::Picker(picker)) = self.overlays.last_mut() else { return Vec::new() };
        picker.complete();
        self.find_models()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(name: &str, origin: Origin) -> Choice {
        Choice { name: name.to_owned(), origin, note: String::new() }
    }

    fn picker() -> Picker {
        let mut picker = Picker::default();
        picker.take(vec![
            choice("demo", Origin::Demo),
            choice("mistralai/Mixtral-8x7B-v0.1", Origin::Cached),
            choice("models/", Origin::Folder),
            choice("models/mix.gguf", Origin::Path),
        ]);
        picker
    }

    #[test]
    fn nothing_typed_offers_what_is_known_and_typing_filters() {
        let mut picker = picker();
        assert_eq!(picker.choices().len(), 2);
        assert_eq!(picker.chosen().unwrap().name, "demo");
        picker.insert("MIX");
        let names: Vec<&str> = picker.choices().iter().map(|choice| choice.name.as_str()).collect();
        assert_eq!(names, ["models/mix.gguf", "mistralai/Mixtral-8x7B-v0.1"]);
        assert_eq!(picker.chosen().unwrap().name, "MIX", "what is typed is meant until a row is marked");
        picker.edit(TextEdit::Down);
        assert_eq!(picker.chosen().unwrap().name, "models/mix.gguf");
        picker.edit(TextEdit::Up);
        assert_eq!(picker.chosen().unwrap().name, "MIX");
    }

    #[test]
    fn tab_completes_as_far_as_the_paths_agree() {
        let mut picker = picker();
        picker.insert("mo");
        picker.complete();
        assert_eq!(picker.editor.text(), "models/");
        picker.edit(TextEdit::Down);
        picker.edit(TextEdit::Down);
        picker.complete();
        assert_eq!(picker.editor.text(), "models/mix.gguf");
    }

    #[test]
    fn a_list_that_shrinks_keeps_the_mark_within_it() {
        let mut picker = picker();
        picker.edit(TextEdit::PageDown);
        picker.take(vec![choice("demo", Origin::Demo)]);
        assert_eq!(picker.marked, Some(0));
        picker.take(Vec::new());
        assert_eq!((picker.marked, picker.chosen()), (None, None));
    }
}
