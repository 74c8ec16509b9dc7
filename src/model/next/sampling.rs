//! Choosing the next token, with candle's `LogitsProcessor`.

use crate::trace::Sampling;
use anyhow::{Context, Result, ensure};
use candle_core::{Device, Tensor};
use candle_transformers::generation::{LogitsProcessor, Sampling as Candle};

/// Temperatures below this are greedy.
const GREEDY_BELOW: f64 = 1e-7;

/// Checks that a sampling can be used.
///
/// # Errors
/// If a value is outside its range.
pub fn check(sampling: &Sampling) -> Result<()> {
    let t = sampling.temperature;
    ensure!(t.is_finite() && t >= 0.0, "temperature is {t}; expected 0 (greedy) or a positive number");
    if let Some(p) = sampling.top_p {
        ensure!(p > 0.0 && p <= 1.0, "top-p is {p}; expected a number above 0 and at most 1");
    }
    ensure!(sampling.top_k != Some(0), "top-k is 0; expected at least 1");
    Ok(())
}

/// A distribution after temperature and cuts, from which a token is drawn.
pub struct Heated {
    /// Probability of each token after temperature `[vocab]`.
    pub probs: Vec<f32>,
    /// The tokens that top-k and top-p keep, most probable first.
    pub kept: Vec<usize>,
}

impl Heated {
    /// Entropy after temperature alone, nats.
    pub fn entropy(&self) -> f32 {
        entropy(self.probs.iter().copied())
    }

    /// Entropy of the tokens that can be drawn, nats.
    pub fn kept_entropy(&self) -> f32 {
        entropy(self.kept.iter().map(|id| self.probs[*id]))
    }

    /// Probability with which each of `ids` is drawn.
    pub fn drawn(&self, ids: impl Iterator<Item = usize>) -> Vec<f32> {
        let sum: f64 = self.kept.iter().map(|id| f64::from(self.probs[*id])).sum();
        let kept: std::collections::HashSet<usize> = self.kept.iter().copied().collect();
        ids.map(|id| if kept.contains(&id) { (f64::from(self.probs[id]) / sum) as f32 } else { 0.0 }).collect()
    }
}

/// Entropy of weights that need not sum to one, nats.
fn entropy(weights: impl Iterator<Item = f32> + Clone) -> f32 {
    let sum: f64 = weights.clone().map(f64::from).sum();
    let shares = weights.map(|w| f64::from(w) / sum).filter(|p| *p > 0.0);
    shares.map(|p| -p * p.ln()).sum::<f64>() as f32
}

/// Temperature, top-k and top-p applied to logits `[vocab]`, as [`sample`] does before it draws: the probabilities are
/// the sampler's own, the cuts follow it (top-p keeps tokens until their sum reaches P; after top-k only if the K tokens
/// sum to more than P).
///
/// # Errors
/// As [`sample`].
pub fn heat(logits: &[f32], sampling: &Sampling) -> Result<Heated> {
    check(sampling)?;
    ensure!(!logits.iter().any(|x| x.is_nan()), "the logits are NaN: nothing can be sampled");
    if sampling.temperature < GREEDY_BELOW {
        let best = super::Distribution::of(logits).top(1)[0];
        let mut probs = vec![0.0; logits.len()];
        probs[best] = 1.0;
        return Ok(Heated { probs, kept: vec![best] });
    }
    let mut probs = Vec::new();
    let tensor = Tensor::from_slice(logits, logits.len(), &Device::Cpu)?;
    let all = Candle::All { temperature: sampling.temperature };
    LogitsProcessor::from_sampling(0, all)
        .sample_f(&tensor, |sampled| probs.extend_from_slice(sampled))
        .context("sampling failed")?;
    let mut kept: Vec<usize> = (0..probs.len()).collect();
    kept.sort_by(|a, b| probs[*b].total_cmp(&probs[*a]));
    let cut_by_k = sampling.top_k.is_some_and(|k| k < kept.len());
    kept.truncate(sampling.top_k.unwrap_or(usize::MAX));
    if let Some(p) = sampling.top_p.map(|p| p as f32) {
        let sum: f32 = kept.iter().map(|id| probs[*id]).sum();
        if p < if cut_by_k { sum } else { 1.0 } {
            let mut reached = 0f32;
            let is_needed = |id: &&usize| {
                let is_needed = reached < p;
                reached += probs[**id];
                is_needed
            };
            let needed = kept.iter().take_while(is_needed).count();
            kept.truncate(needed);
        }
    }
    Ok(Heated { probs, kept })
}

/// The token that follows position `pos`, from its logits `[vocab]`. Depends on nothing but its arguments, so a step
/// repeated after stepping back gives the same token.
///
/// # Errors
/// If the logits hold NaN or the sampling is out of range.
pub fn sample(logits: &[f32], sampling: &Sampling, pos: usize) -> Result<u32> {
    check(sampling)?;
    ensure!(!logits.iter().any(|x| x.is_nan()), "the logits at position {pos} are NaN: nothing can be sampled");
    let temperature = sampling.temperature;
    let how = match (sampling.top_k, sampling.top_p) {
        _ if temperature < GREEDY_BELOW => return Ok(super::Distribution::of(logits).top(1)[0] as u32),
        (None, None) => Candle::All { temperature },
        (Some(k), None) => Candle::TopK { k, temperature },
        (None, Some(p)) => Candle::TopP { p, temperature },
        (Some(k), Some(p)) => Candle::TopKThenTopP { k, p, temperature },
    };
    // Neighbouring positions must not get neighbouring seeds (golden-ratio multiplier of splitmix64).
    let seed = sampling.seed ^ (pos as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let logits = Tensor::from_slice(logits, logits.len(), &Device::Cpu)?;
    LogitsProcessor::from_sampling(seed, how).sample(&logits).context("sampling failed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greedy_takes_the_best_and_seeds_repeat() {
        let logits: Vec<f32> = (0..50).map(|i| (i as f32 * 0.7).sin()).collect();
        let greedy = Sampling::default();
        assert_eq!(sample(&logits, &greedy, 0).unwrap(), sample(&logits, &greedy, 9).unwrap());
        let warm = Sampling { temperature: 1.5, seed: 7, ..greedy };
        let draw = |pos| sample(&logits, &warm, pos).unwrap();
        assert_eq!(draw(3), draw(3));
        assert!((0..40).map(draw).collect::<std::collections::HashSet<_>>().len() > 5);
        let one = Sampling { top_k: Some(1), ..warm };
        assert_eq!(sample(&logits, &one, 5).unwrap(), sample(&logits, &greedy, 0).unwrap());
        let nucleus = Sampling { top_p: Some(1e-6), ..warm };
        assert_eq!(sample(&logits, &nucleus, 5).unwrap(), sample(&logits, &greedy, 0).unwrap());
    }

    #[test]
    fn nan_and_bad_values_are_errors() {
        assert!(sample(&[0.0, f32::NAN], &Sampling::default(), 4).unwrap_err().to_string().contains("NaN"));
        assert!(check(&Sampling { temperature: -1.0, ..Default::default() }).is_err());
        assert!(check(&Sampling { top_p: Some(1.5), ..Default::default() }).is_err());
        assert!(check(&Sampling { top_k: Some(0), ..Default::default() }).is_err());
    }
}
