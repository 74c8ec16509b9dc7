//! Fixed-point products for every instruction set, one row of weights at a time.

use super::super::dot::fold;
use super::super::format::{part, widen_f16};
use super::super::k_blocks::scales_and_minima;
use super::piece::{Add, Piece};
use super::{BLOCK, BLOCKS, Block, Fixed, Isa, Parts};

struct Plain;

/// A row of weights times four rows of activations from `row` on, so that it is decoded once. After the last row its
/// result is repeated. `None` if the activations are in digits.
pub(in super::super) fn dot_four(isa: Isa, block: Block, w: &[u8], x: &Fixed, row: usize) -> Option<[f32; 4]> {
    let parts = x.parts()?;
    let last = (parts.len() / x.pieces.max(1)).saturating_sub(1);
    let rows = [0, 1, 2, 3].map(|i| &parts[(row + i).min(last) * x.pieces..][..x.pieces]);
    let [a, b, ..] = rows;
    Some(match last - row.min(last) {
        0 => dot_on(isa, block, w, [a]).map(|x| [x; 4])[0],
        1 => {
            let [a, b] = dot_on(isa, block, w, [a, b]);
            [a, b, b, b]
        }
        _ => dot_on(isa, block, w, rows),
    })
}

fn dot_on<const N: usize>(isa: Isa, block: Block, w: &[u8], x: [&[Parts]; N]) -> [f32; N] {
    match isa {
        // SAFETY: that needs no instructions.
        Isa::Portable => unsafe { dot::<Plain, N>(block, w, x) },
        // SAFETY: an `Isa` other than `Portable` is made only after detecting it on this machine.
        #[cfg(target_arch = "x86_64")]
        _ => unsafe { dot_avx2(block, w, x) },
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn dot_avx2<const N: usize>(block: Block, w: &[u8], x: [&[Parts]; N]) -> [f32; N] {
    // SAFETY: this function has the instructions.
    unsafe { dot::<super::avx2::Avx2, N>(block, w, x) }
}

/// # Safety
/// The machine has the instructions of `A`.
#[inline(always)]
unsafe fn dot<A: Add, const N: usize>(block: Block, w: &[u8], x: [&[Parts]; N]) -> [f32; N] {
    let mut lanes = [[0f32; BLOCKS]; N];
    let mut piece = Piece { weights: [[0; BLOCK]; BLOCKS], scales: [[0.0; BLOCKS]; 2], minima: [0.0; BLOCKS] };
    // SAFETY: what the caller promises.
    unsafe {
        match block {
            Block::Q8_0 => {
                for (at, w) in w.chunks(34 * BLOCKS).enumerate() {
                    q8_0(w, &mut piece);
                    x.iter().zip(&mut lanes).for_each(|(x, lanes)| A::add::<false, false>(&piece, &x[at], lanes));
                }
            }
            Block::Q4K => {
                for (at, w) in w.as_chunks().0.iter().enumerate() {
                    q4_k(w, &mut piece);
                    x.iter().zip(&mut lanes).for_each(|(x, lanes)| A::add::<false, true>(&piece, &x[at], lanes));
                }
            }
            _ => {
                for (at, w) in w.as_chunks().0.iter().enumerate() {
                    q6_k(w, &mut piece);
                    x.iter().zip(&mut lanes).for_each(|(x, lanes)| A::add::<true, false>(&piece, &x[at], lanes));
                }
            }
        }
    }
    lanes.map(fold)
}

/// Products of half a block of weights with upper or lower parts, added two by two, as vector instructions do.
#[inline(always)]
fn products(w: &[i16; BLOCK], x: &[i16; BLOCK], half: usize) -> [i32; 8] {
    let mut sums = [0; 8];
    for (l, sum) in sums.iter_mut().enumerate() {
        let i = half * BLOCK / 2 + 2 * l;
        *sum = i32::from(w[i]) * i32::from(x[i]) + i32::from(w[i + 1]) * i32::from(x[i + 1]);
    }
    sums
}

/// Sums of products of each block: of one half, or of both.
#[inline(always)]
fn sums(w: &[[i16; BLOCK]; BLOCKS], x: &[[i16; BLOCK]; BLOCKS], half: Option<usize>) -> [i32; BLOCKS] {
    let mut out = [0; BLOCKS];
    for (b, out) in out.iter_mut().enumerate() {
        let mut lanes = products(&w[b], &x[b], half.unwrap_or(0));
        if half.is_none() {
            for (lane, more) in lanes.iter_mut().zip(products(&w[b], &x[b], 1)) {
                *lane += more;
            }
        }
        *out = lanes.iter().sum();
    }
    out
}

impl Add for Plain {
    #[inline(always)]
    unsafe fn add<const HALVES: bool, const MINIMA: bool>(piece: &Piece, x: &Parts, lanes: &mut [f32; BLOCKS]) {
        for half in 0..if HALVES { 2 } else { 1 } {
            let of = HALVES.then_some(half);
            let (upper, lower) = (sums(&piece.weights, &x.upper, of), sums(&piece.weights, &x.lower, of));
            for (b, lane) in lanes.iter_mut().enumerate() {
                let products = (upper[b] as f32).mul_add(256.0, lower[b] as f32);
                *lane = products.mul_add(piece.scales[half][b] * x.steps[b], *lane);
            }
        }
        if MINIMA {
            for (b, lane) in lanes.iter_mut().enumerate() {
                *lane = (-piece.minima[b]).mul_add(x.totals[b], *lane);
            }
        }
    }
}

/// Blocks that are missing become zero.
#[inline(always)]
fn q8_0(w: &[u8], piece: &mut Piece) {
    let blocks = w.as_chunks::<34>().0;
    for b in 0..BLOCKS {
        let Some(block) = blocks.get(b) else {
            (piece.weights[b], piece.scales[0][b]) = ([0; BLOCK], 0.0);
            continue;
        };
        piece.scales[0][b] = widen_f16(*part(block, 0));
        let bytes = part::<BLOCK, _>(block, 2);
        for i in 0..BLOCK {
            piece.weights[b][i] = i16::from(bytes[i] as i8);
        }
    }
}

#[inline(always)]
fn q4_k(block: &[u8; 144], piece: &mut Piece) {
    let (d, min) = (widen_f16(*part(block, 0)), widen_f16(*part(block, 2)));
    (piece.scales[0], piece.minima) = scales_and_minima(part(block, 4), d, min);
    for pair in 0..BLOCKS / 2 {
        let bytes = part::<BLOCK, _>(block, 16 + pair * BLOCK);
        for i in 0..BLOCK {
            piece.weights[2 * pair][i] = i16::from(bytes[i] & 15);
            piece.weights[2 * pair + 1][i] = i16::from(bytes[i] >> 4);
        }
    }
}

#[inline(always)]
fn q6_k(block: &[u8; 210], piece: &mut Piece) {
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
            piece.weights[b][i] = i16::from((low[i] >> (4 * (quarter / 2))) & 15 | two << 4) - 32;
        }
    }
}
