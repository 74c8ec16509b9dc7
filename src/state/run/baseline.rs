//! The baseline A of a comparison; the run on screen is B. A is a variant of the run under another policy or other
//! edits, which the engine reads, or it is a recording.

use super::bounded::Bounded;
use crate::analysis::diff::{RunDiff, shared};
use crate::protocol::Ask;
use crate::state::{Effect, State};
use crate::trace::{Candidate, LensCell, LensKey, Meta, Policy, Records, TokenRecord, Variant};
use std::sync::Arc;

/// The most bytes of the lens cells of A.
const MOST_BYTES: usize = 8 << 20;

/// The tokens of A that have arrived.
#[derive(Clone, Debug)]
struct Known {
    meta: Arc<Meta>,
    /// The first tokens of A, with the ids of the run on screen.
    tokens: Vec<Arc<TokenRecord>>,
    diff: RunDiff,
}

/// A recorded run, made by mixscope or another program.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The file's name; untrusted text.
    pub name: String,
    /// Its records.
    pub trace: Records,
    /// Its lens cells.
    pub lens: Vec<(LensKey, Arc<LensCell>)>,
}

impl Recorded {
    /// The ids of its tokens.
    pub fn ids(&self) -> Vec<u32> {
        self.trace.tokens.iter().map(|token| token.id).collect()
    }
}

/// The origin of A.
#[derive(Clone, Debug, Default)]
enum Origin {
    /// There is no A.
    #[default]
    Nowhere,
    /// The engine reads the tokens of the run as this variant.
    Variant(Variant),
    /// A file holds the run.
    Recording(Arc<Recorded>),
}

/// The baseline A of a comparison, if there is one.
#[derive(Clone, Debug)]
pub struct Baseline {
    origin: Origin,
    known: Option<Known>,
    lens: Bounded<LensKey, LensCell>,
}

impl Default for Baseline {
    fn default() -> Self {
        Self { origin: Origin::default(), known: None, lens: Bounded::new(MOST_BYTES) }
    }
}

impl Baseline {
    /// A variant of the run before its first token has arrived.
    pub(in crate::state) fn of(variant: Option<Variant>) -> Self {
        Self { origin: variant.map_or(Origin::Nowhere, Origin::Variant), ..Self::default() }
    }

    /// A run from a file.
    pub fn recorded(recorded: Recorded) -> Self {
        Self { origin: Origin::Recording(Arc::new(recorded)), ..Self::default() }
    }

    /// The variant that the engine reads; `None` for a recording.
    pub fn variant(&self) -> Option<&Variant> {
        match &self.origin {
            Origin::Variant(variant) => Some(variant),
            _ => None,
        }
    }

    /// Whether A is from a file.
    pub fn is_recorded(&self) -> bool {
        matches!(self.origin, Origin::Recording(_))
    }

    /// The name of A; may hold untrusted text. `None` if there is no A.
    pub fn name(&self) -> Option<String> {
        match &self.origin {
            Origin::Nowhere => None,
            Origin::Variant(variant) => Some(variant.to_string()),
            Origin::Recording(recorded) => Some(format!("{} ({})", recorded.name, recorded.trace.meta.policy)),
        }
    }

    /// The policy of A, once it is known.
    pub fn known_policy(&self) -> Option<Policy> {
        self.known.as_ref().map(|known| known.meta.policy)
    }

