//! Formats of blocks of 256 weights.

use super::super::blocks::Block;
use super::super::format::{part, widen_f16};
use super::super::isa::{Isa, per_isa};
use super::super::k_blocks::{Q3K, Q4K, Q5K, Q6K, packed_scales_and_minima, q3_k_scales};
use super::super::table_blocks::UNEVEN;
use super::activations::{LARGE, Large};
use super::small::nibbles;

/// Sums of a row, by the place of a value modulo 8.
pub(super) const LANES: usize = 8;
/// Values that share a small scale, at least.
pub(super) const GROUP: usize = 16;
pub(super) const GROUPS: usize = LARGE / GROUP;

/// Blocks of `N` bytes whose products are added in lanes.
pub(super) trait InLanes<const N: usize> {
    /// The weights as integers.
    fn integers(block: &[u8; N]) -> [i8; LARGE];

    /// The small scale of each group.
    fn scales(block: &[u8; N]) -> [i8; GROUPS];

    /// The scale of the block.
    fn scale(block: &[u8; N]) -> f32;

    /// The scale of the minima, and the minimum of each 32 weights.
    fn minima(block: &[u8; N]) -> Option<(f32, [u8; 8])>;
}

/// The six-bit scales and minima of Q4_K and Q5_K.
#[inline(always)]
pub(super) fn sixes(packed: &[u8; 12]) -> ([u8; 8], [u8; 8]) {
    let (scales, minima) = packed_scales_and_minima(packed);
    (scales.to_le_bytes(), minima.to_le_bytes())
}

/// The scales of 32 weights as those of 16.
#[inline(always)]
fn twice(scales: [u8; 8]) -> [i8; GROUPS] {
    let mut out = [0; GROUPS];
    for i in 0..GROUPS {
        out[i] = scales[i / 2].cast_signed();
    }
    out
}

impl InLanes<144> for Q4K {
    #[inline(always)]
    fn integers(block: &[u8; 144]) -> [i8; LARGE] {
        let (q, mut out) = (part::<128, _>(block, 16), [0; LARGE]);
        for pair in 0..4 {
            for i in 0..32 {
                out[64 * pair + i] = (q[32 * pair + i] & 15) as i8;
                out[64 * pair + 32 + i] = (q[32 * pair + i] >> 4) as i8;
            }
        }
        out
    }

    #[inline(always)]
    fn scales(block: &[u8; 144]) -> [i8; GROUPS] {
        twice(sixes(part(block, 4)).0)
    }

    #[inline(always)]
    fn scale(block: &[u8; 144]) -> f32 {
        widen_f16(*part(block, 0))
    }

    #[inline(always)]
    fn minima(block: &[u8; 144]) -> Option<(f32, [u8; 8])> {
        Some((widen_f16(*part(block, 2)), sixes(part(block, 4)).1))
    }
}

impl InLanes<176> for Q5K {
    #[inline(always)]
    fn integers(block: &[u8; 176]) -> [i8; LARGE] {
        let (high, q, mut out) = (part::<32, _>(block, 16), part::<128, _>(block, 48), [0; LARGE]);
        for pair in 0..4 {
            for i in 0..32 {
                let high = high[i] >> (2 * pair);
                out[64 * pair + i] = ((q[32 * pair + i] & 15) | ((high & 1) << 4)) as i8;
                out[64 * pair + 32 + i] = ((q[32 * pair + i] >> 4) | ((high & 2) << 3)) as i8;
            }
        }
        out
    }

    #[inline(always)]
    fn scales(block: &[u8; 176]) -> [i8; GROUPS] {
        twice(sixes(part(block, 4)).0)
    }

    #[inline(always)]
    fn scale(block: &[u8; 176]) -> f32 {
        widen_f16(*part(block, 0))
    }

    #[inline(always)]
    fn minima(block: &[u8; 176]) -> Option<(f32, [u8; 8])> {
        Some((widen_f16(*part(block, 2)), sixes(part(block, 4)).1))
    }
}

impl InLanes<210> for Q6K {
    #[inline(always)]
    fn integers(block: &[u8; 210]) -> [i8; LARGE] {
        let mut out = [0; LARGE];
        for n in 0..2 {
            let (low, high) = (part::<64, _>(block, 64 * n), part::<32, _>(block, 128 + 32 * n));
            for i in 0..32 {
                let low = [low[i] & 15, low[i + 32] & 15, low[i] >> 4, low[i + 32] >> 4];
                for k in 0..4 {
                    out[128 * n + 32 * k + i] = (low[k] | (((high[i] >> (2 * k)) & 3) << 4)) as i8 - 32;
                }
            }
        }
        out
    }

    #[inline(always)]
    fn scales(block: &[u8; 210]) -> [i8; GROUPS] {
        part::<GROUPS, _>(block, 192).map(u8::cast_signed)
    }

    #[inline(always)]
    fn scale(block: &[u8; 210]) -> f32 {
        widen_f16(*part(block, 208))
    }

    #[inline(always)]
    fn minima(_: &[u8; 210]) -> Option<(f32, [u8; 8])> {
        None
    }
}

