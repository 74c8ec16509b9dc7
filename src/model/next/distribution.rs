//! The distribution of the next token, from a row of logits.

use crate::model::kernels::{kl_divergence, softmax_sums};
use rayon::prelude::*;

/// Logits whose exponentials are added together; more are shared among threads.
const PART: usize = 1 << 13;

/// A next-token distribution: logits and the normaliser that turns them into probabilities.
pub struct Distribution<'a> {
    logits: &'a [f32],
    /// `ln Σ exp(logit)`, nats.
    log_norm: f64,
    /// Nats.
    entropy: f64,
}

impl<'a> Distribution<'a> {
    /// Softmax of `logits` at temperature 1; sums in f64.
    pub fn of(logits: &'a [f32]) -> Self {
        let max = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        let part = |logits: &[f32]| softmax_sums(logits, max);
        let parts: Vec<(f64, f64)> = match logits.len() {
            ..=PART => vec![part(logits)],
            _ => logits.par_chunks(PART).map(part).collect(),
        };
        let (sum, below) = parts.into_iter().fold((0.0, 0.0), |(sum, below), part| (sum + part.0, below + part.1));
        // −Σ p ln p with p = exp(distance) / sum.
        Self { logits, log_norm: max + sum.ln(), entropy: sum.ln() - below / sum }
    }

    /// Natural logarithm of the probability of token `id`.
    pub fn log_prob(&self, id: usize) -> f64 {
        f64::from(self.logits[id]) - self.log_norm
    }

    /// Probability of token `id`.
    pub fn prob(&self, id: usize) -> f32 {
        self.log_prob(id).exp() as f32
    }

    /// Entropy, nats.
    pub fn entropy(&self) -> f32 {
        self.entropy as f32
    }

    /// 1 + the number of tokens with a strictly larger logit.
    pub fn rank(&self, id: usize) -> u32 {
        1 + self.logits.iter().filter(|x| **x > self.logits[id]).count() as u32
    }

    /// The `k` most probable tokens, best first; equal ones by ascending id.
    pub fn top(&self, k: usize) -> Vec<usize> {
        let k = k.min(self.logits.len());
        if k == 0 {
            return Vec::new();
        }
        let key = |id: usize| if self.logits[id].is_nan() { f32::NEG_INFINITY } else { self.logits[id] };
        let order = |a: &usize, b: &usize| key(*b).total_cmp(&key(*a)).then(a.cmp(b));
        // The best ids so far, and some more. An id that is not above the `k`-th of an earlier cut can't be among the best.
        let mut ids: Vec<usize> = Vec::with_capacity(4 * k);
        let mut bar = None;
        for id in 0..self.logits.len() {
            if bar.is_some_and(|bar: f32| key(id).total_cmp(&bar).is_le()) {
                continue;
            }
            ids.push(id);
            if ids.len() == 4 * k {
                ids.select_nth_unstable_by(k - 1, order);
                ids.truncate(k);
                bar = Some(key(ids[k - 1]));
            }
        }
        ids.select_nth_unstable_by(k - 1, order);
        ids.truncate(k);
        ids.sort_unstable_by(order);
        ids
    }

    /// KL(self ‖ other), nats.
    pub fn kl(&self, other: &Distribution) -> f32 {
        kl_divergence(self.logits, other.logits, [self.log_norm, other.log_norm]) as f32
    }

    /// The logit of token `id`.
    pub fn logit(&self, id: usize) -> f32 {
        self.logits[id]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_a_small_distribution() {
        let logits = [0.0, 2f32.ln(), f32::NEG_INFINITY, 2f32.ln()];
        let d = Distribution::of(&logits);
        assert!((d.prob(1) - 0.4).abs() < 1e-6 && d.prob(2) == 0.0);
        assert_eq!((d.rank(1), d.rank(3), d.rank(0)), (1, 1, 3));
        assert_eq!(d.top(3), [1, 3, 0]);
        let entropy = -(0.2f32 * 0.2f32.ln() + 0.8 * 0.4f32.ln());
        assert!((d.entropy() - entropy).abs() < 1e-6);
        let uniform = [0.0; 4];
        let u = Distribution::of(&uniform);
        assert!((d.kl(&u) - (4f32.ln() - entropy)).abs() < 1e-6);
    }

    #[test]
    fn the_best_tokens_are_those_of_a_full_sort() {
        let logits: Vec<f32> = (0..20_000).map(|i| ((i * 7919) % 5003) as f32 - (i % 3) as f32 * 0.25).collect();
        let d = Distribution::of(&logits);
        for k in [1, 2, 64, 5000, 30_000] {
            let mut want: Vec<usize> = (0..logits.len()).collect();
            want.sort_by(|a, b| logits[*b].total_cmp(&logits[*a]).then(a.cmp(b)));
            want.truncate(k);
            assert_eq!(d.top(k), want);
        }
    }

    #[test]
    fn ties_and_what_is_no_number_come_last() {
        let logits: Vec<f32> = (0..9000).map(|i| if i % 7 == 0 { f32::NAN } else { (i / 3000) as f32 }).collect();
        let best: Vec<usize> = (6000..).filter(|i| i % 7 != 0).take(40).collect();
        assert_eq!(Distribution::of(&logits).top(40), best);
    }

    #[test]
    fn sums_of_parts_are_the_sums_of_all() {
        for n in [1, PART, PART + 1, 20_000] {
            let logit = |i: usize| if i % 11 == 3 { f32::NEG_INFINITY } else { ((i * 7919) % 5003) as f32 / 500.0 };
            let logits: Vec<f32> = (0..n).map(logit).collect();
            let d = Distribution::of(&logits);
            let probs = || (0..n).map(|id| d.log_prob(id)).filter(|lp| lp.is_finite());
            assert!((probs().map(f64::exp).sum::<f64>() - 1.0).abs() < 1e-9, "{n}");
            let entropy: f64 = probs().map(|lp| -lp * lp.exp()).sum();
            assert!((f64::from(d.entropy()) - entropy).abs() < 1e-6 * entropy.max(1.0), "{n}: {entropy}");
        }
    }
}
