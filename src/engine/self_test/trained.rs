//! Whether weights look trained: only then does the loss say how a model is computed.

use crate::model::Rounding;
use crate::model::weights::Matrix;

/// Spread of row norms from which embeddings count as trained. Random ones of any distribution are at 1 ± 1/√(2 · rows).
pub const TRAINED: f64 = 1.4;

/// How much the rows' mean squares vary, as a multiple of what independent numbers of the same distribution would give:
/// their variance is `(E[x⁴] - E[x²]²) / cols`. Training gives frequent and rare tokens different norms.
pub fn spread(matrix: &Matrix) -> f64 {
    let cols = matrix.cols() as f64;
    let (mut fourth, mut sum, mut squares, mut line) = (0.0, 0.0, 0.0, Vec::new());
    let (mut before, mut rows) = (Vec::new(), 0.0);
    for row in 0..matrix.rows() {
        matrix.widen_row(row, Rounding::None, &mut line);
        // Padding, and tokens that were added with the mean of all, say nothing about training.
        if line == before || line.iter().all(|x| *x == 0.0) {
            continue;
        }
        rows += 1.0;
        before.clone_from(&line);
        let mean = line.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / cols;
        fourth += line.iter().map(|x| f64::from(*x).powi(4)).sum::<f64>();
        sum += mean;
        squares += mean * mean;
    }
    let rows: f64 = f64::max(rows, 1.0);
    let mean = sum / rows;
    let variance = squares / rows - mean * mean;
    let by_chance = (fourth / (rows * cols) - mean * mean) / cols;
    if by_chance > 0.0 { (variance.max(0.0) / by_chance).sqrt() } else { 0.0 }
}
