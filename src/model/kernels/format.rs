//! Decoding a block: what a format is, and the parts that formats share.

/// A format of `N` bytes that hold `32 * G` values.
pub(super) trait Format<const N: usize, const G: usize> {
    /// Passes all values to `sink`. The values of a lane come in their order.
    fn decode(block: &[u8; N], sink: &mut impl Sink);
}

/// Receives decoded values.
pub(super) trait Sink {
    /// Takes `K` runs of `L` values: run `k` is at `at + k * stride` of the block.
    ///
    /// `values` has to compile to straight code, or nothing is vectorised: no `map` and no `from_fn`, which are not
    /// always inlined.
    fn take<const K: usize, const L: usize>(&mut self, at: usize, stride: usize, values: impl Fn(usize) -> [f32; K]);
}

/// f16 as stored (little endian) to f32: exact, without branches, calls or subnormal operands, which may be slow.
#[inline(always)]
pub(super) fn widen_f16(bytes: [u8; 2]) -> f32 {
    let bits = u32::from(u16::from_le_bytes(bytes));
    let (sign, rest) = ((bits & 0x8000) << 16, bits & 0x7fff);
    let normal = f32::from_bits((rest << 13) + (0xe0 << 23)) * f32::from_bits((127 - 112) << 23);
    let subnormal = f32::from_bits(rest | (126 << 23)) - 0.5;
    f32::from_bits(sign | if rest < 0x400 { subnormal } else { normal }.to_bits())
}

/// `N` elements from `at` on.
#[inline(always)]
pub(super) fn part<const N: usize, T>(all: &[T], at: usize) -> &[T; N] {
    &all[at..].as_chunks::<N>().0[0]
}
