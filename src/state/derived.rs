//! Derived views that have arrived, and those that were asked for.

use crate::trace::protocol::{Derive, Derived, Failure, Lane, RequestId};
use crate::trace::{Attribution, AttributionKey, HeadMap, HeadRow, LensCell, LensKey};
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

/// What a frame could not draw because it was not derived yet.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wanted {
    /// Lens cells, most wanted first.
    pub lens: Vec<LensKey>,
    /// Heads whose map is missing or no longer covers the run, and the largest number of cells a side.
    pub maps: Option<(Vec<(usize, usize)>, usize)>,
    /// Layer, heads and query of missing attention rows.
    pub rows: Option<(usize, Range<usize>, usize)>,
    /// Shares in a logit.
    pub attribution: Option<AttributionKey>,
    /// Lines that the scrolled page has beyond the screen.
    pub overflow: Option<usize>,
}

/// The cache.
#[derive(Clone, Debug, Default)]
pub struct Derivations {
    lens: HashMap<LensKey, Arc<LensCell>>,
    maps: BTreeMap<(usize, usize, usize), Arc<HeadMap>>,
    rows: HashMap<(usize, usize, usize), Arc<HeadRow>>,
    /// What came, or why it can't be had, which is not asked again.
    attributions: HashMap<AttributionKey, Result<Arc<Attribution>, String>>,
    /// Requests under way, one for each kind of view.
    pending: HashMap<Lane, (RequestId, Derive)>,
}

impl Derivations {
    /// A lens cell.
    pub fn lens(&self, key: LensKey) -> Option<&LensCell> {
        self.lens.get(&key).map(|cell| &**cell)
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
        self.rows.retain(|(_, _, query), _| *query < len);
        self.maps.retain(|_, map| map.n <= len);
        self.attributions.retain(|key, _| key.pos < len);
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.lens.clear();
        self.maps.clear();
        self.rows.clear();
        self.attributions.clear();
    }

    /// Whether an answer to `id` is still waited for.
    pub(super) fn waits_for(&self, id: RequestId) -> bool {
        self.pending.values().any(|(pending, _)| *pending == id)
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
        if let Some((heads, max_side)) = wanted.maps {
            asks.push(Derive::HeadMaps { heads, max_side });
        }
        if let Some((layer, heads, query)) = wanted.rows {
            asks.push(Derive::HeadRows { layer, heads, query });
        }
        asks.extend(wanted.attribution.map(Derive::Attribution));
        asks.retain(|ask| match self.pending.get(&ask.lane()) {
            None => true,
            // Cells arrive one position after another: only ask anew if something else is wanted now.
            Some((_, Derive::Lens { cells: pending })) => match ask {
                Derive::Lens { cells } => !cells.iter().all(|cell| pending.contains(cell)),
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

    /// Notes a request that was made.
    pub(super) fn note(&mut self, id: RequestId, ask: Derive) {
        self.pending.insert(ask.lane(), (id, ask));
    }
}
