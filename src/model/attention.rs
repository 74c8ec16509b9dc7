//! Causal grouped-query attention, one query and head at a time.

use super::cache::{Keys, KvCache};
use super::kernels::dot_small;
use super::ops::softmax;
use super::precision::Rounding;
use crate::trace::{Dims, HookKind, Pattern, TokenRecord};
use rayon::prelude::*;
use std::ops::Range;
use std::sync::Arc;

/// Multiply-adds below which one thread is faster than waking the others.
const PARALLEL_FROM: usize = 1 << 19;

/// The keys that the query at `pos` may see: HF's mask, `pos - window < key <= pos`.
pub fn visible(pos: usize, window: Option<usize>) -> Range<usize> {
    window.map_or(0, |window| (pos + 1).saturating_sub(window))..pos + 1
}

/// Attention probabilities of one query over `keys`, into `out`: scores rounded, scaled, rounded, softmax in f32, rounded.
fn weigh<'a>(query: &[f32], keys: impl Iterator<Item = &'a [f32]>, round: Rounding, out: &mut Vec<f32>) {
    let scale = 1.0 / (query.len() as f64).sqrt();
    out.clear();
    out.extend(keys.map(|key| round.one(round.one(dot_small(query, key)) * scale as f32)));
    softmax(out);
    round.slice(out);
}

/// `Σ weight · value` over positions from `first` on, rounded once.
fn mix(weights: &[f32], first: usize, kv: Keys, round: Rounding, out: &mut [f32]) {
    out.fill(0.0);
    for (weight, pos) in weights.iter().zip(first..) {
        for (out, value) in out.iter_mut().zip(kv.value(pos)) {
            *out += weight * value;
        }
    }
    round.slice(out);
}

/// What one layer's attention works on.
pub(super) struct Heads<'a> {
    /// Rotated queries `[rows, heads, d_head]`.
    pub q: &'a [f32],
    /// Position of the first row; rows follow each other.
    pub start: usize,
    /// Decoder layer.
    pub layer: usize,
    /// Keys and values, the rows' own included.
    pub cache: &'a KvCache,
    /// Sizes.
    pub dims: Dims,
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

    /// Runs `work` on each row's part of `out`, in parallel if it is worth it.
    fn for_rows(&self, out: &mut [f32], width: usize, work: impl Fn(usize, &mut [f32]) + Sync) {
        if self.rows() * (self.start + self.rows()) * self.dims.heads * self.dims.d_head >= PARALLEL_FROM {
            out.par_chunks_mut(width).enumerate().for_each(|(row, out)| work(row, out));
        } else {
            out.chunks_mut(width).enumerate().for_each(|(row, out)| work(row, out));
        }
    }

    /// Per-head outputs `[rows, heads, d_head]` without keeping a pattern.
    pub fn z(&self) -> Vec<f32> {
        let width = self.dims.heads * self.dims.d_head;
        let mut z = vec![0f32; self.rows() * width];
        self.for_rows(&mut z, width, |row, out| {
            let mut weights = Vec::new();
            let seen = visible(self.start + row, self.dims.window);
            for (head, out) in out.chunks_exact_mut(self.dims.d_head).enumerate() {
                let kv = self.kv(head);
                weigh(self.query(row, head), seen.clone().map(|pos| kv.key(pos)), self.round, &mut weights);
                mix(&weights, seen.start, kv, self.round, out);
            }
        });
        z
    }

    /// Attention probabilities `[heads, rows, start + rows]`; exact zeros where a query may not look.
    pub fn pattern(&self) -> Vec<f32> {
        let (rows, keys) = (self.rows(), self.start + self.rows());
        let mut pattern = vec![0f32; self.dims.heads * rows * keys];
        self.for_rows(&mut pattern, keys, |i, out| {
            let (head, row) = (i / rows, i % rows);
            let mut weights = Vec::new();
            let seen = visible(self.start + row, self.dims.window);
            let kv = self.kv(head);
            weigh(self.query(row, head), seen.clone().map(|pos| kv.key(pos)), self.round, &mut weights);
            out[seen].copy_from_slice(&weights);
        });
        pattern
    }

    /// Per-head outputs `[rows, heads, d_head]` from a pattern `[heads, rows, start + rows]`. An `edited` pattern may
    /// look anywhere; otherwise only visible keys are read, in the same order as [`Heads::z`].
    pub fn z_from(&self, pattern: &[f32], edited: bool) -> Vec<f32> {
        let (rows, keys) = (self.rows(), self.start + self.rows());
        let width = self.dims.heads * self.dims.d_head;
        let mut z = vec![0f32; rows * width];
        self.for_rows(&mut z, width, |row, out| {
            let seen = if edited { 0..keys } else { visible(self.start + row, self.dims.window) };
            for (head, out) in out.chunks_exact_mut(self.dims.d_head).enumerate() {
                let weights = &pattern[(head * rows + row) * keys..][seen.clone()];
                mix(weights, seen.start, self.kv(head), self.round, out);
            }
        });
        z
    }
}

