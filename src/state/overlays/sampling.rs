//! The sampling form.

use crate::state::input::TextEdit;
use crate::trace::Sampling;

/// The fields of the sampling form: name and explanation.
pub const FIELDS: [(&str, &str); 4] = [
    ("temperature", "0 = greedy: always the most probable token"),
    ("top-k", "only the K most probable; empty = off"),
    ("top-p", "only the most probable that together reach P; empty = off"),
    ("seed", "the same seed gives the same tokens"),
];

/// The sampling form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    /// The typed value of each of [`FIELDS`].
    pub values: [String; 4],
    /// The field being edited.
    pub field: usize,
    /// Whether the first typed character replaces the field.
    untouched: bool,
    /// An error to show.
    pub error: Option<String>,
}

impl Form {
    /// A form with the current values.
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

    pub(in crate::state) fn edit(&mut self, edit: TextEdit) {
        self.error = None;
        self.untouched = matches!(edit, TextEdit::Up | TextEdit::Down);
        match edit {
            TextEdit::Up => self.field = (self.field + FIELDS.len() - 1) % FIELDS.len(),
            TextEdit::Down => self.field = (self.field + 1) % FIELDS.len(),
            TextEdit::DeleteLeft => drop(self.values[self.field].pop()),
            TextEdit::DeleteToStart => self.values[self.field].clear(),
            _ => {}
        }
    }

    pub(in crate::state) fn type_char(&mut self, c: char) {
        self.error = None;
        if c.is_ascii_digit() || c == '.' {
            if std::mem::take(&mut self.untouched) {
                self.values[self.field].clear();
            }
            self.values[self.field].push(c);
        }
    }

    /// The values, or an error.
    pub(in crate::state) fn read(&self) -> Result<Sampling, String> {
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
