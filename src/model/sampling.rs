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
        _ if temperature < GREEDY_BELOW => return Ok(super::distribution::Distribution::of(logits).top(1)[0] as u32),
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
