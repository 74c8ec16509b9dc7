//! The values of one operation, the recorded and our own, and the parts of it that are beyond the limit.

use super::recorded::Sources;
use crate::analysis::diff::{Gap, Limit, Operation};
use crate::trace::{Dims, Dtype, Hook, HookKind as K};
use rayon::prelude::*;

/// Values of a pattern that are closer than this are equal: softmax is not bit-equal between programs.
const SAME_PROBABILITY: f32 = 1e-6;
/// Where an operation is not direct, it may be this many times further off than rounding moves it.
const ROUNDING_ROOM: f64 = 2.0;
/// The same in f32, relative L2, for all operations of a layer together.
const F32_ROOM: f64 = 2e-4;

/// Positions with the largest differences that are kept.
const WORST: usize = 6;

/// What comparing needs to know.
pub struct Compared<'a> {
    pub hook: Hook,
    pub dims: Dims,
    pub tokens: usize,
    /// The coarser dtype.
    pub dtype: Dtype,
    pub scores: &'a Scores,
    /// The chosen experts `[pos, k]`.
    pub chosen: &'a [u32],
    /// Tokens that are left out.
    pub skip: Option<&'a [bool]>,
}

/// Attention scores: the largest magnitude in each row `[heads, query]`.
#[derive(Default)]
pub struct Scores {
    largest: Vec<f32>,
}

impl Scores {
    /// Of rotated queries `[pos, heads, d_head]` and keys `[pos, kv_heads, d_head]`.
    /// `scale` is their factor in `layer`.
    pub fn of(q: &[f32], k: &[f32], d: Dims, (layer, scale): (usize, f32)) -> Self {
        let (group, pos) = (d.heads / d.kv_heads, k.len() / (d.kv_heads * d.d_head));
        let row = |i: usize| {
            let (head, query) = (i / pos, i % pos);
            let q = &q[(query * d.heads + head) * d.d_head..][..d.d_head];
            let first = d.window_at(layer).map_or(0, |window| (query + 1).saturating_sub(window));
            let score = |key: usize| {
                let k = &k[(key * d.kv_heads + head / group) * d.d_head..][..d.d_head];
                (q.iter().zip(k).map(|(q, k)| q * k).sum::<f32>() * scale).abs()
            };
            (first..=query).map(score).fold(0.0, f32::max)
        };
        Self { largest: (0..d.heads * pos).into_par_iter().map(row).collect() }
    }
}