impl InLanes<110> for Q3K {
    #[inline(always)]
    fn integers(block: &[u8; 110]) -> [i8; LARGE] {
        let (high, mut out) = (part::<32, _>(block, 0), [0; LARGE]);
        for n in 0..2 {
            let q = part::<32, _>(block, 32 + 32 * n);
            for k in 0..4 {
                for i in 0..32 {
                    // The high bit counts four, and all values are four too high.
                    let high = (high[i] >> (4 * n + k)) & 1;
                    out[128 * n + 32 * k + i] = (((q[i] >> (2 * k)) & 3) | (high << 2)) as i8 - 4;
                }
            }
        }
        out
    }

    #[inline(always)]
    fn scales(block: &[u8; 110]) -> [i8; GROUPS] {
        q3_k_scales(block)
    }

    #[inline(always)]
    fn scale(block: &[u8; 110]) -> f32 {
        widen_f16(*part(block, 108))
    }

    #[inline(always)]
    fn minima(_: &[u8; 110]) -> Option<(f32, [u8; 8])> {
        None
    }
}

/// The sums of a row at its end.
#[inline(always)]
pub(super) fn folded(minima: f32, lanes: &[f32; LANES]) -> f32 {
    lanes.iter().fold(minima, |sum, lane| sum + lane)
}

#[inline(always)]
fn in_lanes<F: InLanes<N>, const N: usize>(w: &[u8], x: &[Large]) -> f32 {
    let (mut minima, mut lanes) = (0.0, [0.0; LANES]);
    for (block, x) in w.as_chunks::<N>().0.iter().zip(x) {
        let (weights, scales) = (F::integers(block), F::scales(block));
        let mut sums = [0; LANES];
        for group in 0..GROUPS {
            for i in 0..GROUP {
                let at = GROUP * group + i;
                let product = i32::from(weights[at]) * i32::from(x.numbers[at]);
                sums[i % LANES] += i32::from(scales[group]) * product;
            }
        }
        let scale = F::scale(block) * x.scale;
        for i in 0..LANES {
            lanes[i] += scale * sums[i] as f32;
        }
        if let Some((scale, small)) = F::minima(block) {
            let mut sum = 0;
            for i in 0..GROUPS {
                sum += i32::from(x.sums[i]) * i32::from(small[i / 2]);
            }
            minima -= (scale * x.scale) * sum as f32;
        }
    }
    folded(minima, &lanes)
}

#[inline(always)]
fn q2_k(w: &[u8], x: &[Large]) -> f32 {
    let mut sum = 0.0;
    for (block, x) in w.as_chunks::<84>().0.iter().zip(x) {
        let (small, q) = (part::<GROUPS, _>(block, 0), part::<64, _>(block, 16));
        let (mut products, mut minima) = (0, 0);
        for group in 0..GROUPS {
            let (n, k, half) = (group / 8, group / 2 % 4, group % 2);
            let mut of_group = 0;
            for i in 0..GROUP {
                let q = (q[32 * n + 16 * half + i] >> (2 * k)) & 3;
                of_group += i32::from(q) * i32::from(x.numbers[GROUP * group + i]);
            }
            products += i32::from(small[group] & 15) * of_group;
            minima += i32::from(x.sums[group]) * i32::from(small[group] >> 4);
        }
        let [d, m] = [80, 82].map(|at| x.scale * widen_f16(*part(block, at)));
        sum += d * products as f32 - m * minima as f32;
    }
    sum
}

#[inline(always)]
fn iq4_xs(w: &[u8], x: &[Large]) -> f32 {
    let mut sum = 0.0;
    for (block, x) in w.as_chunks::<136>().0.iter().zip(x) {
        let d = widen_f16(*part(block, 0)) * x.scale;
        let (high, low) = (u16::from_le_bytes(*part(block, 2)), part::<4, _>(block, 4));
        for group in 0..LARGE / 32 {
            let small = (low[group / 2] >> (4 * (group % 2))) & 15 | (((high >> (2 * group)) & 3) as u8) << 4;
            let w = nibbles(part(block, 8 + 16 * group), |q| UNEVEN[usize::from(q)] as i8);
            let mut products = 0;
            for i in 0..32 {
                products += i32::from(w[i]) * i32::from(x.numbers[32 * group + i]);
            }
            sum += (d * f32::from(small as i8 - 32)) * products as f32;
        }
    }
    sum
}

#[inline(always)]
fn row_of(block: Block, w: &[u8], x: &[Large]) -> f32 {
    match block {
        Block::Q2K => q2_k(w, x),
        Block::Q3K => in_lanes::<Q3K, 110>(w, x),
        Block::Q5K => in_lanes::<Q5K, 176>(w, x),
        Block::Q6K => in_lanes::<Q6K, 210>(w, x),
        Block::Iq4Xs => iq4_xs(w, x),
        _ => in_lanes::<Q4K, 144>(w, x),
    }
}

per_isa!(dot / dot_avx2 / dot_avx512: (block: Block, w: &[u8], x: &[Large]) -> f32 = row_of(block, w, x));
