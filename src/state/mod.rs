//! What the user sees and does. Pure: events in, effects out; no file, thread, clock, terminal or tensor.

mod arrangement;
pub mod corpus;
mod cursor;
mod drawn;
mod event;
mod geometry;
pub mod input;
mod messages;
pub mod overlays;
mod panes;
mod run;
mod session;
pub mod text;
pub mod theme;
mod update;
pub mod views;

pub use crate::analysis::UsageMeasure;
pub use crate::analysis::view::{Layout, ShownMeasure};
pub use arrangement::{Arrangement, FirstArrangement};
pub use cursor::Cursor;
pub use event::{Effect, Event};
pub use geometry::{Geometry, PaneGeometry};
pub use input::{Gesture, SelectedUsage, Selection, Spot};
pub use messages::Message;
pub use overlays::{BranchList, ClosestCalls, EditMenu, EditsInForce, Policies, Reach, edit_offers};
pub use overlays::{Choice, Command, FIELDS, Form, Input, InputKind, Origin, Overlay, Page, Palette, Picker, Topic};
pub use panes::{Pane, Panes};
pub use run::{
    Baseline, BranchRow, Derivations, EditList, Job, ListedEdit, Opening, Pace, Place, Recorded, RunTree, Save,
    SecondPrompt, TreeNode, ViewFiles, Wanted, WantedBaseline, WantedExperiments,
};
pub use session::{Saved, SavedVersion1};
pub use text::{FULL_NATS, Lines, Search, StripColour};
pub use theme::ThemeName;
pub use update::update;
pub use views::attention::grid::Ranked;
pub use views::attention::{Heads, Over, Side};
pub use views::details::{Details, DetailsPage};
pub use views::effects::{Effects, Pin};
pub use views::lens::{Lens, LensMeasure, Target};

use crate::analysis::view::{Tab, View};
use crate::analysis::{Lab, RunUsage};
use crate::protocol::{Branches, Failure, Memory, RequestId};
use crate::trace::{Edit, Meta, Policy, Prompt, Sampling, TokenRecord};
use input::{Action, Jumps, Key, Keymap};
use session::Resume;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The model: being opened, open, or failed.
#[derive(Clone, Debug)]
pub enum Phase {
    /// No model is open yet.
    Loading,
    /// A model is open.
    Ready(Arc<Meta>),
    /// The model could not be opened, or its thread has ended.
    Failed(Failure),
}

