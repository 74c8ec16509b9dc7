//! Dot products, compiled once per supported instruction set from the same safe source.

use super::isa::{Isa, isa, per_isa};

/// Partial sums of a dot product.
pub(super) const LANES: usize = 32;

/// bf16 as stored (little endian) to f32: exact.
#[inline(always)]
pub fn widen_bf16(bytes: [u8; 2]) -> f32 {
    f32::from_bits(u32::from(u16::from_le_bytes(bytes)) << 16)
}

#[inline(always)]
pub(super) fn fold<const L: usize>(mut lanes: [f32; L]) -> f32 {
    let mut half = L / 2;
    while half > 0 {
        for i in 0..half {
            lanes[i] += lanes[i + half];
        }
        half /= 2;
    }
    lanes[0]
}

/// Adds the products of a row to its lanes. The lanes come in by reference, because the compiler would split a value into
/// scalars.
#[inline(always)]
fn add_one<const B: usize>(w: &[[u8; B]], x: &[f32], lanes: &mut [f32; LANES], widen: impl Fn([u8; B]) -> f32 + Copy) {
    let ((w, w_rest), (x, x_rest)) = (w.as_chunks::<LANES>(), x.as_chunks::<LANES>());
    for (w, x) in w.iter().zip(x) {
        for i in 0..LANES {
            lanes[i] += widen(w[i]) * x[i];
        }
    }
    for (i, (w, x)) in w_rest.iter().zip(x_rest).enumerate() {
        lanes[i] += widen(*w) * x;
    }
}

/// [`add_one`] with four rows of activations, so that the row of weights is read once.
#[inline(always)]
fn add_four(w: &[f32], [a, b, c, d]: [&[f32]; 4], [la, lb, lc, ld]: &mut [[f32; LANES]; 4]) {
    let (w, w_rest) = w.as_chunks::<LANES>();
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let ((c, c_rest), (d, d_rest)) = (c.as_chunks::<LANES>(), d.as_chunks::<LANES>());
    for ((((w, a), b), c), d) in w.iter().zip(a).zip(b).zip(c).zip(d) {
        for i in 0..LANES {
            la[i] += w[i] * a[i];
        }
        for i in 0..LANES {
            lb[i] += w[i] * b[i];
        }
        for i in 0..LANES {
            lc[i] += w[i] * c[i];
        }
        for i in 0..LANES {
            ld[i] += w[i] * d[i];
        }
    }
    for (rest, lanes) in [a_rest, b_rest, c_rest, d_rest].into_iter().zip([la, lb, lc, ld]) {
        for ((w, x), lane) in w_rest.iter().zip(rest).zip(lanes) {
            *lane += w * x;
        }
    }
}

per_isa!(add_f32 / add_f32_avx2 / add_f32_avx512:
    (w: &[[u8; 4]], x: &[f32], lanes: &mut [f32; LANES]) -> () = add_one(w, x, lanes, f32::from_le_bytes));
per_isa!(add_wide / add_wide_avx2 / add_wide_avx512:
    (w: &[f32], x: [&[f32]; 4], lanes: &mut [[f32; LANES]; 4]) -> () = add_four(w, x, lanes));

/// A row of f32 weights times `x`.
pub(super) fn dot_f32(isa: Isa, w: &[[u8; 4]], x: &[f32]) -> f32 {
    let mut lanes = [0f32; LANES];
    add_f32(isa, w, x, &mut lanes);
    fold(lanes)
}

/// A widened row of weights times four rows of activations.
pub(super) fn dot_x4(isa: Isa, w: &[f32], x: [&[f32]; 4]) -> [f32; 4] {
    let mut lanes = [[0f32; LANES]; 4];
    add_wide(isa, w, x, &mut lanes);
    lanes.map(fold)
}

/// Partial sums of the dot product of short vectors.
const FEW: usize = 8;

#[inline(always)]
fn add_short(a: &[f32], b: &[f32], lanes: &mut [f32; FEW]) {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<FEW>(), b.as_chunks::<FEW>());
    for (a, b) in a.iter().zip(b) {
        for i in 0..FEW {
            lanes[i] += a[i] * b[i];
        }
    }
    for (i, (a, b)) in a_rest.iter().zip(b_rest).enumerate() {
        lanes[i] += a * b;
    }
}

/// [`add_short`] with four vectors at once: each alone would wait for its own sums.
#[inline(always)]
fn add_short_four(a: &[f32], b: [&[f32]; 4], lanes: &mut [[f32; FEW]; 4]) {
    let [lb, lc, ld, le] = lanes;
    let whole = a.as_chunks::<FEW>().0;
    let [b_whole, c, d, e] = b.map(|b| b.as_chunks::<FEW>().0);
    for ((((a, b), c), d), e) in whole.iter().zip(b_whole).zip(c).zip(d).zip(e) {
        for i in 0..FEW {
            lb[i] += a[i] * b[i];
        }
        for i in 0..FEW {
            lc[i] += a[i] * c[i];
        }
        for i in 0..FEW {
            ld[i] += a[i] * d[i];
        }
        for i in 0..FEW {
            le[i] += a[i] * e[i];
        }
    }
    let done = whole.len() * FEW;
    for (b, lanes) in b.into_iter().zip([lb, lc, ld, le]) {
        add_short(&a[done..], &b[done..], lanes);
    }
}

