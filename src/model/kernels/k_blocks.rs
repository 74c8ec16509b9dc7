//! ggml's "K" formats: 256 values of one f16 scale and finer integer scales of 16 or 32 values.

use super::format::{Format, Sink, part, widen_f16};

pub(super) struct Q2K;
pub(super) struct Q3K;
pub(super) struct Q4K;
pub(super) struct Q5K;
pub(super) struct Q6K;
pub(super) struct Q8K;

/// Every second of eight elements from `at` on.
#[inline(always)]
fn alternate(all: &[f32; 16], at: usize) -> [f32; 4] {
    [all[at], all[at + 2], all[at + 4], all[at + 6]]
}

/// The six-bit scales and minima of Q4_K and Q5_K, a byte each.
#[inline(always)]
pub(super) fn packed_scales_and_minima(packed: &[u8; 12]) -> (u64, u64) {
    // No `map` of arrays, which is not always inlined.
    let ([a, b, c], _) = packed.as_chunks::<4>() else { return (0, 0) };
    let (a, b, c) = (u32::from_le_bytes(*a), u32::from_le_bytes(*b), u32::from_le_bytes(*c));
    let (a, b, c) = (u64::from(a), u64::from(b), u64::from(c));
    let scales = (a & 0x3f3f_3f3f) | (((c & 0x0f0f_0f0f) | ((a >> 2) & 0x3030_3030)) << 32);
    let minima = (b & 0x3f3f_3f3f) | ((((c >> 4) & 0x0f0f_0f0f) | ((b >> 2) & 0x3030_3030)) << 32);
    (scales, minima)
}

/// The six-bit scales and minima of Q4_K and Q5_K, times the block's own.
#[inline(always)]
pub(super) fn scales_and_minima(packed: &[u8; 12], d: f32, min: f32) -> ([f32; 8], [f32; 8]) {
    let (scales, minima) = packed_scales_and_minima(packed);
    (scales.to_le_bytes().map(|v| d * f32::from(v)), minima.to_le_bytes().map(|v| min * f32::from(v)))
}

/// The six-bit scales of Q3_K.
#[inline(always)]
pub(super) fn q3_k_scales(block: &[u8; 110]) -> [i8; 16] {
    let [a, b, c] = [96, 100, 104].map(|at| u32::from_le_bytes(*part(block, at)));
    let words = [
        (a & 0x0f0f_0f0f) | ((c << 4) & 0x3030_3030),
        (b & 0x0f0f_0f0f) | ((c << 2) & 0x3030_3030),
        ((a >> 4) & 0x0f0f_0f0f) | (c & 0x3030_3030),
        ((b >> 4) & 0x0f0f_0f0f) | ((c >> 2) & 0x3030_3030),
    ];
    let bytes = words.map(u32::to_le_bytes);
    let mut scales = [0; 16];
    for (scale, byte) in scales.iter_mut().zip(bytes.as_flattened()) {
        *scale = *byte as i8 - 32;
    }
    scales
}

impl Format<84, 8> for Q2K {
    #[inline(always)]
    fn decode(block: &[u8; 84], sink: &mut impl Sink) {
        let (d, min) = (widen_f16(*part(block, 80)), widen_f16(*part(block, 82)));
        let packed = part::<16, _>(block, 0);
        let (scales, minima) = (packed.map(|v| d * f32::from(v & 15)), packed.map(|v| min * f32::from(v >> 4)));
        for run in 0..4 {
            let (n, half) = (run / 2, run % 2);
            let q = part::<16, _>(block, 16 + 32 * n + 16 * half);
            let (s, m) = (alternate(&scales, 8 * n + half), alternate(&minima, 8 * n + half));
            sink.take::<4, 16>(128 * n + 16 * half, 32, |i| {
                let v = |k: usize| s[k] * f32::from((q[i] >> (2 * k)) & 3) - m[k];
                [v(0), v(1), v(2), v(3)]
            });
        }
    }
}