/// The whole state of the explorer.
#[derive(Clone, Debug)]
pub struct State {
    /// The model: being opened, open, or failed.
    pub phase: Phase,
    /// The model being opened.
    pub opening: Option<Opening>,
    /// How much of the weights is in memory, if they are in mapped files.
    pub memory: Option<Memory>,
    /// Whether prompts are put into the model's chat template.
    pub chat: bool,
    /// The tokens of the run.
    pub tokens: Vec<Arc<TokenRecord>>,
    /// Each token as it is drawn, and its width in cells.
    pub shown: Vec<(String, u16)>,
    /// The lines of the text at the width of the last frame.
    pub lines: Lines,
    /// How often experts were chosen over the run.
    pub usage: RunUsage,
    /// The prompt as text; the prompt editor starts from it.
    pub prompt: String,
    /// Earlier prompts, oldest first.
    pub history: Vec<String>,
    /// The cursor.
    pub cursor: Cursor,
    /// The progress of the files that are being written.
    pub saving: Option<String>,
    /// Whether the user was warned that leaving now would lose these files.
    warned_of_saving: bool,
    /// Selected tokens.
    pub selection: Option<Selection>,
    /// The usage of experts inside and outside the selection.
    pub selected_usage: Option<Box<SelectedUsage>>,
    /// The places that the cursor jumped from.
    jumps: Jumps,
    /// The theme.
    pub theme: ThemeName,
    /// The panes of the screen.
    pub panes: Panes,
    /// The baseline A of the comparison; the run on screen is B.
    pub baseline: Baseline,
    /// The edits to begin with when a model is open.
    pub start_edits: Vec<Edit>,
    /// The edits of the pass.
    pub edits: EditList,
    /// The edits before the last change.
    edits_before: EditList,
    /// A second prompt, compared with the run.
    pub second: Option<SecondPrompt>,
    /// The token that the target of experiments is compared with.
    pub foil: Option<Target>,
    /// A foil that was typed, until its token is known.
    typed_foil: Option<String>,
    /// A target that stays while the cursor moves.
    pub pin: Option<Pin>,
    /// Whether effect maps on the screen are computed.
    pub maps_on: bool,
    /// The result of the last precision lab.
    pub lab: Option<Arc<Lab>>,
    /// Tokens that are followed through the layers, oldest first; the model's own answer is always followed.
    pub targets: Vec<Target>,
    /// The colours of the text.
    pub colour: StripColour,
    /// Sizes of the last frame.
    geometry: Geometry,
    /// Overlays over the views; the last one is on top.
    pub overlays: Vec<Overlay>,
    /// How the next token is chosen.
    pub sampling: Sampling,
    /// The requested policy.
    pub policy: Policy,
    /// The message in the footer.
    pub message: Option<Message>,
    /// The last message.
    last_message: Option<Message>,
    /// Failures from before the model was opened, to be shown once it is open.
    troubles: Vec<Failure>,
    /// Unfinished work of the engine on the run, oldest first.
    pub jobs: Vec<Job>,
    /// The speed of the generation.
    pub pace: Pace,
    /// Derived values that have arrived.
    pub derived: Derivations,
    /// The current keys.
    pub keymap: Arc<Keymap>,
    /// The first of two keys, until the second one comes.
    pub pending: Option<Key>,
    /// Whether the prompt editor introduces the program.
    pub first_run: bool,
    /// Whether the cursor waits for the end of a run before it moves there.
    pub reduced_motion: bool,
    /// Whether the cursor moves to the end of the run when the run is over.
    catch_up: bool,
    /// Former runs, for undo and redo.
    branches: Branches,
    /// All runs that actions led to.
    tree: RunTree,
    /// Whether the user was told that the oldest runs of the tree go.
    said_dropped: bool,
    /// A session that is being restored.
    resume: Resume,
    /// The current search.
    pub search: Option<Search>,
    /// Bookmarks, by position.
    pub bookmarks: BTreeSet<usize>,
    /// Actions recently used from the palette, last first.
    recent: Vec<Action>,
    /// The prompt to run when a model opens: that of the command line, then the last one.
    start: Option<Prompt>,
    /// The token where the mouse went down.
    drag_from: Option<usize>,
    next_id: u64,
}

impl State {
    /// A state without a model; `start` is run when one opens.
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
            selection: None,
            selected_usage: None,
            jumps: Jumps::default(),
            theme: ThemeName::default(),
            panes: Panes::default(),
            start_edits: Vec::new(),
            edits: EditList::default(),
            edits_before: EditList::default(),
            baseline: Baseline::default(),
            second: None,
            foil: None,
            typed_foil: None,
            pin: None,
            maps_on: false,
            lab: None,
            targets: Vec::new(),
            colour: StripColour::Expert,
            geometry: Geometry::default(),
            overlays: Vec::new(),
            sampling,
            policy,
            message: None,
            last_message: None,
            troubles: Vec::new(),
            jobs: Vec::new(),
            pace: Pace::default(),
            derived: Derivations::default(),
            keymap: Arc::default(),
            pending: None,
            first_run: false,
            reduced_motion: false,
            catch_up: false,
            branches: Branches::default(),
            tree: RunTree::default(),
            said_dropped: false,
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

    /// The pane with the focus, mutable.
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

    /// Whether the engine works on the run.
    pub fn is_busy(&self) -> bool {
        !self.jobs.is_empty()
    }

    /// Whether the screen changes without a key: the engine works on the run, opens a model or derives values.
    pub fn is_moving(&self) -> bool {
        self.is_busy() || self.opening.is_some() || self.derived.is_pending()
    }

    fn new_id(&mut self) -> RequestId {
        self.next_id += 1;
        RequestId(self.next_id)
    }
}
