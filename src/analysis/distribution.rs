//! Entropy and softmax.

/// Entropy of a probability distribution, nats.
pub fn entropy(probs: &[f32]) -> f32 {
    probs.iter().filter(|p| **p > 0.0).map(|p| -p * p.ln()).sum::<f32>().max(0.0)
}

/// Logarithms of the softmax: `x - log Σ exp x`.
pub fn log_softmax(row: Vec<f64>) -> Vec<f64> {
    let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = row.iter().map(|x| (x - largest).exp()).sum();
    row.into_iter().map(|x| x - largest - sum.ln()).collect()
}
