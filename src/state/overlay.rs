//! What lies over the views: inputs, the sampling form, pages of text.

use super::beside::Policies;
use super::editor::{Editor, Motion};
use super::keys::{Edit, Scope};
use super::palette::Palette;
use super::picker::Picker;
use super::routing::CloseCalls;
use crate::trace::{Direction, Sampling};

/// Something that takes the keys before the views do.
#[derive(Clone, Debug, PartialEq)]
pub enum Overlay {
    /// A text being typed.
    Input(Input),
    /// Sampling values.
    Form(Form),
    /// Choosing a model.
    Picker(Picker),
    /// Finding an action.
    Palette(Palette),
    /// The closest calls of the router, to jump to.
    CloseCalls(CloseCalls),
    /// Precision policies to choose from.
    Policies(Policies),
    /// Text to read.
    Page(Page),
}

impl Overlay {
    /// Which keys it understands.
    pub fn scope(&self) -> Scope {
        match self {
            Self::Input(_) => Scope::Input,
            Self::Form(_) => Scope::Form,
            Self::Picker(_) => Scope::Picker,
            Self::Palette(_) => Scope::Palette,
            Self::CloseCalls(_) | Self::Policies(_) => Scope::List,
            Self::Page(_) => Scope::Page,
        }
    }
}

/// What a typed text is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputKind {
    /// The prompt.
    Prompt,
    /// What the model reads next.
    Force,
    /// How many tokens to generate.
    Count,
    /// What to look for in the text.
    Search,
    /// A token to follow in the lens.
    Target,
}

/// A text being typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// What it is for.
    pub kind: InputKind,
    /// The text.
    pub editor: Editor,
    /// What was being typed before the history was looked through, and the entry that is shown.
    pub(super) history: Option<(String, usize)>,
    /// The example that was filled in last.
    pub(super) example: Option<usize>,
    /// Whether the text is a suggestion that the first typed character replaces.
    pub(super) suggested: bool,
    /// Why it has opened, if nobody asked for it.
    pub note: &'static str,
    /// What is wrong with it.
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
            suggested: matches!(kind, InputKind::Count | InputKind::Search),
            note: "",
            error: None,
        }
    }

    /// Inserts what was typed or pasted.
    pub(super) fn insert(&mut self, text: &str) {
        self.error = None;
        if std::mem::take(&mut self.suggested) {
            self.editor = Editor::default();
        }
        self.editor.insert(text);
    }

    /// Moves through earlier prompts.
    pub(super) fn recall(&mut self, history: &[String], direction: Direction) {
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

    /// Edits the text; what the keys of lines and history mean depends on where the cursor is.
    pub(super) fn edit(&mut self, edit: Edit, history: &[String]) {
        self.error = None;
        self.suggested = false;
        let editor = &mut self.editor;
        match edit {
            Edit::Left => editor.go(Motion::Left),
            Edit::Right => editor.go(Motion::Right),
            Edit::WordLeft => editor.go(Motion::WordLeft),
            Edit::WordRight => editor.go(Motion::WordRight),
            Edit::LineStart => editor.go(Motion::LineStart),
            Edit::LineEnd => editor.go(Motion::LineEnd),
            Edit::DeleteLeft => editor.delete(Motion::Left),
            Edit::DeleteRight => editor.delete(Motion::Right),
            Edit::DeleteWord => editor.delete(Motion::WordLeft),
            Edit::DeleteToStart => editor.delete(Motion::LineStart),
            Edit::DeleteToEnd => editor.delete(Motion::LineEnd),
            Edit::Up => {
                if !editor.up() {
                    self.recall(history, Direction::Back);
                }
            }
            Edit::Down => {
                if !editor.down() {
                    self.recall(history, Direction::Forward);
                }
            }
            Edit::HistoryBack | Edit::PageUp => self.recall(history, Direction::Back),
            Edit::HistoryForward | Edit::PageDown => self.recall(history, Direction::Forward),
        }
    }
}

