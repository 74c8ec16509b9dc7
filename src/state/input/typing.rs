//! Keys and pasted text: they start actions, or go into the text being typed.

use super::action::{Action, TextEdit};
use super::key::Key;
use super::keymap::Found;
use super::scope::Scope;
use crate::state::overlays::{Input, InputKind, Overlay, dropped};
use crate::state::{Effect, State};

impl State {
    /// Takes a key.
    pub(in crate::state) fn on_key(&mut self, key: Key) -> Vec<Effect> {
        let scope = self.scope();
        let prefix = self.pending.take();
        match (self.keymap.look_up(scope, prefix, key), prefix) {
            (Found::Action(action), _) => return self.act(action),
            (Found::Prefix, _) => {
                self.pending = Some(key);
                return Vec::new();
            }
            (Found::Nothing, None) => {}
            (Found::Nothing, Some(prefix)) => return self.give_up(scope, prefix, key),
        }
        match (self.overlays.last_mut(), key.typed()) {
            (Some(Overlay::Input(input)), Some(c)) => input.insert(c.encode_utf8(&mut [0; 4])),
            (Some(Overlay::Form(form)), Some(c)) => form.type_char(c),
            (Some(Overlay::Palette(palette)), Some(c)) => palette.insert(c.encode_utf8(&mut [0; 4])),
            (Some(Overlay::Page(page)), Some(c)) => page.insert(c.encode_utf8(&mut [0; 4])),
            (Some(Overlay::Picker(picker)), Some(c)) => {
                picker.insert(c.encode_utf8(&mut [0; 4]));
                return self.find_models();
            }
            _ => {}
        }
        Vec::new()
    }

    /// The scope of keys now.
    pub fn scope(&self) -> Scope {
        self.overlays.last().map_or(Scope::Explore, Overlay::scope)
    }

    /// Ends a pair of keys whose second key means nothing, unless that key works anywhere.
    fn give_up(&mut self, scope: Scope, prefix: Key, key: Key) -> Vec<Effect> {
        match self.keymap.look_up(Scope::Anywhere, None, key) {
            Found::Action(Action::Escape) => return Vec::new(),
            Found::Action(action) => return self.act(action),
            Found::Prefix | Found::Nothing => {}
        }
        let keys: Vec<String> =
            self.keymap.continuations(scope, prefix).iter().map(|(key, _)| key.to_string()).collect();
        self.say(format!("{prefix} {key} means nothing; after {prefix} come {}", keys.join(" ")));
        Vec::new()
    }

    /// Takes pasted text. It goes where text is typed; in the views it opens the prompt. It never acts as keys.
    pub(in crate::state) fn on_paste(&mut self, text: &str) -> Vec<Effect> {
        self.pending = None;
        let refused = self.refusal(Action::EditPrompt);
        match self.overlays.last_mut() {
            Some(Overlay::Input(input)) => input.insert(text),
            Some(Overlay::Form(form)) => text.trim().chars().for_each(|c| form.type_char(c)),
            Some(Overlay::Picker(picker)) => {
                picker.insert(&dropped(text));
                return self.find_models();
            }
            Some(Overlay::Palette(palette)) => palette.insert(text.trim()),
            Some(Overlay::Page(page)) => page.insert(text.trim()),
            Some(
                Overlay::ClosestCalls(_)
                | Overlay::Policies(_)
                | Overlay::Branches(_)
                | Overlay::EditMenu(_)
                | Overlay::Edits(_),
            ) => {}
            None => match refused {
                Some(sentence) => self.say(sentence),
                None => self.overlays.push(Overlay::Input(Input::new(InputKind::Prompt, text))),
            },
        }
        Vec::new()
    }

    /// Edits the text being typed, or moves in the list or page on top.
    pub(in crate::state) fn edit(&mut self, edit: TextEdit) -> Vec<Effect> {
        match self.overlays.last_mut() {
            Some(Overlay::Input(input)) => input.edit(edit, &self.history),
            Some(Overlay::Form(form)) => form.edit(edit),
            Some(Overlay::Page(page)) => {
                page.edit(edit);
                // Keys may come faster than frames.
                page.end_at(self.geometry.page_overflow.unwrap_or(usize::MAX));
            }
            Some(Overlay::ClosestCalls(list)) => list.edit(edit),
            Some(Overlay::Policies(list)) => list.edit(edit),
            Some(Overlay::EditMenu(_) | Overlay::Edits(_)) => self.move_in_edits(edit),
            Some(Overlay::Branches(_)) => self.move_in_branches(edit),
            Some(Overlay::Picker(picker)) => {
                let has_new_text = picker.edit(edit);
                return if has_new_text { self.find_models() } else { Vec::new() };
            }
            Some(Overlay::Palette(_)) => self.edit_palette(edit),
            None => {}
        }
        Vec::new()
    }

    /// Starts a new line in the prompt.
    pub(in crate::state) fn insert_line(&mut self) {
        if let Some(Overlay::Input(input)) = self.overlays.last_mut()
            && input.kind == InputKind::Prompt
        {
            input.editor.insert("\n");
        }
    }
}
