//! The run under another policy, kept beside the run on screen: A is that one, B the run itself.

use super::bounded::Bounded;
use crate::analysis::diff::{RunDiff, shared};
use crate::protocol::Ask;
use crate::state::{Effect, State};
use crate::trace::{Candidate, LensCell, LensKey, Meta, Policy, Records, TokenRecord};
use std::sync::Arc;

/// Bytes that lens cells of A may take.
const MOST_BYTES: usize = 8 << 20;

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
    pub(in crate::state) fn of(policy: Option<Policy>) -> Self {
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
    pub(in crate::state) fn for_model(&mut self, run: &Meta) -> Option<String> {
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
    pub(in crate::state) fn follow(&mut self, tokens: &[Arc<TokenRecord>], unchanged: usize) {
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
    pub(in crate::state) fn begin(&mut self, run: &Meta) {
        if let Origin::Recording(recorded) = &self.origin {
            let meta = recorded.trace.meta.clone();
            let dtype = meta.router_dtype().coarser(run.router_dtype());
            self.known = Some(Known { differences: RunDiff::new(meta.dims.layers, dtype), meta, tokens: Vec::new() });
        }
    }

    /// Tokens of A arrived, of which the first `keep` are known.
    pub(in crate::state) fn take(
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

    pub(in crate::state) fn take_lens(&mut self, policy: Policy, cells: Vec<(LensKey, Arc<LensCell>)>) {
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
    pub(in crate::state) fn switched(&mut self, left: Policy, now: Policy) {
        match self.beside.origin {
            // What it differs in is counted anew as its tokens come.
            Origin::Recording(_) => {}
            Origin::Policy(policy) if policy != now => self.beside = Beside::of(Some(policy)),
            _ => self.beside = Beside::of((left != now).then_some(left)),
        }
    }

    /// The policy of the run on screen.
    pub(in crate::state) fn policy_in_force(&self) -> Policy {
        self.meta().map_or(self.policy, |meta| meta.policy)
    }

    /// Runs the same tokens under `policy`.
    pub(in crate::state) fn run_under(&mut self, policy: Policy) -> Vec<Effect> {
        if self.is_busy() {
            self.say("pause first: switching the policy reads the whole run again");
            return Vec::new();
        }
        self.start_job(Ask::Policy(policy))
    }
}
