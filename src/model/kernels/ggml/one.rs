//! One row of activations times several rows of weights in blocks of 256, as when a token is generated. The eight sums of a
//! row are neighbours in a register, so that the bytes of a row need not move to other rows.

use super::activations::Large;
use super::lanes::{Bytes, Lanes};
use super::large::{self, LANES};
use super::tile::fetch;

/// The sums of `R` rows.
pub(super) struct Sums<const R: usize> {
    /// Eight of each row, by the place of a value modulo 8.
    pub lanes: [[f32; LANES]; R],
    /// The ninth, from which minima are subtracted.
    pub minima: [f32; R],
}

impl<const R: usize> Sums<R> {
    pub const ZERO: Self = Self { lanes: [[0.0; LANES]; R], minima: [0.0; R] };

    /// The sums of each row at its end.
    #[inline(always)]
    pub fn folded(&self) -> [f32; R] {
        let mut out = [0.0; R];
        for r in 0..R {
            out[r] = large::folded(self.minima[r], &self.lanes[r]);
        }
        out
    }
}

/// A format of blocks of 256 that is multiplied as it is stored.
pub(super) trait One<L: Lanes<R>, const R: usize> {
    /// Bytes of a block.
    const BYTES: usize;

    /// Adds the products with a block of each row, and fetches as many bytes from `ahead` on: few with each row, as few
    /// lines of the cache can be on their way at a time.
    ///
    /// # Safety
    /// The machine has the instructions, and `BYTES` bytes of each row can be read.
    unsafe fn add(w: Bytes, x: &Large, sums: &mut Sums<R>, ahead: *const u8);
}

/// Asks the second cache to fetch the bytes in the place of row `r`.
#[inline(always)]
pub(super) fn fetch_share(ahead: *const u8, r: usize, bytes: usize) {
    fetch(ahead.wrapping_add(r * bytes), bytes);
}
