//! Choosing the next token: temperature, top-k, top-p, and a draw with a seed.

use crate::trace::Sampling;
use anyhow::{Context, Result, ensure};
use rand::SeedableRng;
use rand::distr::Distribution as _;
use rand::distr::weighted::WeightedIndex;
use rand::rngs::StdRng;

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

/// What can be drawn, and with which weight.
struct Lottery {
    /// Probability of each token after temperature `[vocab]`.
    probs: Vec<f32>,
    /// Tokens, and the weight of each.
    ids: Vec<usize>,
    weights: Vec<f32>,
}

/// Temperature, top-k and top-p applied to logits `[vocab]`. Top-p keeps the most probable tokens until their sum reaches
/// P; after top-k only if the K tokens sum to more than P. Ties and the order of `ids` are those of candle's
/// `LogitsProcessor`, so that a seed gives the tokens that it gives there (Holtzman et al. 2020 for top-p).
fn lottery(logits: &[f32], sampling: &Sampling) -> Lottery {
    let scale = (1.0 / sampling.temperature) as f32;
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max) * scale;
    let mut probs: Vec<f32> = logits.iter().map(|x| (x * scale - max).exp()).collect();
    let sum = probs.iter().copied().map(f64::from).sum::<f64>() as f32;
    probs.iter_mut().for_each(|p| *p /= sum);

    let mut ids: Vec<usize> = (0..probs.len()).collect();
    let cut_by_k = sampling.top_k.filter(|k| *k < ids.len());
    if let Some(k) = cut_by_k {
        ids.select_nth_unstable_by(k, |a, b| probs[*b].total_cmp(&probs[*a]));
        ids.truncate(k);
    }
    let mut weights: Vec<f32> = ids.iter().map(|id| probs[*id]).collect();
    if let Some(p) = sampling.top_p.map(|p| p as f32) {
        let sum = if cut_by_k.is_some() { weights.iter().sum() } else { 1.0 };
        if p < sum {
            keep_nucleus(&mut weights, p);
        }
    }
    Lottery { probs, ids, weights }
}

/// Sets all weights to zero after those of the largest whose sum reaches `p`.
fn keep_nucleus(weights: &mut [f32], p: f32) {
    let mut order: Vec<usize> = (0..weights.len()).collect();
    order.sort_by(|a, b| weights[*b].total_cmp(&weights[*a]));
    let mut reached = 0f32;
    for i in order {
        if reached >= p {
            weights[i] = 0.0;
        } else {
            reached += weights[i];
        }
    }
}

/// The distribution from which [`sample`] draws, from logits `[vocab]`.
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
    let Lottery { probs, ids, weights } = lottery(logits, sampling);
    // A nucleus has positive weights only; without one, tokens of probability 0 stay in the list.
    let is_nucleus = weights.contains(&0.0) && sampling.top_p.is_some();
    let mut kept: Vec<usize> =
        ids.into_iter().zip(&weights).filter(|(_, weight)| !is_nucleus || **weight > 0.0).map(|(id, _)| id).collect();
    kept.sort_by(|a, b| probs[*b].total_cmp(&probs[*a]).then(a.cmp(b)));
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
    if sampling.temperature < GREEDY_BELOW {
        return Ok(super::Distribution::of(logits).top(1)[0] as u32);
    }
    let Lottery { ids, weights, .. } = lottery(logits, sampling);
    let drawn = WeightedIndex::new(weights).context("the logits are infinite: nothing can be sampled")?;
    // Neighbouring positions must not get neighbouring seeds (golden-ratio multiplier of splitmix64).
    let seed = sampling.seed ^ (pos as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    Ok(ids[drawn.sample(&mut StdRng::seed_from_u64(seed))] as u32)
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
    fn a_seed_draws_the_tokens_that_candle_draws() {
        use candle_core::{Device, Tensor};
        use candle_transformers::generation::{LogitsProcessor, Sampling as Candle};
        let (temperature, k, p) = (1.3, 12, 0.8);
        for seed in 0..200u64 {
            let logits: Vec<f32> = (0..97).map(|i| (i as f32 * 1.7 + seed as f32).sin() * 4.0).collect();
            let tensor = Tensor::from_slice(&logits, logits.len(), &Device::Cpu).unwrap();
            let all = [
                (None, None, Candle::All { temperature }),
                (Some(k), None, Candle::TopK { k, temperature }),
                (None, Some(p), Candle::TopP { p, temperature }),
                (Some(k), Some(p), Candle::TopKThenTopP { k, p, temperature }),
                (Some(k), Some(0.2), Candle::TopKThenTopP { k, p: 0.2, temperature }),
                (Some(200), Some(1.0), Candle::TopKThenTopP { k: 200, p: 1.0, temperature }),
            ];
            for (top_k, top_p, theirs) in all {
                let sampling = Sampling { temperature, top_k, top_p, seed };
                let mixed = seed ^ 4u64.wrapping_mul(0x9e37_79b9_7f4a_7c15);
                let expected = LogitsProcessor::from_sampling(mixed, theirs).sample(&tensor).unwrap();
                assert_eq!(sample(&logits, &sampling, 3).unwrap(), expected, "{sampling:?}");
                assert!(heat(&logits, &sampling).unwrap().kept.contains(&(expected as usize)));
            }
        }
    }

    #[test]
    fn nan_and_bad_values_are_errors() {
        assert!(sample(&[0.0, f32::NAN], &Sampling::default(), 4).unwrap_err().to_string().contains("NaN"));
        assert!(check(&Sampling { temperature: -1.0, ..Default::default() }).is_err());
        assert!(check(&Sampling { top_p: Some(1.5), ..Default::default() }).is_err());
        assert!(check(&Sampling { top_k: Some(0), ..Default::default() }).is_err());
    }
}
