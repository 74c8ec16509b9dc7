//! Products of several rows of weights at once, a piece of 256 after the other. A piece is decoded once into a panel,
//! and then multiplied by every row of activations.

use super::activations::{LARGE, Large, SMALL, Small};
use super::lanes::{Bytes, Lanes};
use super::small::Term;

/// Parts of 32 weights of a piece.
pub(super) const PARTS: usize = LARGE / SMALL;

/// Four weights of a row, or less with scales between them, at most so often.
pub(super) const FOURS: usize = 68;

/// A piece of `R` rows of weights, side by side.
#[repr(C, align(64))]
pub(super) struct Panel<const R: usize> {
    /// Four weights of each row, eight times for each part. With blocks of 32 as they follow each other, and with
    /// [`Lanes::EXCESS`]; with blocks of 256 those that are 8 apart, without signs.
    pub fours: [[u32; R]; FOURS],
    /// With blocks of 256 for each part the small scales of its halves.
    pub small: [[u32; R]; PARTS],
    /// With blocks of 256 for two parts their minima.
    pub minima: [[u32; R]; PARTS / 2],
    /// Scales and minima, or scales of minima, of the blocks.
    pub scales: [[f32; R]; PARTS],
    pub offsets: [[f32; R]; PARTS],
}

impl<const R: usize> Panel<R> {
    pub const ZERO: Self = Self {
        fours: [[0; R]; FOURS],
        small: [[0; R]; PARTS],
        minima: [[0; R]; PARTS / 2],
        scales: [[0.0; R]; PARTS],
        offsets: [[0.0; R]; PARTS],
    };
}

/// A format in panels.
pub(super) trait Fill<L: Lanes<R>, const R: usize> {
    /// Bytes of a piece.
    const BYTES: usize;
    /// With blocks of 32, what they add; `None` with blocks of 256.
    const TERM: Option<Term>;
    /// With blocks of 32, whether scales are left between the weights: 17 times four bytes for two blocks.
    const BETWEEN: bool = false;
    /// With blocks of 256, whether weights have signs, and whether there are minima.
    const SIGNED: bool = false;
    const MINIMA: bool = false;

    /// Decodes a piece of `R` rows.
    ///
    /// # Safety
    /// The machine has the instructions, and `BYTES` bytes of each row can be read.
    unsafe fn fill(w: Bytes, panel: &mut Panel<R>);
}

/// The sums of rows of weights and one of activations: eight, and the ninth from which minima are subtracted, or that of
/// blocks of 32.
pub(super) type Sums<const R: usize> = [[f32; R]; 9];

/// Adds the products with a piece of blocks of 32.
///
/// # Safety
/// The machine has the instructions.
#[inline(always)]
pub(super) unsafe fn add_small<L: Lanes<R>, F: Fill<L, R>, const R: usize>(
    panel: &Panel<R>,
    x: &[Small],
    sums: &mut Sums<R>,
) {
    // SAFETY: as the caller promises.
    unsafe {
        let mut sum = L::load_f(&sums[8]);
        for (part, x) in x.iter().enumerate().take(PARTS) {
            let mut products = L::same((-i32::from(L::EXCESS) * x.total).cast_unsigned());
            // Zeros where scales are.
            let is_between = F::BETWEEN && part % 2 == 0;
            let fours = x.padded[if is_between { 0 } else { 2 }..].as_chunks::<4>().0;
            let first = if F::BETWEEN { 17 * (part / 2) + 9 * (part % 2) } else { 8 * part };
            for i in 0..8 {
                let four = u32::from_le_bytes(fours[i].map(i8::cast_unsigned));
                products = L::add_fours(products, L::load(&panel.fours[first + i]), L::same(four));
            }
            if is_between {
                let four = u32::from_le_bytes(fours[8].map(i8::cast_unsigned));
                products = L::add_fours(products, L::load(&panel.fours[first + 8]), L::same(four));
            }
            let (products, d, e) = (L::floats(products), L::load_f(&panel.scales[part]), L::same_f(x.scale));
            let term = match F::TERM {
                Some(Term::InTurn) => L::times_f(L::times_f(products, d), e),
                Some(Term::Offset) => {
                    let offset = L::times_f(L::load_f(&panel.offsets[part]), L::same_f(x.sum));
                    L::add_f(L::times_f(L::times_f(d, e), products), offset)
                }
                _ => L::times_f(products, L::times_f(d, e)),
            };
            sum = L::add_f(sum, term);
        }
        L::store_f(sum, &mut sums[8]);
    }
}

/// Adds the products with a piece that is a block of 256.
///
/// # Safety
/// The machine has the instructions.
#[inline(always)]
pub(super) unsafe fn add_large<L: Lanes<R>, F: Fill<L, R>, const R: usize>(
    panel: &Panel<R>,
    x: &Large,
    sums: &mut Sums<R>,
) {
    // SAFETY: as the caller promises.
    unsafe {
        let e = L::same_f(x.scale);
        let scale = L::times_f(L::load_f(&panel.scales[0]), e);
        for i in 0..8 {
            let mut products = L::same(0);
            for part in 0..PARTS {
                let four = u32::from_le_bytes(x.spread[part][i].map(i8::cast_unsigned));
                let mut pairs = L::pairs(L::load(&panel.fours[8 * part + i]), L::same(four));
                if F::SIGNED {
                    pairs = L::less(pairs, L::same(two(x.less[part][i])));
                }
                products = L::add_pairs(products, pairs, L::load(&panel.small[part]));
            }
            let sum = L::add_f(L::load_f(&sums[i]), L::times_f(scale, L::floats(products)));
            L::store_f(sum, &mut sums[i]);
        }
        if F::MINIMA {
            let mut products = L::same(0);
            for i in 0..PARTS / 2 {
                products = L::add_pairs(products, L::load(&panel.minima[i]), L::same(two(x.totals[i])));
            }
            let scale = L::times_f(L::load_f(&panel.offsets[0]), e);
            let sum = L::less_f(L::load_f(&sums[8]), L::times_f(scale, L::floats(products)));
            L::store_f(sum, &mut sums[8]);
        }
    }
}

/// Two integers of 16 bits.
#[inline(always)]
pub(super) fn two([low, high]: [i16; 2]) -> u32 {
    u32::from(low.cast_unsigned()) | u32::from(high.cast_unsigned()) << 16
}

/// Adds the sums of each row up at its end.
#[inline(always)]
pub(super) fn folded<const R: usize>(sums: &Sums<R>, is_large: bool) -> [f32; R] {
    let mut out = sums[8];
    if is_large {
        for lane in &sums[..8] {
            for r in 0..R {
                out[r] += lane[r];
            }
        }
    }
    out
}
