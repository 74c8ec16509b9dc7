//! What a frame lacked, and the requests for it.

use super::derived::Derivations;
use crate::analysis::{AttributionKey, Pick};
use crate::protocol::{Derive, Failure, RequestId};
use crate::trace::{LensKey, Policy, Sampling};

/// What is missing of the run under another policy.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WantedBeside {
    /// The policy, its tokens that are known, and the tokens of the run.
    pub run: Option<(Policy, usize, usize)>,
    /// The policy, and lens cells.
    pub lens: Option<(Policy, Vec<LensKey>)>,
}

/// What a frame could not draw because it was not derived yet.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wanted {
    /// Lens cells, most wanted first.
    pub lens: Vec<LensKey>,
    /// Position and targets of missing trajectories.
    pub trajectories: Option<(usize, Vec<u32>)>,
    /// Position whose distribution is missing as it is sampled from.
    pub tempered: Option<(usize, Sampling)>,
    /// Position and the candidates after it of which it isn't known yet what would follow.
    pub what_if: Option<(usize, Vec<u32>)>,
    /// Shares in a logit.
    pub attribution: Option<AttributionKey>,
    /// Maps that are missing or no longer cover the run: layer, head or heads, largest number of cells a side.
    pub maps: Vec<(usize, Pick, usize)>,
    /// Layer and query of missing attention rows.
    pub rows: Option<(usize, usize)>,
    /// Layer, head and key of an attention column that is missing or no longer covers the run.
    pub column: Option<(usize, Pick, usize)>,
    /// Heads whose figures are missing or no longer cover the run, most wanted first.
    pub stats: Vec<(usize, usize)>,
    /// Whether the heads' scores on repeated random tokens are missing.
    pub scores: bool,
    /// What is missing of the run under another policy.
    pub beside: Box<WantedBeside>,
}

impl Derivations {
    /// Notes how far a request is.
    pub(in crate::state) fn progressed(&mut self, id: RequestId, done: usize, total: usize) {
        if self.waits_for(id) {
            self.progress = Some((id, done, total));
        }
    }

    /// Whether an answer to `id` is still waited for.
    pub(in crate::state) fn waits_for(&self, id: RequestId) -> bool {
        self.pending.values().any(|(pending, _)| *pending == id)
    }

    /// Ends a request that failed.
    pub(in crate::state) fn fail(&mut self, id: RequestId) {
        let failed = self.pending.values().find(|(pending, _)| *pending == id);
        if let Some((_, ask)) = failed {
            self.failed.insert(ask.kind(), ask.clone());
            self.scores_failed |= *ask == Derive::HeadScores;
        }
        self.finish(id);
    }

    /// Ends a request.
    pub(in crate::state) fn finish(&mut self, id: RequestId) {
        self.pending.retain(|_, (pending, _)| *pending != id);
    }

    /// Ends a request that failed.
    pub(in crate::state) fn refuse(&mut self, id: RequestId, failure: &Failure) {
        for (pending, ask) in self.pending.values() {
            if let (true, Derive::Attribution(key)) = (*pending == id, ask) {
                self.attributions.insert(*key, Err(failure.summary.clone()));
            }
        }
    }

    /// The requests to make for what a frame lacked; what is under way is not asked for again.
    pub(in crate::state) fn requests(&self, wanted: Wanted) -> Vec<Derive> {
        let mut asks = Vec::new();
        if !wanted.lens.is_empty() {
            asks.push(Derive::Lens { cells: wanted.lens });
        }
        if let Some((pos, targets)) = wanted.trajectories {
            asks.push(Derive::Trajectories { pos, targets });
        }
        if let Some((pos, sampling)) = wanted.tempered {
            asks.push(Derive::Tempered { pos, sampling });
        }
        if let Some((pos, ids)) = wanted.what_if {
            asks.push(Derive::WhatIf { pos, ids });
        }
        if !wanted.maps.is_empty() {
            asks.push(Derive::HeadMaps { maps: wanted.maps });
        }
        if let Some((layer, query)) = wanted.rows {
            asks.push(Derive::HeadRows { layer, query });
        }
        if let Some((layer, pick, key)) = wanted.column {
            asks.push(Derive::HeadColumns { layer, pick, key });
        }
        if !wanted.stats.is_empty() {
            asks.push(Derive::HeadStats { heads: wanted.stats });
        }
        if wanted.scores {
            asks.push(Derive::HeadScores);
        }
        asks.extend(wanted.attribution.map(Derive::Attribution));
        asks.extend(wanted.beside.run.map(|(policy, have, len)| Derive::Variant { policy, have, len }));
        asks.extend(wanted.beside.lens.map(|(policy, cells)| Derive::VariantLens { policy, cells }));
        asks.retain(|ask| self.failed.get(&ask.kind()) != Some(ask));
        asks.retain(|ask| match self.pending.get(&ask.kind()) {
            None => true,
            // They arrive in parts: only ask anew if something else is wanted now. What grows with the run is renewed
            // when the request under way has arrived.
            Some((_, pending)) => !covers(pending, ask),
        });
        asks
    }

    /// The texts whose tokens are waited for.
    pub(in crate::state) fn unspelled(&self) -> Vec<String> {
        let pending = self.pending.values().find_map(|(_, ask)| match ask {
            Derive::Spell { texts } => Some(texts.clone()),
            _ => None,
        });
        pending.unwrap_or_default()
    }

    /// Notes a request that was made.
    pub(in crate::state) fn note(&mut self, id: RequestId, ask: Derive) {
        self.pending.insert(ask.kind(), (id, ask));
    }

    /// Units done and in all of the scores under way.
    pub fn scores_progress(&self) -> Option<(usize, usize)> {
        let (id, done, total) = self.progress?;
        let (pending, _) = self.pending.get(&Derive::HeadScores.kind())?;
        (*pending == id).then_some((done, total))
    }

    /// Whether a derived view is being computed.
    pub fn is_pending(&self) -> bool {
        !self.pending.is_empty()
    }
}

/// Whether a request under way brings everything that `ask` wants.
fn covers(pending: &Derive, ask: &Derive) -> bool {
    match (pending, ask) {
        (Derive::Lens { cells: pending }, Derive::Lens { cells }) => cells.iter().all(|cell| pending.contains(cell)),
        (Derive::HeadMaps { maps: pending }, Derive::HeadMaps { maps }) => maps.iter().all(|map| pending.contains(map)),
        (Derive::HeadStats { heads: pending }, Derive::HeadStats { heads }) => {
            heads.iter().all(|head| pending.contains(head))
        }
        (Derive::WhatIf { pos: at, ids: pending }, Derive::WhatIf { pos, ids }) => {
            pos == at && ids.iter().all(|id| pending.contains(id))
        }
        // What has arrived of it meanwhile is no reason to ask anew.
        (Derive::Variant { policy: under, len: until, .. }, Derive::Variant { policy, len, .. }) => {
            under == policy && until >= len
        }
        (Derive::VariantLens { policy: under, cells: pending }, Derive::VariantLens { policy, cells }) => {
            under == policy && cells.iter().all(|cell| pending.contains(cell))
        }
        (pending, ask) => pending == ask,
    }
}
