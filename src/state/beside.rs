//! The run under another policy, kept beside the run on screen: A is that one, B the run itself.

use super::bounded::Bounded;
use super::keys::Edit;
use super::{Effect, Overlay, State, Tab};
use crate::analysis::diff::{Flip, RunDiff, same_experts, shared};
use crate::protocol::Ask;
use crate::trace::{Candidate, Dims, Direction, LensCell, LensKey, Meta, Policy, Records, TokenRecord};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Bytes that lens cells of A may take.
const MOST_BYTES: usize = 8 << 20;

/// Ways to look at fidelity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FidelityLens {
    /// What was validated when the model was opened.
    #[default]
    Validated,
    /// Layers × tokens: where A and B chose other experts.
    Flips,
    /// One token a line: what each run loses.
    Loss,
    /// Policies side by side.
    Lab,
}

impl FidelityLens {
    /// The one after it.
    pub(super) fn next(self) -> Self {
        match self {
            Self::Validated => Self::Flips,
            Self::Flips => Self::Loss,
            Self::Loss => Self::Lab,
            Self::Lab => Self::Validated,
        }
    }

    /// Whether two runs are shown.
    pub fn shows_two(self) -> bool {
        matches!(self, Self::Flips | Self::Loss)
    }
}

/// Choosing a policy to run the same tokens under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policies {
    /// The marked row of [`Policy::all`].
    pub at: usize,
}

impl Policies {
    /// How many there are.
    pub fn count() -> usize {
        Policy::all().count()
    }

    pub(super) fn edit(&mut self, edit: Edit) {
        let by = match edit {
            Edit::Up => -1,
            Edit::Down => 1,
            Edit::LineStart | Edit::PageUp => isize::MIN,
            Edit::LineEnd | Edit::PageDown => isize::MAX,
            _ => 0,
        };
        self.at = self.at.saturating_add_signed(by).min(Self::count().saturating_sub(1));
    }
}

/// What is known of A.
#[derive(Clone, Debug)]
struct Known {
    meta: Arc<Meta>,
    /// As far as it has been read; the same ids as the run's.
    tokens: Vec<Arc<TokenRecord>>,
    differences: RunDiff,
}

/// A run that was recorded, by mixscope or another program.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The file's name; untrusted text.
    pub name: String,
    /// What it holds.
    pub trace: Records,
    /// The lens cells that it holds.
    pub lens: Vec<(LensKey, Arc<LensCell>)>,
}

impl Recorded {
    /// The ids of its tokens.
    pub fn ids(&self) -> Vec<u32> {
        self.trace.tokens.iter().map(|token| token.id).collect()
    }
}

/// Where A comes from.
#[derive(Clone, Debug, Default)]
enum Origin {
    /// There is none.
    #[default]
    Nowhere,
    /// The engine reads the run's tokens under this policy.
    Policy(Policy),
    /// A file.
    Recording(Arc<Recorded>),
}

/// A, if there is one.
#[derive(Clone, Debug)]
pub struct Beside {
    origin: Origin,
    known: Option<Known>,
    lens: Bounded<LensKey, LensCell>,
}

impl Default for Beside {
    fn default() -> Self {
        Self { origin: Origin::default(), known: None, lens: Bounded::new(MOST_BYTES) }
    }
}

impl Beside {
    /// One that waits for a run under `policy`.
    pub(super) fn of(policy: Option<Policy>) -> Self {
        Self { origin: policy.map_or(Origin::Nowhere, Origin::Policy), ..Self::default() }
    }

    /// A run from a file.
    pub fn recorded(recorded: Recorded) -> Self {
        Self { origin: Origin::Recording(Arc::new(recorded)), ..Self::default() }
    }

    /// The policy under which the engine reads A.
    pub fn policy(&self) -> Option<Policy> {
        match self.origin {
            Origin::Policy(policy) => Some(policy),
            _ => None,
        }
    }

    /// Whether A is from a file.
    pub fn is_recorded(&self) -> bool {
        matches!(self.origin, Origin::Recording(_))
    }

    /// What A is called; may hold untrusted text. `None` if there is none.
    pub fn name(&self) -> Option<String> {
        match &self.origin {
            Origin::Nowhere => None,
            Origin::Policy(policy) => Some(policy.to_string()),
            Origin::Recording(recorded) => Some(format!("{} ({})", recorded.name, recorded.trace.meta.policy)),
        }
    }

