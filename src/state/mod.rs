//! What the user sees and means. Pure: events in, effects out; no file, thread, clock, terminal or tensor.

mod beside;
mod bookmarks;
mod bounded;
mod contributions;
mod copy;
mod derived;
pub mod editor;
mod engine_events;
pub mod examples;
mod fuzzy;
mod heads;
mod key;
mod keymap;
pub mod keys;
mod lens;
mod lines;
mod messages;
mod mouse;
mod overlay;
mod palette;
mod panes;
mod picker;
mod playback;
mod refusals;
mod routing;
mod saved;
mod saving;
mod search;
mod strip;
mod table;
pub mod text;
mod update;
mod work;

pub use beside::{Beside, FidelityLens, Policies, Recorded};
pub use contributions::Details;
pub use derived::{Derivations, Wanted, WantedBeside};
pub use heads::{HeadsView, MeasuredOn, Over, Ranked, Side};
pub use lens::{LensLayout, LensMeasure, Target};
pub use lines::Lines;
pub use mouse::{Gesture, Selection, Spot};
pub use overlay::{FIELDS, Form, Input, InputKind, Overlay, Page};
pub use palette::{Command, Palette};
pub use panes::{OtherPane, Pane};
pub use picker::{Choice, Origin, Picker};
pub use routing::{CloseCalls, LoadMeasure, RoutingLens};
pub use saved::Saved;
pub use saving::Save;
pub use search::Search;
pub use strip::FULL_NATS;
pub use update::update;
pub use work::{Job, Message, Opening, Pace};

pub use crate::analysis::view::Tab;
use crate::analysis::{Lab, RunUsage};
use crate::protocol::Branches;
use crate::protocol::{Ask, Failure, Memory, RequestId};
use crate::trace::Prompt;
use crate::trace::{LensSite, Meta, Policy, Sampling, TokenRecord};
use keys::{Action, Key, Keymap};
use saved::Resume;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Ways to look at attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AttentionLens {
    /// All heads as thumbnails, the chosen one beside them.
    Grid,
    /// The chosen head over the whole width.
    Head,
}

/// What colours the text strip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StripColour {
    /// First expert of the layer at the cursor.
    Expert,
    /// Loss of the token.
    Loss,
    /// Entropy of the distribution that predicted it.
    Entropy,
    /// How much the head at the cursor looks at it from the token at the cursor, or from it to that token.
    Attention,
    /// Nothing.
    Plain,
}

/// The one cursor of all views.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// Position in the run.
    pub token: usize,
    /// Decoder layer.
    pub layer: usize,
    /// Query head.
    pub head: usize,
    /// Expert.
    pub expert: usize,
    /// Row of the candidates.
    pub candidate: usize,
}

/// How far the model is.
#[derive(Clone, Debug)]
pub enum Phase {
    /// None is open yet.
    Loading,
    /// Open.
    Ready(Arc<Meta>),
    /// Could not be opened, or its thread has ended.
    Failed(Failure),
}

