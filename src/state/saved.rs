//! What is kept of a session, and how it comes back: the tokens are read again, then cursor and views are put back.

use super::{
    Beside, Cursor, Details, Effect, HeadsView, LensMeasure, LoadMeasure, OtherPane, Pane, State, StripColour, Tab,
    Target,
};
use crate::protocol::Ask;
use crate::protocol::Branches;
use crate::trace::Prompt;
use crate::trace::{Dtype, Policy, Sampling, Source};
use serde::{Deserialize, Deserializer, Serialize};
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
    /// What the pane with the focus shows.
    #[serde(flatten)]
    pub pane: Pane,
    /// What colours the text.
    pub colour: StripColour,
    /// Views whose details are the other way than the size of the screen suggests.
    #[serde(deserialize_with = "flipped")]
    pub details_flipped: BTreeSet<Tab>,
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
    /// What a cell of the load shows.
    #[serde(default)]
    pub load: LoadMeasure,
    /// How the heads are looked at.
    #[serde(default)]
    pub heads: HeadsView,
    /// What the lens says of a residual.
    #[serde(default)]
    pub lens_measure: LensMeasure,
    /// Whether the lens' plot is logarithmic.
    #[serde(default)]
    pub log_scale: bool,
    /// Id and spelling of the tokens that are followed through the layers.
    #[serde(default)]
    pub targets: Vec<(u32, String)>,
    /// Marked tokens.
    #[serde(default)]
    pub bookmarks: BTreeSet<usize>,
    /// The policy of the run that is compared with, if there is one.
    #[serde(default)]
    pub beside: Option<Policy>,
    /// What can be undone and done again.
    #[serde(default)]
    pub branches: Branches,
}

impl Saved {
    /// The version that is written, and the newest that is read.
    pub const VERSION: u32 = 1;
}

/// Views by name; earlier versions wrote for all of them whether they were.
fn flipped<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeSet<Tab>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        All(bool),
        Views(BTreeSet<Tab>),
    }
    Ok(match Written::deserialize(from)? {
        Written::All(true) => Tab::ALL.into(),
        Written::All(false) => BTreeSet::new(),
        Written::Views(views) => views,
    })
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
            pane: self.pane(),
            colour: self.colour,
            details_flipped: self.details_flipped.clone(),
            scroll: self.scroll,
            details: self.details,
            other: self.other,
            zoomed: self.zoomed,
            load: self.load,
            heads: self.heads,
            lens_measure: self.lens_measure,
            log_scale: self.log_scale,
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
    pub(super) fn read_saved(&mut self, saved: Box<Saved>) -> Vec<Effect> {
        self.prompt.clone_from(&saved.prompt);
        self.chat = saved.chat;
        let text = saved.prompt.clone();
        let prompt = if saved.chat { Prompt::Chat(text) } else { Prompt::Text(text) };
        // For models that are opened later; ids are those of this one.
        self.start = (!saved.prompt.is_empty()).then_some(prompt);
        self.show(saved.pane);
        self.load = saved.load;
        self.heads = saved.heads;
        self.lens_measure = saved.lens_measure;
        self.log_scale = saved.log_scale;
        self.beside = Beside::of(saved.beside.filter(|policy| *policy != saved.precision));
        let vocab = self.meta().map_or(0, |meta| meta.dims.vocab);
        let known = saved.targets.iter().filter(|(id, _)| (*id as usize) < vocab);
        self.targets = known.map(|(id, piece)| Target { id: *id, piece: piece.as_str().into() }).collect();
        self.colour = saved.colour;
        self.details_flipped.clone_from(&saved.details_flipped);
        self.details = saved.details;
        self.other = saved.other;
        self.zoomed = saved.zoomed;
        self.cursor = Cursor { token: 0, ..saved.cursor };
        let ask =
            Ask::Restore { prompt: self.start.clone(), tokens: saved.tokens.clone(), branches: saved.branches.clone() };
        self.resume.reading = Some(saved);
        self.start_job(ask)
    }

    /// All tokens of the session were read: puts the cursor back.
    pub(super) fn on_resumed(&mut self) {
        if let Some(saved) = self.resume.reading.take() {
            self.cursor = saved.cursor;
            self.scroll = saved.scroll;
            self.set_bookmarks(saved.bookmarks);
            self.branches = saved.branches;
            self.catch_up = false;
            self.clamp();
        }
    }
}
