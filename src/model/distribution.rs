//! What a row of logits says about the next token.

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
        let (mut sum, mut below) = (0.0, 0.0);
        for x in logits {
            let distance = f64::from(*x) - max;
            let share = distance.exp();
            sum += share;
            if share > 0.0 {
                below += share * distance;
            }
        }
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

    /// The `k` most probable tokens, best first; among equals the lower id.
    pub fn top(&self, k: usize) -> Vec<usize> {
        let k = k.min(self.logits.len());
        if k == 0 {
            return Vec::new();
        }
        let key = |id: usize| if self.logits[id].is_nan() { f32::NEG_INFINITY } else { self.logits[id] };
        let mut ids: Vec<usize> = (0..self.logits.len()).collect();
        let order = |a: &usize, b: &usize| key(*b).total_cmp(&key(*a)).then(a.cmp(b));
        ids.select_nth_unstable_by(k - 1, order);
        ids.truncate(k);
        ids.sort_unstable_by(order);
        ids
    }

    /// KL(self ‖ other), nats.
    pub fn kl(&self, other: &Distribution) -> f32 {
        let terms = (0..self.logits.len()).map(|id| {
            let (p, q) = (self.log_prob(id), other.log_prob(id));
            if p.is_finite() { p.exp() * (p - q) } else { 0.0 }
        });
        terms.sum::<f64>() as f32
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
}
