use super::blocks::dot_blocks;
use super::dot::{Isa, dot_bf16, dot_f32, dot_x4, isa};
#[cfg(target_arch = "x86_64")]
use super::dpbf16::{self, Packed, Sums, TILE_ROWS, TILE_X};
use super::pairs::{CHUNK, Split, dot_pairs, dot_pairs_x4, split};
use crate::model::precision::Rounding;
use crate::model::weights::{Matrix, Stored};
use rayon::prelude::*;
use std::cell::RefCell;
use std::ops::Range;

/// Weight rows of one parallel task.
const TASK_ROWS: usize = 64;
/// Groups of activations that one pass over a task's weights multiplies: both stay in a core's cache.
#[cfg(target_arch = "x86_64")]
const GROUPS: usize = 12;
/// Bytes of a row of weights that are multiplied by all groups before the next.
#[cfg(target_arch = "x86_64")]
const PIECE: usize = 8192;
/// Multiply-adds below which one thread is faster than waking the others.
const PARALLEL_FROM: usize = 1 << 20;
/// Width above which rows of bf16 weights are added up in pairs.
pub(super) const PAIRS_ABOVE: usize = 1024;
/// Rows of a result that are put in order together.
const TURNED: usize = 16;

#[cfg(target_arch = "x86_64")]
thread_local! {
    /// Sums by lane of the task at hand.
    static SUMS: RefCell<Vec<Sums>> = const { RefCell::new(Vec::new()) };
}

/// `x · wᵀ` with f32 accumulation, each result rounded once by `round`.
///
/// `x` is `[rows, k]`, `w` is `[n, k]`, the result `[rows, n]`. Rows of `w` are read from where they are stored.
pub fn linear(x: &[f32], w: &Matrix, round: Rounding) -> Vec<f32> {
    linears(&[x], &[(0, w)], round).pop().unwrap_or_default()
}

/// Several products in one parallel job: each of `jobs` multiplies one of `xs` by a matrix, as [`linear`] does.
pub fn linears(xs: &[&[f32]], jobs: &[(usize, &Matrix)], round: Rounding) -> Vec<Vec<f32>> {
    let isa = isa();
    let prepared: Vec<Prepared> = xs.iter().enumerate().map(|(at, x)| Prepared::of(x, at, jobs, round)).collect();
    let rows = |(at, w): &(usize, &Matrix)| xs[*at].len() / w.cols().max(1);
    let mut all: Vec<Vec<f32>> = jobs.iter().map(|job| vec![0f32; job.1.rows() * rows(job)]).collect();
    let work: usize = jobs.iter().map(|job| job.1.rows() * xs[job.0].len()).sum();
    let tasks = jobs.iter().zip(&mut all).flat_map(|(job, out)| {
        let (product, size) =
            (Product { x: &prepared[job.0], w: job.1, round, rows: rows(job), isa }, rows(job).max(1));
        out.chunks_mut(TASK_ROWS * size).enumerate().map(move |(i, out)| (product, i * TASK_ROWS, out))
    });
    if work >= PARALLEL_FROM {
        let tasks: Vec<_> = tasks.collect();
        tasks.into_par_iter().for_each(|(product, first, out)| product.compute(first, out));
    } else {
        tasks.for_each(|(product, first, out)| product.compute(first, out));
    }
    all.into_iter().zip(jobs).map(|(columns, job)| turned(columns, rows(job))).collect()
}

/// Activations in the form that the kernel of their weights reads.
struct Prepared<'a> {
    plain: &'a [f32],
    pairs: Pairs,
}

enum Pairs {
    None,
    Split(Vec<Split>),
    #[cfg(target_arch = "x86_64")]
    Packed(Packed),
}

impl<'a> Prepared<'a> {
    fn of(x: &'a [f32], at: usize, jobs: &[(usize, &Matrix)], round: Rounding) -> Self {
        let mut long = jobs.iter().filter(|(x, w)| *x == at && in_pairs(w, round));
        let pairs = long.next().map_or(Pairs::None, |(_, w)| Pairs::of(x, w.cols()));
        Self { plain: x, pairs }
    }
}

