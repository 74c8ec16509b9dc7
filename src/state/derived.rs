//! Derived views that have arrived, and those that were asked for.

use super::bounded::Bounded;
use crate::trace::protocol::{Derive, Derived, Lane, RequestId};
use crate::trace::{Candidate, HeadColumn, HeadMap, HeadRow, HeadScores, HeadStats, LensCell, LensKey, Pick};
use std::collections::HashMap;
use std::sync::Arc;

/// Bytes that each kind of derived view may hold.
const MOST_BYTES: usize = 32 << 20;

/// What a frame could not draw because it was not derived yet.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wanted {
    /// Lens cells, most wanted first.
    pub lens: Vec<LensKey>,
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
    /// Lines that the scrolled page has beyond the screen.
    pub overflow: Option<usize>,
}

/// The cache.
#[derive(Clone, Debug)]
pub struct Derivations {
    lens: Bounded<LensKey, LensCell>,
    maps: Bounded<(usize, Pick, usize), HeadMap>,
    rows: Bounded<(usize, Pick, usize), HeadRow>,
    columns: Bounded<(usize, Pick, usize), HeadColumn>,
    /// A few dozen bytes a head.
    stats: HashMap<(usize, usize), HeadStats>,
    scores: Option<Arc<HeadScores>>,
    /// Whether scores could not be had, so that they are not asked for again and again.
    scores_failed: bool,
    /// Requests under way, one for each kind of view.
    pending: HashMap<Lane, (RequestId, Derive)>,
    /// Units done and in all of one of them, where the engine says so.
    progress: Option<(RequestId, usize, usize)>,
}

impl Default for Derivations {
    fn default() -> Self {
        Self {
            lens: Bounded::new(MOST_BYTES),
            maps: Bounded::new(MOST_BYTES),
            rows: Bounded::new(MOST_BYTES),
            columns: Bounded::new(MOST_BYTES),
            stats: HashMap::new(),
            scores: None,
            scores_failed: false,
            pending: HashMap::new(),
            progress: None,
        }
    }
}

impl Derivations {
    /// A lens cell.
    pub fn lens(&self, key: LensKey) -> Option<&LensCell> {
        self.lens.get(&key)
    }

    /// The map of a head at this size; it may be of an earlier length of the run.
    pub fn map(&self, layer: usize, pick: Pick, max_side: usize) -> Option<&HeadMap> {
        self.maps.get(&(layer, pick, max_side))
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
        let (pending, _) = self.pending.get(&Derive::HeadScores.lane())?;
        (*pending == id).then_some((done, total))
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
        self.rows.retain(|(_, _, query), _| *query < len);
        self.maps.retain(|_, map| map.n <= len);
        self.columns.retain(|_, column| column.n() <= len);
        self.stats.retain(|_, stats| stats.n <= len);
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.lens.clear();
        self.maps.clear();
        self.rows.clear();
        self.columns.clear();
        self.stats.clear();
        self.scores = None;
        self.scores_failed = false;
    }

    /// Notes how far a request is.
    pub(super) fn progressed(&mut self, id: RequestId, done: usize, total: usize) {
        if self.waits_for(id) {
            self.progress = Some((id, done, total));
        }
    }

    /// Notes that a request failed.
    pub(super) fn failed(&mut self, id: RequestId) {
        let pending = self.pending.get(&Derive::HeadScores.lane());
        self.scores_failed |= pending.is_some_and(|(pending, _)| *pending == id);
        self.finish(id);
    }

    /// Whether an answer to `id` is still waited for.
    pub(super) fn waits_for(&self, id: RequestId) -> bool {
        self.pending.values().any(|(pending, _)| *pending == id)
    }

    /// Ends a request.
    pub(super) fn finish(&mut self, id: RequestId) {
        self.pending.retain(|_, (pending, _)| *pending != id);
    }

    /// The requests to make for what a frame lacked; what is under way is not asked for again.
    pub(super) fn requests(&self, wanted: Wanted) -> Vec<Derive> {
        let mut asks = Vec::new();
        if !wanted.lens.is_empty() {
            asks.push(Derive::Lens { cells: wanted.lens });
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
        asks.retain(|ask| match self.pending.get(&ask.lane()) {
            None => true,
            // They arrive in parts: only ask anew if something else is wanted now. What grows with the run is renewed
            // when the request under way has arrived.
            Some((_, pending)) => !covers(pending, ask),
        });
        asks
    }

    /// Notes a request that was made.
    pub(super) fn note(&mut self, id: RequestId, ask: Derive) {
        self.pending.insert(ask.lane(), (id, ask));
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
        (pending, ask) => pending == ask,
    }
}
