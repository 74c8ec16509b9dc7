//! The table of all keys, from which dispatch, help, hints and the palette are made.

mod explore;
mod overlays;

use super::action::Action;
use super::key::{Chord, Code, Key};
use super::scope::{Scope, Task};
use crate::analysis::view::Tab;

/// The keys of one action.
#[derive(Clone, Copy, Debug)]
pub struct Binding {
    /// The action.
    pub action: Action,
    /// Its keys: single ones, or pairs of keys pressed one after the other.
    pub keys: &'static [Chord],
    /// Where the keys apply.
    pub scope: Scope,
    /// The section of the help, for the keys of the views.
    pub task: Task,
    /// The line in the help.
    pub help: &'static str,
    /// The word in the footer; empty if the footer leaves the action out.
    pub hint: &'static str,
    /// The tabs whose footer has the word; empty for all.
    pub tabs: &'static [Tab],
    /// Other words by which the palette finds the action.
    pub words: &'static str,
}

impl Binding {
    /// With a word for the footer of every tab.
    const fn hint(self, hint: &'static str) -> Self {
        Self { hint, ..self }
    }

    /// With a word for the footer of these tabs.
    const fn hint_in(self, hint: &'static str, tabs: &'static [Tab]) -> Self {
        Self { hint, tabs, ..self }
    }

    /// With other words for the palette.
    const fn words(self, words: &'static str) -> Self {
        Self { words, ..self }
    }
}

/// All bindings, in the order of the help.
pub fn bindings() -> impl Iterator<Item = &'static Binding> {
    explore::EXPLORE.iter().chain(overlays::OVERLAYS)
}

const fn bind(scope: Scope, keys: &'static [Chord], action: Action, help: &'static str) -> Binding {
    Binding { action, keys, scope, task: Task::Program, help, hint: "", tabs: &[], words: "" }
}

/// A binding of the views.
const fn view(task: Task, keys: &'static [Chord], action: Action, help: &'static str) -> Binding {
    Binding { task, ..bind(Scope::Explore, keys, action, help) }
}

const fn ch(c: char) -> Chord {
    Chord::of(Key::of(Code::Char(c)))
}

const fn k(code: Code) -> Chord {
    Chord::of(Key::of(code))
}

const fn ctrl(c: char) -> Chord {
    Chord::of(Key { ctrl: true, ..Key::of(Code::Char(c)) })
}

const fn alt(code: Code) -> Chord {
    Chord::of(Key { alt: true, ..Key::of(code) })
}

const fn shift(code: Code) -> Chord {
    Chord::of(Key { shift: true, ..Key::of(code) })
}
