use super::hook::HookDiff;
use super::tolerance::Tolerance;
use crate::trace::{Hook, HookKind as K, TraceTensor, Values};
use anyhow::{Result, bail, ensure};

/// Always-f32 values that differ by at most this count as equal where the tolerance requires a share of equal values.
const SAME_SOFTMAX: f32 = 1e-6;

/// The result of [`compare`]: the difference, and for each position whether any value is unequal `[pos]`.
pub(super) struct Compared {
    pub diff: HookDiff,
    pub unequal: Vec<bool>,
}

/// What may have been done to one of two shapes.
fn hint(a: &[usize], b: &[usize]) -> &'static str {
    let (mut one, mut other) = (a.to_vec(), b.to_vec());
    one.sort_unstable();
    other.sort_unstable();
    match (one == other, a.iter().product::<usize>() == b.iter().product::<usize>()) {
        (true, _) => " (the same axes in another order: one of them is transposed)",
        (false, true) => " (as many numbers: one of them was reshaped)",
        (false, false) => "",
    }
}

/// Compares one hook over `pos` tokens. Positions marked in `skip` are ignored by the verdict.
///
/// # Errors
/// If the shapes differ, or one holds integers and the other floating-point values.
pub(super) fn compare(
    hook: Hook,
    [a, b]: [&TraceTensor; 2],
    tolerance: Tolerance,
    pos: usize,
    skip: Option<&[bool]>,
) -> Result<Compared> {
    ensure!(
        a.shape == b.shape,
        "`{hook}`: expected shape {:?} as in A, found {:?} in B{}",
        a.shape,
        b.shape,
        hint(&a.shape, &b.shape)
    );
    let fits = match (hook.kind, &a.shape[..]) {
        (K::Pattern, [_, queries, keys]) => *queries == pos && *keys == pos,
        (K::Pattern, _) => false,
        (_, shape) => shape.len() >= 2 && shape[0] == pos,
    };
    ensure!(fits, "`{hook}`: expected a shape of {pos} positions, found {:?}", a.shape);
    let row = (a.shape[1..].iter().product::<usize>()).max(1);
    let position = |i: usize| match hook.kind {
        K::Pattern => i / pos % pos,
        _ => i / row,
    };
    let mut found = Compared { diff: HookDiff::new(hook, [a.dtype, b.dtype]), unequal: vec![false; pos] };
    match (&a.values, &b.values) {
        (Values::U32(a), Values::U32(b)) => {
            for (i, (a, b)) in a.iter().zip(b).enumerate() {
                found.diff.values += 1;
                if a == b {
                    found.diff.equal += 1;
                } else {
                    found.unequal[position(i)] = true;
                    found.diff.beyond += 1;
                }
            }
            found.diff.first_beyond = found.unequal.iter().position(|unequal| *unequal);
        }
        (Values::F32(a), Values::F32(b)) => floats(&mut found, [a, b], tolerance, position, skip),
        _ => bail!("`{hook}`: one of the two holds integers, the other floating-point values"),
    }
    found.diff.first_unequal = found.unequal.iter().position(|unequal| *unequal);
    if let (Values::F32(a), Values::F32(b), Some(width)) = (&a.values, &b.values, a.shape.last()) {
        let width = (*width).max(1);
        match hook.kind {
            K::Q | K::K => found.diff.reordered = found.diff.beyond > 0 && is_reordered(a, b, width),
            K::MixingWeights => found.diff.sums_off = Some([sums_off(a, width), sums_off(b, width)]),
            _ => {}
        }
    }
    Ok(found)
}

