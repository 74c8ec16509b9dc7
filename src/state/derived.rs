//! Derived views that have arrived, and those that were asked for.

use super::bounded::Bounded;
use crate::analysis::Trajectory;
use crate::analysis::{
    Attribution, AttributionKey, HeadColumn, HeadMap, HeadRow, HeadScores, HeadStats, Pick, Tempered, WhatIf,
};
use crate::protocol::{Derive, DeriveKind, Derived, Failure, RequestId};
use crate::trace::{Candidate, LensCell, LensKey, Policy, Sampling};
use std::collections::HashMap;
use std::sync::Arc;

/// Bytes that each kind of derived view may hold.
const MOST_BYTES: usize = 32 << 20;
/// Attributions kept at most.
const MOST_ATTRIBUTIONS: usize = 4_000;
/// Trajectories, sampled distributions and what-ifs kept at most, each.
const MOST_OF_TOKENS: usize = 5_000;

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
    /// Cells across for which the lines of the text were missing.
    pub lines: Option<usize>,
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
    /// Heads that stand side by side in the grid.
    pub heads_across: Option<u16>,
    /// Whether the text has no title that says what its colours mean.
    pub strip_is_untitled: bool,
    /// What is missing of the run under another policy.
    pub beside: Box<WantedBeside>,
    /// Lines that the scrolled page has beyond the screen.
    pub overflow: Option<usize>,
}

/// The cache.
#[derive(Clone, Debug)]
pub struct Derivations {
    lens: Bounded<LensKey, LensCell>,
    trajectories: HashMap<(usize, u32), Arc<Trajectory>>,
    tempered: HashMap<usize, Arc<Tempered>>,
    what_if: HashMap<(usize, u32), Arc<WhatIf>>,
    maps: Bounded<(usize, Pick, usize), HeadMap>,
    rows: Bounded<(usize, Pick, usize), HeadRow>,
    columns: Bounded<(usize, Pick, usize), HeadColumn>,
    /// A few dozen bytes a head.
    stats: HashMap<(usize, usize), HeadStats>,
    scores: Option<Arc<HeadScores>>,
    /// Whether scores could not be had, so that they are not asked for again and again.
    scores_failed: bool,
    /// What came, or why it can't be had, which is not asked again.
    attributions: HashMap<AttributionKey, Result<Arc<Attribution>, String>>,
    /// Requests under way, one for each kind of view.
    pending: HashMap<DeriveKind, (RequestId, Derive)>,
    /// The last request of each kind that failed: asking again would fail again.
    failed: HashMap<DeriveKind, Derive>,
    /// Units done and in all of one of them, where the engine says so.
    progress: Option<(RequestId, usize, usize)>,
}

impl Default for Derivations {
    fn default() -> Self {
        Self {
            lens: Bounded::new(MOST_BYTES),
            trajectories: HashMap::new(),
            tempered: HashMap::new(),
            what_if: HashMap::new(),
            maps: Bounded::new(MOST_BYTES),
            rows: Bounded::new(MOST_BYTES),
            columns: Bounded::new(MOST_BYTES),
            stats: HashMap::new(),
            scores: None,
            scores_failed: false,
            attributions: HashMap::new(),
            pending: HashMap::new(),
            failed: HashMap::new(),
            progress: None,
        }
    }
}

impl Derivations {
    /// A lens cell.
    pub fn lens(&self, key: LensKey) -> Option<&LensCell> {
        self.lens.get(&key)
    }

    /// The way of a token through the layers, after a position.
    pub fn trajectory(&self, pos: usize, id: u32) -> Option<&Trajectory> {
        self.trajectories.get(&(pos, id)).map(|found| &**found)
    }

    /// The distribution after a position as it is sampled from.
    pub fn tempered(&self, pos: usize, sampling: &Sampling) -> Option<&Tempered> {
        let same = |found: &&Arc<Tempered>| Sampling { seed: sampling.seed, ..found.sampling } == *sampling;
        self.tempered.get(&pos).filter(same).map(|found| &**found)
    }

