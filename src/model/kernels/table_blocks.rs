//! ggml's formats whose four bits are places in a table: IQ4_NL, IQ4_XS, and the MXFP4 of gpt-oss.

use super::format::{Format, Sink, part, widen_f16};

pub(super) struct Iq4Nl;
pub(super) struct Iq4Xs;
pub(super) struct Mxfp4;

/// ggml's `kvalues_iq4nl`: denser around 0, as weights are.
pub(super) const UNEVEN: [f32; 16] =
    [-127.0, -104.0, -83.0, -65.0, -49.0, -35.0, -22.0, -10.0, 1.0, 13.0, 25.0, 38.0, 53.0, 69.0, 89.0, 113.0];
/// Twice the values of an E2M1 number (OCP Microscaling Formats 1.0, 5.3.3).
pub(super) const E2M1: [f32; 16] =
    [0.0, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 0.0, -1.0, -2.0, -3.0, -4.0, -6.0, -8.0, -12.0];

impl Format<18, 1> for Iq4Nl {
    #[inline(always)]
    fn decode(block: &[u8; 18], sink: &mut impl Sink) {
        let (d, q) = (widen_f16(*part(block, 0)), part::<16, _>(block, 2));
        sink.take::<2, 16>(0, 16, |i| [d * UNEVEN[usize::from(q[i] & 15)], d * UNEVEN[usize::from(q[i] >> 4)]]);
    }
}

impl Format<136, 8> for Iq4Xs {
    #[inline(always)]
    fn decode(block: &[u8; 136], sink: &mut impl Sink) {
        let d = widen_f16(*part(block, 0));
        let high = u16::from_le_bytes(*part(block, 2));
        let low = part::<4, _>(block, 4);
        for group in 0..8 {
            let scale = (low[group / 2] >> (4 * (group % 2))) & 15 | (((high >> (2 * group)) & 3) as u8) << 4;
            let d = d * f32::from(scale as i8 - 32);
            let q = part::<16, _>(block, 8 + 16 * group);
            sink.take::<2, 16>(32 * group, 16, |i| {
                [d * UNEVEN[usize::from(q[i] & 15)], d * UNEVEN[usize::from(q[i] >> 4)]]
            });
        }
    }
}

/// Half the power of two that an E8M0 scale says: 2^(e − 128), which is subnormal for 0 and 1.
#[inline(always)]
pub(super) fn half_of_e8m0(e: u8) -> f32 {
    let bits = if e < 2 { 0x0020_0000 << e } else { (u32::from(e) - 1) << 23 };
    f32::from_bits(bits)
}

impl Format<17, 1> for Mxfp4 {
    #[inline(always)]
    fn decode(block: &[u8; 17], sink: &mut impl Sink) {
        let (d, q) = (half_of_e8m0(block[0]), part::<16, _>(block, 1));
        sink.take::<2, 16>(0, 16, |i| [E2M1[usize::from(q[i] & 15)] * d, E2M1[usize::from(q[i] >> 4)] * d]);
    }
}
