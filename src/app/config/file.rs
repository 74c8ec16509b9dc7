//! Reads the file. Every error says file, line, column, what is wrong and what was expected.

use super::settings::{SECTIONS, SETTINGS};
use super::{Config, keys};
use crate::app::folders::config_file;
use anyhow::{Context, Result, anyhow};
use std::io::ErrorKind;
use std::ops::Range;
use std::path::Path;
use toml::de::{DeTable, DeValue};

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

impl Config {
    /// The configuration in `path`, or in the user's own file; the defaults if the user has none.
    ///
    /// # Errors
    /// If the file can't be read, is not TOML, or has an unknown key or a wrong value.
    pub fn load(path: Option<&Path>) -> Result<Self> {
        let (path, is_asked_for) = match (path, config_file()) {
            (Some(path), _) => (path.to_owned(), true),
            (None, Some(path)) => (path, false),
            (None, None) => return Ok(Self::default()),
        };
        let text = match std::fs::read(&path) {
            Ok(bytes) => String::from_utf8(bytes)
                .with_context(|| format!("the configuration {} is not UTF-8 text", path.display()))?,
            Err(error) if error.kind() == ErrorKind::NotFound && !is_asked_for => return Ok(Self::default()),
            Err(error) => {
                return Err(error).with_context(|| format!("the configuration {} can't be read", path.display()));
            }
        };
        Self::parse(&text).map_err(|wrong| {
            let (line, column) = place(&text, wrong.at.start);
            anyhow!("{}:{line}:{column}: {}", path.display(), wrong.what)
        })
    }

    /// Parses a configuration file.
    ///
    /// # Errors
    /// For the first place that is wrong.
    pub fn parse(text: &str) -> Result<Self, Wrong> {
        let document = DeTable::parse(text).map_err(|error| {
            // The first line is the message; the others draw the place.
            let what = error.message().lines().next().unwrap_or("not valid TOML").to_owned();
            Wrong::new(error.span().unwrap_or(0..0), what)
        })?;
        let mut config = Self::default();
        let mut wrong = Vec::new();
        for (name, value) in document.get_ref().iter() {
            let table = match value.get_ref() {
                DeValue::Table(table) => Some(table),
                _ => None,
            };
            match (table, name.get_ref().as_ref()) {
                (Some(table), "keys") => {
                    if let Err(error) = keys::read(&mut config.keymap, table, text) {
                        wrong.push(error);
                    }
                }
                (Some(table), section) if SECTIONS.contains(&section) => {
                    read_section(&mut config, section, table, &mut wrong);
                }
                (_, section) if SECTIONS.contains(&section) || section == "keys" => {
                    wrong.push(Wrong::new(name.span(), format!("`{section}` is a table: write [{section}]")));
                }
                (Some(_), section) => {
                    let known = SECTIONS.into_iter().chain(["keys"]);
                    let list: Vec<String> = known.clone().map(|name| format!("[{name}]")).collect();
                    let near = did_you_mean(section, known, |name| format!("[{name}]"));
                    wrong.push(Wrong::new(
                        name.span(),
                        format!("unknown table [{section}]{near}; the tables are {}", list.join(", ")),
                    ));
                }
                (None, key) => wrong.push(Wrong::new(name.span(), outside(key))),
            }
        }
        match wrong.into_iter().min_by_key(|wrong| wrong.at.start) {
            Some(first) => Err(first),
            None => Ok(config),
        }
    }
}

fn read_section(config: &mut Config, section: &str, table: &DeTable, wrong: &mut Vec<Wrong>) {
    for (name, value) in table.iter() {
        let key = name.get_ref().as_ref();
        let here = || SETTINGS.iter().filter(|setting| setting.section == section);
        let Some(setting) = here().find(|setting| setting.key == key) else {
            wrong.push(Wrong::new(name.span(), unknown_key(key, section)));
            continue;
        };
        if let Err(expected) = (setting.read)(config, value.get_ref()) {
            wrong.push(Wrong::new(value.span(), format!("`{key}` in [{section}]: expected {expected}")));
        }
    }
}

fn unknown_key(key: &str, section: &str) -> String {
    let here = SETTINGS.iter().filter(|setting| setting.section == section).map(|setting| setting.key);
    if let Some(other) = SETTINGS.iter().find(|setting| setting.key == key) {
        return format!("`{key}` does not belong in [{section}] but in [{}]", other.section);
    }
    let near = did_you_mean(key, here.clone(), |name| format!("`{name}`"));
    format!("unknown key `{key}` in [{section}]{near}; the keys are {}", here.collect::<Vec<_>>().join(", "))
}

/// A key before the first table.
fn outside(key: &str) -> String {
    match SETTINGS.iter().find(|setting| setting.key == key) {
        Some(setting) => format!("`{key}` belongs in [{}]", setting.section),
        None => {
            let near = did_you_mean(key, SETTINGS.iter().map(|setting| setting.key), |name| format!("`{name}`"));
            format!("unknown key `{key}`{near}; keys belong in the tables [ui], [defaults], [palettes] and [keys]")
        }
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

/// The known word that `given` is most likely a misspelling of, if one is near.
pub fn nearest<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let most = (given.chars().count() / 3).max(1);
    let near = known.into_iter().map(|word| (distance(given, word), word));
    near.filter(|(distance, _)| *distance <= most).min_by_key(|(distance, _)| *distance).map(|(_, word)| word)
}

/// Edit distance of two words: insertions, deletions, replacements and swaps of neighbours (optimal string alignment). `-`
/// and `_` are the same.
fn distance(a: &str, b: &str) -> usize {
    let letters = |text: &str| text.to_lowercase().replace('-', "_").chars().collect::<Vec<char>>();
    let (a, b) = (letters(a), letters(b));
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

/// Line and column of a byte, both from 1; columns count characters.
pub fn place(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}
