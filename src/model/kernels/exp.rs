//! Exponentials with the same bits on every machine, in SIMD lanes.
//!
//! `exp(x) = 2ⁿ · exp(r)` with `n` the integer nearest to `x / ln 2` and `r = x − n ln 2`, where `ln 2` is the sum of two
//! numbers and each product is one fma. `exp(r)` is its Taylor series up to `r¹³`, whose rest is below 2⁻⁵⁴ for
//! |r| ≤ ln 2 / 2. Everything is f64, so that a result rounded to f32 is the nearest one but for rare ties.

use super::isa::{Isa, isa, per_isa};

/// The integer nearest to a number that is added to this is in its low bits: 1.5 · 2⁵².
const POINT: f64 = 6_755_399_441_055_744.0;
/// `ln 2` cut to 32 bits, so that its product with `n` is exact, and the rest.
const LN_2: [f64; 2] = [f64::from_bits(0x3fe6_2e42_fee0_0000), 1.908_214_929_270_587_7e-10];
/// Below this, close to where `exp` is the smallest normal number, it is taken as zero.
const LEAST: f64 = -708.0;

/// `exp(x)` for `x` from `LEAST` to 709.
#[inline(always)]
fn exp_within(x: f64) -> f64 {
    /// 1 / k! for k from 13 down to 2.
    const SERIES: [f64; 12] = [
        1.0 / 6_227_020_800.0,
        1.0 / 479_001_600.0,
        1.0 / 39_916_800.0,
        1.0 / 3_628_800.0,
        1.0 / 362_880.0,
        1.0 / 40_320.0,
        1.0 / 5_040.0,
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        1.0 / 2.0,
    ];
    let shifted = x.mul_add(std::f64::consts::LOG2_E, POINT);
    let n = shifted - POINT;
    let r = (-n).mul_add(LN_2[1], (-n).mul_add(LN_2[0], x));
    let mut sum = SERIES[0];
    for factor in &SERIES[1..] {
        sum = sum.mul_add(r, *factor);
    }
    let sum = sum.mul_add(r, 1.0).mul_add(r, 1.0);
    // 2ⁿ. If `x` is NaN, so is `sum`.
    let power = f64::from_bits(shifted.to_bits().wrapping_add(1023) << 52);
    sum * power
}

/// `exp(x)`, rounded from f64.
#[inline(always)]
fn exp_f32(x: f32) -> f32 {
    // Outside of these, results are 0 and ∞. `clamp` keeps NaN.
    exp_within(f64::from(x.clamp(-104.0, 89.0))) as f32
}

/// `exp(x)`; 0 below `LEAST`. `x` is not above 0.
#[inline(always)]
fn share(x: f64) -> f64 {
    let within = exp_within(if x < LEAST { LEAST } else { x });
    if x < LEAST { 0.0 } else { within }
}

#[inline(always)]
fn each(values: &mut [f32], max: f32) {
    for x in values {
        *x = exp_f32(*x - max);
    }
}

#[inline(always)]
fn sigmoid_weighted(values: &mut [f32]) {
    for x in values {
        *x /= 1.0 + exp_f32(-*x);
    }
}

/// Partial sums of a distribution.
const LANES: usize = 8;

/// `Σ exp(x − max)` and `Σ exp(x − max) (x − max)`.
#[inline(always)]
fn sums(logits: &[f32], max: f64) -> (f64, f64) {
    let (mut all, mut below) = ([0f64; LANES], [0f64; LANES]);
    let (whole, rest) = logits.as_chunks::<LANES>();
    let mut last = [f32::NEG_INFINITY; LANES];
    last[..rest.len()].copy_from_slice(rest);
    // No closures: they would be compiled without the instructions of the function around.
    for logits in whole.iter().chain([&last]) {
        for i in 0..LANES {
            let distance = f64::from(logits[i]) - max;
            let share = share(distance);
            all[i] += share;
            // −∞ · 0 would be NaN.
            below[i] += if share > 0.0 { share * distance } else { 0.0 };
        }
    }
    (all.iter().sum(), below.iter().sum())
}

/// `Σ p (ln p − ln q)` of the probabilities of two rows of logits with these normalisers.
#[inline(always)]
fn divergence(p: &[f32], q: &[f32], [p_norm, q_norm]: [f64; 2]) -> f64 {
    let mut all = [0f64; LANES];
    for (p, q) in p.chunks(LANES).zip(q.chunks(LANES)) {
        for ((all, p), q) in all.iter_mut().zip(p).zip(q) {
            let (p, q) = (f64::from(*p) - p_norm, f64::from(*q) - q_norm);
            let share = share(p);
            *all += if share > 0.0 { share * (p - q) } else { 0.0 };
        }
    }
    all.iter().sum()
}