impl Pairs {
    fn of(x: &[f32], k: usize) -> Self {
        #[cfg(target_arch = "x86_64")]
        if dpbf16::is_here()
            && let Some(packed) = Packed::of(x, k)
        {
            return Self::Packed(packed);
        }
        Self::Split(split(x, k))
    }
}

/// Whether products are added up as [`super::pairs`] says: those of bf16 weights whose rows are long enough to be worth it.
fn in_pairs(w: &Matrix, round: Rounding) -> bool {
    w.stored() == Stored::Bf16 && !w.is_narrowed_by(round) && w.cols() > PAIRS_ABOVE
}

/// One matrix product.
#[derive(Clone, Copy)]
struct Product<'a> {
    x: &'a Prepared<'a>,
    w: &'a Matrix,
    round: Rounding,
    rows: usize,
    isa: Isa,
}

impl Product<'_> {
    /// Multiplies rows of weights from `first` on: `out` is `[rows of weights, rows]`.
    fn compute(&self, first: usize, out: &mut [f32]) {
        match &self.x.pairs {
            #[cfg(target_arch = "x86_64")]
            Pairs::Packed(x) if in_pairs(self.w, self.round) => self.packed(x, first, out),
            Pairs::Split(x) if in_pairs(self.w, self.round) => self.split(x, first, out),
            _ => self.plain(first, out),
        }
        self.round.slice(out);
    }

    #[cfg(target_arch = "x86_64")]
    fn packed(&self, x: &Packed, first: usize, out: &mut [f32]) {
        if self.rows == 1 {
            for (i, out) in out.iter_mut().enumerate() {
                *out = x.dot(self.w.row_bytes(first + i));
            }
            return;
        }
        SUMS.with_borrow_mut(|sums| {
            for block in (0..x.groups()).step_by(GROUPS) {
                let groups = block..(block + GROUPS).min(x.groups());
                self.block(x, groups, first, out, sums);
            }
        });
    }

    /// Multiplies a task's rows of weights by some groups, a piece of the rows at a time.
    #[cfg(target_arch = "x86_64")]
    fn block(&self, x: &Packed, groups: Range<usize>, first: usize, out: &mut [f32], sums: &mut Vec<Sums>) {
        // A last tile of fewer rows reads the last one again: what that gives is not kept.
        let last = self.w.rows() - 1;
        let bytes = 2 * self.w.cols();
        let row = |tile: usize, row: usize| self.w.row_bytes((first + tile * TILE_ROWS + row).min(last));
        let tiles = out.len().div_ceil(TILE_ROWS * self.rows);
        let all = tiles * groups.len();
        sums.resize(all.max(sums.len()), Sums::default());
        let sums = &mut sums[..all];
        for start in (0..bytes).step_by(PIECE) {
            let piece = start..(start + PIECE).min(bytes);
            for (tile, sums) in sums.chunks_exact_mut(groups.len()).enumerate() {
                let w: [&[u8]; TILE_ROWS] = std::array::from_fn(|i| &row(tile, i)[piece.clone()]);
                for (i, (group, sums)) in groups.clone().zip(sums).enumerate() {
                    if tile + 1 < tiles && i < TILE_ROWS {
                        dpbf16::fetch(&row(tile + 1, i)[piece.clone()]);
                    }
                    x.add(group, start / 2 / CHUNK, w, sums);
                }
            }
        }
        for (tile, sums) in sums.chunks_exact(groups.len()).enumerate() {
            for (group, sums) in groups.clone().zip(sums) {
                x.finish(group, sums, &mut out[tile * TILE_ROWS * self.rows + group * TILE_X..], self.rows);
            }
        }
    }

    fn split(&self, x: &[Split], first: usize, out: &mut [f32]) {
        let chunks = self.w.cols().div_ceil(CHUNK);
        for (i, out) in out.chunks_exact_mut(self.rows).enumerate() {
            let w = self.w.row_bytes(first + i);
            if let [out] = out {
                *out = dot_pairs(self.isa, w, x);
                continue;
            }
            // A last group of fewer rows is filled up with the first: what it gives is not looked at.
            for (x, out) in x.chunks(4 * chunks).zip(out.chunks_mut(4)) {
                let row = |i: usize| x.get(i * chunks..(i + 1) * chunks).unwrap_or(&x[..chunks]);
                let values = dot_pairs_x4(self.isa, w, [row(0), row(1), row(2), row(3)]);
                out.copy_from_slice(&values[..out.len()]);
            }
        }
    }

    fn plain(&self, first: usize, out: &mut [f32]) {
        let (x, k) = (self.x.plain, self.w.cols());
        let mut wide = Vec::new();
        for (i, out) in out.chunks_exact_mut(self.rows).enumerate() {
            if let ([out], false) = (&mut *out, self.w.is_narrowed_by(self.round)) {
                let bytes = self.w.row_bytes(first + i);
                match self.w.stored() {
                    Stored::F32 => {
                        *out = dot_f32(self.isa, bytes.as_chunks().0, x);
                        continue;
                    }
                    Stored::Blocks(block) => {
                        *out = dot_blocks(self.isa, block, bytes, x);
                        continue;
                    }
                    Stored::Bf16 => {
                        *out = dot_bf16(self.isa, bytes.as_chunks().0, x);
                        continue;
                    }
                    Stored::F16 => {}
                }
            }
            self.w.widen_row(first + i, self.round, &mut wide);
            for (x, out) in x.chunks(4 * k).zip(out.chunks_mut(4)) {
                let row = |i: usize| x.get(i * k..(i + 1) * k).unwrap_or(&x[..k]);
                let values = dot_x4(self.isa, &wide, [row(0), row(1), row(2), row(3)]);
                out.copy_from_slice(&values[..out.len()]);
            }
        }
    }
}

