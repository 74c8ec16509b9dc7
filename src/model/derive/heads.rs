//! Attention probabilities from the captured queries and keys of a run, bit for bit those of the forward pass.

use crate::analysis::Pattern;
use crate::model::edits::Cuts;
use crate::model::pass::attention::{Scoring, mix, operand, score, visible, weigh};
use crate::model::pass::{KvCache, SoftmaxNorm};
use crate::model::precision::Rounding;
use crate::trace::{Dims, HookKind, Scores, TokenRecord};
use std::borrow::Cow;
use std::sync::Arc;

/// One head of a run: its rotated keys (`hook_rot_k`) collected once, its queries (`hook_rot_q`) read one by one.
pub struct HeadReader<'a> {
    tokens: &'a [Arc<TokenRecord>],
    /// Keys by position as the cache keeps them, each `[d_head]`; empty if all patterns were captured.
    keys: Vec<Cow<'a, [f32]>>,
    layer: usize,
    head: usize,
    dims: Dims,
    how: Scoring,
    cuts: Option<Cuts>,
}

impl<'a> HeadReader<'a> {
    /// The query head `head` of `layer` over `tokens`, in which `cuts` hide keys; `None` if neither patterns nor keys were
    /// captured.
    pub fn new(
        tokens: &'a [Arc<TokenRecord>],
        (layer, head): (usize, usize),
        (dims, scores): (Dims, &Scores),
        round: Rounding,
        cuts: Option<Cuts>,
    ) -> Option<Self> {
        let kv_head = head / (dims.heads / dims.kv_heads);
        let range = kv_head * dims.d_head..(kv_head + 1) * dims.d_head;
        let key = |token: &'a Arc<TokenRecord>| {
            let key = token.row(HookKind::RotK, layer)?.get(range.clone());
            key.map(|key| operand(key, round))
        };
        let is_kept = tokens.iter().all(|token| token.row(HookKind::Pattern, layer).is_some());
        let keys = if is_kept { Vec::new() } else { tokens.iter().map(key).collect::<Option<_>>()? };
        let how = Scoring::of(scores, (layer, head), dims.d_head, round);
        Some(Self { tokens, keys, layer, head, dims, how, cuts })
    }

    fn query(&self, query: usize) -> Option<&'a [f32]> {
        let row = self.tokens.get(query)?.row(HookKind::RotQ, self.layer)?;
        row.get(self.head * self.dims.d_head..(self.head + 1) * self.dims.d_head)
    }

    /// The head's row of the captured pattern `[heads, query + 1]`.
    fn kept(&self, query: usize) -> Option<&'a [f32]> {
        let all = self.tokens.get(query)?.row(HookKind::Pattern, self.layer)?;
        all.get(self.head * (query + 1)..(self.head + 1) * (query + 1))
    }

    /// Writes the weights of `query` on the keys `0..=query` into `out`; `None` if the query was not captured.
    pub fn row(&self, query: usize, out: &mut Vec<f32>) -> Option<SoftmaxNorm> {
        if let Some(kept) = self.kept(query) {
            out.clear();
            out.extend_from_slice(kept);
            return Some(SoftmaxNorm::default());
        }
        let q = self.query(query)?;
        let seen = visible(query, self.dims.window_at(self.layer));
        let cuts = self.cuts.as_ref();
        let hide =
            |scores: &mut [f32]| cuts.into_iter().for_each(|cuts| cuts.hide(self.head, query, seen.start, scores));
        let norm = weigh(q, self.keys[seen.clone()].iter().map(|key| &**key), self.how, hide, out);
        // Keys outside the window weigh exactly nothing.
        out.splice(0..0, std::iter::repeat_n(0.0, seen.start));
        Some(norm)
    }

    /// The weight of `query` on one key. `norm` is what [`HeadReader::row`] returned for the query.
    pub fn weight(&self, query: usize, key: usize, norm: SoftmaxNorm) -> Option<f32> {
        if let Some(kept) = self.kept(query) {
            return kept.get(key).copied();
        }
        let is_cut = self.cuts.as_ref().is_some_and(|cuts| cuts.hides(self.head, query, key));
        if is_cut || !visible(query, self.dims.window_at(self.layer)).contains(&key) {
            return Some(0.0);
        }
        let score = score(self.query(query)?, self.keys.get(key)?, self.how);
        Some(self.how.round.one(norm.prob(score)))
    }
}

/// The attention probabilities of one head over a whole run, in whose layer `cuts` hide keys. `None` if a row was not
/// captured.
pub fn derive_pattern(
    tokens: &[Arc<TokenRecord>],
    at: (usize, usize),
    dims: (Dims, &Scores),
    round: Rounding,
    cuts: Option<Cuts>,
) -> Option<Pattern> {
    let reader = HeadReader::new(tokens, at, dims, round, cuts)?;
    let mut pattern = Pattern { n: tokens.len(), weights: Vec::with_capacity(tokens.len() * (tokens.len() + 1) / 2) };
    let mut row = Vec::new();
    for query in 0..tokens.len() {
        reader.row(query, &mut row)?;
        pattern.weights.extend_from_slice(&row);
    }
    Some(pattern)
}

/// The output `z` of one head at position `query`, before `W_O`, `[d_head]`, as it was captured, or from its
/// pattern, in which `cuts` hide keys, and the values in `cache`: bit for bit that of the pass. `None` if queries or keys were
/// not captured or `cache` is shorter.
pub fn derive_z(
    (tokens, cache): (&[Arc<TokenRecord>], &KvCache),
    (layer, head): (usize, usize),
    query: usize,
    (dims, scores): (Dims, &Scores),
    round: Rounding,
    cuts: Option<Cuts>,
) -> Option<Vec<f32>> {
    // An edit may have changed it after the pattern.
    if let Some(z) = tokens.get(query)?.row(HookKind::Z, layer) {
        return z.get(head * dims.d_head..(head + 1) * dims.d_head).map(<[f32]>::to_vec);
    }
    let mut weights = Vec::new();
    HeadReader::new(tokens.get(..=query)?, (layer, head), (dims, scores), round, cuts)?.row(query, &mut weights)?;
    if query >= cache.len() {
        return None;
    }
    let first = visible(query, dims.window_at(layer)).start;
    let kv = cache.keys(layer, head / (dims.heads / dims.kv_heads), dims.d_head);
    let mut z = vec![0f32; dims.d_head];
    mix(&weights[first..], first, kv, round, &mut z);
    Some(z)
}
