use super::blocks::{Block, dot_blocks};
use super::dot::{dot_f32, dot_x4};
use super::fixed::{self, Fixed};
use super::ggml::{self, Meets};
use super::isa::{Isa, isa};
use super::pairs;
use crate::model::precision::Rounding;
use crate::model::weights::{Matrix, Stored};
use rayon::prelude::*;
use std::cell::RefCell;

/// Weight rows of one parallel task, and of one with long rows.
const TASK_ROWS: usize = 64;
const LONG_TASK_ROWS: usize = 32;
/// Columns above which a row is long.
const LONG: usize = 8192;
/// Multiply-adds below which one thread is faster than waking the others.
const PARALLEL_FROM: usize = 1 << 20;

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Memory that a thread keeps from task to task.
#[derive(Default)]
struct Scratch {
    fixed: fixed::Scratch,
    #[cfg(target_arch = "x86_64")]
    ggml: ggml::Scratch,
    pairs: pairs::Scratch,
    wide: Vec<f32>,
}

/// `x · wᵀ` with f32 accumulation, plus the bias of `w`, each result rounded once by `round`.
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
        let product = Product { x: &prepared[job.0], w: job.1, round, isa };
        let size = if job.1.cols() > LONG { LONG_TASK_ROWS } else { TASK_ROWS };
        columns(out, job.1.rows(), size).into_iter().enumerate().map(move |(i, out)| (product, i * size, out))
    });
    if work >= PARALLEL_FROM {
        let tasks: Vec<_> = tasks.collect();
        // By default rayon would give each thread a few long pieces, and one thread would wait for the other at the end.
        tasks.into_par_iter().with_max_len(1).for_each(|(product, first, out)| product.compute(first, out));
    } else {
        tasks.for_each(|(product, first, out)| product.compute(first, out));
    }
    all
}

/// A result `[rows, n]` cut into the columns of each task.
fn columns(out: &mut [f32], n: usize, size: usize) -> Vec<Columns<'_>> {
    let mut tasks: Vec<Columns> = (0..n).step_by(size).map(|_| Vec::with_capacity(out.len() / n)).collect();
    for row in out.chunks_exact_mut(n.max(1)) {
        tasks.iter_mut().zip(row.chunks_mut(size)).for_each(|(task, part)| task.push(part));
    }
    tasks
}

/// Some columns of a result, row by row.
type Columns<'a> = Vec<&'a mut [f32]>;

/// Activations in the form that the kernel of their weights reads.
struct Prepared<'a> {
    plain: &'a [f32],
    pairs: Option<pairs::Packed>,
    fixed: Option<Fixed>,
    /// For [`Rounding::Operands`].
    ggml: ggml::Operands,
    half: Vec<f32>,
}

impl<'a> Prepared<'a> {
    fn of(x: &'a [f32], at: usize, jobs: &[(usize, &Matrix)], round: Rounding) -> Self {
        let mine = |is_one: &dyn Fn(&Matrix) -> bool| jobs.iter().find(|(x, w)| *x == at && is_one(w)).map(|job| job.1);
        let narrowed = |to: Rounding| x.iter().map(|x| to.one(*x)).collect::<Vec<f32>>();
        let pairs = mine(&|w| in_pairs(w, round)).map(|w| match round {
            Rounding::Operands => pairs::Packed::of(isa(), &narrowed(Rounding::Bf16), w.cols()),
            _ => pairs::Packed::of(isa(), x, w.cols()),
        });
        let [small, large] = [Meets::Small, Meets::Large].map(|how| mine(&|w| in_bytes(w, round) == Some(how)));
        let k = small.or(large).map_or(0, Matrix::cols);
        Self {
            plain: x,
            pairs,
            fixed: mine(&|w| in_steps(w, round).is_some())
                .map(|w| Fixed::of(isa(), x, w.cols(), |block| mine(&|w| in_steps(w, round) == Some(block)).is_some())),
            ggml: ggml::Operands::of(isa(), x, k, small.is_some(), large.is_some()),
            half: mine(&|w| in_f16(w, round)).map(|_| narrowed(Rounding::F16)).unwrap_or_default(),
        }
    }
}

/// Whether products are added in the order of [`super::pairs`]: those of bf16 weights.
fn in_pairs(w: &Matrix, round: Rounding) -> bool {
    w.stored() == Stored::Bf16 && !w.is_narrowed_by(round)
}

/// The format of the weights if [`fixed`] computes their products.
fn in_steps(w: &Matrix, round: Rounding) -> Option<Block> {
    match w.stored() {
        Stored::Blocks(block) if fixed::is_for(block) && round == Rounding::None => Some(block),
        _ => None,
    }
}

/// How [`super::ggml`] multiplies by the weights, if it does.
fn in_bytes(w: &Matrix, round: Rounding) -> Option<Meets> {
    match w.stored() {
        Stored::Blocks(block) if round == Rounding::Operands => ggml::meets(block),
        _ => None,
    }
}

