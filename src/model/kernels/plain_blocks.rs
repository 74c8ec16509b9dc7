//! ggml's plain formats: 32 values of one f16 scale, and of some an f16 minimum.

use super::format::{Format, Sink, part, widen_f16};

pub(super) struct Q4_0;
pub(super) struct Q4_1;
pub(super) struct Q5_0;
pub(super) struct Q5_1;
pub(super) struct Q8_0;
pub(super) struct Q8_1;

impl Format<18, 1> for Q4_0 {
    #[inline(always)]
    fn decode(block: &[u8; 18], sink: &mut impl Sink) {
        let (d, q) = (widen_f16(*part(block, 0)), part::<16, _>(block, 2));
        sink.take::<2, 16>(0, 16, |i| [((q[i] & 15) as i8 - 8) as f32 * d, ((q[i] >> 4) as i8 - 8) as f32 * d]);
    }
}

impl Format<20, 1> for Q4_1 {
    #[inline(always)]
    fn decode(block: &[u8; 20], sink: &mut impl Sink) {
        let (d, m, q) = (widen_f16(*part(block, 0)), widen_f16(*part(block, 2)), part::<16, _>(block, 4));
        sink.take::<2, 16>(0, 16, |i| [(q[i] & 15) as f32 * d + m, (q[i] >> 4) as f32 * d + m]);
    }
}

/// The two five-bit numbers of byte `i`, which is `q`; their fifth bits are bits `i` and `i + 16` of `high`.
#[inline(always)]
pub(super) fn fifth(q: u8, high: u32, i: usize) -> [i32; 2] {
    let high = high >> i;
    [i32::from(q & 15) | ((high << 4) as i32 & 16), i32::from(q >> 4) | ((high >> 12) as i32 & 16)]
}

impl Format<22, 1> for Q5_0 {
    #[inline(always)]
    fn decode(block: &[u8; 22], sink: &mut impl Sink) {
        let (d, high) = (widen_f16(*part(block, 0)), u32::from_le_bytes(*part(block, 2)));
        let q = part::<16, _>(block, 6);
        sink.take::<2, 16>(0, 16, |i| {
            let [a, b] = fifth(q[i], high, i);
            [(a - 16) as f32 * d, (b - 16) as f32 * d]
        });
    }
}

impl Format<24, 1> for Q5_1 {
    #[inline(always)]
    fn decode(block: &[u8; 24], sink: &mut impl Sink) {
        let (d, m) = (widen_f16(*part(block, 0)), widen_f16(*part(block, 2)));
        let (high, q) = (u32::from_le_bytes(*part(block, 4)), part::<16, _>(block, 8));
        sink.take::<2, 16>(0, 16, |i| {
            let [a, b] = fifth(q[i], high, i);
            [a as f32 * d + m, b as f32 * d + m]
        });
    }
}

impl Format<34, 1> for Q8_0 {
    #[inline(always)]
    fn decode(block: &[u8; 34], sink: &mut impl Sink) {
        let (d, q) = (widen_f16(*part(block, 0)), part::<32, _>(block, 2));
        sink.take::<1, 32>(0, 32, |i| [q[i] as i8 as f32 * d]);
    }
}

impl Format<36, 1> for Q8_1 {
    #[inline(always)]
    fn decode(block: &[u8; 36], sink: &mut impl Sink) {
        let (d, q) = (widen_f16(*part(block, 0)), part::<32, _>(block, 4));
        sink.take::<1, 32>(0, 32, |i| [q[i] as i8 as f32 * d]);
    }
}
