//! Fixed-point products in safe code, one row of weights at a time.

use super::super::dot::fold;
use super::super::format::{part, widen_f16};
use super::super::k_blocks::scales_and_minima;
use super::piece::{PAIRS, Pairs, Piece};
use super::{BLOCK, BLOCKS, Block, Parts};

/// Products of a row of weights with each of the rows of activations, which have `pieces`.
pub(super) fn row(block: Block, w: &[u8], x: &[Parts], pieces: usize, mut put: impl FnMut(usize, f32)) {
    let mut decoded: Vec<Piece> = Vec::with_capacity(pieces);
    match block {
        Block::Q8_0 => decoded.extend(w.chunks(34 * BLOCKS).map(q8_0)),
        Block::Q4K => decoded.extend(w.as_chunks().0.iter().map(q4_k)),
        _ => decoded.extend(w.as_chunks().0.iter().map(q6_k)),
    }
    let (halves, minima) = (block == Block::Q6K, block == Block::Q4K);
    for (row, x) in x.chunks_exact(pieces).enumerate() {
        let mut lanes = [0f32; BLOCKS];
        for (piece, x) in decoded.iter().zip(x) {
            add(piece, x, (halves, minima), &mut lanes);
        }
        put(row, fold(lanes));
    }
}

/// Sums of products of some pairs of each block.
fn sums(w: &Pairs, x: &Pairs, pairs: std::ops::Range<usize>) -> [i32; BLOCKS] {
    let mut out = [0; BLOCKS];
    for (w, x) in w[pairs.clone()].iter().zip(&x[pairs]) {
        for b in 0..BLOCKS {
            out[b] += i32::from(w[b][0]) * i32::from(x[b][0]) + i32::from(w[b][1]) * i32::from(x[b][1]);
        }
    }
    out
}

/// Adds the products of a piece to the lanes of a row of activations. `halves`: whether halves of blocks have scales of
/// their own. `minima`: whether blocks have a minimum.
fn add(piece: &Piece, x: &Parts, (halves, minima): (bool, bool), lanes: &mut [f32; BLOCKS]) {
    for half in 0..if halves { 2 } else { 1 } {
        let pairs = if halves { half * PAIRS / 2..(half + 1) * PAIRS / 2 } else { 0..PAIRS };
        let (upper, lower) = (sums(&piece.weights, &x.upper, pairs.clone()), sums(&piece.weights, &x.lower, pairs));
        for (b, lane) in lanes.iter_mut().enumerate() {
            let products = (upper[b] as f32).mul_add(256.0, lower[b] as f32);
            *lane = products.mul_add(piece.scales[half][b] * x.steps[b], *lane);
        }
    }
    if minima {
        for (b, lane) in lanes.iter_mut().enumerate() {
            *lane = (-piece.minima[b]).mul_add(x.totals[b], *lane);
        }
    }
}

/// Blocks that are missing are zero.
fn q8_0(w: &[u8]) -> Piece {
    let mut piece = Piece::ZERO;
    for (b, block) in w.as_chunks::<34>().0.iter().enumerate() {
        piece.scales[0][b] = widen_f16(*part(block, 0));
        for (i, byte) in part::<BLOCK, _>(block, 2).iter().enumerate() {
            piece.put(b, i, i16::from(*byte as i8));
        }
    }
    piece
}

fn q4_k(block: &[u8; 144]) -> Piece {
    let mut piece = Piece::ZERO;
    let (d, min) = (widen_f16(*part(block, 0)), widen_f16(*part(block, 2)));
    (piece.scales[0], piece.minima) = scales_and_minima(part(block, 4), d, min);
    for pair in 0..BLOCKS / 2 {
        for (i, byte) in part::<BLOCK, _>(block, 16 + pair * BLOCK).iter().enumerate() {
            piece.put(2 * pair, i, i16::from(byte & 15));
            piece.put(2 * pair + 1, i, i16::from(byte >> 4));
        }
    }
    piece
}

fn q6_k(block: &[u8; 210]) -> Piece {
    let mut piece = Piece::ZERO;
    let d = widen_f16(*part(block, 208));
    for b in 0..BLOCKS {
        let (n, quarter) = (b / 4, b % 4);
        let low = part::<BLOCK, _>(block, 64 * n + quarter % 2 * BLOCK);
        let high = part::<BLOCK, _>(block, 128 + BLOCK * n);
        for half in 0..2 {
            piece.scales[half][b] = d * f32::from(block[192 + 2 * b + half] as i8);
        }
        for i in 0..BLOCK {
            let two = (high[i] >> (2 * quarter)) & 3;
            piece.put(b, i, i16::from((low[i] >> (4 * (quarter / 2))) & 15 | two << 4) - 32);
        }
    }
    piece
}
