//! The configuration as a file, and the keys as a table.

use super::keys::scope_name;
use super::settings::{SECTIONS, SETTINGS, quoted};
use super::{Config, Keymap};
use crate::state::input::{Chord, Scope};
use crate::state::text::width;
use std::fmt::{self, Write};

impl fmt::Display for Config {
    /// The file that gives this configuration; settings that are not set are comments.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "# mixscope's configuration: $XDG_CONFIG_HOME/mixscope/config.toml or ~/.config/mixscope/config.toml.\n\
             # Options on the command line override it. Only the explorer reads it: `mixscope run` and the other\n\
             # commands follow their command line alone, so that scripts do the same everywhere.\n",
        )?;
        for section in SECTIONS {
            writeln!(f, "\n[{section}]")?;
            for setting in SETTINGS.iter().filter(|setting| setting.section == section) {
                writeln!(f, "# {}", setting.help)?;
                match (setting.show)(self) {
                    Ok(value) => writeln!(f, "{} = {value}", setting.key)?,
                    Err(example) => writeln!(f, "# {} = {example}", setting.key)?,
                }
            }
        }
        f.write_str(
            "\n# \"key\" = \"action\" binds a key, \"key\" = \"none\" unbinds it; `mixscope --print-keys` lists keys and actions.\n\
             # Keys are written x, X, space, enter, up, ctrl-x, alt-x, shift-left, or two of them: \"w s\".\n\
             # [keys] is for the views; editors, forms and lists have [keys.input], [keys.form], and so on.\n[keys]\n",
        )?;
        let default = Keymap::default();
        for scope in [Scope::Explore].into_iter().chain(Scope::ALL.into_iter().filter(|s| *s != Scope::Explore)) {
            let lines = changes(&default, &self.keymap, scope);
            if scope != Scope::Explore && !lines.is_empty() {
                writeln!(f, "\n[keys.{}]", scope_name(scope))?;
            }
            f.write_str(&lines)?;
        }
        Ok(())
    }
}

/// The lines that turn the default keys of a scope into those of `keymap`.
fn changes(default: &Keymap, keymap: &Keymap, scope: Scope) -> String {
    let means = |keymap: &Keymap, chord: &Chord| {
        keymap.of(scope).find(|entry| entry.keys.contains(chord)).map(|entry| entry.action)
    };
    let mut lines = String::new();
    for chord in default.of(scope).flat_map(|entry| &entry.keys) {
        if means(keymap, chord).is_none() {
            lines += &format!("{} = \"none\"\n", quoted(chord));
        }
    }
    for (entry, before) in keymap.of(scope).zip(default.of(scope)) {
        // The user's keys come first, the last one bound at the front.
        let own = entry.keys.len() - common_tail(&entry.keys, &before.keys);
        for chord in entry.keys[..own].iter().rev() {
            lines += &format!("{} = \"{}\"\n", quoted(chord), entry.action);
        }
    }
    lines
}

/// How many keys at the end of `keys` are default ones, in the default order.
fn common_tail(keys: &[Chord], default: &[Chord]) -> usize {
    let mut left = default.iter().rev();
    keys.iter().rev().take_while(|key| left.any(|other| other == *key)).count()
}

/// Every action: its table in the file, its name, its keys, and what it does.
pub fn key_table(keymap: &Keymap) -> String {
    let mut rows = vec![["TABLE", "ACTION", "KEYS", "MEANING"].map(str::to_owned)];
    for entry in Scope::ALL.into_iter().flat_map(|scope| keymap.of(scope)) {
        let scope = scope_name(entry.scope);
        let table = if scope.is_empty() { "keys".to_owned() } else { format!("keys.{scope}") };
        let keys: Vec<String> = entry.keys.iter().map(|chord| chord.to_string()).collect();
        let keys = if keys.is_empty() { "(none)".to_owned() } else { keys.join("  ") };
        rows.push([table, entry.action.to_string(), keys, entry.help.to_owned()]);
    }
    let widest = |column: usize| rows.iter().map(|row| width(&row[column])).max().unwrap_or(0);
    let widths = [widest(0), widest(1), widest(2)];
    let mut out = String::new();
    for row in &rows {
        for (cell, across) in row.iter().zip(widths) {
            let gap = across.saturating_sub(width(cell)) + 2;
            // Writing to a string can't fail.
            let _ = write!(out, "{cell}{}", " ".repeat(gap));
        }
        out += &row[3];
        out.push('\n');
    }
    out
}
