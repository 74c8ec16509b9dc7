//! The cache of derived values.

use super::bounded::Bounded;
use crate::analysis::Trajectory;
use crate::analysis::{
    Attribution, AttributionKey, Distance, EffectMap, HeadColumn, HeadMap, HeadRow, HeadScores, HeadStats, MapOf,
    ModelShares, Pick, Tempered, Watch, WhatIf,
};
use crate::protocol::{Derive, DeriveKind, Derived, MapPart, MapRequest, OtherRun, RequestId};
use crate::trace::{Candidate, LensCell, LensKey, Prompt, Sampling};
use std::collections::HashMap;
use std::sync::Arc;

/// The most bytes of each kind of derived value.
const MOST_BYTES: usize = 32 << 20;
/// The most attributions that are kept.
const MOST_ATTRIBUTIONS: usize = 4_000;
/// The most contributions of all layers that are kept.
const MOST_SHARES: usize = 64;
/// The most trajectories, sampled distributions and what-ifs that are kept, of each.
const MOST_OF_TOKENS: usize = 5_000;

/// A map, as far as it has arrived.
#[derive(Clone, Debug)]
struct StoredMap {
    map: Arc<EffectMap>,
    /// The prompt of the corrupted run, for a map of patches.
    second: Option<Prompt>,
    /// Places that the engine has computed, in its order.
    done: usize,
}

/// Derived values that have arrived, and the requests for others.
#[derive(Clone, Debug)]
pub struct Derivations {
    lens: Bounded<LensKey, LensCell>,
    trajectories: HashMap<(usize, u32), Arc<Trajectory>>,
    tempered: HashMap<usize, Arc<Tempered>>,
    what_if: HashMap<(usize, u32), Arc<WhatIf>>,
    maps: Bounded<(usize, Pick, usize), HeadMap>,
    rows: Bounded<(usize, Pick, usize), HeadRow>,
    columns: Bounded<(usize, Pick, usize), HeadColumn>,
    /// A few dozen bytes per head.
    stats: HashMap<(usize, usize), HeadStats>,
    scores: Option<Arc<HeadScores>>,
    /// Maps, the one requested last at the end.
    effects: Vec<StoredMap>,
    pub(in crate::state) shares: HashMap<Watch, Result<Arc<ModelShares>, String>>,
    distance: Option<(OtherRun, Arc<Distance>)>,
    /// The prompt that was counted last, and its tokens.
    counted: Option<(Prompt, usize)>,
    /// Whether the scores could not be computed, so that they are not requested again.
    pub(in crate::state) scores_failed: bool,
    /// Attributions, or why they can't be computed; these are not requested again.
    pub(in crate::state) attributions: HashMap<AttributionKey, Result<Arc<Attribution>, String>>,
    /// Pending requests, one of each kind.
    pub(in crate::state) pending: HashMap<DeriveKind, (RequestId, Derive)>,
    /// The last request of each kind that failed; the same request would fail again.
    pub(in crate::state) failed: HashMap<DeriveKind, Derive>,
    /// The pending request that reported progress, its units done, and all its units.
    pub(in crate::state) progress: Option<(RequestId, usize, usize)>,
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
            effects: Vec::new(),
            shares: HashMap::new(),
            distance: None,
            counted: None,
            scores_failed: false,
            attributions: HashMap::new(),
            pending: HashMap::new(),
            failed: HashMap::new(),
            progress: None,
        }
    }
}

impl Derivations {
    /// How many tokens a prompt has, if it was counted last.
    pub fn counted(&self, prompt: &Prompt) -> Option<usize> {
        self.counted.as_ref().filter(|(counted, _)| counted == prompt).map(|(_, tokens)| *tokens)
    }

    /// A lens cell.
    pub fn lens(&self, key: LensKey) -> Option<&LensCell> {
        self.lens.get(&key)
    }

    /// The trajectory of a token through the layers, after a position.
    pub fn trajectory(&self, pos: usize, id: u32) -> Option<&Trajectory> {
        self.trajectories.get(&(pos, id)).map(|found| &**found)
    }

    /// The distribution after a position with the sampling applied.
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

