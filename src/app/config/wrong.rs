//! Errors in the configuration file: where, what, and what was probably meant.

use crate::trace::nearest;
use std::ops::Range;

/// An error at a place in the file.
#[derive(Debug)]
pub struct Wrong {
    /// The place, in bytes.
    pub at: Range<usize>,
    /// What is wrong.
    pub what: String,
}

impl Wrong {
    pub fn new(at: Range<usize>, what: impl Into<String>) -> Self {
        Self { at, what: what.into() }
    }
}

/// `; did you mean …?` if a known word is near, else empty.
pub fn did_you_mean<'a>(
    given: &str,
    known: impl IntoIterator<Item = &'a str>,
    write: impl Fn(&str) -> String,
) -> String {
    nearest(given, known).map(|name| format!("; did you mean {}?", write(name))).unwrap_or_default()
}

/// Line and column of a byte, both from 1; columns count characters.
pub fn place(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}