/// Whether activations are rounded to f16.
fn in_f16(w: &Matrix, round: Rounding) -> bool {
    w.stored() == Stored::F16 && round == Rounding::Operands
}

/// One matrix product.
#[derive(Clone, Copy)]
struct Product<'a> {
    x: &'a Prepared<'a>,
    w: &'a Matrix,
    round: Rounding,
    isa: Isa,
}

impl Product<'_> {
    /// Multiplies the rows of weights from `first` on that give the columns `out`.
    fn compute(&self, first: usize, mut out: Columns) {
        SCRATCH.with_borrow_mut(|scratch| {
            let row = |i: usize| self.w.row_bytes((first + i).min(self.w.rows() - 1));
            let n = out.first().map_or(0, |out| out.len());
            let put = |row: usize, at: usize, results: &[f32]| out[row][at..][..results.len()].copy_from_slice(results);
            if let (true, Some(x)) = (in_pairs(self.w, self.round), &self.x.pairs) {
                x.multiply((row, n), &mut scratch.pairs, put);
            } else if let (Some(block), Some(x)) = (in_steps(self.w, self.round), &self.x.fixed) {
                x.multiply(block, (row, n), &mut scratch.fixed, put);
            } else if let (Stored::Blocks(block), Some(_)) = (self.w.stored(), in_bytes(self.w, self.round)) {
                self.ggml(block, first, &mut out, scratch);
            } else {
                self.plain(first, &mut out, &mut scratch.wide);
            }
        });
        out.into_iter().for_each(|out| self.w.finish(first, out, self.round));
    }

    fn ggml(&self, block: Block, first: usize, out: &mut Columns, scratch: &mut Scratch) {
        if self.ggml_in_tiles(block, first, out, scratch) {
            return;
        }
        for i in 0..out.first().map_or(0, |out| out.len()) {
            let w = self.w.row_bytes(first + i);
            for (row, out) in out.iter_mut().enumerate() {
                out[i] = ggml::dot(self.isa, block, w, &self.x.ggml, row);
            }
        }
    }

    /// [`Self::ggml`] for several rows at once; false without the instructions.
    #[cfg(target_arch = "x86_64")]
    fn ggml_in_tiles(&self, block: Block, first: usize, out: &mut Columns, scratch: &mut Scratch) -> bool {
        let n = out.first().map_or(0, |out| out.len());
        let row = |i: usize| self.w.row_bytes((first + i).min(self.w.rows() - 1));
        let put = |row: usize, at: usize, results: &[f32]| out[row][at..][..results.len()].copy_from_slice(results);
        ggml::multiply(self.isa, block, (row, n), &self.x.ggml, &mut scratch.ggml, put)
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn ggml_in_tiles(&self, _: Block, _: usize, _: &mut Columns, _: &mut Scratch) -> bool {
        false
    }

    fn plain(&self, first: usize, out: &mut Columns, wide: &mut Vec<f32>) {
        let x = if in_f16(self.w, self.round) { &self.x.half } else { self.x.plain };
        let k = self.w.cols();
        for i in 0..out.first().map_or(0, |out| out.len()) {
            if let ([out], false) = (out.as_mut_slice(), self.w.is_narrowed_by(self.round)) {
                let bytes = self.w.row_bytes(first + i);
                match self.w.stored() {
                    Stored::F32 => {
                        out[i] = dot_f32(self.isa, bytes.as_chunks().0, x);
                        continue;
                    }
                    Stored::Blocks(block) => {
                        out[i] = dot_blocks(self.isa, block, bytes, x);
                        continue;
                    }
                    Stored::Bf16 | Stored::F16 | Stored::Mxfp4 => {}
                }
            }
            self.w.widen_row(first + i, self.round, wide);
            for (x, out) in x.chunks(4 * k).zip(out.chunks_mut(4)) {
                let row = |i: usize| x.get(i * k..(i + 1) * k).unwrap_or(&x[..k]);
                let values = dot_x4(self.isa, wide, [row(0), row(1), row(2), row(3)]);
                out.iter_mut().zip(values).for_each(|(out, value)| out[i] = value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::dot::tests::numbers;
    use super::*;
    use half::{bf16, f16};

    /// Numbers in a format, and the same in f32.
    fn matrix(stored: Stored, n: usize, k: usize) -> (Matrix, Vec<f32>) {
        let values = numbers(n * k, 5);
        let bytes: Vec<u8> = match stored {
            Stored::F32 => values.iter().flat_map(|w| w.to_le_bytes()).collect(),
            Stored::F16 => values.iter().flat_map(|w| f16::from_f32(*w).to_le_bytes()).collect(),
            Stored::Bf16 => values.iter().flat_map(|w| bf16::from_f32(*w).to_le_bytes()).collect(),
            Stored::Mxfp4 => unreachable!("its scales are apart"),
            Stored::Blocks(block) => {
                let bytes = n * k / block.width() * block.bytes();
                // Any bytes, but scales that are small numbers.
                let mut bytes: Vec<u8> = numbers(bytes, 7).iter().map(|v| (v * 128.0) as i8 as u8).collect();
                for block_bytes in bytes.chunks_exact_mut(block.bytes()) {
                    let scales: &[usize] = match block {
                        Block::Q6K => &[208],
                        Block::Q8_0 => &[0],
                        _ => &[0, 2],
                    };
                    for at in scales {
                        block_bytes[*at..at + 2].copy_from_slice(&f16::from_f32(0.01).to_le_bytes());
                    }
                }
                bytes
            }
        };
        let matrix = Matrix::stored_as(stored, bytes, n, k);
        let values = matrix.to_f32();
        (matrix, values)
    }

    #[test]
    fn a_value_does_not_depend_on_what_it_is_computed_with() {
        let blocks = [Block::Q8_0, Block::Q4K, Block::Q6K, Block::Q5K].map(Stored::Blocks);
        let plain = [(Stored::Bf16, 96), (Stored::Bf16, 1057), (Stored::F16, 96), (Stored::F32, 33)];
        let long = [(Stored::Bf16, 8448), (Stored::Blocks(Block::Q8_0), 8448)];
        for (stored, k) in blocks.map(|stored| (stored, 512)).into_iter().chain(plain).chain(long) {
            for n in [1, 3, 15, 33, 70].into_iter().filter(|n| k < 8000 || *n == 33) {
                let (w, values) = matrix(stored, n, k);
                let rough = numbers(15 * k, 6);
                let exact: Vec<f32> = rough.iter().map(|x| bf16::from_f32(*x).to_f32()).collect();
                for (x, round) in [(&rough, Rounding::None), (&exact, Rounding::None), (&exact, Rounding::Bf16)] {
                    let alone: Vec<f32> = x.chunks_exact(k).flat_map(|x| linear(x, &w, round)).collect();
                    for rows in [1, 2, 5, 12, 13, 15] {
                        let together = linear(&x[..rows * k], &w, round);
                        assert_eq!(together, alone[..rows * n], "{stored} {n} {k} {rows}");
                    }
                    let jobs = linears(&[&x[..k], &x[k..4 * k]], &[(0, &w), (1, &w), (0, &w)], round);
                    assert_eq!(jobs, [&alone[..n], &alone[n..4 * n], &alone[..n]]);
                    let terms = || values[..k].iter().zip(&x[..k]).map(|(w, x)| f64::from(*w) * f64::from(*x));
                    let (want, size) = (terms().sum::<f64>(), terms().map(|x| x * x).sum::<f64>().sqrt());
                    let rounded = if round == Rounding::None { 0.0 } else { want.abs() / 200.0 + size / 200.0 };
                    assert!(
                        (f64::from(alone[0]) - want).abs() < 5e-6 * size + rounded,
                        "{stored} {k}: {} {want}",
                        alone[0]
                    );
                }
            }
        }
        let (w, _) = matrix(Stored::Bf16, 3, 64);
        assert!(linear(&[], &w, Rounding::None).is_empty());
    }

    #[test]
    fn operands_are_rounded_as_their_weights_say() {
        let x = numbers(3 * 512, 6);
        let narrow = |to: Rounding| -> Vec<f32> { x.iter().map(|x| to.one(*x)).collect() };
        for (stored, to) in
            [(Stored::F32, Rounding::None), (Stored::F16, Rounding::F16), (Stored::Bf16, Rounding::Bf16)]
        {
            let (w, _) = matrix(stored, 33, 512);
            assert_eq!(linear(&x, &w, Rounding::Operands), linear(&narrow(to), &w, Rounding::None), "{stored}");
        }
        let matrices = [Block::Q8_0, Block::Q4K, Block::Q8K].map(|block| matrix(Stored::Blocks(block), 33, 512).0);
        let all = linears(&[&x], &matrices.each_ref().map(|w| (0, w)), Rounding::Operands);
        for (w, together) in matrices.iter().zip(&all) {
            let alone: Vec<f32> = x.chunks(512).flat_map(|x| linear(x, w, Rounding::Operands)).collect();
            assert_eq!(*together, alone);
        }
        assert_eq!(all[2], linear(&x, &matrices[2], Rounding::None), "llama.cpp does not multiply by Q8_K");
        assert_ne!(all[1], linear(&x, &matrices[1], Rounding::None));
    }

    #[test]
    fn one_inexact_row_changes_nothing_for_the_others() {
        let (w, _) = matrix(Stored::Bf16, 40, 256);
        let exact: Vec<f32> = numbers(2 * 256, 6).iter().map(|x| bf16::from_f32(*x).to_f32()).collect();
        let mixed = [&exact[..256], &numbers(256, 8)].concat();
        let (all, mixed) = (linear(&exact, &w, Rounding::None), linear(&mixed, &w, Rounding::None));
        assert_eq!(all[..40], mixed[..40]);
    }
}
