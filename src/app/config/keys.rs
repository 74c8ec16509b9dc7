//! `[keys]`: key bindings. `[keys]` itself is for the views; `[keys.input]` and others are for editors, forms and lists.

use super::wrong::{Wrong, did_you_mean, place};
use crate::state::input::{Action, Chord, Keymap, Scope};
use std::ops::Range;
use toml::de::{DeTable, DeValue};

/// The action name that unbinds a key.
const NONE: &str = "none";

/// One line of the file.
struct Line {
    at: Range<usize>,
    scope: Scope,
    chord: Chord,
    /// `None` unbinds.
    action: Option<Action>,
}

/// The name of a scope's table below `keys`; empty for the views.
pub fn scope_name(scope: Scope) -> String {
    if scope == Scope::Explore { String::new() } else { format!("{scope:?}").to_lowercase() }
}

/// Reads `[keys]` of the file `text` into the keymap. Keys are unbound before others are bound.
///
/// # Errors
/// For the first line that is not understood or conflicts with another.
pub fn read(keymap: &mut Keymap, table: &DeTable, text: &str) -> Result<(), Wrong> {
    let mut lines = Vec::new();
    collect(keymap, Scope::Explore, table, &mut lines)?;
    lines.sort_by_key(|line| line.at.start);
    for (i, line) in lines.iter().enumerate() {
        if let Some(first) = lines[..i].iter().find(|other| other.scope == line.scope && other.chord == line.chord) {
            let (first, _) = place(text, first.at.start);
            return Err(Wrong::new(line.at.clone(), format!("`{}` is bound on line {first} already", line.chord)));
        }
    }
    for line in lines.iter().filter(|line| line.action.is_none()) {
        if !free(keymap, line.scope, line.chord) {
            let what = format!("`{}` has no action {}, so it can't be unbound", line.chord, line.scope.title());
            return Err(Wrong::new(line.at.clone(), what));
        }
    }
    for line in &lines {
        let Some(action) = line.action else { continue };
        free(keymap, line.scope, line.chord);
        if let Some(entry) = keymap.entries.iter_mut().find(|e| e.scope == line.scope && e.action == action) {
            // The user's own key is shown.
            entry.keys.insert(0, line.chord);
        }
        keymap.check().map_err(|conflict| {
            let help = format!("{conflict}; unbind the other one with \"none\"");
            Wrong::new(line.at.clone(), help)
        })?;
    }
    for (action, what) in [(Action::Quit, "leaves the program"), (Action::Escape, "closes what is open")] {
        let reachable = |scope: Scope| keymap.of(scope).any(|entry| entry.action == action && !entry.keys.is_empty());
        let scopes: &[Scope] =
            if action == Action::Quit { &[Scope::Explore, Scope::Anywhere] } else { &[Scope::Anywhere] };
        if !scopes.iter().any(|scope| reachable(*scope)) {
            let at = lines.iter().find(|line| line.action.is_none()).map_or(0..0, |line| line.at.clone());
            return Err(Wrong::new(at, format!("no key is left that {what} ({action})")));
        }
    }
    Ok(())
}

/// Unbinds a key in a scope. Returns whether it was bound.
fn free(keymap: &mut Keymap, scope: Scope, chord: Chord) -> bool {
    let mut found = false;
    for entry in keymap.entries.iter_mut().filter(|entry| entry.scope == scope) {
        let before = entry.keys.len();
        entry.keys.retain(|key| *key != chord);
        found |= entry.keys.len() < before;
    }
    found
}

fn collect(keymap: &Keymap, scope: Scope, table: &DeTable, lines: &mut Vec<Line>) -> Result<(), Wrong> {
    for (name, value) in table.iter() {
        let key = name.get_ref().as_ref();
        if let DeValue::Table(inner) = value.get_ref() {
            let scopes = Scope::ALL.into_iter().filter(|scope| *scope != Scope::Explore);
            let names: Vec<String> = scopes.clone().map(scope_name).collect();
            let found = scopes.zip(&names).find(|(_, name)| *name == key).filter(|_| scope == Scope::Explore);
            let Some((scope, _)) = found else {
                let near = did_you_mean(key, names.iter().map(String::as_str), |name| format!("[keys.{name}]"));
                let what = format!("unknown table [keys.{key}]{near}; the tables are [keys], [keys.{}]", {
                    names.join("], [keys.")
                });
                return Err(Wrong::new(name.span(), what));
            };
            collect(keymap, scope, inner, lines)?;
            continue;
        }
        let chord: Chord = key.parse().map_err(|error: String| Wrong::new(name.span(), error))?;
        let Some(action) = value.get_ref().as_str() else {
            let what = format!("`{key}`: expected the name of an action in quotes, or \"{NONE}\"");
            return Err(Wrong::new(value.span(), what));
        };
        let action = if action == NONE { None } else { Some(find(keymap, scope, action, value.span())?) };
        lines.push(Line { at: name.span(), scope, chord, action });
    }
    Ok(())
}

fn find(keymap: &Keymap, scope: Scope, name: &str, at: Range<usize>) -> Result<Action, Wrong> {
    if let Some(entry) = keymap.of(scope).find(|entry| entry.action.to_string() == name) {
        return Ok(entry.action);
    }
    let elsewhere = keymap.entries.iter().find(|entry| entry.action.to_string() == name).map(|entry| entry.scope);
    if let Some(scope) = elsewhere {
        let table = [String::from("keys"), scope_name(scope)].join(".");
        let table = table.trim_end_matches('.');
        return Err(Wrong::new(at, format!("`{name}` is not an action here; it belongs in [{table}]")));
    }
    let names: Vec<String> = keymap.of(scope).map(|entry| entry.action.to_string()).collect();
    let near = did_you_mean(name, names.iter().map(String::as_str), |name| format!("`{name}`"));
    Err(Wrong::new(at, format!("unknown action `{name}`{near}; `mixscope --print-keys` lists them")))
}
