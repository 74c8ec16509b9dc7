//! Counts of NaN and infinite weights, and the largest magnitude.

use super::Stored;
use half::{bf16, f16};

/// A count over some stored weights.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tally {
    /// NaN weights.
    pub nan: usize,
    /// Infinite weights.
    pub infinite: usize,
    /// The largest magnitude among the others.
    pub largest: f32,
}

impl Tally {
    /// The tally of both parts.
    pub fn and(self, other: Self) -> Self {
        Self {
            nan: self.nan + other.nan,
            infinite: self.infinite + other.infinite,
            largest: self.largest.max(other.largest),
        }
    }

    fn of(value: f32) -> Self {
        Self {
            nan: usize::from(value.is_nan()),
            infinite: usize::from(value.is_infinite()),
            largest: if value.is_finite() { value.abs() } else { 0.0 },
        }
    }
}

/// Counts the numbers stored in `bytes`, which are whole numbers or whole blocks.
pub fn tally(bytes: &[u8], stored: Stored) -> Tally {
    let halves = || bytes.as_chunks().0.iter().map(|b| u32::from(u16::from_le_bytes(*b)));
    // A magnitude of 16 bits always fits.
    let narrow = |bits: u32| u16::try_from(bits).unwrap_or(0);
    match stored {
        Stored::F32 => {
            let words = bytes.as_chunks().0.iter().map(|b| u32::from_le_bytes(*b));
            of_words(0x7fff_ffff, 0x7f80_0000, words, f32::from_bits)
        }
        Stored::Bf16 => of_words(0x7fff, 0x7f80, halves(), |bits| bf16::from_bits(narrow(bits)).to_f32()),
        Stored::F16 => of_words(0x7fff, 0x7c00, halves(), |bits| f16::from_bits(narrow(bits)).to_f32()),
        // Only scales can be NaN: see `scan`.
        Stored::Mxfp4 => {
            Tally { nan: 0, infinite: 0, largest: if bytes.iter().all(|byte| byte & 0x77 == 0) { 0.0 } else { 6.0 } }
        }
        Stored::Blocks(block) => {
            let mut values = [0f32; 256];
            let values = &mut values[..block.width()];
            bytes.chunks_exact(block.bytes()).fold(Tally::default(), |all, bytes| {
                block.dequantize(bytes, values);
                values.iter().fold(all, |all, value| all.and(Tally::of(*value)))
            })
        }
    }
}

/// Counts words by the bits of their magnitude: `exponent` is infinite, higher bits are NaN, lower bits are in the order of
/// the magnitudes.
fn of_words(magnitude: u32, exponent: u32, words: impl Iterator<Item = u32>, value: impl Fn(u32) -> f32) -> Tally {
    let (mut nan, mut infinite, mut largest) = (0, 0, 0);
    for word in words {
        let bits = word & magnitude;
        nan += usize::from(bits > exponent);
        infinite += usize::from(bits == exponent);
        largest = largest.max(if bits < exponent { bits } else { 0 });
    }
    Tally { nan, infinite, largest: value(largest) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_type_is_seen_as_its_values_are(words in prop::collection::vec(any::<u16>(), 0..200)) {
            let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
            let all = |values: Vec<f32>| values.into_iter().fold(Tally::default(), |all, x| all.and(Tally::of(x)));
            let of = |stored, value: fn(u16) -> f32| (tally(&bytes, stored), all(words.iter().map(|w| value(*w)).collect()));
            let (got, want) = of(Stored::Bf16, |w| bf16::from_bits(w).to_f32());
            prop_assert_eq!(got, want);
            let (got, want) = of(Stored::F16, |w| f16::from_bits(w).to_f32());
            prop_assert_eq!(got, want);
            let floats: Vec<f32> = words.iter().map(|w| f32::from_bits(u32::from(*w) << 16 | 1)).collect();
            let wide: Vec<u8> = floats.iter().flat_map(|x| x.to_le_bytes()).collect();
            prop_assert_eq!(tally(&wide, Stored::F32), all(floats));
        }
    }
}
