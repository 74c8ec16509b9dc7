//! Suspects with a number that the recorded values suggest: an epsilon, a RoPE base, a window, a position, other experts.

use super::definition::{Definition, Held};
use super::suspect::Suspect as S;
use crate::analysis::diff::Operation;
use crate::model::weights::Part;
use crate::model::{Loaded, Precision};
use crate::trace::{HookKind as K, Policy};
use anyhow::Result;

/// Bases of published models.
const BASES: [f64; 7] = [1e4, 1e6, 5e5, 5e4, 1e5, 1.5e5, 8e6];
/// Epsilons of published models.
const EPSILONS: [f64; 6] = [1e-5, 1e-6, 1e-8, 1e-12, 1e-4, 1e-3];
/// Positions are looked for up to this one, and are found if the mean cosine to the recorded turns is above this.
const MOST_SHIFT: i32 = 1 << 16;
const SAME_TURN: f64 = 0.99;
/// Two experts' outputs are the same one's if their relative L2 is below this.
const SAME_EXPERT: f64 = 0.05;

/// What the recorded output `a` of an operation suggests, the most likely first.
///
/// # Errors
/// If weights can't be read.
pub fn suggested(loaded: &Loaded, held: &Held, a: &[f32], operation: &Operation, layer: usize) -> Result<Vec<S>> {
    let at = operation.position.unwrap_or(0);
    let kind = operation.hook.kind;
    let mut all = Vec::new();
    match kind {
        K::Ln1 | K::Ln2 | K::LnFinal | K::Ln1Scale | K::Ln2Scale | K::LnFinalScale => {
            all.extend(epsilon(loaded, held, a, kind, layer)?.map(S::NormEps))
        }
        K::RotQ | K::RotK => {
            all.extend(shift(loaded, held, a, operation).map(S::PositionsShifted));
            all.extend(base(loaded, held, a, operation).into_iter().map(S::RopeBase));
        }
        K::Pattern => all.extend(window(a, held.tokens.len(), operation).map(|window| S::Window(Some(window)))),
        K::ExpertOut => all.extend(others(loaded, held, a, operation, layer)?),
        _ => {}
    }
    all.extend(BASES.map(S::RopeBase));
    all.extend(EPSILONS.map(S::NormEps));
    if at > 0 {
        all.push(S::Window(Some(at)));
        all.extend([S::PositionsRestart(at), S::SeesItselfFrom(at)]);
        // From token 1 on is from the first: that it is at position 0 is right.
        all.extend((at > 1).then_some(S::PositionsZeroFrom(at)));
    }
    Ok(all)
}

/// The epsilon that gives the recorded norms: `1 / scale² − mean(x²)`, median over the tokens.
fn epsilon(loaded: &Loaded, held: &Held, a: &[f32], kind: K, layer: usize) -> Result<Option<f64>> {
    let from = match kind {
        K::Ln1Scale => Some(K::ResidPre),
        K::Ln2Scale => Some(K::ResidMid),
        K::LnFinalScale => Some(K::ResidPost),
        _ => None,
    };
    if let Some(x) = from.and_then(|from| held.values.get(&from)) {
        let d = loaded.meta.dims.d_model;
        let mean = |x: &[f32]| x.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / d as f64;
        let rows = x.chunks_exact(d).zip(a);
        return Ok(median(rows.map(|(x, scale)| f64::from(*scale).powi(2) - mean(x)).collect()));
    }
    let (from, gain) = match kind {
        K::Ln1 => (K::ResidPre, Part::Ln1(layer)),
        K::Ln2 => (K::ResidMid, Part::Ln2(layer)),
        _ => (K::ResidPost, Part::Norm),
    };
    let Some(x) = held.values.get(&from) else { return Ok(None) };
    let gain = loaded.store.matrix(gain, &loaded.config.arch)?.to_f32();
    let d = gain.len();
    let found: Vec<f64> = x
        .chunks_exact(d)
        .zip(a.chunks_exact(d))
        .map(|(x, y)| {
            let plain: Vec<f64> = x.iter().zip(&gain).map(|(x, gain)| f64::from(x * gain)).collect();
            let scale = plain.iter().zip(y).map(|(p, y)| p * f64::from(*y)).sum::<f64>()
                / plain.iter().map(|p| p * p).sum::<f64>();
            let mean = x.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>() / d as f64;
            1.0 / (scale * scale) - mean
        })
        .collect();
    Ok(median(found))
}

/// The median of what can be an epsilon, with one digit.
fn median(mut found: Vec<f64>) -> Option<f64> {
    found.retain(|eps| eps.is_finite() && *eps > 0.0);
    found.sort_by(f64::total_cmp);
    found.get(found.len() / 2).map(|eps| digits(*eps, 1))
}

/// The turns of the recorded queries or keys: of pair `i` at `pos`, the heads together, as complex numbers.
struct Turns<'a> {
    x: &'a [f32],
    a: &'a [f32],
    heads: Vec<usize>,
    of_all: usize,
    d_head: usize,
}

impl<'a> Turns<'a> {
    /// `None` if what is turned is not recorded.
    fn of(loaded: &Loaded, held: &'a Held, a: &'a [f32], operation: &Operation) -> Option<Self> {
        let from = if operation.hook.kind == K::RotQ { K::Q } else { K::K };
        let x = held.values.get(&from)?;
        let d_head = loaded.meta.dims.d_head;
        let of_all = x.len() / held.tokens.len() / d_head;
        let is_off = |head: &usize| operation.parts.is_empty() || operation.parts.contains(head);
        Some(Self { x, a, heads: (0..of_all).filter(is_off).collect(), of_all, d_head })
    }

