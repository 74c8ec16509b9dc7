//! Causal grouped-query attention, one query and head at a time.

use super::cache::{Keys, KvCache};
use super::ops::{SoftmaxNorm, softmax, softmax_with_sink};
use crate::model::edits::Cuts;
use crate::model::kernels::{add_scaled_x4, dot_small, dot_small_x4};
use crate::model::precision::Rounding;
use crate::trace::{Dims, Scores};
use rayon::prelude::*;
use std::borrow::Cow;
use std::ops::Range;

/// Multiply-adds below which one thread is faster than waking the others.
const PARALLEL_FROM: usize = 1 << 19;

/// The keys that the query at `pos` may see: HF's mask, `pos - window < key <= pos`.
pub fn visible(pos: usize, window: Option<usize>) -> Range<usize> {
    window.map_or(0, |window| (pos + 1).saturating_sub(window))..pos + 1
}

/// How one head's scores become weights.
#[derive(Clone, Copy)]
pub struct Scoring {
    /// The factor of the dot product.
    pub scale: f32,
    /// A score that joins the softmax and has no value.
    pub sink: Option<f32>,
    /// Rounding of every operation.
    pub round: Rounding,
}

impl Scoring {
    /// That of a head in `layer` of a model with these scores; heads are `d_head` wide.
    pub fn of(scores: &Scores, (layer, head): (usize, usize), d_head: usize, round: Rounding) -> Self {
        let scale = scores.scale.unwrap_or((1.0 / (d_head as f64).sqrt()) as f32);
        let sink = scores.sinks.get(layer).and_then(|heads| heads.get(head)).copied();
        Self { scale, sink, round }
    }

    /// The dot product is rounded, then scaled and rounded again.
    fn scaled(&self, product: f32) -> f32 {
        self.round.one(self.round.one(product) * self.scale)
    }
}

/// The score of one key of the cache.
pub fn score(query: &[f32], key: &[f32], how: Scoring) -> f32 {
    how.scaled(dot_small(&operand(query, how.round), key))
}

/// `values` as products in attention read them, and as the cache keeps keys and values.
pub fn operand(values: &[f32], round: Rounding) -> Cow<'_, [f32]> {
    match round.in_attention() {
        Rounding::None => values.into(),
        narrow => values.iter().map(|x| narrow.one(*x)).collect(),
    }
}

/// Writes the attention probabilities of one query over `keys` of the cache into `out`: the softmax of the scores in f32,
/// rounded. `hide` may set scores to −∞ before; a query that sees no key has weights of 0.
pub fn weigh<'a>(
    query: &[f32],
    mut keys: impl ExactSizeIterator<Item = &'a [f32]>,
    how: Scoring,
    hide: impl FnOnce(&mut [f32]),
    out: &mut Vec<f32>,
) -> SoftmaxNorm {
    out.clear();
    let query = &*operand(query, how.round);
    while keys.len() >= 4 {
        let four = std::array::from_fn(|_| keys.next().unwrap_or_default());
        out.extend(dot_small_x4(query, four).map(|product| how.scaled(product)));
    }
    out.extend(keys.map(|key| score(query, key, how)));
    hide(out);
    if out.iter().all(|score| *score == f32::NEG_INFINITY) {
        out.fill(0.0);
        return SoftmaxNorm::default();
    }
    let norm = match how.sink {
        None => softmax(out),
        Some(sink) => softmax_with_sink(out, how.round.one(sink), how.round),
    };
    how.round.slice(out);
    norm
}

/// Writes `Σ weight · value` over the positions from `first` on into `out`, rounded once.
pub fn mix(weights: &[f32], first: usize, kv: Keys, round: Rounding, out: &mut [f32]) {
    out.fill(0.0);
    let weights = &*operand(weights, round);
    let (fours, rest) = weights.as_chunks::<4>();
    for (weights, pos) in fours.iter().zip((first..).step_by(4)) {
        add_scaled_x4(*weights, std::array::from_fn(|i| kv.value(pos + i)), out);
    }
    for (weight, pos) in rest.iter().zip(first + fours.len() * 4..) {
        for (out, value) in out.iter_mut().zip(kv.value(pos)) {
            *out += weight * value;
        }
    }
    round.slice(out);
}

