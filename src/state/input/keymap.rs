//! The current keys: those of the table, or those that the user chose.

use super::action::Action;
use super::bindings::{Binding, bindings};
use super::key::{Chord, Key};
use super::scope::{Scope, Task};
use crate::analysis::view::Tab;

/// The current keys of one action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The action.
    pub action: Action,
    /// Its keys; the first one is shown.
    pub keys: Vec<Chord>,
    /// Where the keys apply.
    pub scope: Scope,
    /// The line in the help.
    pub help: &'static str,
    /// The section of the help, for the keys of the views.
    pub task: Task,
    /// The word in the footer; empty if the footer leaves the action out.
    pub hint: &'static str,
    /// The tabs whose footer has the word; empty for all.
    pub tabs: &'static [Tab],
    /// Other words by which the palette finds the action.
    pub words: &'static str,
}

/// The meaning of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// This action.
    Action(Action),
    /// The first of two keys.
    Prefix,
    /// Nothing.
    Nothing,
}

/// All current keys. Dispatch, help, hints and the palette read them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keymap {
    /// One entry for each action, in the order of the help.
    pub entries: Vec<Entry>,
}

impl Default for Keymap {
    /// The keys of the table.
    fn default() -> Self {
        let entry = |binding: &Binding| Entry {
            action: binding.action,
            keys: binding.keys.to_vec(),
            scope: binding.scope,
            help: binding.help,
            task: binding.task,
            hint: binding.hint,
            tabs: binding.tabs,
            words: binding.words,
        };
        Self { entries: bindings().map(entry).collect() }
    }
}

impl Keymap {
    /// The entries of a scope.
    pub fn of(&self, scope: Scope) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(move |entry| entry.scope == scope)
    }

    /// The meaning of `key` in `scope` after `prefix`, or as a first key.
    pub fn look_up(&self, scope: Scope, prefix: Option<Key>, key: Key) -> Found {
        let wanted = Chord { prefix, key };
        for scope in [scope, Scope::Anywhere] {
            if let Some(entry) = self.of(scope).find(|entry| entry.keys.contains(&wanted)) {
                return Found::Action(entry.action);
            }
        }
        let leads_on = |entry: &Entry| entry.keys.iter().any(|chord| chord.prefix == Some(key));
        if prefix.is_none() && [scope, Scope::Anywhere].into_iter().any(|scope| self.of(scope).any(leads_on)) {
            Found::Prefix
        } else {
            Found::Nothing
        }
    }

    /// The keys that can follow `prefix` in `scope`, and their entries.
    pub fn continuations(&self, scope: Scope, prefix: Key) -> Vec<(Key, &Entry)> {
        let all = self.of(scope).chain(self.of(Scope::Anywhere).filter(|_| scope != Scope::Anywhere));
        let chords = all.flat_map(|entry| entry.keys.iter().map(move |chord| (chord, entry)));
        chords.filter(|(chord, _)| chord.prefix == Some(prefix)).map(|(chord, entry)| (chord.key, entry)).collect()
    }

    /// The key that is shown for an action in a scope.
    pub fn key_of(&self, scope: Scope, action: Action) -> Option<Chord> {
        self.of(scope).find(|entry| entry.action == action)?.keys.first().copied()
    }

    /// Checks that every key has one meaning.
    ///
    /// # Errors
    /// Names the first key that has two meanings in one scope, is also the first of two keys, hides a key that works
    /// anywhere, or is a character in a scope where text is typed.
    pub fn check(&self) -> Result<(), String> {
        let all: Vec<(Scope, Chord, &str)> = self
            .entries
            .iter()
            .flat_map(|entry| entry.keys.iter().map(move |chord| (entry.scope, *chord, entry.help)))
            .collect();
        for (i, (scope, chord, help)) in all.iter().enumerate() {
            if scope.takes_text() && chord.first().typed().is_some() {
                return Err(format!("`{chord}` {}: a character is typed there ({help})", scope.title()));
            }
            let meets = |other: Scope| other == *scope || other == Scope::Anywhere || *scope == Scope::Anywhere;
            for (other_scope, other, other_help) in &all[..i] {
                if !meets(*other_scope) {
                    continue;
                }
                if chord == other {
                    return Err(format!("`{chord}` {}: both “{other_help}” and “{help}”", scope.title()));
                }
                let (short, long) = if chord.prefix.is_none() { (chord, other) } else { (other, chord) };
                if short.prefix.is_none() && long.prefix == Some(short.key) {
                    let title = scope.title();
                    return Err(format!("`{short}` {title} has a meaning and is also the first key of `{long}`"));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::input::Code;

    fn keymap(keys: &[(Scope, Action, &str)]) -> Keymap {
        let entry = |(scope, action, keys): &(Scope, Action, &str)| Entry {
            action: *action,
            keys: keys.split(", ").map(|chord| chord.parse().unwrap()).collect(),
            scope: *scope,
            help: "what it does",
            task: Task::Program,
            hint: "",
            tabs: &[],
            words: "",
        };
        Keymap { entries: keys.iter().map(entry).collect() }
    }

    fn ch(c: char) -> Key {
        Key::of(Code::Char(c))
    }

    #[test]
    fn two_keys_lead_to_one_action() {
        use Scope::{Anywhere, Explore};
        let keymap =
            keymap(&[(Explore, Action::Help, "w s, ?"), (Explore, Action::Go, "w g"), (Anywhere, Action::Quit, "x q")]);
        assert_eq!(keymap.check(), Ok(()));
        assert_eq!(keymap.look_up(Explore, None, ch('w')), Found::Prefix);
        assert_eq!(keymap.look_up(Explore, None, ch('x')), Found::Prefix);
        assert_eq!(keymap.look_up(Explore, Some(ch('w')), ch('s')), Found::Action(Action::Help));
        assert_eq!(keymap.look_up(Explore, Some(ch('x')), ch('q')), Found::Action(Action::Quit));
        assert_eq!(keymap.look_up(Explore, Some(ch('w')), ch('w')), Found::Nothing, "a prefix twice is not a prefix");
        assert_eq!(keymap.look_up(Explore, None, ch('s')), Found::Nothing);
        let keys: Vec<Key> = keymap.continuations(Explore, ch('w')).into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, [ch('s'), ch('g')]);
    }

    #[test]
    fn conflicts_are_named() {
        use Scope::{Anywhere, Explore, Input, Page};
        for (what, wrong) in [
            ("twice", [(Explore, Action::Help, "w s"), (Explore, Action::Go, "w s")]),
            ("also a prefix", [(Explore, Action::Help, "w"), (Explore, Action::Go, "w s")]),
            ("also a prefix, the other way", [(Explore, Action::Help, "w s"), (Explore, Action::Go, "w")]),
            ("hides a global one", [(Anywhere, Action::Help, "ctrl-c"), (Page, Action::Go, "ctrl-c")]),
            ("typed as text", [(Input, Action::Help, "x"), (Explore, Action::Go, "w")]),
        ] {
            assert!(keymap(&wrong).check().is_err(), "{what}");
        }
        assert_eq!(keymap(&[(Explore, Action::Help, "w"), (Page, Action::Go, "w s")]).check(), Ok(()));
    }
}
