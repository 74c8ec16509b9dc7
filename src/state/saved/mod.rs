//! What is kept of a session, and how it comes back: the tokens are read again, then cursor and views are put back.

mod one;

pub use one::SavedOne;

use super::cursor::Cursor;
use super::panes::Panes;
use super::run::Beside;
use super::text::StripColour;
use super::views::lens::Target;
use super::{Effect, State};
use crate::protocol::{Ask, Branches};
use crate::trace::{Dtype, Policy, Prompt, Sampling, Source};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A session as it is written to a file. Fields that another version of the same format adds are ignored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Saved {
    /// Version of the format: [`Saved::VERSION`].
    pub version: u32,
    /// The model, as the MODEL argument names it.
    pub model: String,
    /// The precision policy.
    pub precision: Policy,
    /// The dtype to round to, if not the weights' own.
    pub dtype: Option<Dtype>,
    /// The prompt as text; what the editor starts from.
    pub prompt: String,
    /// Whether prompts are put into the chat template.
    pub chat: bool,
    /// Id and source of every token.
    pub tokens: Vec<(u32, Source)>,
    /// How the next token is chosen.
    pub sampling: Sampling,
    /// The cursor.
    pub cursor: Cursor,
    /// The panes of the screen.
    pub panes: Panes,
    /// What colours the text.
    pub colour: StripColour,
    /// Id and spelling of the tokens that are followed through the layers.
    pub targets: Vec<(u32, String)>,
    /// Marked tokens.
    pub bookmarks: BTreeSet<usize>,
    /// The policy of the run that is compared with, if there is one.
    pub beside: Option<Policy>,
    /// What can be undone and done again.
    pub branches: Branches,
}

impl Saved {
    /// The version that is written, and the newest that is read.
    pub const VERSION: u32 = 2;
}

/// A session on its way back.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::state) struct Resume {
    /// Waits for its model.
    pub waiting: Option<Box<Saved>>,
    /// Its tokens are being read, or could not all be read.
    pub reading: Option<Box<Saved>>,
}

impl State {
    /// The session as it is; `None` while there is nothing to come back to, the run is a file already, or an earlier
    /// session is not back whole: that one is worth more.
    pub fn saved(&self) -> Option<Saved> {
        let meta = self.meta()?;
        if self.tokens.is_empty() || meta.recording.is_some() || self.resume != Resume::default() {
            return None;
        }
        Some(Saved {
            version: Saved::VERSION,
            model: meta.name.clone(),
            precision: meta.policy,
            dtype: None,
            prompt: self.prompt.clone(),
            chat: self.chat,
            tokens: self.tokens.iter().map(|token| (token.id, token.source)).collect(),
            sampling: self.sampling,
            cursor: self.cursor,
            panes: self.panes.clone(),
            colour: self.colour,
            targets: self.targets.iter().map(|target| (target.id, target.piece.to_string())).collect(),
            bookmarks: self.bookmarks.clone(),
            beside: self.beside.policy(),
            branches: self.branches.bounded(),
        })
    }

    /// Asks for the model of a session, which comes back once that is open.
    pub fn resume(&mut self, saved: Saved) -> Vec<Effect> {
        let effects = self.open_model(saved.model.clone());
        self.resume.waiting = Some(Box::new(saved));
        effects
    }

    /// The model is open: puts the views back and has the tokens read.
    pub(in crate::state) fn read_saved(&mut self, saved: Box<Saved>) -> Vec<Effect> {
        self.prompt.clone_from(&saved.prompt);
        self.chat = saved.chat;
        let text = saved.prompt.clone();
        let prompt = if saved.chat { Prompt::Chat(text) } else { Prompt::Text(text) };
        // For models that are opened later; ids are those of this one.
        self.start = (!saved.prompt.is_empty()).then_some(prompt);
        self.panes = saved.panes.clone();
        self.beside = Beside::of(saved.beside.filter(|policy| *policy != saved.precision));
        let vocab = self.meta().map_or(0, |meta| meta.dims.vocab);
        let known = saved.targets.iter().filter(|(id, _)| (*id as usize) < vocab);
        self.targets = known.map(|(id, piece)| Target { id: *id, piece: piece.as_str().into() }).collect();
        self.colour = saved.colour;
        self.cursor = Cursor { token: 0, ..saved.cursor };
        let ask =
            Ask::Restore { prompt: self.start.clone(), tokens: saved.tokens.clone(), branches: saved.branches.clone() };
        self.resume.reading = Some(saved);
        self.start_job(ask)
    }

    /// All tokens of the session were read: puts the cursor back.
    pub(in crate::state) fn on_resumed(&mut self) {
        if let Some(saved) = self.resume.reading.take() {
            self.cursor = saved.cursor;
            // While there were fewer tokens, views may have had fewer lines.
            for (place, pane) in saved.panes.all().iter().enumerate() {
                if let Some(shown) = self.panes.get_mut(place) {
                    shown.scroll = pane.scroll;
                }
            }
            self.set_bookmarks(saved.bookmarks);
            self.branches = saved.branches;
            self.catch_up = false;
            self.clamp();
        }
    }
}