    /// The map of a head, or of heads combined, with the exact weights of `n` tokens, whatever size was requested.
    pub fn exact_map(&self, layer: usize, pick: Pick, n: usize) -> Option<&HeadMap> {
        let is_it = |map: &&HeadMap| (map.layer, map.pick, map.n, map.block) == (layer, pick, n, 1);
        self.maps.values().find(is_it)
    }

    /// The weights of a head from a position.
    pub fn row(&self, layer: usize, pick: Pick, query: usize) -> Option<&HeadRow> {
        self.rows.get(&(layer, pick, query))
    }

    /// The weights of a head to a position; they may be of an earlier length of the run.
    pub fn column(&self, layer: usize, pick: Pick, key: usize) -> Option<&HeadColumn> {
        self.columns.get(&(layer, pick, key))
    }

    /// The scores of a head on the run; they may be of an earlier length of it.
    pub fn stats(&self, layer: usize, head: usize) -> Option<&HeadStats> {
        self.stats.get(&(layer, head))
    }

    /// The number of heads measured on the run.
    pub fn measured(&self) -> usize {
        self.stats.len()
    }

    /// The scores of every head on random tokens given twice.
    pub fn scores(&self) -> Option<&HeadScores> {
        self.scores.as_deref()
    }

    /// The same, shared.
    pub fn shared_scores(&self) -> Option<Arc<HeadScores>> {
        self.scores.clone()
    }

    /// Whether these scores could not be computed.
    pub fn scores_failed(&self) -> bool {
        self.scores_failed
    }

    /// The attribution of a logit, or why it can't be computed.
    pub fn attribution(&self, key: AttributionKey) -> Option<Result<&Attribution, &str>> {
        self.attributions.get(&key).map(|found| found.as_deref().map_err(String::as_str))
    }

    /// A map, as far as it is computed; it may be of an earlier length of the run.
    pub fn effect_map(&self, request: &MapRequest) -> Option<&EffectMap> {
        self.stored_map(request).map(|stored| &*stored.map)
    }

    fn stored_map(&self, request: &MapRequest) -> Option<&StoredMap> {
        self.effects.iter().find(|stored| stored.map.key == request.key && stored.second == request.second)
    }

    /// Whether a map could not be computed, so that it is not requested again.
    pub fn has_map_failed(&self, request: &MapRequest) -> bool {
        let is_it = |ask: &Derive| matches!(ask, Derive::Effects { request: failed, .. } if **failed == *request);
        self.failed.values().any(is_it)
    }

    /// The same, shared.
    pub fn shared_map(&self, request: &MapRequest) -> Option<Arc<EffectMap>> {
        self.stored_map(request).map(|stored| stored.map.clone())
    }

    /// The contributions of all layers, shared.
    pub fn shared_shares(&self, watch: Watch) -> Option<Arc<ModelShares>> {
        self.shares.get(&watch)?.as_ref().ok().cloned()
    }

    /// How far the run is from another one, shared.
    pub fn shared_distance(&self, from: &OtherRun) -> Option<Arc<Distance>> {
        self.distance.as_ref().filter(|(known, _)| known == from).map(|(_, found)| found.clone())
    }

    /// How many places of a map the engine has computed, if it is of this many tokens.
    pub fn map_done(&self, request: &MapRequest) -> usize {
        self.stored_map(request).filter(|stored| stored.map.tokens == request.tokens).map_or(0, |stored| stored.done)
    }

    /// The contributions of all layers, or why they can't be computed.
    pub fn shares(&self, watch: Watch) -> Option<Result<&ModelShares, &str>> {
        self.shares.get(&watch).map(|found| found.as_deref().map_err(String::as_str))
    }

    /// How far the run is from another one.
    pub fn distance(&self, from: &OtherRun) -> Option<&Distance> {
        self.distance.as_ref().filter(|(known, _)| known == from).map(|(_, found)| &**found)
    }

    /// The request of the map that is being computed.
    pub fn pending_map(&self) -> Option<RequestId> {
        let is_map = |ask: &Derive| matches!(ask, Derive::Effects { .. });
        self.pending.values().find(|(_, ask)| is_map(ask)).map(|(id, _)| *id)
    }

    /// Lets maps that failed be requested again.
    pub(in crate::state) fn retry_maps(&mut self) {
        self.failed.retain(|_, ask| !matches!(ask, Derive::Effects { .. }));
    }