/// All of it.
#[derive(Clone, Debug)]
pub struct State {
    /// How far the model is.
    pub phase: Phase,
    /// The model being opened.
    pub opening: Option<Opening>,
    /// Where the weights are, if they are in mapped files.
    pub memory: Option<Memory>,
    /// Whether prompts are put into the model's chat template.
    pub chat: bool,
    /// What was read so far.
    pub tokens: Vec<Arc<TokenRecord>>,
    /// Each token as it is drawn, and the cells that takes.
    pub shown: Vec<(String, u16)>,
    /// Where its lines begin at the width the text was last drawn at.
    pub lines: Lines,
    /// What routing did over the run.
    pub stats: RunUsage,
    /// The prompt as text; what the editor starts from.
    pub prompt: String,
    /// Earlier prompts, oldest first.
    pub history: Vec<String>,
    /// The cursor.
    pub cursor: Cursor,
    /// How far the files are that are being written.
    pub saving: Option<String>,
    /// Whether it was said that leaving now would lose them.
    warned_of_saving: bool,
    /// What the files under way hold other than the screen, to be said when they are there; empty = nothing.
    saving_note: &'static str,
    /// Tokens selected with the mouse.
    pub selection: Option<Selection>,
    /// The view on screen.
    pub view: Tab,
    /// The other pane, if the screen is split.
    pub other: Option<OtherPane>,
    /// Whether the view has all the room.
    pub zoomed: bool,
    /// How routing is looked at.
    pub routing: RoutingLens,
    /// What the load over the run is measured by.
    pub load: LoadMeasure,
    /// How fidelity is looked at.
    pub fidelity: FidelityLens,
    /// The run under another policy.
    pub beside: Beside,
    /// What the last precision lab found.
    pub lab: Option<Arc<Lab>>,
    /// How attention is looked at.
    pub attention: AttentionLens,
    /// How the lens is looked at.
    pub lens: LensLayout,
    /// How the heads are measured, ordered and drawn.
    pub heads: HeadsView,
    /// Which residual the lens reads.
    pub lens_site: LensSite,
    /// What the lens shows of each residual.
    pub lens_measure: LensMeasure,
    /// Tokens whose way through the layers is followed, oldest first; the model's own answer is followed anyway.
    pub targets: Vec<Target>,
    /// Whether values that span decades are on a logarithmic scale.
    pub log_scale: bool,
    /// What colours the text.
    pub colour: StripColour,
    /// Views whose details are the other way than the size of the screen suggests (shown if wide, folded if narrow).
    pub details_flipped: BTreeSet<Tab>,
    /// What the details show.
    pub details: Details,
    /// First line of the Fidelity view.
    pub scroll: usize,
    /// Lines that the page on top has beyond the screen, as last drawn.
    page_overflow: usize,
    /// Heads that stood side by side in the grid when it was last drawn.
    heads_across: u16,
    /// Whether the text had no title when it was last drawn, which says what its colours mean.
    strip_is_untitled: bool,
    /// What lies over the views, topmost last.
    pub overlays: Vec<Overlay>,
    /// How the next token is chosen.
    pub sampling: Sampling,
    /// The policy that was asked for.
    pub policy: Policy,
    /// The sentence in the status line.
    pub message: Option<Message>,
    /// Runs the engine has not finished, oldest first.
    pub jobs: Vec<Job>,
    /// How fast tokens come.
    pub pace: Pace,
    /// Derived views that have arrived.
    pub derived: Derivations,
    /// The keys in force.
    pub keymap: Arc<Keymap>,
    /// The first of two keys, until the second comes.
    pub pending: Option<Key>,
    /// Whether the prompt editor says what the program is and how to begin.
    pub first_run: bool,
    /// Whether the cursor stays where it is while a run goes on, and joins its end only when it is over.
    pub reduced_motion: bool,
    /// Whether the cursor is to join the end of the run when that is over.
    catch_up: bool,
    /// The runs that edits have left.
    branches: Branches,
    /// An earlier session on its way back.
    resume: Resume,
    /// The search under way.
    pub search: Option<Search>,
    /// Marked tokens.
    pub bookmarks: BTreeSet<usize>,
    /// Actions that were used from the palette, last first.
    recent: Vec<Action>,
    /// The prompt to run once a model is open: the command line's, then the last one.
    start: Option<Prompt>,
    /// Where in the text the mouse went down.
    drag_from: Option<usize>,
    next_id: u64,
}

/// What can happen.
#[derive(Clone, Debug)]
pub enum Event {
    /// A key.
    Key(Key),
    /// Pasted text.
    Paste(String),
    /// The mouse, and what lies under it.
    Mouse(Gesture, Option<Spot>),
    /// The engine reports.
    Engine(crate::protocol::Event),
    /// A frame was drawn and lacked this.
    Drawn(Wanted),
    /// Models that were found for the picker.
    Models(Vec<Choice>),
    /// How far the files are that are being written.
    Saving(String),
    /// Files were written, and what is to be said of them; or not.
    Saved(Result<String, Failure>),
    /// Something outside the engine failed.
    Trouble(Failure),
}

/// What is to be done outside.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Ask the engine.
    Ask(RequestId, Ask),
    /// Cancel runs up to this id.
    Cancel(RequestId),
    /// Stop opening models, up to this id.
    CancelOpening(RequestId),
    /// Look for models that can be opened: known ones, and paths that begin with this text.
    FindModels(String),
    /// Keep this prompt in the history file.
    Remember(String),
    /// Keep this model among the recent ones.
    RememberModel(String),
    /// Put this text into the clipboard.
    Copy(String),
    /// Stop the program until it is brought back.
    Suspend,
    /// Clear the screen and draw it anew.
    Redraw,
    /// Write this to files.
    Save(Save),
    /// Give up the files that are being written.
    StopSaving,
    /// Leave.
    Quit,
}