impl Format<110, 8> for Q3K {
    #[inline(always)]
    fn decode(block: &[u8; 110], sink: &mut impl Sink) {
        let d = widen_f16(*part(block, 108));
        let scales = q3_k_scales(block).map(|scale| d * f32::from(scale));
        for run in 0..4 {
            let (n, half) = (run / 2, run % 2);
            let (high, q) = (part::<16, _>(block, 16 * half), part::<16, _>(block, 32 + 32 * n + 16 * half));
            let s = alternate(&scales, 8 * n + half);
            sink.take::<4, 16>(128 * n + 16 * half, 32, |i| {
                let high = high[i] >> (4 * n);
                // The high bit counts four, and all values are four too high.
                let v = |k: usize| s[k] * f32::from((((q[i] >> (2 * k)) & 3) | (((high >> k) & 1) << 2)) as i8 - 4);
                [v(0), v(1), v(2), v(3)]
            });
        }
    }
}

impl Format<144, 8> for Q4K {
    #[inline(always)]
    fn decode(block: &[u8; 144], sink: &mut impl Sink) {
        let (d, min) = (widen_f16(*part(block, 0)), widen_f16(*part(block, 2)));
        let (scales, minima) = scales_and_minima(part(block, 4), d, min);
        for pair in 0..4 {
            let q = part::<32, _>(block, 16 + 32 * pair);
            let (s, m) = (part::<2, _>(&scales, 2 * pair), part::<2, _>(&minima, 2 * pair));
            sink.take::<2, 32>(64 * pair, 32, |i| {
                [s[0] * f32::from(q[i] & 15) - m[0], s[1] * f32::from(q[i] >> 4) - m[1]]
            });
        }
    }
}

impl Format<176, 8> for Q5K {
    #[inline(always)]
    fn decode(block: &[u8; 176], sink: &mut impl Sink) {
        let (d, min) = (widen_f16(*part(block, 0)), widen_f16(*part(block, 2)));
        let (scales, minima) = scales_and_minima(part(block, 4), d, min);
        let high = part::<32, _>(block, 16);
        for pair in 0..4 {
            let q = part::<32, _>(block, 48 + 32 * pair);
            let (s, m) = (part::<2, _>(&scales, 2 * pair), part::<2, _>(&minima, 2 * pair));
            sink.take::<2, 32>(64 * pair, 32, |i| {
                let high = high[i] >> (2 * pair);
                let q = [f32::from((q[i] & 15) | ((high & 1) << 4)), f32::from((q[i] >> 4) | ((high & 2) << 3))];
                [s[0] * q[0] - m[0], s[1] * q[1] - m[1]]
            });
        }
    }
}

impl Format<210, 8> for Q6K {
    #[inline(always)]
    fn decode(block: &[u8; 210], sink: &mut impl Sink) {
        let d = widen_f16(*part(block, 208));
        let scales = part::<16, _>(block, 192).map(|v| d * f32::from(v as i8));
        for run in 0..4 {
            let (n, half) = (run / 2, run % 2);
            let [a, b] = [0, 32].map(|at| part::<16, _>(block, 64 * n + at + 16 * half));
            let high = part::<16, _>(block, 128 + 32 * n + 16 * half);
            let s = alternate(&scales, 8 * n + half);
            sink.take::<4, 16>(128 * n + 16 * half, 32, |i| {
                let low = [a[i] & 15, b[i] & 15, a[i] >> 4, b[i] >> 4];
                let v = |k: usize| s[k] * f32::from((low[k] | (((high[i] >> (2 * k)) & 3) << 4)) as i8 - 32);
                [v(0), v(1), v(2), v(3)]
            });
        }
    }
}

impl Format<292, 8> for Q8K {
    #[inline(always)]
    fn decode(block: &[u8; 292], sink: &mut impl Sink) {
        let d = f32::from_le_bytes(*part(block, 0));
        for group in 0..8 {
            let q = part::<32, _>(block, 4 + 32 * group);
            sink.take::<1, 32>(32 * group, 32, |i| [d * f32::from(q[i] as i8)]);
        }
    }
}