/// The attention probabilities of one head from the `hook_rot_q` and `hook_rot_k` rows of a run: bit for bit those of
/// the forward pass. `None` if a row was not captured.
pub fn derive_pattern(
    tokens: &[Arc<TokenRecord>],
    layer: usize,
    head: usize,
    dims: Dims,
    round: Rounding,
) -> Option<Pattern> {
    let keys = keys(tokens, layer, head, dims)?;
    let mut pattern = Pattern { n: tokens.len(), weights: Vec::with_capacity(tokens.len() * (tokens.len() + 1) / 2) };
    for (query, token) in tokens.iter().enumerate() {
        pattern.weights.extend(row(token, &keys, query, (layer, head), dims, round)?);
    }
    Some(pattern)
}

/// One row of [`derive_pattern`]: weights of the query at `query` over keys `0..=query`.
pub fn derive_row(
    tokens: &[Arc<TokenRecord>],
    layer: usize,
    head: usize,
    query: usize,
    dims: Dims,
    round: Rounding,
) -> Option<Vec<f32>> {
    let keys = keys(tokens.get(..=query)?, layer, head, dims)?;
    row(&tokens[query], &keys, query, (layer, head), dims, round)
}

/// The output `z` of one head at position `query`, before `W_O`, `[d_head]`, from its pattern and the values in `cache`:
/// bit for bit that of the pass. `None` if queries or keys were not captured or `cache` is shorter.
pub fn derive_z(
    tokens: &[Arc<TokenRecord>],
    cache: &KvCache,
    (layer, head): (usize, usize),
    query: usize,
    dims: Dims,
    round: Rounding,
) -> Option<Vec<f32>> {
    let weights = derive_row(tokens, layer, head, query, dims, round).filter(|_| query < cache.len())?;
    let first = visible(query, dims.window).start;
    let kv = cache.keys(layer, head / (dims.heads / dims.kv_heads), dims.d_head);
    let mut z = vec![0f32; dims.d_head];
    mix(&weights[first..], first, kv, round, &mut z);
    Some(z)
}

/// The rotated keys that `head` reads, by position, each `[d_head]`.
fn keys(tokens: &[Arc<TokenRecord>], layer: usize, head: usize, dims: Dims) -> Option<Vec<&[f32]>> {
    let kv_head = head / (dims.heads / dims.kv_heads);
    let range = kv_head * dims.d_head..(kv_head + 1) * dims.d_head;
    tokens.iter().map(|token| token.row(HookKind::RotK, layer)?.get(range.clone())).collect()
}

fn row(
    token: &TokenRecord,
    keys: &[&[f32]],
    query: usize,
    (layer, head): (usize, usize),
    dims: Dims,
    round: Rounding,
) -> Option<Vec<f32>> {
    let q = token.row(HookKind::RotQ, layer)?.get(head * dims.d_head..(head + 1) * dims.d_head)?;
    let seen = visible(query, dims.window);
    let mut weights = Vec::with_capacity(query + 1);
    weigh(q, keys[seen.clone()].iter().copied(), round, &mut weights);
    // Keys outside the window weigh exactly nothing.
    weights.splice(0..0, std::iter::repeat_n(0.0, seen.start));
    Some(weights)
}
