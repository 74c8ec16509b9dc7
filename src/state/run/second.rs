//! A second prompt, which is read as the run is and compared with it side by side.

use super::bounded::Bounded;
use crate::analysis::view::View;
use crate::analysis::{Aligned, align};
use crate::state::overlays::{InputKind, Overlay};
use crate::state::text::{fit, harmless};
use crate::state::{Effect, State};
use crate::trace::{Candidate, LensCell, LensKey, Meta, Prompt, TokenRecord, Variant};
use std::sync::Arc;

/// The most bytes of its lens cells.
const MOST_BYTES: usize = 8 << 20;

/// The second prompt, and its run as far as it has arrived.
#[derive(Clone, Debug)]
pub struct SecondPrompt {
    /// The prompt.
    pub prompt: Prompt,
    /// The model and how the run was computed.
    meta: Option<Arc<Meta>>,
    tokens: Vec<Arc<TokenRecord>>,
    lens: Bounded<LensKey, LensCell>,
    /// Why it could not be read.
    pub(in crate::state) failed: Option<String>,
}

impl SecondPrompt {
    fn new(prompt: Prompt) -> Self {
        Self { prompt, meta: None, tokens: Vec::new(), lens: Bounded::new(MOST_BYTES), failed: None }
    }

    /// Its records; empty before they have arrived.
    pub fn tokens(&self) -> &[Arc<TokenRecord>] {
        &self.tokens
    }

    /// The model and how the run was computed; `None` before it has arrived.
    pub fn meta(&self) -> Option<&Arc<Meta>> {
        self.meta.as_ref()
    }

    /// A lens cell.
    pub fn lens(&self, key: LensKey) -> Option<&LensCell> {
        self.lens.get(&key)
    }

    pub(in crate::state) fn take(&mut self, meta: Arc<Meta>, tokens: Vec<Arc<TokenRecord>>) {
        self.lens = Bounded::new(MOST_BYTES);
        (self.meta, self.tokens) = (Some(meta), tokens);
    }

    pub(in crate::state) fn take_lens(&mut self, cells: Vec<(LensKey, Arc<LensCell>)>) {
        for (key, cell) in cells {
            let bytes = size_of::<LensCell>() + cell.top.len() * size_of::<Candidate>();
            self.lens.insert(key, cell, bytes);
        }
    }

    /// Why it could not be read, if so.
    pub fn failure(&self) -> Option<&str> {
        self.failed.as_deref()
    }

    /// The beginning of its text, harmless to a terminal; `ids` for a prompt of ids.
    pub fn shown(&self, most: usize) -> String {
        match self.text() {
            Some(text) => fit(&harmless(&text.chars().take(most).collect::<String>()), most),
            None => "ids".to_owned(),
        }
    }

    /// Its text; `None` for ids.
    pub fn text(&self) -> Option<&str> {
        match &self.prompt {
            Prompt::Text(text) | Prompt::Chat(text) => Some(text),
            Prompt::Ids(_) => None,
        }
    }
}

impl State {
    /// The second prompt, if it has to be read: nothing of it has arrived, or the run is computed in another way now.
    pub fn unread_second(&self) -> Option<&Prompt> {
        let second = self.second.as_ref()?;
        let is_read = second.meta().is_some_and(|meta| Variant::of(meta) == self.current_variant());
        (!is_read && second.failed.is_none() && !self.tokens.is_empty()).then_some(&second.prompt)
    }

    /// The run and the second prompt, token by token.
    pub fn aligned(&self) -> Vec<Aligned> {
        let ids = |tokens: &[Arc<TokenRecord>]| tokens.iter().map(|token| token.id).collect::<Vec<u32>>();
        let second = self.second.as_ref().map_or(&[][..], SecondPrompt::tokens);
        align(&ids(&self.tokens), &ids(second))
    }

    /// Opens the input of the second prompt.
    pub(in crate::state) fn open_second(&mut self) {
        let text = match &self.second {
            Some(second) => second.text().unwrap_or_default().to_owned(),
            None => self.prompt.clone(),
        };
        self.open_input(InputKind::Second, &text);
        if let Some(Overlay::Input(input)) = self.overlays.last_mut() {
            input.note = "a second prompt, compared with the run token by token; empty: none";
        }
    }

    /// Compares with another prompt.
    pub(in crate::state) fn compare_with_text(&mut self, text: String) -> Vec<Effect> {
        if text.is_empty() {
            self.set_second(None);
            return Vec::new();
        }
        let prompt = if self.uses_chat() { Prompt::Chat(text) } else { Prompt::Text(text) };
        self.set_second(Some(prompt));
        if !matches!(self.view(), View::Compare | View::EffectsPatching) {
            self.pane_mut().show(View::Compare);
        }
        Vec::new()
    }

    /// Takes another second prompt, or none.
    pub(in crate::state) fn set_second(&mut self, prompt: Option<Prompt>) {
        self.second = prompt.map(SecondPrompt::new);
        self.derived.forget_patches();
    }
}