    /// How A was rounded, as far as it is known.
    pub fn policy_of_a(&self) -> Option<Policy> {
        self.known.as_ref().map(|known| known.meta.policy)
    }

    /// Another model was opened: a recording stays, if it is of a model of the same shape. Says if it is not.
    pub(super) fn for_model(&mut self, run: &Meta) -> Option<String> {
        let origin = std::mem::take(&mut self.origin);
        *self = Self::default();
        let Origin::Recording(recorded) = origin else { return None };
        let shape = |meta: &Meta| (meta.dims.layers, meta.dims.experts, meta.dims.vocab);
        let (theirs, own) = (shape(&recorded.trace.meta), shape(run));
        if theirs != own {
            let says = |(layers, experts, vocab)| format!("{layers} layers of {experts} experts, {vocab} tokens");
            return Some(format!(
                "{} is not compared with: it has {}, this model has {}",
                recorded.name,
                says(theirs),
                says(own)
            ));
        }
        for (key, cell) in &recorded.lens {
            let bytes = size_of::<LensCell>() + cell.top.len() * size_of::<Candidate>();
            self.lens.insert(*key, cell.clone(), bytes);
        }
        self.origin = Origin::Recording(recorded);
        None
    }

    /// The tokens of A, as far as they have been read.
    pub fn tokens(&self) -> &[Arc<TokenRecord>] {
        self.known.as_ref().map_or(&[], |known| &known.tokens)
    }

    /// What A and B differ in, as far as both have come.
    pub fn differences(&self) -> Option<&RunDiff> {
        self.known.as_ref().map(|known| &known.differences)
    }

    /// A as a trace that shares its records, as far as it has been read.
    pub fn records(&self) -> Option<Records> {
        self.known.as_ref().map(|known| Records { meta: known.meta.clone(), tokens: known.tokens.clone() })
    }

    /// A lens cell of A.
    pub fn lens(&self, key: LensKey) -> Option<&LensCell> {
        self.lens.get(&key)
    }

    /// The run now is `tokens`, of which the first `unchanged` are the records they were.
    pub(super) fn follow(&mut self, tokens: &[Arc<TokenRecord>], unchanged: usize) {
        let Some(known) = &mut self.known else { return };
        known.differences.truncate(unchanged);
        let stands = unchanged.min(known.tokens.len());
        let alike = stands + shared(&known.tokens[stands..], &tokens[stands..]);
        known.tokens.truncate(alike);
        if let Origin::Recording(recorded) = &self.origin {
            let more = recorded.trace.tokens.iter().zip(tokens).skip(alike).take_while(|(a, b)| a.id == b.id);
            known.tokens.extend(more.map(|(a, _)| a.clone()));
        }
        known.differences.truncate(known.tokens.len());
        known.differences.extend(&known.tokens, tokens);
        let len = known.tokens.len();
        if !matches!(self.origin, Origin::Recording(_)) {
            self.lens.retain(|key, _| key.pos < len);
        }
    }

    /// The run's model and precision are these: what a recording differs in is counted anew.
    pub(super) fn begin(&mut self, run: &Meta) {
        if let Origin::Recording(recorded) = &self.origin {
            let meta = recorded.trace.meta.clone();
            let dtype = meta.router_dtype().coarser(run.router_dtype());
            self.known = Some(Known { differences: RunDiff::new(meta.dims.layers, dtype), meta, tokens: Vec::new() });
        }
    }

    /// Tokens of A arrived, of which the first `keep` are known.
    pub(super) fn take(
        &mut self,
        (meta, keep, told): (Arc<Meta>, usize, Vec<Arc<TokenRecord>>),
        run: &Meta,
        tokens: &[Arc<TokenRecord>],
    ) {
        if self.policy() != Some(meta.policy) {
            return;
        }
        let dtype = meta.router_dtype().coarser(run.router_dtype());
        let new =
            || Known { differences: RunDiff::new(meta.dims.layers, dtype), meta: meta.clone(), tokens: Vec::new() };
        let known = self.known.get_or_insert_with(new);
        if keep > known.tokens.len() {
            // An answer to what was asked before the run was edited.
            return;
        }
        known.differences.truncate(keep);
        known.tokens.truncate(keep);
        known.tokens.extend(told);
        let keep = keep.min(tokens.len());
        known.tokens.truncate(keep + shared(&known.tokens[keep..], &tokens[keep..]));
        known.differences.extend(&known.tokens, tokens);
    }