per_isa!(each_on / each_avx2 / each_avx512: (values: &mut [f32], max: f32) -> () = each(values, max));
per_isa!(silu_on / silu_avx2 / silu_avx512: (values: &mut [f32]) -> () = sigmoid_weighted(values));
per_isa!(sums_on / sums_avx2 / sums_avx512: (logits: &[f32], max: f64) -> (f64, f64) = sums(logits, max));
per_isa!(divergence_on / divergence_avx2 / divergence_avx512:
    (p: &[f32], q: &[f32], norms: [f64; 2]) -> f64 = divergence(p, q, norms));

/// Replaces each value with `exp(value − max)`.
pub fn exp_below(values: &mut [f32], max: f32) {
    each_on(isa(), values, max);
}

/// `exp(x)`, with the bits of [`exp_below`].
pub fn exp(x: f32) -> f32 {
    let mut value = [x];
    exp_below(&mut value, 0.0);
    value[0]
}

/// Replaces each value with `value / (1 + exp(−value))`.
pub fn silu(values: &mut [f32]) {
    silu_on(isa(), values);
}

/// `Σ exp(logit − max)` and `Σ exp(logit − max) (logit − max)`, in f64; `max` is the largest logit.
pub fn softmax_sums(logits: &[f32], max: f64) -> (f64, f64) {
    sums_on(isa(), logits, max)
}

/// `KL(p ‖ q)` in nats of two distributions, from their logits and the logarithms of the sums of their exponentials.
pub fn kl_divergence(p: &[f32], q: &[f32], norms: [f64; 2]) -> f64 {
    divergence_on(isa(), p, q, norms)
}

#[cfg(test)]
mod tests {
    use super::super::isa::tests::supported;
    use super::*;

    #[test]
    fn exponentials_are_the_nearest_numbers() {
        let (mut nearest, mut all) = (0, 0);
        for i in -220_000..=190_000 {
            let x = i as f32 / 2_000.0;
            let (got, want) = (exp_f32(x), f64::from(x).exp());
            // Neighbours of the result are no nearer than half a step; a libm may be off by a step of f64.
            let off = (f64::from(got) - want).abs();
            let step = f64::from(f32::from_bits(got.to_bits().saturating_add(1))) - f64::from(got);
            assert!(off <= 0.500_001 * step || f64::from(got) == want || got.is_infinite(), "{x}: {got} for {want}");
            nearest += u32::from(got == want as f32);
            all += 1;
        }
        assert!(nearest + 2 >= all, "{nearest} of {all}");
        for (x, want) in [(0.0, 1.0), (-0.0, 1.0), (f32::INFINITY, f32::INFINITY), (f32::NEG_INFINITY, 0.0)] {
            assert_eq!(exp_f32(x), want);
        }
        assert!(exp_f32(f32::NAN).is_nan() && exp_f32(-1e30) == 0.0 && exp_f32(1e30) == f32::INFINITY);
    }

    #[test]
    fn f64_results_are_within_two_steps() {
        for i in 0..=70_800 {
            let x = -f64::from(i) / 100.0 - 0.001_7;
            let (got, want) = (share(x), x.exp());
            assert!(
                (got - want).abs() <= 2.0 * f64::EPSILON * want || (x < LEAST && got == 0.0),
                "{x}: {got} for {want}"
            );
        }
        assert!(share(f64::NEG_INFINITY) == 0.0 && share(f64::NAN).is_nan());
    }

    #[test]
    fn every_instruction_set_gives_the_same_bits() {
        let logits: Vec<f32> = (0..1003).map(|i| ((i * 7919) % 1000) as f32 / 7.0 - 90.0).collect();
        let masked: Vec<f32> =
            logits.iter().enumerate().map(|(i, x)| if i % 5 == 0 { f32::NEG_INFINITY } else { *x }).collect();
        for logits in [&logits, &masked] {
            let values = |isa: Isa| {
                let (mut exponentials, mut silus) = (logits.clone(), logits.clone());
                each_on(isa, &mut exponentials, 20.0);
                silu_on(isa, &mut silus);
                let (all, below) = sums_on(isa, logits, 60.0);
                let other: Vec<f32> = logits.iter().rev().copied().collect();
                let kl = divergence_on(isa, logits, &other, [50.0, 51.0]);
                let bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect::<Vec<_>>();
                (bits(exponentials), bits(silus), [all.to_bits(), below.to_bits(), kl.to_bits()])
            };
            let want = values(Isa::Portable);
            for isa in supported() {
                assert!(values(isa) == want, "{isa}");
            }
        }
    }

    #[test]
    fn sums_are_those_of_their_definition() {
        let logits = [0.5f32, -3.0, f32::NEG_INFINITY, 2.0, 1.0, -800.0, 0.0, 0.25, -0.5, 2.0];
        let (all, below) = softmax_sums(&logits, 2.0);
        let terms = || logits.iter().map(|x| f64::from(*x) - 2.0).filter(|x| x.is_finite());
        assert!((all - terms().map(f64::exp).sum::<f64>()).abs() < 1e-14);
        assert!((below - terms().map(|x| x * x.exp()).sum::<f64>()).abs() < 1e-14);
    }
}