/// The fields of the sampling form: name and what an empty or odd value means.
pub const FIELDS: [(&str, &str); 4] = [
    ("temperature", "0 = greedy: always the most probable token"),
    ("top-k", "only the K most probable; empty = off"),
    ("top-p", "only the most probable that together reach P; empty = off"),
    ("seed", "the same seed gives the same tokens"),
];

/// The sampling form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    /// What is typed in each of [`FIELDS`].
    pub values: [String; 4],
    /// The field being edited.
    pub field: usize,
    /// Whether the first typed character replaces the field.
    untouched: bool,
    /// What is wrong.
    pub error: Option<String>,
}

impl Form {
    /// Starts from the values in force.
    pub fn new(sampling: &Sampling) -> Self {
        let or_empty = |value: Option<String>| value.unwrap_or_default();
        let values = [
            sampling.temperature.to_string(),
            or_empty(sampling.top_k.map(|k| k.to_string())),
            or_empty(sampling.top_p.map(|p| p.to_string())),
            sampling.seed.to_string(),
        ];
        Self { values, field: 0, untouched: true, error: None }
    }

    pub(super) fn edit(&mut self, edit: Edit) {
        self.error = None;
        self.untouched = matches!(edit, Edit::Up | Edit::Down);
        match edit {
            Edit::Up => self.field = (self.field + FIELDS.len() - 1) % FIELDS.len(),
            Edit::Down => self.field = (self.field + 1) % FIELDS.len(),
            Edit::DeleteLeft => drop(self.values[self.field].pop()),
            Edit::DeleteToStart => self.values[self.field].clear(),
            _ => {}
        }
    }

    pub(super) fn type_char(&mut self, c: char) {
        self.error = None;
        if c.is_ascii_digit() || c == '.' {
            if std::mem::take(&mut self.untouched) {
                self.values[self.field].clear();
            }
            self.values[self.field].push(c);
        }
    }

    /// The values, or what is wrong with them.
    pub(super) fn read(&self) -> Result<Sampling, String> {
        fn number<T: std::str::FromStr>(name: &str, text: &str) -> Result<Option<T>, String> {
            if text.is_empty() {
                return Ok(None);
            }
            text.parse().map(Some).map_err(|_| format!("{name}: `{text}` is not a number of the right kind"))
        }
        let [temperature, top_k, top_p, seed] = &self.values;
        let sampling = Sampling {
            temperature: number("temperature", temperature)?.unwrap_or(0.0),
            top_k: number("top-k", top_k)?,
            top_p: number("top-p", top_p)?,
            seed: number("seed", seed)?.unwrap_or(0),
        };
        if sampling.top_k == Some(0) {
            return Err("top-k: at least 1, or empty".to_owned());
        }
        if sampling.top_p.is_some_and(|p| !(p > 0.0 && p <= 1.0)) {
            return Err("top-p: above 0 and at most 1, or empty".to_owned());
        }
        if !sampling.temperature.is_finite() {
            return Err("temperature: a finite number".to_owned());
        }
        Ok(sampling)
    }
}

/// Text to read, scrolled by lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// The keys, from this line on.
    Help(usize),
    /// The last message with its causes, from this line on.
    Message(usize),
}

impl Page {
    /// Begins at line `last` at most.
    pub(super) fn end_at(&mut self, last: usize) {
        let (Self::Help(line) | Self::Message(line)) = self;
        *line = (*line).min(last);
    }

    pub(super) fn scroll(&mut self, edit: Edit) {
        let (Self::Help(line) | Self::Message(line)) = self;
        *line = match edit {
            Edit::Up => line.saturating_sub(1),
            Edit::Down => *line + 1,
            Edit::PageUp => line.saturating_sub(10),
            Edit::PageDown => *line + 10,
            _ => *line,
        };
    }
}
