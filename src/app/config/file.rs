//! Reads the file. Every error says file, line, column, what is wrong and what was expected.

use super::settings::{SECTIONS, SETTINGS};
use super::wrong::{Wrong, did_you_mean, place};
use super::{Config, keys};
use crate::app::folders::config_file;
use crate::protocol::Failure;
use anyhow::{Context, Error, Result, anyhow};
use std::io::ErrorKind;
use std::path::Path;
use toml::de::{DeTable, DeValue};

impl Config {
    /// The configuration in `path`, or in the user's own file; the defaults if the user has none, or may not read it.
    ///
    /// # Errors
    /// If `path` can't be read, or the file is not TOML, or has an unknown key or a wrong value.
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
                let error = Error::new(error).context(format!("the configuration {} can't be read", path.display()));
                // The home may be another user's, as under sudo: nobody asked for this file.
                return match is_asked_for {
                    true => Err(error),
                    false => Ok(Self { unread: Some(Failure::of(&error)), ..Self::default() }),
                };
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