#[inline(always)]
fn add_scaled_four([p, q, r, s]: [f32; 4], [a, b, c, d]: [&[f32]; 4], out: &mut [f32]) {
    for ((((out, a), b), c), d) in out.iter_mut().zip(a).zip(b).zip(c).zip(d) {
        *out = (((*out + p * a) + q * b) + r * c) + s * d;
    }
}

per_isa!(add_short_four_on / add_short_four_avx2 / add_short_four_avx512:
    (a: &[f32], b: [&[f32]; 4], lanes: &mut [[f32; FEW]; 4]) -> () = add_short_four(a, b, lanes));
per_isa!(add_scaled_on / add_scaled_avx2 / add_scaled_avx512:
    (weights: [f32; 4], values: [&[f32]; 4], out: &mut [f32]) -> () = add_scaled_four(weights, values, out));

/// Dot product of short vectors (a head's width), eight lanes.
#[inline]
pub fn dot_small(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0f32; FEW];
    add_short(a, b, &mut lanes);
    fold(lanes)
}

/// [`dot_small`] of `a` `[n]` and each of four vectors `[n]`.
pub fn dot_small_x4(a: &[f32], b: [&[f32]; 4]) -> [f32; 4] {
    debug_assert!(b.iter().all(|b| b.len() == a.len()));
    let mut lanes = [[0f32; FEW]; 4];
    add_short_four_on(isa(), a, b, &mut lanes);
    lanes.map(fold)
}

/// Adds four vectors `[n]` to `out` `[n]`, one after the other, each times its weight.
pub fn add_scaled_x4(weights: [f32; 4], values: [&[f32]; 4], out: &mut [f32]) {
    debug_assert!(values.iter().all(|values| values.len() == out.len()));
    add_scaled_on(isa(), weights, values, out);
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::isa::tests::supported;
    use super::*;
    use half::bf16;

    pub fn numbers(n: usize, seed: u32) -> Vec<f32> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / 8_388_608.0 - 1.0
        };
        (0..n).map(|_| next()).collect()
    }

    #[test]
    fn every_instruction_set_and_row_count_gives_the_same_bits() {
        for n in [0, 1, 16, 31, 32, 33, 96, 128, 257] {
            let (w, x) = (numbers(n, 1), numbers(4 * n, 2));
            let w: Vec<f32> = w.into_iter().map(|v| bf16::from_f32(v).to_f32()).collect();
            let full: Vec<[u8; 4]> = w.iter().map(|v| v.to_le_bytes()).collect();
            let rows: [&[f32]; 4] = std::array::from_fn(|i| &x[i * n..(i + 1) * n]);
            let want = rows.map(|x| dot_f32(Isa::Portable, &full, x).to_bits());
            let exact: f64 = w.iter().zip(rows[0]).map(|(w, x)| f64::from(*w) * f64::from(*x)).sum();
            assert!((f64::from(f32::from_bits(want[0])) - exact).abs() < 1e-4);
            for isa in supported() {
                assert_eq!(rows.map(|x| dot_f32(isa, &full, x).to_bits()), want, "{isa:?} f32 {n}");
                assert_eq!(dot_x4(isa, &w, rows).map(f32::to_bits), want, "{isa:?} x4 {n}");
            }
        }
    }

    #[test]
    fn four_short_vectors_at_once_give_the_bits_of_one_after_the_other() {
        for n in [1, 8, 16, 17, 128] {
            let (a, b) = (numbers(n, 1), numbers(4 * n, 2));
            let rows: [&[f32]; 4] = std::array::from_fn(|i| &b[i * n..(i + 1) * n]);
            let want = rows.map(|b| dot_small(&a, b).to_bits());
            assert_eq!(dot_small_x4(&a, rows).map(f32::to_bits), want);
            let weights = [0.3, -1.7, 0.01, 2.5];
            let (mut got, mut want) = (a.clone(), a);
            add_scaled_x4(weights, rows, &mut got);
            for (weight, row) in weights.iter().zip(rows) {
                want.iter_mut().zip(row).for_each(|(out, x)| *out += weight * x);
            }
            assert_eq!(got, want);
            for isa in supported() {
                let mut lanes = [[0f32; FEW]; 4];
                add_short_four_on(isa, &want, rows, &mut lanes);
                assert_eq!(lanes.map(fold), rows.map(|b| dot_small(&want, b)), "{isa:?} {n}");
            }
        }
    }
}
