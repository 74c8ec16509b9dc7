//! Missing numbers of a frame, and the requests for them.

use super::derived::Derivations;
use crate::analysis::{AttributionKey, Pick, Watch};
use crate::protocol::{Derive, Failure, MapRequest, OtherRun, RequestId};
use crate::trace::{LensKey, Prompt, Sampling, Variant};

/// Missing parts of the baseline.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WantedBaseline {
    /// The variant, the number of its tokens that have arrived, and the number of tokens of the run.
    pub run: Option<(Variant, usize, usize)>,
    /// The variant, and lens cells.
    pub lens: Option<(Variant, Vec<LensKey>)>,
}

/// Missing parts of effect maps, of the second prompt, and of comparisons.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WantedExperiments {
    /// A map, and how many of its places have arrived.
    pub map: Option<(MapRequest, usize)>,
    /// A second prompt to read.
    pub second: Option<Prompt>,
    /// Lens cells of the second prompt.
    pub lens: Option<(Prompt, Vec<LensKey>)>,
    /// A run whose distance from the run on screen is missing.
    pub distance: Option<OtherRun>,
    /// Contributions of all layers.
    pub shares: Option<Watch>,
}

/// Numbers that a frame could not draw because they are not derived yet.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wanted {
    /// Lens cells, most urgent first.
    pub lens: Vec<LensKey>,
    /// Position and targets of missing trajectories.
    pub trajectories: Option<(usize, Vec<u32>)>,
    /// Position and sampling of a missing sampled distribution.
    pub tempered: Option<(usize, Sampling)>,
    /// Position and candidates of missing what-ifs.
    pub what_if: Option<(usize, Vec<u32>)>,
    /// A missing attribution.
    pub attribution: Option<AttributionKey>,
    /// Maps that are missing or of an earlier length of the run: layer, head or heads, most cells per side.
    pub maps: Vec<(usize, Pick, usize)>,
    /// Layer and query of missing attention rows.
    pub rows: Option<(usize, usize)>,
    /// Layer, head and key of an attention column that is missing or of an earlier length of the run.
    pub column: Option<(usize, Pick, usize)>,
    /// Heads whose scores are missing or of an earlier length of the run, most urgent first.
    pub stats: Vec<(usize, usize)>,
    /// A prompt being typed, whose tokens are not counted.
    pub count: Option<Prompt>,
    /// Whether the heads' scores on repeated random tokens are missing.
    pub scores: bool,
    /// Missing parts of the baseline.
    pub baseline: Box<WantedBaseline>,
    /// Missing parts of experiments.
    pub experiments: Box<WantedExperiments>,
}

impl Derivations {
    /// Keeps the progress of a pending request.
    pub(in crate::state) fn progressed(&mut self, id: RequestId, done: usize, total: usize) {
        if self.waits_for(id) {
            self.progress = Some((id, done, total));
        }
    }

    /// Whether the request `id` is pending.
    pub(in crate::state) fn waits_for(&self, id: RequestId) -> bool {
        self.pending.values().any(|(pending, _)| *pending == id)
    }

    /// Whether the request `id` is that for a second prompt.
    pub(in crate::state) fn waits_for_second(&self, id: RequestId) -> bool {
        self.pending.values().any(|(pending, ask)| *pending == id && matches!(ask, Derive::Second { .. }))
    }

    /// Ends a pending request that failed.
    pub(in crate::state) fn fail(&mut self, id: RequestId) {
        let failed = self.pending.values().find(|(pending, _)| *pending == id);
        if let Some((_, ask)) = failed {
            self.failed.insert(ask.kind(), ask.clone());
            self.scores_failed |= *ask == Derive::HeadScores;
        }
        self.finish(id);
    }

    /// Ends a pending request.
    pub(in crate::state) fn finish(&mut self, id: RequestId) {
        self.pending.retain(|_, (pending, _)| *pending != id);
    }

    /// Keeps why a pending attribution can't be computed.
    pub(in crate::state) fn refuse(&mut self, id: RequestId, failure: &Failure) {
        for (pending, ask) in self.pending.values() {
            match ask {
                Derive::Attribution(key) if *pending == id => {
                    self.attributions.insert(*key, Err(failure.summary.clone()));
                }
                Derive::Shares(watch) if *pending == id => {
                    self.shares.insert(*watch, Err(failure.summary.clone()));
                }
                _ => {}
            }
        }
    }

    /// The requests for missing numbers, except those that are pending.
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
        asks.extend(wanted.count.map(|prompt| Derive::Count { prompt }));
        if wanted.scores {
            asks.push(Derive::HeadScores);
        }
        asks.extend(wanted.attribution.map(Derive::Attribution));
        asks.extend(wanted.baseline.run.map(|(variant, have, len)| Derive::Variant { variant, have, len }));
        asks.extend(wanted.baseline.lens.map(|(variant, cells)| Derive::VariantLens { variant, cells }));
        let more = *wanted.experiments;
        asks.extend(more.second.map(|prompt| Derive::Second { prompt }));
        asks.extend(more.lens.map(|(prompt, cells)| Derive::SecondLens { prompt, cells }));
        asks.extend(more.distance.map(Derive::Distance));
        asks.extend(more.shares.map(Derive::Shares));
        asks.extend(more.map.map(|(request, done)| Derive::Effects { request: Box::new(request), done }));
        asks.retain(|ask| self.failed.get(&ask.kind()) != Some(ask));
        asks.retain(|ask| match self.pending.get(&ask.kind()) {
            None => true,
            // Answers arrive in parts, so a new request is needed only if something else is missing. Values that
            // grow with the run are renewed when the pending answer has arrived.
            Some((_, pending)) => !covers(pending, ask),
        });
        asks
    }

    /// The texts of the pending request for their tokens.
    pub(in crate::state) fn unspelled(&self) -> Vec<String> {
        let pending = self.pending.values().find_map(|(_, ask)| match ask {
            Derive::Spell { texts } => Some(texts.clone()),
            _ => None,
        });
        pending.unwrap_or_default()
    }

    /// Keeps a request as pending.
    pub(in crate::state) fn note(&mut self, id: RequestId, ask: Derive) {
        self.pending.insert(ask.kind(), (id, ask));
    }

    /// Progress of the pending scores: units done, and all units.
    pub fn scores_progress(&self) -> Option<(usize, usize)> {
        let (id, done, total) = self.progress?;
        let (pending, _) = self.pending.get(&Derive::HeadScores.kind())?;
        (*pending == id).then_some((done, total))
    }

    /// Whether any request is pending.
    pub fn is_pending(&self) -> bool {
        !self.pending.is_empty()
    }
}

/// Whether a pending request brings everything that `ask` wants.
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
        // Parts that have arrived meanwhile need no new request.
        (Derive::Variant { variant: read, len: until, .. }, Derive::Variant { variant, len, .. }) => {
            read == variant && until >= len
        }
        (Derive::VariantLens { variant: read, cells: pending }, Derive::VariantLens { variant, cells }) => {
            read == variant && cells.iter().all(|cell| pending.contains(cell))
        }
        (Derive::SecondLens { prompt: read, cells: pending }, Derive::SecondLens { prompt, cells }) => {
            read == prompt && cells.iter().all(|cell| pending.contains(cell))
        }
        (Derive::Effects { request: pending, .. }, Derive::Effects { request, .. }) => pending == request,
        (pending, ask) => pending == ask,
    }
}
