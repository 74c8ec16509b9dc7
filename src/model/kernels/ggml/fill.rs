//! Formats of blocks of 32 in panels, and reading several rows.

use super::super::format::widen_f16;
use super::super::plain_blocks::{Q4_0, Q4_1, Q5_0, Q5_1, Q8_0};
use super::super::table_blocks::{Iq4Nl, Mxfp4};
use super::activations::SMALL;
use super::lanes::{Bytes, Lanes};
use super::panel::{FOURS, Fill, PARTS, Panel};
use super::small::{Integers, Term};

/// f16 numbers, one of each row.
#[inline(always)]
fn widen<const R: usize>(halves: &[u16; R]) -> [f32; R] {
    let mut out = [0.0; R];
    for r in 0..R {
        out[r] = widen_f16(halves[r].to_le_bytes());
    }
    out
}

/// `N` bytes of each row.
///
/// # Safety
/// They can be read.
#[inline(always)]
pub(super) unsafe fn parts<const N: usize, const R: usize>(w: Bytes) -> [[u8; N]; R] {
    let mut out = [[0; N]; R];
    for r in 0..R {
        // SAFETY: as the caller promises.
        out[r] = unsafe { w.row(r).cast::<[u8; N]>().read() };
    }
    out
}

/// The f16 number at the start of each row.
///
/// # Safety
/// It can be read.
#[inline(always)]
pub(super) unsafe fn halves<const R: usize>(w: Bytes) -> [f32; R] {
    // SAFETY: as the caller promises.
    widen(&unsafe { parts::<2, R>(w) }.map(u16::from_le_bytes))
}

/// Stores the bytes of a part as they follow each other.
///
/// # Safety
/// The machine has the instructions, and 32 bytes can be read at each place.
#[inline(always)]
unsafe fn store_raised<L: Lanes<R>, const R: usize>(rows: Bytes, out: &mut [[u32; R]]) {
    // SAFETY: as the caller promises.
    unsafe {
        for half in 0..2 {
            let four = L::sixteen(rows.at(16 * half));
            for i in 0..4 {
                L::store(L::raised(four[i]), &mut out[4 * half + i]);
            }
        }
    }
}

impl<L: Lanes<R>, const R: usize> Fill<L, R> for Q8_0 {
    const BYTES: usize = 34 * PARTS;
    const TERM: Option<Term> = Some(Term::Scaled);
    const BETWEEN: bool = true;

    #[inline(always)]
    unsafe fn fill(w: Bytes, panel: &mut Panel<R>) {
        // Two blocks are 17 times four bytes, of which the first and the ninth hold a scale next to two weights.
        for at in 0..FOURS / 4 {
            // SAFETY: as the caller promises; 16 bytes are there.
            let four = unsafe { L::sixteen(w.at(16 * at)) };
            for i in 0..4 {
                // SAFETY: as the caller promises.
                unsafe { L::store(L::raised(four[i]), &mut panel.fours[4 * at + i]) }
            }
        }
        let excess = u16::from_ne_bytes([L::EXCESS; 2]);
        for two in 0..PARTS / 2 {
            let (first, second) = (&panel.fours[17 * two], &panel.fours[17 * two + 8]);
            for r in 0..R {
                panel.scales[2 * two][r] = widen_f16((first[r] as u16 ^ excess).to_le_bytes());
                panel.scales[2 * two + 1][r] = widen_f16(((second[r] >> 16) as u16 ^ excess).to_le_bytes());
            }
        }
    }
}

/// A format of blocks of 32 that is decoded by safe code.
#[inline(always)]
unsafe fn fill_small<L: Lanes<R>, F: Integers<N>, const N: usize, const R: usize>(w: Bytes, panel: &mut Panel<R>) {
    for block in 0..PARTS {
        // SAFETY: as the caller promises.
        let blocks: [[u8; N]; R] = unsafe { parts(w.at(N * block)) };
        for r in 0..R {
            panel.scales[block][r] = F::scale(&blocks[r]);
            if F::TERM == Term::Offset {
                panel.offsets[block][r] = F::minimum(&blocks[r]);
            }
        }
        let decoded = blocks.map(|block| F::integers(&block));
        let rows = Bytes::new(decoded.as_ptr().cast(), SMALL);
        // SAFETY: as the caller promises; 32 bytes are there.
        unsafe { store_raised::<L, R>(rows, &mut panel.fours[8 * block..][..8]) }
    }
}

macro_rules! small {
    ($format:ident, $bytes:literal) => {
        impl<L: Lanes<R>, const R: usize> Fill<L, R> for $format {
            const BYTES: usize = $bytes * PARTS;
            const TERM: Option<Term> = Some(<Self as Integers<$bytes>>::TERM);

            #[inline(always)]
            unsafe fn fill(w: Bytes, panel: &mut Panel<R>) {
                // SAFETY: as the caller promises.
                unsafe { fill_small::<L, Self, $bytes, R>(w, panel) }
            }
        }
    };
}

small!(Q4_0, 18);
small!(Q4_1, 20);
small!(Q5_0, 22);
small!(Q5_1, 24);
small!(Iq4Nl, 18);
small!(Mxfp4, 17);