/// `[n, rows]` as `[rows, n]`.
fn turned(columns: Vec<f32>, rows: usize) -> Vec<f32> {
    if rows <= 1 {
        return columns;
    }
    let n = columns.len() / rows;
    let mut out = vec![0f32; columns.len()];
    let turn = |(block, out): (usize, &mut [f32])| {
        let width = out.len() / n;
        for (column, values) in columns.chunks_exact(rows).enumerate() {
            for (row, value) in values[block * TURNED..][..width].iter().enumerate() {
                out[row * n + column] = *value;
            }
        }
    };
    if columns.len() >= PARALLEL_FROM {
        out.par_chunks_mut(TURNED * n).enumerate().for_each(turn);
    } else {
        out.chunks_mut(TURNED * n).enumerate().for_each(turn);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::dot::tests::numbers;
    use super::*;
    use half::bf16;

    #[test]
    fn a_value_does_not_depend_on_what_it_is_computed_with() {
        let stored = |w: &[f32]| w.iter().flat_map(|w| bf16::from_f32(*w).to_le_bytes()).collect::<Vec<u8>>();
        for (n, k) in [(70, 96), (70, PAIRS_ABOVE + 33), (3, 2 * PAIRS_ABOVE)] {
            let w = Matrix::stored_as(Stored::Bf16, stored(&numbers(n * k, 5)), n, k);
            let rough = numbers(15 * k, 6);
            let exact: Vec<f32> = rough.iter().map(|x| bf16::from_f32(*x).to_f32()).collect();
            for (x, round) in [(&rough, Rounding::None), (&exact, Rounding::None), (&exact, Rounding::Bf16)] {
                let alone: Vec<f32> = x.chunks_exact(k).flat_map(|x| linear(x, &w, round)).collect();
                for rows in 1..=15 {
                    let together = linear(&x[..rows * k], &w, round);
                    assert_eq!(together, alone[..rows * n], "{n} {k} {rows}");
                }
                let jobs = linears(&[&x[..k], &x[k..4 * k]], &[(0, &w), (1, &w), (0, &w)], round);
                assert_eq!(jobs, [&alone[..n], &alone[n..4 * n], &alone[..n]]);
                let want: f64 =
                    (0..k).map(|i| f64::from(bf16::from_f32(numbers(n * k, 5)[i]).to_f32()) * f64::from(x[i])).sum();
                assert!(
                    (f64::from(alone[0]) - want).abs() < if round == Rounding::None { 1e-4 } else { 0.1 },
                    "{want}"
                );
            }
        }
    }
}