impl Compared<'_> {
    /// The operation with what was found. `a` is recorded, `own` computed; `rounding` is the relative L2 that rounding alone
    /// gives an operation that is not direct.
    pub fn operation(&self, a: &[f32], own: &[f32], sources: &Sources, rounding: Option<f64>) -> Operation {
        let rows = self.rows(a, own);
        let parts: Vec<Option<Gap>> = rows.iter().map(|rows| rows.iter().copied().reduce(Gap::and)).collect();
        let all = parts.iter().flatten().copied().fold(Gap::default(), Gap::and);
        // The MLP of a layer without a router is one expert.
        let is_dense = self.hook.kind == K::MlpOut && !self.dims.has_router(self.hook.layer as usize);
        let limit = Limit::of(if is_dense { K::ExpertOut } else { self.hook.kind }, self.dtype);
        let is_room = |gap: &Gap| match rounding {
            None => false,
            Some(_) if self.dtype == Dtype::F32 => gap.non_finite == 0 && gap.relative_l2 <= F32_ROOM,
            Some(rounding) => gap.non_finite == 0 && gap.relative_l2 <= ROUNDING_ROOM * rounding,
        };
        let bad: Vec<usize> = match rounding {
            // The parts of an indirect operation mix.
            Some(_) => Vec::new(),
            None => (0..rows.len()).filter(|i| !limit.allows_most(&rows[*i])).collect(),
        };
        let present = parts.iter().flatten().count();
        let ok = (limit.allows_most(&rows.concat()) || is_room(&all)) && bad.is_empty();
        let position = (!ok).then(|| self.first(a, own, &bad)).flatten();
        let worst = if ok { Vec::new() } else { self.worst(a, own, &bad) };
        Operation {
            hook: self.hook,
            layer: self.hook.decoder_layer(),
            inputs: sources.hooks.iter().map(|(_, hook)| *hook).collect(),
            direct: sources.direct,
            dtype: self.dtype,
            gap: all,
            ties: [0, 0],
            parts: if bad.len() < present { bad } else { Vec::new() },
            position,
            rounding,
            ok,
            explained: false,
            worst,
            chosen: if self.hook.kind == K::ExpertOut { self.chosen.to_vec() } else { Vec::new() },
        }
    }

    /// The gap of all values together.
    pub fn gap(&self, a: &[f32], b: &[f32]) -> Gap {
        self.rows(a, b).into_iter().flatten().fold(Gap::default(), Gap::and)
    }

    /// The gap of each token's values, by head or expert, or all in one part.
    fn rows(&self, a: &[f32], b: &[f32]) -> Vec<Vec<Gap>> {
        let rms = (a.iter().map(|x| f64::from(*x) * f64::from(*x)).filter(|x| x.is_finite()).sum::<f64>()
            / a.len().max(1) as f64)
            .sqrt() as f32;
        let width = (a.len() / self.tokens.max(1)).max(1);
        let mut parts: Vec<Vec<Gap>> = vec![Vec::new(); self.part_count()];
        let mut last = None;
        for (i, (a, b)) in a.iter().zip(b).enumerate() {
            let (pos, index) = self.place(i, width);
            if self.skip.is_some_and(|skip| skip[pos]) {
                continue;
            }
            let Some(part) = parts.get_mut(index) else { continue };
            let b = self.dtype.round(*b);
            let rounded = self.dtype.round(*a);
            let (equal, ulp) = self.measure(i, rounded, b, rms);
            // A row's values of one part follow each other.
            if last != Some((pos, index)) {
                part.push(Gap::default());
                last = Some((pos, index));
            }
            if let Some(row) = part.last_mut() {
                row.add(rounded, b, equal, ulp);
            }
        }
        parts.into_iter().map(|rows| rows.into_iter().map(Gap::done).collect()).collect()
    }

    /// The recorded values of one token, as [`Definition`](super::definition::Definition) gives them.
    pub fn row(&self, a: &[f32], pos: usize) -> Vec<f32> {
        let n = self.tokens;
        match self.hook.kind {
            K::Pattern => a.chunks_exact(n * n).flat_map(|head| &head[pos * n..][..n]).copied().collect(),
            _ => a[pos * (a.len() / n)..][..a.len() / n].to_vec(),
        }
    }

    /// The gap of one token's values, of these parts or of all.
    pub fn row_gap(&self, pos: usize, a: &[f32], own: &[f64], parts: &[usize]) -> Gap {
        let (n, width) = (self.tokens, a.len());
        let rms = (a.iter().map(|x| x * x).filter(|x| x.is_finite()).sum::<f32>() / width.max(1) as f32).sqrt();
        let mut gap = Gap::default();
        for (i, (a, own)) in a.iter().zip(own).enumerate() {
            // The index that the value has in the whole tensor.
            let index = match self.hook.kind {
                K::Pattern => (i / n * n + pos) * n + i % n,
                _ => pos * width + i,
            };
            if !parts.is_empty() && !parts.contains(&self.place(index, width).1) {
                continue;
            }
            let (a, own) = (self.dtype.round(*a), self.dtype.round(*own as f32));
            let (equal, ulp) = self.measure(index, a, own, rms);
            gap.add(a, own, equal, ulp);
        }
        gap.done()
    }

    fn part_count(&self) -> usize {
        match self.hook.kind {
            K::Q | K::RotQ | K::Z | K::Pattern => self.dims.heads,
            K::K | K::RotK | K::V => self.dims.kv_heads,
            K::ExpertOut => self.dims.experts,
            _ => 1,
        }
    }

    /// Position and part of the value at index `i`; a token has `width` values.
    fn place(&self, i: usize, width: usize) -> (usize, usize) {
        let d = self.dims;
        match self.hook.kind {
            K::Pattern => (i / self.tokens % self.tokens, i / (self.tokens * self.tokens)),
            K::Q | K::RotQ | K::Z | K::K | K::RotK | K::V => (i / width, i % width / d.d_head),
            K::ExpertOut => (i / width, self.chosen.get(i / d.d_model).map_or(0, |expert| *expert as usize)),
            _ => (i / width, 0),
        }
    }

    /// Whether two values count as equal, and the size of an ulp at their magnitude.
    fn measure(&self, i: usize, a: f32, b: f32, rms: f32) -> (bool, f32) {
        let gap = (a - b).abs();
        if self.hook.kind == K::Pattern {
            // An ulp of a score moves its probability by that much, and all others of its row with it.
            let score = self.scores.largest.get(i / self.tokens).copied().unwrap_or(1.0);
            let largest = a.abs().max(b.abs());
            let ulp = largest * self.dtype.ulp(score.max(1.0)) + self.dtype.ulp(largest);
            return (gap <= SAME_PROBABILITY, ulp.max(SAME_PROBABILITY));
        }
        (a == b, self.dtype.ulp(a.abs().max(b.abs()).max(rms)))
    }

    /// The positions with the largest differences of bad parts, in ascending order.
    fn worst(&self, a: &[f32], own: &[f32], bad: &[usize]) -> Vec<usize> {
        let width = (a.len() / self.tokens.max(1)).max(1);
        let mut squares = vec![0f64; self.tokens];
        for (i, (a, b)) in a.iter().zip(own).enumerate() {
            let gap = f64::from(self.dtype.round(*a)) - f64::from(self.dtype.round(*b));
            let (pos, part) = self.place(i, width);
            if gap.is_finite() && (bad.is_empty() || bad.contains(&part)) {
                squares[pos] += gap * gap;
            }
        }
        let mut order: Vec<usize> = (0..self.tokens).filter(|pos| self.skip.is_none_or(|skip| !skip[*pos])).collect();
        order.sort_by(|a, b| squares[*b].total_cmp(&squares[*a]));
        order.truncate(WORST);
        order.sort_unstable();
        order
    }

    /// The first position at which a bad part differs by an ulp or more.
    fn first(&self, a: &[f32], own: &[f32], bad: &[usize]) -> Option<usize> {
        let width = (a.len() / self.tokens.max(1)).max(1);
        let most = match self.dtype {
            Dtype::F32 => 256.0,
            _ => 1.0,
        };
        let rms = (a.iter().map(|x| x * x).filter(|x| x.is_finite()).sum::<f32>() / a.len().max(1) as f32).sqrt();
        let mut first: [Option<usize>; 2] = [None; 2];
        for (i, (a, b)) in a.iter().zip(own).enumerate() {
            let (pos, part) = self.place(i, width);
            if !bad.is_empty() && !bad.contains(&part) || self.skip.is_some_and(|skip| skip[pos]) {
                continue;
            }
            let (a, b) = (self.dtype.round(*a), self.dtype.round(*b));
            let (equal, ulp) = self.measure(i, a, b, rms);
            if equal {
                continue;
            }
            let far = (a - b).abs() > most * ulp || (a - b).is_nan();
            for (first, counts) in first.iter_mut().zip([far, true]) {
                if counts && first.is_none_or(|at| pos < at) {
                    *first = Some(pos);
                }
            }
        }
        first[0].or(first[1])
    }
}
