//! Formulas of a pass in f64, with the roundings of the policy: what operations are compared with.

use crate::model::weights::Matrix;
use crate::model::{Arch, Glu, NormRounding, Precision, Rounding};

/// `x` as f32, rounded.
pub fn r(round: Rounding, x: f64) -> f64 {
    f64::from(round.one(x as f32))
}

/// Rounds only where the policy does.
pub fn exact_or(round: Rounding, x: f64) -> f64 {
    if round == Rounding::None { x } else { r(round, x) }
}

/// The logistic function.
pub fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// Radians per position of each component pair of a head with RoPE's `base`, `[d_head / 2]`, and the factor of cosines and sines.
pub fn frequencies(arch: &Arch, base: f64) -> (Vec<f64>, f64) {
    let d_head = arch.dims.d_head;
    let plain = (0..d_head / 2).map(|i| base.powf(-2.0 * i as f64 / d_head as f64));
    let Some(yarn) = arch.rope.yarn else { return (plain.collect(), 1.0) };
    let [low, high] = yarn.ramp(d_head, base);
    let mix = |(i, fast): (usize, f64)| {
        let slow = ((i as f64 - low) / (high - low)).clamp(0.0, 1.0);
        fast / yarn.factor * slow + fast * (1.0 - slow)
    };
    (plain.enumerate().map(mix).collect(), yarn.attention_factor)
}

/// Softmax in place, to which `sink` belongs without being kept.
pub fn softmax(values: &mut [f64], sink: Option<f64>, round: Rounding) {
    let max = values.iter().copied().fold(sink.unwrap_or(f64::NEG_INFINITY), f64::max);
    // transformers rounds the difference where there is a sink.
    let shifted = |x: f64| if sink.is_some() { r(round, x - max) } else { x - max };
    values.iter_mut().for_each(|x| *x = shifted(*x).exp());
    let sum = values.iter().sum::<f64>() + sink.map_or(0.0, |sink| shifted(sink).exp());
    values.iter_mut().for_each(|x| *x /= sum);
}

/// RMSNorm of `x` by the root `by` of its mean square, with as many gains as `x` has values.
pub fn norm(x: &[f64], gain: &[f32], by: f64, precision: Precision) -> Vec<f64> {
    let round = precision.module;
    let inner = if precision.norm == NormRounding::Twice { round } else { Rounding::None };
    let one = |(x, gain): (&f64, &f32)| {
        let scaled = if inner == Rounding::None { x / by } else { r(inner, x / by) };
        r(round, r(round, f64::from(*gain)) * scaled)
    };
    x.iter().zip(gain).map(one).collect()
}

/// What is between an expert's matrices.
pub fn glu(glu: Glu, gate: f64, up: f64, round: Rounding) -> f64 {
    match glu {
        Glu::Silu => r(round, r(round, gate * sigmoid(gate)) * up),
        Glu::Clamped { alpha, limit } => {
            let limit = f64::from(limit);
            let (gate, up) = (gate.min(limit), up.clamp(-limit, limit));
            let open = r(round, sigmoid(r(round, gate * f64::from(alpha))));
            r(round, r(round, up + 1.0) * r(round, gate * open))
        }
    }
}

/// A product with a row of `weights`, and its bias, before the last rounding.
pub fn biased(weights: &Matrix, row: usize, product: f64, round: Rounding) -> f64 {
    match weights.bias() {
        None => product,
        Some(bias) => {
            let product = if bias.after_rounding { r(round, product) } else { product };
            product + r(round, f64::from(bias.values[row]))
        }
    }
}
