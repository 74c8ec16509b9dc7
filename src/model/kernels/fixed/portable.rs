//! These products for every instruction set, one row of weights at a time.

use super::super::blocks::{part, widen_f16};
use super::super::dot::{fold, per_isa};
use super::super::k_blocks::scales_and_minima;
use super::{BLOCK, BLOCKS, Block, Fixed, Isa, Packed, Parts};

/// Rows of activations, and their lanes.
type Rows<'a, const N: usize> = [&'a [[Parts; BLOCKS]]; N];
type Lanes<const N: usize> = [[f32; BLOCKS]; N];

/// 32 weights as integers, and the scale of each half.
struct Unit {
    weights: [i16; BLOCK],
    scales: [f32; 2],
}

/// A row of weights times four rows of activations from `row` on, so that it is decoded once; after the last row comes the
/// last again. `None` if the activations are in digits.
pub(in super::super) fn dot_four(isa: Isa, block: Block, w: &[u8], x: &Fixed, row: usize) -> Option<[f32; 4]> {
    let Packed::Parts(parts) = &x.packed else { return None };
    let last = (parts.len() / x.pieces.max(1)).saturating_sub(1);
    let rows = [0, 1, 2, 3].map(|i| &parts[(row + i).min(last) * x.pieces..][..x.pieces]);
    Some(if row == last { [dot_one_on(isa, block, w, [rows[0]])[0]; 4] } else { dot_four_on(isa, block, w, rows) })
}

#[inline(always)]
fn dot<const N: usize>(block: Block, w: &[u8], x: Rows<N>) -> [f32; N] {
    match block {
        Block::Q8_0 => dot_q8_0(w, x),
        Block::Q4K => dot_q4_k(w, x),
        _ => dot_q6_k(w, x),
    }
}

per_isa!(dot_one_on / dot_one_avx2 / dot_one_avx512: (block: Block, w: &[u8], x: Rows<1>) -> [f32; 1] = dot(block, w, x));
per_isa!(dot_four_on / dot_four_avx2 / dot_four_avx512: (block: Block, w: &[u8], x: Rows<4>) -> [f32; 4] = dot(block, w, x));

/// Products of 16 weights with an upper or a lower part, added up.
#[inline(always)]
fn products(w: &[i16; BLOCK], x: &[i16; BLOCK], from: usize) -> i32 {
    let mut sum = 0;
    for i in from..from + BLOCK / 2 {
        sum += i32::from(w[i]) * i32::from(x[i]);
    }
    sum
}

#[inline(always)]
fn joined(upper: i32, lower: i32) -> f32 {
    (upper as f32).mul_add(256.0, lower as f32)
}

/// Adds the products of block `at`; `HALVES` says whether its halves have scales of their own.
#[inline(always)]
fn add<const HALVES: bool, const N: usize>(unit: &Unit, x: Rows<N>, at: usize, lanes: &mut Lanes<N>) {
    for (x, lanes) in x.into_iter().zip(lanes) {
        let (x, sum) = (&x[at / BLOCKS][at % BLOCKS], &mut lanes[at % BLOCKS]);
        let upper = [products(&unit.weights, &x.upper, 0), products(&unit.weights, &x.upper, BLOCK / 2)];
        let lower = [products(&unit.weights, &x.lower, 0), products(&unit.weights, &x.lower, BLOCK / 2)];
        if HALVES {
            for half in 0..2 {
                *sum = joined(upper[half], lower[half]).mul_add(unit.scales[half] * x.step, *sum);
            }
        } else {
            *sum = joined(upper[0] + upper[1], lower[0] + lower[1]).mul_add(unit.scales[0] * x.step, *sum);
        }
    }
}

#[inline(always)]
fn dot_q8_0<const N: usize>(w: &[u8], x: Rows<N>) -> [f32; N] {
    let mut lanes = [[0f32; BLOCKS]; N];
    for (at, block) in w.as_chunks::<34>().0.iter().enumerate() {
        let scale = widen_f16(*part(block, 0));
        let mut unit = Unit { weights: [0; BLOCK], scales: [scale; 2] };
        for i in 0..BLOCK {
            unit.weights[i] = i16::from(block[2 + i] as i8);
        }
        add::<false, N>(&unit, x, at, &mut lanes);
    }
    lanes.map(fold)
}

#[inline(always)]
fn dot_q4_k<const N: usize>(w: &[u8], x: Rows<N>) -> [f32; N] {
    let mut lanes = [[0f32; BLOCKS]; N];
    for (block, from) in w.as_chunks::<144>().0.iter().zip((0..).step_by(8)) {
        let (d, min) = (widen_f16(*part(block, 0)), widen_f16(*part(block, 2)));
        let (scales, minima) = scales_and_minima(part(block, 4), d, min);
        for group in 0..8 {
            let bytes = part::<BLOCK, _>(block, 16 + group / 2 * BLOCK);
            let mut unit = Unit { weights: [0; BLOCK], scales: [scales[group]; 2] };
            for i in 0..BLOCK {
                unit.weights[i] = i16::from((bytes[i] >> (4 * (group % 2))) & 15);
            }
            add::<false, N>(&unit, x, from + group, &mut lanes);
            for (x, lanes) in x.iter().zip(&mut lanes) {
                lanes[group] = (-minima[group]).mul_add(x[from / BLOCKS][group].total, lanes[group]);
            }
        }
    }
    lanes.map(fold)
}

#[inline(always)]
fn dot_q6_k<const N: usize>(w: &[u8], x: Rows<N>) -> [f32; N] {
    let mut lanes = [[0f32; BLOCKS]; N];
    for (block, from) in w.as_chunks::<210>().0.iter().zip((0..).step_by(8)) {
        let d = widen_f16(*part(block, 208));
        for group in 0..8 {
            let (n, quarter) = (group / 4, group % 4);
            let low = part::<BLOCK, _>(block, 64 * n + quarter % 2 * BLOCK);
            let high = part::<BLOCK, _>(block, 128 + BLOCK * n);
            let scale = |half: usize| d * f32::from(block[192 + 2 * group + half] as i8);
            let mut unit = Unit { weights: [0; BLOCK], scales: [scale(0), scale(1)] };
            for i in 0..BLOCK {
                let two = (high[i] >> (2 * quarter)) & 3;
                unit.weights[i] = i16::from((low[i] >> (4 * (quarter / 2))) & 15 | two << 4) - 32;
            }
            add::<true, N>(&unit, x, from + group, &mut lanes);
        }
    }
    lanes.map(fold)
}
