use super::blocks::dot_blocks;
use super::dot::{Isa, dot_bf16, dot_f32, dot_x4, isa};
use crate::model::precision::Rounding;
use crate::model::weights::{Matrix, Stored};
use rayon::prelude::*;

/// Weight rows of one parallel task.
const TASK_ROWS: usize = 64;
/// Multiply-adds below which one thread is faster than waking the others.
const PARALLEL_FROM: usize = 1 << 20;

/// `x · wᵀ` with f32 accumulation, each result rounded once by `round`.
///
/// `x` is `[rows, k]`, `w` is `[n, k]`, the result `[rows, n]`. Rows of `w` are read from where they are stored;
/// at most `TASK_ROWS` of them are widened at a time.
pub fn linear(x: &[f32], w: &Matrix, round: Rounding) -> Vec<f32> {
    let (n, k) = (w.rows(), w.cols());
    let rows = x.len() / k.max(1);
    // [n, rows]: the parallel tasks then own contiguous parts.
    let mut columns = vec![0f32; n * rows];
    let isa = isa();
    let task = |(i, out): (usize, &mut [f32])| multiply(isa, x, (w, round), i * TASK_ROWS, rows, out);
    if n * k * rows >= PARALLEL_FROM {
        columns.par_chunks_mut(TASK_ROWS * rows.max(1)).enumerate().for_each(task);
    } else {
        columns.chunks_mut(TASK_ROWS * rows.max(1)).enumerate().for_each(task);
    }
    round.slice(&mut columns);
    if rows <= 1 {
        return columns;
    }
    let mut out = vec![0f32; n * rows];
    for (row, line) in out.chunks_exact_mut(n).enumerate() {
        for (column, value) in line.iter_mut().enumerate() {
            *value = columns[column * rows + row];
        }
    }
    out
}

fn multiply(isa: Isa, x: &[f32], (w, round): (&Matrix, Rounding), first: usize, rows: usize, out: &mut [f32]) {
    let k = w.cols();
    let mut wide = Vec::new();
    for (i, out) in out.chunks_exact_mut(rows).enumerate() {
        if rows == 1 && !w.is_narrowed_by(round) {
            let bytes = w.row_bytes(first + i);
            match w.stored() {
                Stored::Bf16 => {
                    out[0] = dot_bf16(isa, bytes.as_chunks().0, x);
                    continue;
                }
                Stored::F32 => {
                    out[0] = dot_f32(isa, bytes.as_chunks().0, x);
                    continue;
                }
                Stored::Blocks(block) => {
                    out[0] = dot_blocks(isa, block, bytes, x);
                    continue;
                }
                Stored::F16 => {}
            }
        }
        w.widen_row(first + i, round, &mut wide);
        // A last group of fewer rows is filled up with the first: what it gives is not looked at.
        for (x, out) in x.chunks(4 * k).zip(out.chunks_mut(4)) {
            let row = |i: usize| x.get(i * k..(i + 1) * k).unwrap_or(&x[..k]);
            let values = dot_x4(isa, &wide, [row(0), row(1), row(2), row(3)]);
            out.copy_from_slice(&values[..out.len()]);
        }
    }
}