    pub(super) fn take_lens(&mut self, policy: Policy, cells: Vec<(LensKey, Arc<LensCell>)>) {
        if self.policy() == Some(policy) {
            for (key, cell) in cells {
                let bytes = size_of::<LensCell>() + cell.top.len() * size_of::<Candidate>();
                self.lens.insert(key, cell, bytes);
            }
        }
    }
}

impl State {
    /// The run goes on under another policy: what it was under is what it is compared with, and stays that until the run
    /// returns to it.
    pub(super) fn switched(&mut self, left: Policy, now: Policy) {
        match self.beside.origin {
            // What it differs in is counted anew as its tokens come.
            Origin::Recording(_) => {}
            Origin::Policy(policy) if policy != now => self.beside = Beside::of(Some(policy)),
            _ => self.beside = Beside::of((left != now).then_some(left)),
        }
    }

    /// The policy of the run on screen.
    pub(super) fn policy_in_force(&self) -> Policy {
        self.meta().map_or(self.policy, |meta| meta.policy)
    }

    /// Opens the list of policies at the one in force.
    pub(super) fn open_policies(&mut self) {
        let active = self.meta().map(|meta| meta.policy);
        let at = Policy::all().position(|policy| Some(policy) == active).unwrap_or(0);
        self.overlays.push(Overlay::Policies(Policies { at }));
    }

    /// Runs the tokens under the marked policy.
    pub(super) fn choose_policy(&mut self) -> Vec<Effect> {
        let Some(Overlay::Policies(Policies { at })) = self.overlays.pop() else { return Vec::new() };
        match Policy::all().nth(at) {
            Some(policy) if self.meta().is_some_and(|meta| meta.policy != policy) => self.run_under(policy),
            _ => Vec::new(),
        }
    }

    /// Runs the same tokens under `policy`.
    pub(super) fn run_under(&mut self, policy: Policy) -> Vec<Effect> {
        if self.is_busy() {
            self.say("pause first: switching the policy reads the whole run again");
            return Vec::new();
        }
        self.start_job(Ask::Policy(policy))
    }

    /// Whether the view with the focus shows the precision lab.
    pub(super) fn shows_lab(&self) -> bool {
        self.view == Tab::Fidelity && self.fidelity == FidelityLens::Lab
    }

    /// Whether the view with the focus shows two runs.
    pub fn compares(&self) -> bool {
        self.view == Tab::Fidelity && self.fidelity.shows_two()
    }

    /// Goes to the token before or after the cursor whose experts differ: in its layer, or in any where tokens are lines.
    pub(super) fn jump_to_flip(&mut self, direction: Direction) {
        let (at, layer) = (self.cursor.token, self.cursor.layer);
        let found = self.beside.differences().and_then(|found| match self.fidelity {
            FidelityLens::Flips => found.layers().get(layer)?.next(at, direction),
            _ => found.next(at, direction),
        });
        if let Some(pos) = found {
            self.go_to(pos);
            return;
        }
        let place = match direction {
            Direction::Back => "before",
            Direction::Forward => "after",
        };
        let which = if self.fidelity == FidelityLens::Flips { format!(" in layer {layer}") } else { String::new() };
        self.say(format!("no expert differs{which} {place} token {at}"));
    }

    /// How A's and B's experts differ for a token in a layer: `None` if A is not there yet or nothing was captured.
    pub fn experts_differ(&self, pos: usize, layer: usize) -> Option<bool> {
        let (a, b) = (self.beside.tokens().get(pos)?, self.tokens.get(pos)?);
        same_experts(a, b, layer).map(|same| !same)
    }

    /// Loss of B minus loss of A, nats; `None` if one is not there.
    pub fn loss_difference(&self, pos: usize) -> Option<f32> {
        let (a, b) = (self.beside.tokens().get(pos)?.score?, self.tokens.get(pos)?.score?);
        Some(b.nll - a.nll)
    }

    /// The flip of a token in a layer, if there is one.
    pub fn flip(&self, pos: usize, layer: usize) -> Option<&Flip> {
        self.beside.differences()?.flip(pos, layer)
    }

    /// Lens cells of B and A at the cursor, from the last layer down.
    pub fn compared_cells(&self, dims: Dims) -> impl Iterator<Item = LensKey> {
        let (pos, site) = (self.cursor.token, self.lens_site);
        (0..dims.layers).rev().map(move |layer| LensKey { pos, layer, site })
    }
}