fn floats(
    found: &mut Compared,
    [a, b]: [&[f32]; 2],
    tolerance: Tolerance,
    position: impl Fn(usize) -> usize,
    skip: Option<&[bool]>,
) {
    let diff = &mut found.diff;
    let (kind, dtype) = (diff.hook.kind, diff.dtype());
    let rounds = diff.dtypes[0] != diff.dtypes[1];
    let square = |x: f32| f64::from(x) * f64::from(x);
    let (sum, finite) = a.iter().filter(|a| a.is_finite()).fold((0.0, 0usize), |(sum, n), a| (sum + square(*a), n + 1));
    let scale = (sum / finite.max(1) as f64).sqrt() as f32;
    let (mut gaps, mut pairs, mut rounded) = (0.0, 0usize, 0usize);
    // ‖a - b‖² and ‖a‖² over all tokens, and over the tokens that count for the verdict.
    let (mut all, mut counted) = ([0.0; 2], [0.0; 2]);
    for (i, (a, b)) in a.iter().copied().zip(b.iter().copied()).enumerate() {
        let pos = position(i);
        let counts = skip.is_none_or(|skip| !skip[pos]);
        let is_finite = a.is_finite() && b.is_finite();
        let is_equal = is_finite && a == b;
        diff.values += 1;
        diff.equal += usize::from(is_equal);
        found.unequal[pos] |= !is_equal;
        diff.judged.values += usize::from(counts);
        let is_near = is_near(kind, tolerance, a, b);
        diff.judged.equal += usize::from(counts && (is_equal || is_near));
        if rounds && is_finite {
            rounded += usize::from(dtype.round(a) == dtype.round(b));
        }
        if !is_finite {
            diff.non_finite[0] += usize::from(!a.is_finite());
            diff.non_finite[1] += usize::from(!b.is_finite());
        } else {
            let gap = f64::from(a) - f64::from(b);
            let squares = [gap * gap, square(a)];
            pairs += 1;
            gaps += gap.abs();
            diff.max_abs = diff.max_abs.max(gap.abs());
            if !is_equal {
                let ulps = gap.abs() / f64::from(dtype.ulp(a.abs().max(b.abs()).max(scale)));
                diff.max_ulps = diff.max_ulps.max(ulps);
            }
            all = [all[0] + squares[0], all[1] + squares[1]];
            if counts {
                counted = [counted[0] + squares[0], counted[1] + squares[1]];
            }
        }
        if counts && !(is_finite && tolerance.allows(kind, a, b, scale)) {
            diff.beyond += 1;
            let first = diff.first_beyond.map_or(pos, |first| first.min(pos));
            diff.first_beyond = Some(first);
        }
    }
    let relative = |[gap, whole]: [f64; 2]| match (gap, whole) {
        (0.0, _) => 0.0,
        (_, 0.0) => f64::INFINITY,
        (gap, whole) => (gap / whole).sqrt(),
    };
    diff.mean_abs = gaps / pairs.max(1) as f64;
    diff.relative_l2 = relative(all);
    diff.judged.relative_l2 = relative(counted);
    diff.equal_rounded = rounds.then_some(rounded);
}

/// Whether the verdict takes two always-f32 values as equal, which are not bit-equal between programs.
fn is_near(kind: K, tolerance: Tolerance, a: f32, b: f32) -> bool {
    let gap = (a - b).abs();
    match tolerance {
        // What a norm divides by follows from values of the 16-bit dtype, each of which may be an ulp off.
        Tolerance::Half { dtype } | Tolerance::Mixed { dtype } if kind.is_scale() => gap <= dtype.ulp(a),
        _ => kind.always_f32() && gap <= SAME_SOFTMAX,
    }
}

/// Whether every row of `b` holds the numbers of the same row of `a` in another order, up to rounding.
fn is_reordered(a: &[f32], b: &[f32], width: usize) -> bool {
    let sorted = |row: &[f32]| {
        let mut row = row.to_vec();
        row.sort_by(f32::total_cmp);
        row
    };
    a.chunks_exact(width).zip(b.chunks_exact(width)).all(|(a, b)| {
        let largest = a.iter().fold(0f32, |largest, x| largest.max(x.abs()));
        sorted(a).iter().zip(sorted(b)).all(|(a, b)| (a - b).abs() <= 0.02 * largest)
    })
}

/// The largest distance of the sum of a row from 1.
fn sums_off(values: &[f32], width: usize) -> f64 {
    let off = |row: &[f32]| (row.iter().map(|x| f64::from(*x)).sum::<f64>() - 1.0).abs();
    values.chunks_exact(width).map(off).fold(0.0, f64::max)
}
