//! Dot products of long rows of bf16 weights.
//!
//! The order of additions is that of `vdpbf16ps`: of each chunk of 32 numbers, lane `i` of 16 takes number `2i + 1` and
//! then `2i`, each product added without a rounding in between (fma); at the end the lanes are folded in halves. A last
//! chunk is filled up with zeros. Products of two bf16 numbers are exact, so where activations are bf16 the instruction
//! and the fma give the same bits, as long as nothing is below 2⁻¹²⁶ (the instruction takes that for zero).

use super::dot::{Isa, fold, per_isa};

/// Numbers of a chunk.
pub(super) const CHUNK: usize = 32;
/// Partial sums of a dot product.
pub(super) const LANES: usize = CHUNK / 2;

/// A chunk in f32: the 16 numbers at even places, then those at odd ones.
pub(super) type Split = [f32; CHUNK];

/// Splits rows of activations `[rows, k]` into chunks, `[rows][⌈k / 32⌉]`.
pub(super) fn split(x: &[f32], k: usize) -> Vec<Split> {
    let mut out = Vec::with_capacity(x.len().div_ceil(CHUNK.min(k.max(1))));
    for row in x.chunks_exact(k.max(1)) {
        for chunk in row.chunks(CHUNK) {
            let mut split = [0f32; CHUNK];
            for (i, value) in chunk.iter().enumerate() {
                split[i % 2 * LANES + i / 2] = *value;
            }
            out.push(split);
        }
    }
    out
}

/// The stored numbers of a chunk, filled up with zeros.
pub(super) fn padded(bytes: &[u8]) -> [u8; 2 * CHUNK] {
    let mut line = [0u8; 2 * CHUNK];
    line[..bytes.len()].copy_from_slice(bytes);
    line
}

#[inline(always)]
fn even(pair: [u8; 4]) -> f32 {
    f32::from_bits(u32::from_le_bytes(pair) << 16)
}

#[inline(always)]
fn odd(pair: [u8; 4]) -> f32 {
    f32::from_bits(u32::from_le_bytes(pair) & 0xffff_0000)
}

#[inline(always)]
fn add_chunk(w: &[u8; 2 * CHUNK], x: &Split, lanes: &mut [f32; LANES]) {
    let (pairs, _) = w.as_chunks::<4>();
    for i in 0..LANES {
        lanes[i] = odd(pairs[i]).mul_add(x[LANES + i], lanes[i]);
    }
    for i in 0..LANES {
        lanes[i] = even(pairs[i]).mul_add(x[i], lanes[i]);
    }
}

#[inline(always)]
fn add_row(w: &[u8], x: &[Split], lanes: &mut [f32; LANES]) {
    let (whole, rest) = w.as_chunks::<{ 2 * CHUNK }>();
    for (w, x) in whole.iter().zip(x) {
        add_chunk(w, x, lanes);
    }
    if let (false, Some(x)) = (rest.is_empty(), x.get(whole.len())) {
        add_chunk(&padded(rest), x, lanes);
    }
}

#[inline(always)]
fn add_rows(w: &[u8], [a, b, c, d]: [&[Split]; 4], [la, lb, lc, ld]: &mut [[f32; LANES]; 4]) {
    let (whole, rest) = w.as_chunks::<{ 2 * CHUNK }>();
    for ((((w, a), b), c), d) in whole.iter().zip(a).zip(b).zip(c).zip(d) {
        add_chunk(w, a, la);
        add_chunk(w, b, lb);
        add_chunk(w, c, lc);
        add_chunk(w, d, ld);
    }
    if !rest.is_empty() {
        let (w, at) = (padded(rest), whole.len());
        for (x, lanes) in [a, b, c, d].into_iter().zip([la, lb, lc, ld]) {
            x.get(at).into_iter().for_each(|x| add_chunk(&w, x, lanes));
        }
    }
}

per_isa!(add_row_on / add_row_avx2 / add_row_avx512:
    (w: &[u8], x: &[Split], lanes: &mut [f32; LANES]) -> () = add_row(w, x, lanes));
per_isa!(add_rows_on / add_rows_avx2 / add_rows_avx512:
    (w: &[u8], x: [&[Split]; 4], lanes: &mut [[f32; LANES]; 4]) -> () = add_rows(w, x, lanes));

/// A row of bf16 weights as stored times a row of activations.
pub(super) fn dot_pairs(isa: Isa, w: &[u8], x: &[Split]) -> f32 {
    let mut lanes = [0f32; LANES];
    add_row_on(isa, w, x, &mut lanes);
    fold(lanes)
}

/// The same with four rows of activations, so that the weights are read once.
pub(super) fn dot_pairs_x4(isa: Isa, w: &[u8], x: [&[Split]; 4]) -> [f32; 4] {
    let mut lanes = [[0f32; LANES]; 4];
    add_rows_on(isa, w, x, &mut lanes);
    lanes.map(fold)
}

#[cfg(test)]
mod tests {
    use super::super::dot::tests::{numbers, supported};
    use super::*;
    use half::bf16;

    #[test]
    fn every_instruction_set_adds_in_the_stated_order() {
        for k in [0, 1, 2, 31, 32, 33, 96, 128, 257] {
            let w: Vec<bf16> = numbers(k, 1).into_iter().map(bf16::from_f32).collect();
            let bytes: Vec<u8> = w.iter().flat_map(|w| w.to_le_bytes()).collect();
            let x = numbers(4 * k, 2);
            let stated = |x: &[f32]| {
                let mut lanes = [0f32; LANES];
                for (w, x) in w.chunks(CHUNK).zip(x.chunks(CHUNK)) {
                    for i in (0..LANES).flat_map(|i| [2 * i + 1, 2 * i]).filter(|i| *i < x.len()) {
                        lanes[i / 2] = w[i].to_f32().mul_add(x[i], lanes[i / 2]);
                    }
                }
                fold(lanes).to_bits()
            };
            let split = split(&x, k);
            let chunks = k.div_ceil(CHUNK);
            let rows: [&[Split]; 4] = std::array::from_fn(|i| split.get(i * chunks..(i + 1) * chunks).unwrap_or(&[]));
            let want: [u32; 4] = std::array::from_fn(|i| stated(&x[i * k..(i + 1) * k]));
            for isa in supported() {
                assert_eq!(rows.map(|x| dot_pairs(isa, &bytes, x).to_bits()), want, "{isa:?} {k}");
                assert_eq!(dot_pairs_x4(isa, &bytes, rows).map(f32::to_bits), want, "{isa:?} x4 {k}");
            }
        }
    }
}