/// The inputs of one layer's attention.
pub struct Heads<'a> {
    /// Rotated queries `[rows, heads, d_head]`.
    pub q: &'a [f32],
    /// Position of the first row; the others follow it.
    pub start: usize,
    /// Decoder layer.
    pub layer: usize,
    /// Keys and values, including those of the rows.
    pub cache: &'a KvCache,
    /// Keys that queries can't see.
    pub cuts: Option<&'a Cuts>,
    /// Sizes.
    pub dims: Dims,
    /// How scores become weights.
    pub scores: &'a Scores,
    /// Rounding of every module output.
    pub round: Rounding,
}

impl Heads<'_> {
    fn query(&self, row: usize, head: usize) -> &[f32] {
        &self.q[(row * self.dims.heads + head) * self.dims.d_head..][..self.dims.d_head]
    }

    fn kv(&self, head: usize) -> Keys<'_> {
        let group = self.dims.heads / self.dims.kv_heads;
        self.cache.keys(self.layer, head / group, self.dims.d_head)
    }

    fn rows(&self) -> usize {
        self.q.len() / (self.dims.heads * self.dims.d_head)
    }

    /// Writes the probabilities of a query over the keys that it sees into `out`.
    fn weigh(&self, (row, head): (usize, usize), seen: Range<usize>, out: &mut Vec<f32>) {
        let (kv, first, query) = (self.kv(head), seen.start, self.start + row);
        let hide = |scores: &mut [f32]| self.cuts.into_iter().for_each(|cuts| cuts.hide(head, query, first, scores));
        let how = Scoring::of(self.scores, (self.layer, head), self.dims.d_head, self.round);
        weigh(self.query(row, head), seen.map(|pos| kv.key(pos)), how, hide, out);
    }

    /// Runs `work` on each row's part of `out`, in parallel where that is faster.
    fn for_rows(&self, out: &mut [f32], width: usize, work: impl Fn(usize, &mut [f32]) + Sync) {
        if self.rows() * (self.start + self.rows()) * self.dims.heads * self.dims.d_head >= PARALLEL_FROM {
            out.par_chunks_mut(width).enumerate().for_each(|(row, out)| work(row, out));
        } else {
            out.chunks_mut(width).enumerate().for_each(|(row, out)| work(row, out));
        }
    }

    /// The output of each head `[rows, heads, d_head]`, computed without keeping the pattern.
    pub fn z(&self) -> Vec<f32> {
        let width = self.dims.heads * self.dims.d_head;
        let mut z = vec![0f32; self.rows() * width];
        self.for_rows(&mut z, width, |row, out| {
            let mut weights = Vec::new();
            let seen = visible(self.start + row, self.dims.window_at(self.layer));
            for (head, out) in out.chunks_exact_mut(self.dims.d_head).enumerate() {
                let kv = self.kv(head);
                self.weigh((row, head), seen.clone(), &mut weights);
                mix(&weights, seen.start, kv, self.round, out);
            }
        });
        z
    }

    /// Attention probabilities `[heads, rows, start + rows]`; exactly zero where a query may not look.
    pub fn pattern(&self) -> Vec<f32> {
        let (rows, keys) = (self.rows(), self.start + self.rows());
        let mut pattern = vec![0f32; self.dims.heads * rows * keys];
        self.for_rows(&mut pattern, keys, |i, out| {
            let (head, row) = (i / rows, i % rows);
            let mut weights = Vec::new();
            let seen = visible(self.start + row, self.dims.window_at(self.layer));
            self.weigh((row, head), seen.clone(), &mut weights);
            out[seen].copy_from_slice(&weights);
        });
        pattern
    }

    /// The output of each head `[rows, heads, d_head]` from a pattern `[heads, rows, start + rows]`. An edited row may
    /// have weights on any key; a row without weights on hidden keys gives the same bits as [`Heads::z`].
    pub fn z_from(&self, pattern: &[f32]) -> Vec<f32> {
        let (rows, keys) = (self.rows(), self.start + self.rows());
        let width = self.dims.heads * self.dims.d_head;
        let mut z = vec![0f32; rows * width];
        self.for_rows(&mut z, width, |row, out| {
            let visible = visible(self.start + row, self.dims.window_at(self.layer));
            for (head, out) in out.chunks_exact_mut(self.dims.d_head).enumerate() {
                let weights = &pattern[(head * rows + row) * keys..][..keys];
                let hidden = weights[..visible.start].iter().chain(&weights[visible.end..]);
                let seen = if hidden.copied().all(|weight| weight == 0.0) { visible.clone() } else { 0..keys };
                mix(&weights[seen.clone()], seen.start, self.kv(head), self.round, out);
            }
        });
        z
    }
}