    fn angle(&self, pos: usize, i: usize) -> f64 {
        let (mut along, mut across) = (0.0, 0.0);
        for head in &self.heads {
            let at = (pos * self.of_all + head) * self.d_head + i;
            let half = self.d_head / 2;
            let [xa, xb, ya, yb] = [self.x[at], self.x[at + half], self.a[at], self.a[at + half]].map(f64::from);
            along += xa * ya + xb * yb;
            across += xa * yb - xb * ya;
        }
        across.atan2(along)
    }
}

/// By how much the positions of the recorded queries or keys are shifted: the shift that turns every pair as it was turned.
fn shift(loaded: &Loaded, held: &Held, a: &[f32], operation: &Operation) -> Option<i32> {
    let turns = Turns::of(loaded, held, a, operation)?;
    let (half, base) = (turns.d_head / 2, loaded.config.arch.rope.base);
    let pos = operation.position?.max(held.tokens.len() - 1);
    let pairs: Vec<(f64, f64)> =
        (0..half).map(|i| (turns.angle(pos, i), base.powf(-((2 * i) as f64) / turns.d_head as f64))).collect();
    let fit = |by: i32| {
        let at = pos as f64 + f64::from(by);
        pairs.iter().map(|(angle, frequency)| (angle - at * frequency).cos()).sum::<f64>() / half as f64
    };
    let best = (-(pos as i32)..MOST_SHIFT).max_by(|a, b| fit(*a).total_cmp(&fit(*b)))?;
    (best != 0 && fit(best) > SAME_TURN).then_some(best)
}

/// The bases that the turns of the recorded queries or keys suggest: the nearest round numbers first.
fn base(loaded: &Loaded, held: &Held, a: &[f32], operation: &Operation) -> Vec<f64> {
    let Some(turns) = Turns::of(loaded, held, a, operation) else { return Vec::new() };
    let (d_head, n, half) = (turns.d_head, held.tokens.len(), turns.d_head / 2);
    let angle = |pos: usize, i: usize| turns.angle(pos, i);
    if n < 2 || half < 2 {
        return Vec::new();
    }
    // Frequencies at position 1 are exact to a few per cent; each doubled position halves the error.
    let mut frequencies: Vec<f64> = (0..half).map(|i| angle(1, i)).collect();
    let mut pos = 2;
    while pos < n {
        for (i, frequency) in frequencies.iter_mut().enumerate() {
            let off = (angle(pos, i) - *frequency * pos as f64).rem_euclid(std::f64::consts::TAU);
            let off = if off > std::f64::consts::PI { off - std::f64::consts::TAU } else { off };
            *frequency += off / pos as f64;
        }
        pos *= 2;
    }
    // ln base from each pair, weighed by how exactly it tells.
    let (mut sum, mut weights) = (0.0, 0.0);
    for (i, frequency) in frequencies.iter().enumerate().skip(1).filter(|(_, f)| (1e-3..1.5).contains(*f)) {
        let weight = (frequency * i as f64).powi(2);
        sum += weight * -frequency.ln() * d_head as f64 / (2 * i) as f64;
        weights += weight;
    }
    if weights == 0.0 {
        return Vec::new();
    }
    let base = (sum / weights).exp();
    let mut all = [1, 2, 3, 4].map(|n| digits(base, n)).to_vec();
    all.dedup();
    all
}

/// The number of keys that the last query sees, if there are more before it.
fn window(a: &[f32], n: usize, operation: &Operation) -> Option<usize> {
    let head = operation.parts.first().copied().unwrap_or(0);
    let last = a.get((head * n + n - 1) * n..)?.get(..n)?;
    let seen = n - last.iter().position(|p| *p != 0.0)?;
    (seen < n).then_some(seen)
}

/// For each bad expert, the one whose weights give the recorded output.
fn others(loaded: &Loaded, held: &Held, a: &[f32], operation: &Operation, layer: usize) -> Result<Option<S>> {
    let (Some(ids), Some(x)) = (held.values.get(&K::ExpertIndices), held.values.get(&K::Ln2)) else { return Ok(None) };
    let d = loaded.meta.dims;
    let precision = Precision::new(Policy::Hf, operation.dtype);
    let definition = Definition::new(loaded, held, (layer, K::ExpertOut), precision, &[]);
    let mut map = Vec::new();
    for of in (0..d.experts).filter(|e| operation.parts.is_empty() || operation.parts.contains(e)) {
        let Some(slot) = ids.iter().rposition(|id| *id as usize == of) else { continue };
        let recorded = &a[slot * d.d_model..][..d.d_model];
        let x: Vec<f64> = x[slot / d.top_k * d.d_model..][..d.d_model].iter().map(|x| f64::from(*x)).collect();
        for with in (0..d.experts).filter(|with| *with != of) {
            let out = definition.expert(with, &x)?;
            let gap = out.iter().zip(recorded).map(|(b, a)| (b - f64::from(*a)).powi(2)).sum::<f64>();
            let all = recorded.iter().map(|a| f64::from(*a).powi(2)).sum::<f64>();
            if gap <= SAME_EXPERT * SAME_EXPERT * all {
                map.push((of, with));
                break;
            }
        }
    }
    Ok((!map.is_empty()).then_some(S::OtherExpert(map)))
}

/// `x` with `n` significant digits.
fn digits(x: f64, n: usize) -> f64 {
    format!("{:.*e}", n - 1, x).parse().unwrap_or(x)
}
