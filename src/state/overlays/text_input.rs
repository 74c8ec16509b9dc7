//! Text inputs: the prompt editor, and inputs of one line.

use super::Overlay;
use super::examples::EXAMPLES;
use crate::state::State;
use crate::state::input::TextEdit;
use crate::state::input::editor::Editor;
use crate::trace::Direction;

/// The purpose of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputKind {
    /// The prompt.
    Prompt,
    /// Text that the model reads next.
    Force,
    /// A number of tokens to generate.
    Count,
    /// A text to search for.
    Search,
    /// A token to follow in the lens.
    Target,
    /// An edit of the pass.
    Edit,
    /// A second prompt.
    Second,
    /// The token that the target is compared with.
    Foil,
    /// The name of the branch with this id.
    BranchName(u32),
    /// The name of the file that the edits are written to.
    SaveEdits,
    /// The name of the file that edits are read from.
    LoadEdits,
}

/// A text input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// Its purpose.
    pub kind: InputKind,
    /// The text.
    pub editor: Editor,
    /// The text before the history was opened, and the entry of the history that is shown.
    pub(in crate::state) history: Option<(String, usize)>,
    /// The last example that was filled in.
    pub(in crate::state) example: Option<usize>,
    /// Whether the text is a suggestion that the first typed character replaces.
    pub(in crate::state) suggested: bool,
    /// Why the input has opened by itself; empty if the user opened it.
    pub note: &'static str,
    /// An error to show.
    pub error: Option<String>,
}

impl Input {
    /// An input that starts with `text`.
    pub fn new(kind: InputKind, text: &str) -> Self {
        Self {
            kind,
            editor: Editor::new(text),
            history: None,
            example: None,
            suggested: matches!(kind, InputKind::Count | InputKind::Search | InputKind::Edit),
            note: "",
            error: None,
        }
    }

    /// Inserts typed or pasted text.
    pub(in crate::state) fn insert(&mut self, text: &str) {
        self.error = None;
        if std::mem::take(&mut self.suggested) {
            self.editor = Editor::default();
        }
        self.editor.insert(text);
    }

    /// Shows an earlier or a later prompt of the history.
    pub(in crate::state) fn recall(&mut self, history: &[String], direction: Direction) {
        if self.kind != InputKind::Prompt || history.is_empty() {
            return;
        }
        let (draft, at) = self.history.take().unwrap_or_else(|| (self.editor.text().to_owned(), history.len()));
        let at = match direction {
            Direction::Back => at.saturating_sub(1),
            Direction::Forward => (at + 1).min(history.len()),
        };
        self.editor = Editor::new(history.get(at).unwrap_or(&draft).as_str());
        self.history = (at < history.len()).then_some((draft, at));
    }

    /// Edits the text. Up and down move by lines, and through the history on the first and last line.
    pub(in crate::state) fn edit(&mut self, edit: TextEdit, history: &[String]) {
        self.error = None;
        self.suggested = false;
        let editor = &mut self.editor;
        match edit {
            TextEdit::Up => {
                if !editor.up() {
                    self.recall(history, Direction::Back);
                }
            }
            TextEdit::Down => {
                if !editor.down() {
                    self.recall(history, Direction::Forward);
                }
            }
            TextEdit::HistoryBack | TextEdit::PageUp => self.recall(history, Direction::Back),
            TextEdit::HistoryForward | TextEdit::PageDown => self.recall(history, Direction::Forward),
            _ => editor.edit(edit),
        }
    }
}

impl State {
    /// Opens the prompt editor with the prompt of the run.
    pub(in crate::state) fn open_prompt(&mut self) {
        let prompt = self.prompt.clone();
        self.open_input(InputKind::Prompt, &prompt);
    }

    /// Opens an input that starts with `text`.
    pub(in crate::state) fn open_input(&mut self, kind: InputKind, text: &str) {
        if self.meta().is_some() {
            self.overlays.push(Overlay::Input(Input::new(kind, text)));
        }
    }

    /// Fills in this example prompt, or the next one.
    pub(in crate::state) fn fill_example(&mut self, which: Option<usize>) {
        let is_demo = self.meta().is_some_and(|meta| meta.name == "demo");
        if let Some(Overlay::Input(input)) = self.overlays.last_mut()
            && input.kind == InputKind::Prompt
            && is_demo
        {
            let next = input.example.map_or(0, |last| (last + 1) % EXAMPLES.len());
            let at = which.unwrap_or(next);
            let Some(example) = EXAMPLES.get(at) else { return };
            input.editor = Editor::new(example.prompt);
            input.example = Some(at);
            input.error = None;
        }
    }

    /// Switches the chat template on or off for the prompt.
    pub(in crate::state) fn toggle_chat(&mut self) {
        let has_chat = self.meta().is_some_and(|meta| meta.has_chat);
        if let Some(Overlay::Input(input)) = self.overlays.last_mut()
            && input.kind == InputKind::Prompt
        {
            if has_chat {
                self.chat = !self.chat;
            } else {
                input.error = Some("this model has no chat template".to_owned());
            }
        }
    }

    /// Whether a prompt is put into the model's chat template.
    pub fn uses_chat(&self) -> bool {
        self.chat && self.meta().is_some_and(|meta| meta.has_chat)
    }
}
