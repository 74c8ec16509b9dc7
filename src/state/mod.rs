//! What the user sees and means. Pure: events in, effects out; no file, thread, clock, terminal or tensor.

mod cursor;
mod drawn;
mod event;
pub mod input;
mod messages;
pub mod overlays;
mod panes;
mod run;
mod saved;
pub mod text;
mod update;
pub mod views;

pub use cursor::Cursor;
pub use drawn::{Geometry, PaneGeometry};
pub use event::{Effect, Event};
pub use input::{Gesture, Selection, Spot};
pub use messages::Message;
pub use overlays::{Choice, Command, FIELDS, Form, Input, InputKind, Origin, Overlay, Page, Palette, Picker};
pub use overlays::{CloseCalls, Policies};
pub use panes::{Arrangement, Pane, Panes};
pub use run::{Beside, Derivations, Job, Opening, Pace, Recorded, Save, Wanted, WantedBeside};
pub use saved::{Saved, SavedOne};
pub use text::{FULL_NATS, Lines, Search, StripColour};
pub use update::update;
pub use views::attention::grid::Ranked;
pub use views::attention::{Heads, MeasuredOn, Over, Side};
pub use views::details::{Details, DetailsPage};
pub use views::lens::{Lens, LensMeasure, Target};
pub use views::routing::UsageMeasure;

use crate::analysis::view::{Tab, View};
use crate::analysis::{Lab, RunUsage};
use crate::protocol::{Branches, Failure, Memory, RequestId};
use crate::trace::{Meta, Policy, Prompt, Sampling, TokenRecord};
use input::{Action, Key, Keymap};
use saved::Resume;
use std::collections::BTreeSet;
use std::sync::Arc;

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
    /// How often experts were chosen over the run.
    pub usage: RunUsage,
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
    /// The panes of the screen.
    pub panes: Panes,
    /// The run under another policy.
    pub beside: Beside,
    /// What the last precision lab found.
    pub lab: Option<Arc<Lab>>,
    /// Tokens that are followed through the layers, oldest first; the model's own answer is followed anyway.
    pub targets: Vec<Target>,
    /// What colours the text.
    pub colour: StripColour,
    /// Sizes of the last frame.
    geometry: Geometry,
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
            usage: RunUsage::default(),
            prompt: String::new(),
            history,
            cursor: Cursor::default(),
            saving: None,
            warned_of_saving: false,
            saving_note: "",
            selection: None,
            panes: Panes::default(),
            beside: Beside::default(),
            lab: None,
            targets: Vec::new(),
            colour: StripColour::Expert,
            geometry: Geometry::default(),
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

    /// The model, if it is open.
    pub fn meta(&self) -> Option<&Arc<Meta>> {
        match &self.phase {
            Phase::Ready(meta) => Some(meta),
            _ => None,
        }
    }

    /// The pane with the focus.
    pub fn pane(&self) -> &Pane {
        self.panes.focused()
    }

    /// The pane with the focus, to be changed.
    pub fn pane_mut(&mut self) -> &mut Pane {
        self.panes.focused_mut()
    }

    /// The view with the focus.
    pub fn view(&self) -> View {
        self.pane().view()
    }

    /// The tab with the focus.
    pub fn tab(&self) -> Tab {
        self.pane().tab()
    }

    /// The token at the cursor.
    pub fn token(&self) -> Option<&TokenRecord> {
        self.tokens.get(self.cursor.token).map(|token| &**token)
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
}