    /// Removes what belongs to a second prompt.
    pub(in crate::state) fn forget_patches(&mut self) {
        let is_patch = |ask: &Derive| match ask {
            Derive::Effects { request, .. } => matches!(request.key.of, MapOf::Patching(_)),
            Derive::Second { .. } | Derive::SecondLens { .. } | Derive::Distance(_) => true,
            _ => false,
        };
        self.effects.retain(|stored| !matches!(stored.map.key.of, MapOf::Patching(_)));
        self.forget_distance();
        self.failed.retain(|_, ask| !is_patch(ask));
        // Answers that still come belong to the former prompt.
        self.pending.retain(|_, (_, ask)| !is_patch(ask));
    }

    /// Removes how far the run is from another one, as one of them changed.
    pub(in crate::state) fn forget_distance(&mut self) {
        self.distance = None;
        self.pending.retain(|_, (_, ask)| !matches!(ask, Derive::Distance(_)));
        self.failed.retain(|_, ask| !matches!(ask, Derive::Distance(_)));
    }

    /// Keeps places of a map if they continue what is known of it.
    fn keep_places(&mut self, part: MapPart) {
        let MapPart { request, shape, baselines, from, done, refused, found } = part;
        let is_it = |stored: &StoredMap| stored.map.key == request.key && stored.second == request.second;
        if from == 0 {
            self.effects.retain(|stored| !is_it(stored));
            while self.effects.iter().map(|stored| stored.map.bytes()).sum::<usize>() > MOST_BYTES {
                self.effects.remove(0);
            }
            let map = Arc::new(EffectMap::new(request.key, shape, request.tokens));
            self.effects.push(StoredMap { map, second: request.second.clone(), done: 0 });
        }
        let continues =
            |stored: &&mut StoredMap| is_it(stored) && stored.done == from && stored.map.tokens == request.tokens;
        let Some(stored) = self.effects.iter_mut().find(continues) else { return };
        let map = Arc::make_mut(&mut stored.map);
        map.baselines = baselines;
        map.refused = map.refused.take().or(refused);
        stored.done = done;
        for (layer, column, found) in found {
            map.set(layer, column, found);
        }
    }

    /// Keeps derived values that arrived.
    pub(in crate::state) fn keep(&mut self, result: Derived) {
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
            // These belong to the targets and to the other run.
            Derived::Spelled(_)
            | Derived::Variant { .. }
            | Derived::VariantLens(..)
            | Derived::Second { .. }
            | Derived::SecondLens(..) => {}
            Derived::Effects(part) => self.keep_places(*part),
            Derived::Shares(found) => {
                if self.shares.len() >= MOST_SHARES {
                    self.shares.clear();
                }
                self.shares.insert(found.watch, Ok(found));
            }
            Derived::Counted(prompt, tokens) => self.counted = Some((prompt, tokens)),
            Derived::Distance(from, found) => self.distance = Some((from, found)),
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

    /// Removes values that depend on tokens from position `len` on.
    pub(in crate::state) fn truncate(&mut self, len: usize) {
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
        self.effects.retain(|stored| stored.map.tokens <= len);
        // Maps of tokens that are gone are no beginning of later ones.
        let is_gone = |ask: &Derive| matches!(ask, Derive::Effects { request, .. } if request.tokens > len);
        self.pending.retain(|_, (_, ask)| !is_gone(ask));
        self.shares.retain(|watch, _| watch.position < len);
        self.distance = None;
    }

    /// Removes all values; requests stay pending.
    pub(in crate::state) fn clear(&mut self) {
        // The run is computed in another way: maps and distances that still come are not of it.
        let is_of_run = |ask: &Derive| matches!(ask, Derive::Effects { .. } | Derive::Distance(_) | Derive::Shares(_));
        self.pending.retain(|_, (_, ask)| !is_of_run(ask));
        *self = Self { pending: std::mem::take(&mut self.pending), ..Self::default() };
    }
}

/// Adds to a cache, which is cleared when it is full.
fn keep<K: Eq + std::hash::Hash, V>(cache: &mut HashMap<K, V>, found: impl Iterator<Item = (K, V)>, most: usize) {
    if cache.len() >= most {
        cache.clear();
    }
    cache.extend(found);
}
