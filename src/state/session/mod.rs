//! Sessions: what is saved of the state, and how it is restored.

mod version_1;

pub use version_1::SavedVersion1;

use super::cursor::Cursor;
use super::panes::Panes;
use super::run::{Baseline, EditList, ListedEdit, RunTree};
use super::text::StripColour;
use super::views::effects::Pin;
use super::views::lens::Target;
use super::{Effect, State};
use crate::protocol::{Ask, Branches, Failure};
use crate::trace::{Dtype, Policy, Prompt, Sampling, Source, Variant};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A session as it is written to a file. Unknown fields are ignored.
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
    /// The prompt as text; the prompt editor starts from it.
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
    /// The colours of the text.
    pub colour: StripColour,
    /// Id and spelling of the tokens that are followed through the layers.
    pub targets: Vec<(u32, String)>,
    /// Bookmarks, by position.
    pub bookmarks: BTreeSet<usize>,
    /// The policy of the baseline of the comparison, if there is one.
    #[serde(rename = "beside")]
    pub baseline: Option<Policy>,
    /// Former runs, for undo and redo.
    pub branches: Branches,
    /// All runs that actions led to.
    #[serde(default, skip_serializing_if = "RunTree::is_empty")]
    pub tree: RunTree,
    /// The edits of the pass, as text; those that are switched off begin with `# `.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub edits: Vec<String>,
    /// A second prompt, compared with the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second: Option<Prompt>,
    /// Id and spelling of the foil of experiments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub foil: Option<(u32, String)>,
    /// Position and id of the pinned target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<(usize, u32)>,
    /// Whether the run without edits was shown.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub edits_off: bool,
}

impl Saved {
    /// The version that is written, and the newest that is read.
    pub const VERSION: u32 = 2;
}

/// A session that is being restored.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::state) struct Resume {
    /// A session that waits for its model.
    pub waiting: Option<Box<Saved>>,
    /// A session whose tokens are being read, or could not all be read.
    pub reading: Option<Box<Saved>>,
}

impl State {
    /// The current session; `None` if there is no run, if the run is a file already, or if an earlier session, which
    /// must not be overwritten, is not restored completely.
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
            baseline: self.baseline.variant().map(|variant| variant.policy),
            edits: self.edits.list.iter().map(ListedEdit::to_line).collect(),
            edits_off: self.edits.is_off,
            second: self.second.as_ref().map(|second| second.prompt.clone()),
            foil: self.foil.as_ref().map(|foil| (foil.id, foil.piece.to_string())),
            pin: self.pin.map(|pin| (pin.position, pin.token)),
            branches: self.branches.bounded(),
            tree: self.tree.clone(),
        })
    }

    /// Requests the model of a session, which is restored when the model is open.
    pub fn resume(&mut self, saved: Saved) -> Vec<Effect> {
        let effects = self.open_model(saved.model.clone());
        self.resume.waiting = Some(Box::new(saved));
        effects
    }

    /// Restores the views of a session whose model is open, and requests its tokens.
    pub(in crate::state) fn read_saved(&mut self, saved: Box<Saved>) -> Vec<Effect> {
        self.prompt.clone_from(&saved.prompt);
        self.chat = saved.chat;
        let text = saved.prompt.clone();
        let prompt = if saved.chat { Prompt::Chat(text) } else { Prompt::Text(text) };
        // A later model reads the prompt, as ids are those of this model.
        self.start = (!saved.prompt.is_empty()).then_some(prompt);
        self.panes = saved.panes.clone();
        let listed = saved.edits.iter().map(|line| ListedEdit::of_line(line)).collect::<anyhow::Result<Vec<_>>>();
        match listed {
            Ok(list) => self.edits = EditList { list, is_off: saved.edits_off },
            Err(error) => self.fail(Failure::of(&error.context("the edits of the session are left out"))),
        }
        let edits = self.edits.active();
        let is_other = |policy: &Policy| *policy != saved.precision || !edits.is_empty();
        self.baseline = Baseline::of(saved.baseline.filter(is_other).map(Variant::plain));
        let vocab = self.meta().map_or(0, |meta| meta.dims.vocab);
        let known = saved.targets.iter().filter(|(id, _)| (*id as usize) < vocab);
        self.targets = known.map(|(id, piece)| Target { id: *id, piece: piece.as_str().into() }).collect();
        self.colour = saved.colour;
        self.set_second(saved.second.clone());
        let foil = saved.foil.as_ref().filter(|(id, _)| (*id as usize) < vocab);
        self.foil = foil.map(|(id, piece)| Target { id: *id, piece: piece.as_str().into() });
        let pin = saved.pin.filter(|(_, token)| (*token as usize) < vocab);
        self.pin = pin.map(|(position, token)| Pin { position, token });
        self.cursor = Cursor { token: 0, ..saved.cursor };
        let ask = Ask::Restore {
            prompt: self.start.clone(),
            tokens: saved.tokens.clone(),
            branches: saved.branches.clone(),
            edits,
        };
        self.resume.reading = Some(saved);
        self.start_job(ask)
    }

    /// Restores the cursor, as all tokens of the session are read.
    pub(in crate::state) fn on_resumed(&mut self) {
        if let Some(saved) = self.resume.reading.take() {
            self.cursor = saved.cursor;
            // With fewer tokens, views may have had fewer lines.
            for (place, pane) in saved.panes.all().iter().enumerate() {
                if let Some(shown) = self.panes.get_mut(place) {
                    shown.scroll = pane.scroll;
                }
            }
            self.set_bookmarks(saved.bookmarks);
            self.branches = saved.branches;
            self.restore_tree(saved.tree);
            self.catch_up = false;
            self.clamp();
        }
    }
}
