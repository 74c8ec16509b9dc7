//! What experiments watch: the target, the foil that it is compared with, and a target that is pinned.

use crate::analysis::Watch;
use crate::analysis::view::View;
use crate::state::overlays::{InputKind, Overlay};
use crate::state::text::show_piece;
use crate::state::{Effect, State, Target};

/// A target that stays while the cursor moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pin {
    /// The position whose distribution is watched.
    pub position: usize,
    /// The target's id.
    pub token: u32,
}

impl State {
    /// What the maps and the contributions watch: the pinned token, or the candidate marked in Next, which is the model's
    /// own answer at first.
    pub fn watch(&self) -> Option<Watch> {
        let pinned = self.pin.filter(|pin| pin.position < self.tokens.len());
        let (position, token) = match pinned {
            Some(pin) => (pin.position, pin.token),
            None => (self.cursor.token, self.contribution_target()?.id),
        };
        let foil = self.foil.as_ref().map(|foil| foil.id).filter(|foil| *foil != token);
        Some(Watch { position, token, foil })
    }

    /// In Next, takes the marked candidate as the foil, or no longer; elsewhere asks for a token.
    pub(in crate::state) fn choose_foil(&mut self) {
        if self.view() != View::Next {
            let text = self.foil.as_ref().map_or_else(String::new, |foil| foil.piece.text());
            self.open_input(InputKind::Foil, &text);
            if let Some(Overlay::Input(input)) = self.overlays.last_mut() {
                input.note = "the token that the target is compared with; empty: none";
            }
            return;
        }
        let marked = self.contribution_target().map(|found| Target { id: found.id, piece: found.piece.clone() });
        let Some(marked) = marked else { return self.say("there is no candidate at the cursor") };
        if self.foil.take_if(|foil| foil.id == marked.id).is_some() {
            return self.say("no foil any more: the target alone is measured");
        }
        self.set_foil(marked, 1);
    }

    /// Asks for the token of a typed foil; an empty text removes the foil.
    pub(in crate::state) fn type_foil(&mut self, text: &str) -> Vec<Effect> {
        if text.is_empty() {
            self.foil = None;
            self.say("no foil any more: the target alone is measured");
            return Vec::new();
        }
        // As spaces are drawn; a word is meant as it stands in a text, after a space.
        let text = format!(" {}", text.replace('·', " ").trim_start());
        self.typed_foil = Some(text.clone());
        self.type_target(text)
    }

    /// Compares the target with a token; `tokens` is how many the typed text has.
    pub(in crate::state) fn set_foil(&mut self, foil: Target, tokens: usize) {
        let name = show_piece(&foil.piece);
        self.foil = Some(foil);
        self.say(match tokens {
            1 => format!("the foil is ‘{name}’: Effects and contributions show target − foil"),
            _ => format!("the text is {tokens} tokens; the foil is the first, ‘{name}’"),
        });
    }

    /// Pins the target at the cursor, so that it stays while the cursor moves; or lets it follow the cursor again.
    pub(in crate::state) fn toggle_pin(&mut self) {
        if self.pin.take().is_some() {
            return self.say("the target follows the cursor again");
        }
        let Some(target) = self.contribution_target() else { return self.say("there is no target at the cursor") };
        let (token, name) = (target.id, show_piece(&target.piece));
        self.pin = Some(Pin { position: self.cursor.token, token });
        self.say(format!(
            "the target is ‘{name}’ after token {}, wherever the cursor goes; = again ends that",
            self.cursor.token
        ));
    }
}
