//! Rows of bf16 weights times activations, in the order in which `vdpbf16ps` adds.
//!
//! Every result has one sum. It goes through the row pair by pair, and adds the product of a pair's second number
//! before that of the first, each by one fma. A row of odd length ends in a zero. The matrix product that transformers
//! runs on a CPU with that instruction adds in the same order. Products of two bf16 numbers are exact, so with bf16
//! activations the instruction and the fma give the same bits. Numbers below 2⁻¹²⁶ are the exception: the instruction
//! treats them as zero.

use super::dot::{Isa, per_isa};
use super::interleave::{Interleaved, PAIRS, ROWS, interleave};
#[cfg(target_arch = "x86_64")]
use super::interleave::{LINE, LONG, fetch_line, interleave_avx512, lead, padded, sum_pairs};
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

/// Lines that are interleaved before rows of activations are multiplied by them: they stay in the first cache.
const PANEL: usize = 8;
/// Rows of activations that are multiplied together.
const FOUR: usize = 4;

/// Sums of sixteen rows of weights.
pub(super) type Sums = [f32; ROWS];

#[inline(always)]
fn add_pair(w: &[u32; ROWS], [first, second]: [f32; 2], sums: &mut Sums) {
    for i in 0..ROWS {
        sums[i] = f32::from_bits(w[i] & 0xffff_0000).mul_add(second, sums[i]);
    }
    for i in 0..ROWS {
        sums[i] = f32::from_bits(w[i] << 16).mul_add(first, sums[i]);
    }
}

/// Adds pairs of sixteen rows times those of `x`. The last of `x` may be half a pair.
#[inline(always)]
fn add_one(w: &[[u32; ROWS]], x: &[f32], sums: &mut Sums) {
    let (x, half) = x.as_chunks();
    for (w, x) in w.iter().zip(x) {
        add_pair(w, *x, sums);
    }
    if let ([x], Some(w)) = (half, w.get(x.len())) {
        add_pair(w, [*x, 0.0], sums);
    }
}

#[inline(always)]
fn add_four(w: &[[u32; ROWS]], x: [&[f32]; FOUR], sums: &mut [Sums; FOUR]) {
    let [(a, half), (b, _), (c, _), (d, _)] = x.map(|x| x.as_chunks::<2>());
    let [sa, sb, sc, sd] = sums;
    for ((((w, a), b), c), d) in w.iter().zip(a).zip(b).zip(c).zip(d) {
        add_pair(w, *a, sa);
        add_pair(w, *b, sb);
        add_pair(w, *c, sc);
        add_pair(w, *d, sd);
    }
    if let (false, Some(w)) = (half.is_empty(), w.get(a.len())) {
        for (x, sums) in x.iter().zip([sa, sb, sc, sd]) {
            add_pair(w, [x[x.len() - 1], 0.0], sums);
        }
    }
}

per_isa!(add_one_on / add_one_avx2 / add_one_avx512:
    (w: &[[u32; ROWS]], x: &[f32], sums: &mut Sums) -> () = add_one(w, x, sums));
per_isa!(add_four_on / add_four_avx2 / add_four_avx512:
    (w: &[[u32; ROWS]], x: [&[f32]; FOUR], sums: &mut [Sums; FOUR]) -> () = add_four(w, x, sums));

/// Sixteen rows of weights as stored times rows of activations `x` `[rows, k]`, into `sums` `[rows]`.
pub(super) fn multiply(isa: Isa, w: &[&[u8]; ROWS], x: &[f32], k: usize, sums: &mut Vec<Sums>) {
    sums.clear();
    #[cfg(target_arch = "x86_64")]
    if let (Isa::Avx512, true, true) = (isa, x.len() == k, k.is_multiple_of(2)) {
        // SAFETY: `isa()` names an instruction set only after detecting it on this machine.
        sums.push(unsafe { row_avx512(w, x.as_chunks().0) });
        return;
    }
    sums.resize(x.len() / k.max(1), [0.0; ROWS]);
    let mut panel = [Interleaved::default(); PANEL];
    let width = 2 * PAIRS;
    for from in (0..k).step_by(PANEL * width) {
        let to = (from + PANEL * width).min(k);
        interleave(isa, w, from / width, &mut panel[..(to - from).div_ceil(width)]);
        let (w, (fours, rest)) = (panel.as_flattened(), sums.as_chunks_mut::<FOUR>());
        for (sums, x) in fours.iter_mut().zip(x.chunks_exact(FOUR * k)) {
            add_four_on(isa, w, std::array::from_fn(|i| &x[i * k + from..i * k + to]), sums);
        }
        let left = &x[x.len() - rest.len() * k..];
        for (sums, x) in rest.iter_mut().zip(left.chunks_exact(k)) {
            add_one_on(isa, w, &x[from..to], sums);
        }
    }
}

/// One row of activations, at the speed of memory.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn row_avx512(w: &[&[u8]; ROWS], x: &[[f32; 2]]) -> Sums {
    let second = _mm512_set1_epi32(0xffff_0000_u32.cast_signed());
    sum_pairs!(w, x, |sums, w, x: [f32; 2]| {
        let sums = _mm512_fmadd_ps(_mm512_castsi512_ps(_mm512_and_si512(w, second)), _mm512_set1_ps(x[1]), sums);
        _mm512_fmadd_ps(_mm512_castsi512_ps(_mm512_slli_epi32::<16>(w)), _mm512_set1_ps(x[0]), sums)
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::dot::tests::{numbers, supported};
    use super::*;
    use half::bf16;

    /// The order of additions as the head of this file states it.
    pub fn stated(w: &[bf16], x: &[f32]) -> f32 {
        w.chunks(2).zip(x.chunks(2)).fold(0.0, |sum, (w, x)| {
            let product = |i: usize| (w.get(i).map_or(0.0, |w| w.to_f32()), x.get(i).map_or(0.0, |x| *x));
            [product(1), product(0)].into_iter().fold(sum, |sum, (w, x): (f32, f32)| w.mul_add(x, sum))
        })
    }

    #[test]
    fn every_instruction_set_adds_in_the_stated_order() {
        for k in [1, 2, 31, 32, 33, 96, 128, 257, 520] {
            let w: Vec<bf16> = numbers(ROWS * k, 1).into_iter().map(bf16::from_f32).collect();
            let bytes: Vec<u8> = w.iter().flat_map(|w| w.to_le_bytes()).collect();
            let lines: [&[u8]; ROWS] = std::array::from_fn(|i| &bytes[2 * i * k..2 * (i + 1) * k]);
            let x = numbers(6 * k, 2);
            for rows in [1, 3, 4, 6] {
                let x = &x[..rows * k];
                let want: Vec<u32> =
                    x.chunks_exact(k).flat_map(|x| w.chunks_exact(k).map(|w| stated(w, x).to_bits())).collect();
                for isa in supported() {
                    let mut sums = Vec::new();
                    multiply(isa, &lines, x, k, &mut sums);
                    let got: Vec<u32> = sums.as_flattened().iter().map(|x| x.to_bits()).collect();
                    assert_eq!(got, want, "{isa:?} {k} {rows}");
                }
            }
        }
    }
}