impl State {
    /// Before the model is open; `start` is run as soon as it is.
    pub fn new(start: Option<Prompt>, sampling: Sampling, policy: Policy, history: Vec<String>) -> Self {
        Self {
            phase: Phase::Loading,
            opening: None,
            memory: None,
            chat: matches!(start, Some(Prompt::Chat(_))),
            tokens: Vec::new(),
            shown: Vec::new(),
            lines: Lines::default(),
            stats: RunUsage::default(),
            prompt: String::new(),
            history,
            cursor: Cursor::default(),
            saving: None,
            warned_of_saving: false,
            saving_note: "",
            selection: None,
            view: Tab::Routing,
            other: None,
            zoomed: false,
            routing: RoutingLens::Token,
            load: LoadMeasure::First,
            fidelity: FidelityLens::default(),
            beside: Beside::default(),
            lab: None,
            attention: AttentionLens::Grid,
            lens: LensLayout::default(),
            heads: HeadsView::default(),
            lens_site: LensSite::ResidPost,
            lens_measure: LensMeasure::default(),
            targets: Vec::new(),
            log_scale: false,
            colour: StripColour::Expert,
            details_flipped: BTreeSet::new(),
            details: Details::default(),
            scroll: 0,
            page_overflow: usize::MAX,
            heads_across: 1,
            strip_is_untitled: false,
            overlays: Vec::new(),
            sampling,
            policy,
            message: None,
            jobs: Vec::new(),
            pace: Pace::default(),
            derived: Derivations::default(),
            keymap: Arc::default(),
            pending: None,
            first_run: false,
            reduced_motion: false,
            catch_up: false,
            branches: Branches::default(),
            resume: Resume::default(),
            search: None,
            bookmarks: BTreeSet::new(),
            recent: Vec::new(),
            start,
            drag_from: None,
            next_id: 1,
        }
    }

    /// Asks for a model; the one in use stays until it is there.
    pub fn open_model(&mut self, name: String) -> Vec<Effect> {
        let mut effects: Vec<Effect> = self.cancel_opening().into_iter().collect();
        let id = self.new_id();
        if self.meta().is_none() {
            self.phase = Phase::Loading;
        }
        self.message = None;
        self.resume.waiting = None;
        self.opening = Some(Opening { id, name: name.clone(), download: None });
        effects.push(Effect::Ask(id, Ask::Open(name)));
        effects
    }

    fn cancel_opening(&mut self) -> Option<Effect> {
        let opening = self.opening.take()?;
        if self.meta().is_none() {
            let summary = format!("opening {} was cancelled", opening.name);
            let kept = "what was downloaded is kept, and opening it again goes on from there".to_owned();
            self.phase = Phase::Failed(Failure { summary, causes: vec![kept] });
        }
        Some(Effect::CancelOpening(opening.id))
    }

    /// The model, if it is open.
    pub fn meta(&self) -> Option<&Arc<Meta>> {
        match &self.phase {
            Phase::Ready(meta) => Some(meta),
            _ => None,
        }
    }

    /// The token at the cursor.
    pub fn token(&self) -> Option<&TokenRecord> {
        self.tokens.get(self.cursor.token).map(|token| &**token)
    }

    /// What colours the text now: in the Attention view, where the head at the cursor looks.
    pub fn strip_colour(&self) -> StripColour {
        match (self.view, self.colour) {
            (Tab::Attention, StripColour::Expert) => StripColour::Attention,
            (_, colour) => colour,
        }
    }

    /// Whether the engine has a run to do.
    pub fn is_busy(&self) -> bool {
        !self.jobs.is_empty()
    }

    /// Whether the screen changes without a key: a run goes on, a model is being opened, a view is being derived.
    pub fn is_moving(&self) -> bool {
        self.is_busy() || self.opening.is_some() || self.derived.is_pending()
    }

    fn new_id(&mut self) -> RequestId {
        self.next_id += 1;
        RequestId(self.next_id)
    }

    /// Brings the cursor back into what exists.
    fn clamp(&mut self) {
        self.cursor.token = self.cursor.token.min(self.tokens.len().saturating_sub(1));
        self.selection.take_if(|selection| selection.range().end > self.tokens.len());
        if let Phase::Ready(meta) = &self.phase {
            let d = meta.dims;
            self.cursor.layer = self.cursor.layer.min(d.layers - 1);
            self.cursor.head = self.cursor.head.min(d.heads - 1);
            self.cursor.expert = self.cursor.expert.min(d.experts - 1);
        }
        let candidates = self.token().map_or(0, |token| token.next.top.len());
        self.cursor.candidate = self.cursor.candidate.min(candidates.saturating_sub(1));
    }
}
