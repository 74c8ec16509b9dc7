//! What the numbers of a tensor say of it.

use crate::trace::file::tensor::TraceTensor;

/// How far the sum of a row of probabilities may be from 1: each may have been rounded to bf16.
const SUM: f32 = 0.02;

/// The tensor without a batch axis of 1 before its `rank` axes.
pub fn without_batch(mut tensor: TraceTensor, rank: usize) -> TraceTensor {
    if tensor.shape.len() == rank + 1 && tensor.shape[0] == 1 {
        tensor.shape.remove(0);
    }
    tensor
}

/// The size of the last axis, at least 1.
pub fn width(tensor: &TraceTensor) -> usize {
    tensor.shape.last().copied().unwrap_or(1).max(1)
}

/// The rows of a matrix of floating-point values.
fn rows(tensor: &TraceTensor) -> Option<std::slice::ChunksExact<'_, f32>> {
    let is_matrix = tensor.shape.len() == 2 && !tensor.shape.contains(&0);
    tensor.f32().ok().filter(|_| is_matrix).map(|values| values.chunks_exact(width(tensor)))
}

/// How many numbers of each row are not 0, if that is the same number in all rows and less than all.
pub fn chosen_in_each_row(tensor: &TraceTensor) -> Option<usize> {
    let mut counts = rows(tensor)?.map(|row| row.iter().filter(|weight| **weight != 0.0).count());
    let first = counts.next()?;
    (first > 0 && first < width(tensor) && counts.all(|count| count == first)).then_some(first)
}

/// Whether every row is probabilities: not negative, and their sum is 1.
pub fn is_probabilities(tensor: &TraceTensor) -> bool {
    let fits = |row: &[f32]| row.iter().all(|p| *p >= 0.0) && (row.iter().sum::<f32>() - 1.0).abs() <= SUM;
    width(tensor) > 1 && rows(tensor).is_some_and(|mut rows| rows.all(fits))
}

/// The places of each row's `k` numbers other than 0, largest first, and the first of equal ones first.
pub fn places((values, width, k): (&[f32], usize, usize)) -> Vec<u32> {
    let of_row = |row: &[f32]| {
        let mut places: Vec<u32> =
            (0..).zip(row).filter(|(_, weight)| **weight != 0.0).map(|(place, _)| place).collect();
        places.sort_by(|a, b| row[*b as usize].total_cmp(&row[*a as usize]));
        places.truncate(k);
        places
    };
    values.chunks_exact(width).flat_map(of_row).collect()
}