    /// Keeps a recording for another model, if the shapes of both models agree; else returns a warning.
    pub(in crate::state) fn for_model(&mut self, run: &Meta) -> Option<String> {
        let origin = std::mem::take(&mut self.origin);
        *self = Self::default();
        let Origin::Recording(recorded) = origin else { return None };
        let shape = |meta: &Meta| (meta.dims.layers, meta.dims.experts, meta.dims.vocab);
        let (theirs, own) = (shape(&recorded.trace.meta), shape(run));
        if theirs != own {
            let says = |(layers, experts, vocab)| format!("{layers} layers of {experts} experts, {vocab} tokens");
            return Some(format!(
                "{} can't be compared with this model: it has {}, this model has {}",
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

    /// The tokens of A that have arrived.
    pub fn tokens(&self) -> &[Arc<TokenRecord>] {
        self.known.as_ref().map_or(&[], |known| &known.tokens)
    }

    /// The differences of A and B, as far as both have come.
    pub fn diff(&self) -> Option<&RunDiff> {
        self.known.as_ref().map(|known| &known.diff)
    }

    /// The first position at which the text of a recording is not that of the run on screen, `tokens`. `None` if one is the
    /// beginning of the other, or A is no recording.
    pub fn differs_from(&self, tokens: &[Arc<TokenRecord>]) -> Option<usize> {
        let Origin::Recording(recorded) = &self.origin else { return None };
        let same = self.known.as_ref()?.tokens.len();
        (same < tokens.len() && same < recorded.trace.tokens.len()).then_some(same)
    }

    /// The records of A that have arrived.
    pub fn records(&self) -> Option<Records> {
        self.known.as_ref().map(|known| Records { meta: known.meta.clone(), tokens: known.tokens.clone() })
    }

    /// A lens cell of A.
    pub fn lens(&self, key: LensKey) -> Option<&LensCell> {
        self.lens.get(&key)
    }

    /// Follows a change of the run on screen to `tokens`. The first `unchanged` records are the same as before.
    pub(in crate::state) fn follow(&mut self, tokens: &[Arc<TokenRecord>], unchanged: usize) {
        let Some(known) = &mut self.known else { return };
        known.diff.truncate(unchanged);
        let same = unchanged.min(known.tokens.len());
        let alike = same + shared(&known.tokens[same..], &tokens[same..]);
        known.tokens.truncate(alike);
        if let Origin::Recording(recorded) = &self.origin {
            let more = recorded.trace.tokens.iter().zip(tokens).skip(alike).take_while(|(a, b)| a.id == b.id);
            known.tokens.extend(more.map(|(a, _)| a.clone()));
        }
        known.diff.truncate(known.tokens.len());
        known.diff.extend(&known.tokens, tokens);
        let len = known.tokens.len();
        if !matches!(self.origin, Origin::Recording(_)) {
            self.lens.retain(|key, _| key.pos < len);
        }
    }

    /// Starts the comparison of a recording with a run of this model and precision.
    pub(in crate::state) fn begin(&mut self, run: &Meta) {
        if let Origin::Recording(recorded) = &self.origin {
            let meta = recorded.trace.meta.clone();
            let dtype = meta.router_dtype().coarser(run.router_dtype());
            self.known = Some(Known { diff: RunDiff::new(meta.dims.layers, dtype), meta, tokens: Vec::new() });
        }
    }

    /// Takes tokens of A that follow its first `keep` tokens.
    pub(in crate::state) fn take(
        &mut self,
        (meta, keep, new): (Arc<Meta>, usize, Vec<Arc<TokenRecord>>),
        run: &Meta,
        tokens: &[Arc<TokenRecord>],
    ) {
        if self.variant() != Some(&Variant::of(&meta)) {
            return;
        }
        let dtype = meta.router_dtype().coarser(run.router_dtype());
        let start = || Known { diff: RunDiff::new(meta.dims.layers, dtype), meta: meta.clone(), tokens: Vec::new() };
        let known = self.known.get_or_insert_with(start);
        if keep > known.tokens.len() {
            // The answer belongs to a request before the run was changed.
            return;
        }
        known.diff.truncate(keep);
        known.tokens.truncate(keep);
        known.tokens.extend(new);
        let keep = keep.min(tokens.len());
        known.tokens.truncate(keep + shared(&known.tokens[keep..], &tokens[keep..]));
        known.diff.extend(&known.tokens, tokens);
    }

    pub(in crate::state) fn take_lens(&mut self, variant: &Variant, cells: Vec<(LensKey, Arc<LensCell>)>) {
        if self.variant() == Some(variant) {
            for (key, cell) in cells {
                let bytes = size_of::<LensCell>() + cell.top.len() * size_of::<Candidate>();
                self.lens.insert(key, cell, bytes);
            }
        }
    }
}

impl State {
    /// Follows a change of the policy or the edits. The run on screen is compared with its first variant, until it returns to
    /// that; under edits, with the run without them.
    pub(in crate::state) fn switched(&mut self, left: &Variant, now: &Variant) {
        match &self.baseline.origin {
            // The comparison starts again as tokens arrive.
            Origin::Recording(_) => {}
            // What edits do shows against the same run without them.
            _ if left.edits != now.edits && !now.edits.is_empty() => {
                self.baseline = Baseline::of(Some(Variant::plain(now.policy)));
            }
            Origin::Variant(variant) if variant != now => self.baseline = Baseline::of(Some(variant.clone())),
            _ => self.baseline = Baseline::of((left != now).then(|| left.clone())),
        }
    }

    /// How the run on screen is computed.
    pub(in crate::state) fn current_variant(&self) -> Variant {
        self.meta().map_or_else(|| Variant::plain(self.policy), |meta| Variant::of(meta))
    }

    /// Runs the same tokens under `policy`.
    pub(in crate::state) fn run_under(&mut self, policy: Policy) -> Vec<Effect> {
        if self.meta().is_some_and(|meta| meta.policy == policy) {
            self.say(format!("the policy is {policy} already"));
            return Vec::new();
        }
        if self.is_busy() {
            self.say("pause first: switching the policy reads the whole run again");
            return Vec::new();
        }
        self.start_job(Ask::Policy(policy))
    }
}