    /// What would follow a token if it were read after a position.
    pub fn what_if(&self, pos: usize, id: u32) -> Option<&WhatIf> {
        self.what_if.get(&(pos, id)).map(|found| &**found)
    }

    /// The map of a head at this size; it may be of an earlier length of the run.
    pub fn map(&self, layer: usize, pick: Pick, max_side: usize) -> Option<&HeadMap> {
        self.maps.get(&(layer, pick, max_side))
    }

    /// The map of a head, or of heads together, if it holds the exact weights of `n` tokens, whatever size was asked for.
    pub fn exact_map(&self, layer: usize, pick: Pick, n: usize) -> Option<&HeadMap> {
        let is_it = |map: &&HeadMap| (map.layer, map.pick, map.n, map.block) == (layer, pick, n, 1);
        self.maps.values().find(is_it)
    }

    /// Where a head looks from a position.
    pub fn row(&self, layer: usize, pick: Pick, query: usize) -> Option<&HeadRow> {
        self.rows.get(&(layer, pick, query))
    }

    /// Who looks at a position; it may be of an earlier length of the run.
    pub fn column(&self, layer: usize, pick: Pick, key: usize) -> Option<&HeadColumn> {
        self.columns.get(&(layer, pick, key))
    }

    /// What a head does on the run; it may be of an earlier length of it.
    pub fn stats(&self, layer: usize, head: usize) -> Option<&HeadStats> {
        self.stats.get(&(layer, head))
    }

    /// How many heads have been measured on the run.
    pub fn measured(&self) -> usize {
        self.stats.len()
    }

    /// What every head does on random tokens given twice.
    pub fn scores(&self) -> Option<&HeadScores> {
        self.scores.as_deref()
    }

    /// Whether those scores could not be had.
    pub fn scores_failed(&self) -> bool {
        self.scores_failed
    }

    /// Units done and in all of the scores under way.
    pub fn scores_progress(&self) -> Option<(usize, usize)> {
        let (id, done, total) = self.progress?;
        let (pending, _) = self.pending.get(&Derive::HeadScores.kind())?;
        (*pending == id).then_some((done, total))
    }

    /// What a logit is made of, or why that can't be said.
    pub fn attribution(&self, key: AttributionKey) -> Option<Result<&Attribution, &str>> {
        self.attributions.get(&key).map(|found| found.as_deref().map_err(String::as_str))
    }

    /// Whether a derived view is being computed.
    pub fn is_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Keeps what arrived.
    pub(super) fn keep(&mut self, result: Derived) {
        match result {
            Derived::Lens(cells) => {
                for (key, cell) in cells {
                    let bytes = size_of::<LensCell>() + cell.top.len() * size_of::<Candidate>();
                    self.lens.insert(key, cell, bytes);
                }
            }
            Derived::Trajectories(pos, found) => {
                let found = found.into_iter().map(|found| ((pos, found.id), found));
                keep(&mut self.trajectories, found, MOST_OF_TOKENS);
            }
            Derived::Tempered(found) => {
                keep(&mut self.tempered, found.into_iter().map(|found| (found.pos, found)), MOST_OF_TOKENS);
            }
            Derived::WhatIf(found) => {
                let found = found.into_iter().map(|found| ((found.pos, found.id), found));
                keep(&mut self.what_if, found, MOST_OF_TOKENS);
            }
            // Concern the targets and the other run.
            Derived::Spelled(_) | Derived::Variant { .. } | Derived::VariantLens(..) => {}
            Derived::HeadMaps(maps) => {
                for map in maps {
                    let bytes = size_of::<HeadMap>() + size_of_val(&map.cells[..]);
                    self.maps.insert((map.layer, map.pick, map.max_side), map, bytes);
                }
            }
            Derived::HeadRows(rows) => {
                for row in rows {
                    let bytes = size_of::<HeadRow>() + size_of_val(&row.weights[..]) + size_of_val(&row.strongest[..]);
                    self.rows.insert((row.layer, row.pick, row.query), row, bytes);
                }
            }
            Derived::Attribution(found) => {
                if self.attributions.len() >= MOST_ATTRIBUTIONS {
                    self.attributions.clear();
                }
                self.attributions.extend(found.keys().map(|key| (key, Ok(found.clone()))));
            }
            Derived::HeadColumns(columns) => {
                for column in columns {
                    let bytes =
                        size_of::<HeadColumn>() + size_of_val(&column.weights[..]) + size_of_val(&column.strongest[..]);
                    self.columns.insert((column.layer, column.pick, column.key), column, bytes);
                }
            }
            Derived::HeadStats(heads) => {
                self.stats.extend(heads.into_iter().map(|(layer, head, stats)| ((layer, head), stats)));
            }
            Derived::HeadScores(scores) => self.scores = Some(scores),
        }
    }

