//! Derived views that have arrived, and those that were asked for.

use crate::trace::protocol::{Derive, Derived, Failure, Lane, RequestId};
use crate::trace::view::Trajectory;
use crate::trace::{Attribution, AttributionKey, HeadMap, HeadRow, LensCell, LensKey, Sampling, Tempered, WhatIf};
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;

/// Lens cells kept at most; beyond that the cache starts anew.
const MOST_CELLS: usize = 40_000;
/// Head maps kept at most.
const MOST_MAPS: usize = 8_000;
/// Attention rows kept at most.
const MOST_ROWS: usize = 20_000;
/// Attributions kept at most.
const MOST_ATTRIBUTIONS: usize = 4_000;
/// Trajectories, sampled distributions and what-ifs kept at most, each.
const MOST_OF_TOKENS: usize = 5_000;

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
    /// Heads whose map is missing or no longer covers the run, and the largest number of cells a side.
    pub maps: Option<(Vec<(usize, usize)>, usize)>,
    /// Layer, heads and query of missing attention rows.
    pub rows: Option<(usize, Range<usize>, usize)>,
    /// Shares in a logit.
    pub attribution: Option<AttributionKey>,
    /// Cells across for which the lines of the text were missing.
    pub lines: Option<usize>,
    /// Lines that the scrolled page has beyond the screen.
    pub overflow: Option<usize>,
}

/// The cache.
#[derive(Clone, Debug, Default)]
pub struct Derivations {
    lens: HashMap<LensKey, Arc<LensCell>>,
    trajectories: HashMap<(usize, u32), Arc<Trajectory>>,
    tempered: HashMap<usize, Arc<Tempered>>,
    what_if: HashMap<(usize, u32), Arc<WhatIf>>,
    maps: BTreeMap<(usize, usize, usize), Arc<HeadMap>>,
    rows: HashMap<(usize, usize, usize), Arc<HeadRow>>,
    /// What came, or why it can't be had, which is not asked again.
    attributions: HashMap<AttributionKey, Result<Arc<Attribution>, String>>,
    /// Requests under way, one for each kind of view.
    pending: HashMap<Lane, (RequestId, Derive)>,
    /// The last request of each kind that failed: asking again would fail again.
    failed: HashMap<Lane, Derive>,
}

impl Derivations {
    /// A lens cell.
    pub fn lens(&self, key: LensKey) -> Option<&LensCell> {
        self.lens.get(&key).map(|cell| &**cell)
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
    pub fn map(&self, layer: usize, head: usize, max_side: usize) -> Option<&HeadMap> {
        self.maps.get(&(layer, head, max_side)).map(|map| &**map)
    }

    /// The map of a head if it holds the exact weights of `n` tokens, whatever size was asked for.
    pub fn exact_map(&self, layer: usize, head: usize, n: usize) -> Option<&HeadMap> {
        let mut sizes = self.maps.range((layer, head, 0)..=(layer, head, usize::MAX)).map(|(_, map)| &**map);
        sizes.find(|map| map.block == 1 && map.n == n)
    }

    /// Where a head looks from a position.
    pub fn row(&self, layer: usize, head: usize, query: usize) -> Option<&HeadRow> {
        self.rows.get(&(layer, head, query)).map(|row| &**row)
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
                if self.lens.len() + cells.len() > MOST_CELLS {
                    self.lens.clear();
                }
                self.lens.extend(cells);
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
            // Concerns the targets, not what is drawn.
            Derived::Spelled(_) => {}
            Derived::HeadMaps(maps) => {
                if self.maps.len() > MOST_MAPS {
                    self.maps.clear();
                }
                self.maps.extend(maps.into_iter().map(|map| ((map.layer, map.head, map.max_side), map)));
            }
            Derived::HeadRows(rows) => {
                if self.rows.len() + rows.len() > MOST_ROWS {
                    self.rows.clear();
                }
                self.rows.extend(rows.into_iter().map(|row| ((row.layer, row.head, row.query), row)));
            }
            Derived::Attribution(found) => {
                if self.attributions.len() >= MOST_ATTRIBUTIONS {
                    self.attributions.clear();
                }
                self.attributions.extend(found.keys().map(|key| (key, Ok(found.clone()))));
            }
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
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        *self = Self { pending: std::mem::take(&mut self.pending), ..Self::default() };
    }

    /// Whether an answer to `id` is still waited for.
    pub(super) fn waits_for(&self, id: RequestId) -> bool {
        self.pending.values().any(|(pending, _)| *pending == id)
    }

    /// Ends a request that failed.
    pub(super) fn fail(&mut self, id: RequestId) {
        let failed = self.pending.values().find(|(pending, _)| *pending == id);
        if let Some((_, ask)) = failed {
            self.failed.insert(ask.lane(), ask.clone());
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
        self.finish(id);
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
        if let Some((heads, max_side)) = wanted.maps {
            asks.push(Derive::HeadMaps { heads, max_side });
        }
        if let Some((layer, heads, query)) = wanted.rows {
            asks.push(Derive::HeadRows { layer, heads, query });
        }
        asks.extend(wanted.attribution.map(Derive::Attribution));
        asks.retain(|ask| self.failed.get(&ask.lane()) != Some(ask));
        asks.retain(|ask| match self.pending.get(&ask.lane()) {
            None => true,
            // Cells arrive one position after another: only ask anew if something else is wanted now.
            Some((_, Derive::Lens { cells: pending })) => match ask {
                Derive::Lens { cells } => !cells.iter().all(|cell| pending.contains(cell)),
                _ => true,
            },
            // So do what-ifs, one candidate after another.
            Some((_, Derive::WhatIf { pos: at, ids: pending })) => match ask {
                Derive::WhatIf { pos, ids } => pos != at || !ids.iter().all(|id| pending.contains(id)),
                _ => true,
            },
            // A map that grows with the run is renewed when the one under way has arrived.
            Some((_, pending)) => {
                !matches!((pending, ask), (Derive::HeadMaps { heads: a, .. }, Derive::HeadMaps { heads: b, .. }) if a == b)
                    && pending != ask
            }
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
        self.pending.insert(ask.lane(), (id, ask));
    }
}

/// Adds to a cache that starts anew when it is full.
fn keep<K: Eq + std::hash::Hash, V>(cache: &mut HashMap<K, V>, found: impl Iterator<Item = (K, V)>, most: usize) {
    if cache.len() >= most {
        cache.clear();
    }
    cache.extend(found);
}
