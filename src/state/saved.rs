//! What is kept of a session, and how it comes back: the tokens are read again, then cursor and views are put back.

use super::playback::RESUMING;
use super::{AttentionLens, Cursor, Details, Effect, OtherPane, RoutingLens, State, StripColour, View};
use crate::trace::protocol::{Ask, Prompt};
use crate::trace::{Dtype, LensSite, Policy, Sampling, Source};
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
    /// The view on screen.
    pub view: View,
    /// How routing is looked at.
    pub routing: RoutingLens,
    /// How attention is looked at.
    pub attention: AttentionLens,
    /// Which residual the lens reads.
    pub lens_site: LensSite,
    /// What colours the text.
    pub colour: StripColour,
    /// Whether details are the other way than the size of the screen suggests.
    pub details_flipped: bool,
    /// First line of the Fidelity view.
    pub scroll: usize,
    /// What the details show.
    #[serde(default)]
    pub details: Details,
    /// The other pane, if the screen was split.
    #[serde(default)]
    pub other: Option<OtherPane>,
    /// Whether the view had all the room.
    #[serde(default)]
    pub zoomed: bool,
    /// Marked tokens.
    #[serde(default)]
    pub bookmarks: BTreeSet<usize>,
}

impl Saved {
    /// The version that is written, and the newest that is read.
    pub const VERSION: u32 = 1;
}

/// A session on its way back.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Resume {
    /// Waits for its model.
    pub waiting: Option<Box<Saved>>,
    /// Its tokens are being read, or could not all be read.
    pub reading: Option<Box<Saved>>,
}

impl State {
    /// The session as it is; `None` while there is nothing to come back to, or an earlier one is not back whole: that one
    /// is worth more.
    pub fn saved(&self) -> Option<Saved> {
        let meta = self.meta()?;
        if self.tokens.is_empty() || self.resume != Resume::default() {
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
            view: self.view,
            routing: self.routing,
            attention: self.attention,
            lens_site: self.lens_site,
            colour: self.colour,
            details_flipped: self.details_flipped,
            scroll: self.scroll,
            details: self.details,
            other: self.other,
            zoomed: self.zoomed,
            bookmarks: self.bookmarks.clone(),
        })
    }

    /// Asks for the model of a session, which comes back once that is open.
    pub fn resume(&mut self, saved: Saved) -> Vec<Effect> {
        let effects = self.open_model(saved.model.clone());
        self.resume.waiting = Some(Box::new(saved));
        effects
    }

    /// The model is open: puts the views back and has the tokens read.
    pub(super) fn read_saved(&mut self, saved: Box<Saved>) -> Vec<Effect> {
        self.prompt.clone_from(&saved.prompt);
        self.chat = saved.chat;
        let text = saved.prompt.clone();
        let prompt = if saved.chat { Prompt::Chat(text) } else { Prompt::Text(text) };
        // For models that are opened later; ids are those of this one.
        self.start = (!saved.prompt.is_empty()).then_some(prompt);
        self.view = saved.view;
        self.routing = saved.routing;
        self.attention = saved.attention;
        self.lens_site = saved.lens_site;
        self.colour = saved.colour;
        self.details_flipped = saved.details_flipped;
        self.details = saved.details;
        self.other = saved.other;
        self.zoomed = saved.zoomed;
        self.cursor = Cursor { token: 0, ..saved.cursor };
        let ask = Ask::Restore { prompt: self.start.clone(), tokens: saved.tokens.clone() };
        self.resume.reading = Some(saved);
        self.start_job(RESUMING, ask)
    }

    /// All tokens of the session were read: puts the cursor back.
    pub(super) fn on_resumed(&mut self) {
        if let Some(saved) = self.resume.reading.take() {
            self.cursor = saved.cursor;
            self.scroll = saved.scroll;
            self.bookmarks = saved.bookmarks.into_iter().filter(|pos| *pos < self.tokens.len()).collect();
            self.catch_up = false;
            self.clamp();
        }
    }
}