    /// Forgets what tokens from position `len` on had a part in.
    pub(super) fn truncate(&mut self, len: usize) {
        self.lens.retain(|key, _| key.pos < len);
        self.trajectories.retain(|(pos, _), _| *pos < len);
        self.tempered.retain(|pos, _| *pos < len);
        self.what_if.retain(|(pos, _), _| *pos < len);
        self.rows.retain(|(_, _, query), _| *query < len);
        self.maps.retain(|_, map| map.n <= len);
        self.attributions.retain(|key, _| key.pos < len);
        self.failed.clear();
        self.columns.retain(|_, column| column.n() <= len);
        self.stats.retain(|_, stats| stats.n <= len);
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        *self = Self { pending: std::mem::take(&mut self.pending), ..Self::default() };
    }

    /// Notes how far a request is.
    pub(super) fn progressed(&mut self, id: RequestId, done: usize, total: usize) {
        if self.waits_for(id) {
            self.progress = Some((id, done, total));
        }
    }

    /// Whether an answer to `id` is still waited for.
    pub(super) fn waits_for(&self, id: RequestId) -> bool {
        self.pending.values().any(|(pending, _)| *pending == id)
    }

    /// Ends a request that failed.
    pub(super) fn fail(&mut self, id: RequestId) {
        let failed = self.pending.values().find(|(pending, _)| *pending == id);
        if let Some((_, ask)) = failed {
            self.failed.insert(ask.kind(), ask.clone());
            self.scores_failed |= *ask == Derive::HeadScores;
        }
        self.finish(id);
    }

    /// Ends a request.
    pub(super) fn finish(&mut self, id: RequestId) {
        self.pending.retain(|_, (pending, _)| *pending != id);
    }

    /// Ends a request that failed.
    pub(super) fn refuse(&mut self, id: RequestId, failure: &Failure) {
        for (pending, ask) in self.pending.values() {
            if let (true, Derive::Attribution(key)) = (*pending == id, ask) {
                self.attributions.insert(*key, Err(failure.summary.clone()));
            }
        }
    }

    /// The requests to make for what a frame lacked; what is under way is not asked for again.
    pub(super) fn requests(&self, wanted: Wanted) -> Vec<Derive> {
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
    pub(super) fn unspelled(&self) -> Vec<String> {
        let pending = self.pending.values().find_map(|(_, ask)| match ask {
            Derive::Spell { texts } => Some(texts.clone()),
            _ => None,
        });
        pending.unwrap_or_default()
    }

    /// Notes a request that was made.
    pub(super) fn note(&mut self, id: RequestId, ask: Derive) {
        self.pending.insert(ask.kind(), (id, ask));
    }
}

/// Adds to a cache that starts anew when it is full.
fn keep<K: Eq + std::hash::Hash, V>(cache: &mut HashMap<K, V>, found: impl Iterator<Item = (K, V)>, most: usize) {
    if cache.len() >= most {
        cache.clear();
    }
    cache.extend(found);
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
