//! What the lens shows, and the tokens whose way through the layers is followed.

use super::overlay::InputKind;
use super::text::{fit, show_piece};
use super::{Effect, State, Tab};
pub use crate::analysis::LensMeasure;
use crate::protocol::{Ask, Derive, RequestId, Spelled};
use crate::trace::{LensKey, LensSite};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// How the lens is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LensLayout {
    /// Layers × tokens after one residual of each layer.
    #[default]
    Grid,
    /// Layers × tokens after both residuals.
    Both,
    /// One token: curves over the layers.
    Plot,
}

/// A token whose way through the layers is followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Token id.
    pub id: u32,
    /// The tokenizer's spelling; untrusted text.
    pub piece: Arc<str>,
}

impl State {
    /// The next layout of the lens.
    pub(super) fn cycle_lens_layout(&mut self) {
        use LensLayout as L;
        use LensSite::{ResidMid, ResidPost};
        (self.lens, self.lens_site) = match (self.lens, self.lens_site) {
            (L::Grid, ResidPost) => (L::Grid, ResidMid),
            (L::Grid, ResidMid) => (L::Both, ResidPost),
            (L::Both, _) => (L::Plot, ResidPost),
            (L::Plot, _) => (L::Grid, ResidPost),
        }
    }

    /// What the lens shows next.
    pub(super) fn cycle_lens_measure(&mut self) {
        let at = LensMeasure::ALL.iter().position(|measure| *measure == self.lens_measure).unwrap_or(0);
        self.lens_measure = LensMeasure::ALL[(at + 1) % LensMeasure::ALL.len()];
    }

    /// The place of a token among the targets.
    pub fn target(&self, id: u32) -> Option<usize> {
        self.targets.iter().position(|target| target.id == id)
    }

    /// Follows the candidate under the cursor (Next) or the lens's top token at the cursor (Lens).
    pub(super) fn add_target(&mut self) {
        let found = match self.view {
            Tab::Next => self.token().and_then(|token| token.next.top.get(self.cursor.candidate)),
            Tab::Lens => {
                let key = LensKey { pos: self.cursor.token, layer: self.cursor.layer, site: self.lens_site };
                self.derived.lens(key).and_then(|cell| cell.top.first())
            }
            _ => return self.say("tokens to follow are added in Lens and Next".to_owned()),
        };
        let Some(found) = found else { return self.say("there is no token to follow at the cursor yet".to_owned()) };
        let target = Target { id: found.id, piece: found.piece.clone() };
        if !self.follow(target.clone()) {
            self.say(format!("{} is followed already", quoted(&target.piece)));
        }
    }

    /// Follows token `id`, which is one of those the lens or the model names at the cursor; if it is followed already,
    /// does so no longer.
    pub(super) fn toggle_target(&mut self, id: u32) {
        if let Some(at) = self.target(id) {
            self.targets.remove(at);
            return;
        }
        let sites = [LensSite::ResidPost, LensSite::ResidMid];
        let cells = sites.into_iter().filter_map(|site| {
            let key = LensKey { pos: self.cursor.token, layer: self.cursor.layer, site };
            self.derived.lens(key)
        });
        let named = cells.flat_map(|cell| &cell.top).chain(self.token().into_iter().flat_map(|token| &token.next.top));
        let piece = named.into_iter().find(|candidate| candidate.id == id).map(|candidate| candidate.piece.clone());
        if let Some(piece) = piece {
            self.follow(Target { id, piece });
        }
    }

    /// No longer follows the last target.
    pub(super) fn drop_target(&mut self) {
        if self.targets.pop().is_none() {
            self.say("no token is followed; + and T add some".to_owned());
        }
    }

    /// Asks for the tokens of a typed target, and of those still waited for, which this request replaces.
    pub(super) fn type_target(&mut self, text: String) -> Vec<Effect> {
        let mut texts = self.derived.unspelled();
        texts.push(text);
        let (id, ask) = (self.new_id(), Derive::Spell { texts });
        self.derived.note(id, ask.clone());
        vec![Effect::Ask(id, Ask::Derive(ask))]
    }

    /// Follows the first token of each text.
    pub(super) fn on_spelled(&mut self, id: RequestId, spelled: Vec<Spelled>) {
        if !self.derived.waits_for(id) {
            return;
        }
        let vocab = self.meta().map_or(0, |meta| meta.dims.vocab);
        for Spelled { text, tokens } in spelled {
            let text = format!("‘{}’", fit(&show_piece(&text.replace(' ', "▁")), 24));
            let Some((id, piece)) = tokens.first() else {
                self.say(format!("{text} has no token"));
                continue;
            };
            // A tokenizer may name more tokens than the model predicts.
            if *id as usize >= vocab {
                self.say(format!("{} is token {id}; the model predicts those below {vocab} only", quoted(piece)));
                continue;
            }
            let is_new = self.follow(Target { id: *id, piece: piece.clone() });
            let first = fit(&show_piece(piece), 16);
            let already = if is_new { "is followed" } else { "is followed already" };
            if tokens.len() > 1 {
                self.say(format!("{text} is {} tokens; the first, {first}, {already}", tokens.len()));
            } else if !is_new || self.view != Tab::Lens {
                self.say(format!("{} {already} in the Lens view", quoted(piece)));
            }
        }
    }

    /// Opens the input for a target.
    pub(super) fn open_target(&mut self) {
        self.open_input(InputKind::Target, "");
    }

    /// Whether it was not followed yet.
    fn follow(&mut self, target: Target) -> bool {
        let is_new = self.target(target.id).is_none();
        if is_new {
            self.targets.push(target);
        }
        is_new
    }
}

fn quoted(piece: &str) -> String {
    format!("‘{}’", fit(&show_piece(piece), 16))
}
