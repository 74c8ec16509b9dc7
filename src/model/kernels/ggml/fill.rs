//! Formats in panels.

use super::super::format::widen_f16;
use super::super::k_blocks::{Q3K, Q4K, Q5K, Q6K};
use super::super::plain_blocks::{Q4_0, Q4_1, Q5_0, Q5_1, Q8_0};
use super::super::table_blocks::{Iq4Nl, Mxfp4, half_of_e8m0};
use super::activations::{LARGE, LESS, SMALL};
use super::lanes::{Bytes, Lanes};
use super::large::{GROUPS, InLanes};
use super::panel::{FOURS, Fill, PARTS, Panel, Term};
use super::small::Integers;

/// The bits of a byte, for all bytes.
const fn all(bits: u8) -> u32 {
    u32::from_ne_bytes([bits; 4])
}

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
unsafe fn parts<const N: usize, const R: usize>(w: Bytes) -> [[u8; N]; R] {
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
unsafe fn halves<const R: usize>(w: Bytes) -> [f32; R] {
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
        // SAFETY: as the caller promises; 32 bytes are there.
        unsafe {
            let decoded = parts::<N, R>(w.at(N * block)).map(|block| F::integers(&block));
            let rows = Bytes::new(decoded.as_ptr().cast(), SMALL);
            store_raised::<L, R>(rows, &mut panel.fours[8 * block..][..8]);
        }
    }
}

macro_rules! small {
    ($format:ident, $bytes:literal, $term:ident, |$w:ident, $at:ident| $scale:expr, $offset:expr) => {
        impl<L: Lanes<R>, const R: usize> Fill<L, R> for $format {
            const BYTES: usize = $bytes * PARTS;
            const TERM: Option<Term> = Some(Term::$term);

            #[inline(always)]
            unsafe fn fill($w: Bytes, panel: &mut Panel<R>) {
                for block in 0..PARTS {
                    let $at = $bytes * block;
                    panel.scales[block] = $scale;
                    if let Some(offsets) = $offset {
                        panel.offsets[block] = offsets;
                    }
                }
                // SAFETY: as the caller promises.
                unsafe { fill_small::<L, Self, $bytes, R>($w, panel) }
            }
        }
    };
}

small!(Q4_0, 18, InTurn, |w, at| unsafe { halves(w.at(at)) }, None);
small!(Q4_1, 20, Offset, |w, at| unsafe { halves(w.at(at)) }, Some(unsafe { halves(w.at(at + 2)) }));
small!(Q5_0, 22, Scaled, |w, at| unsafe { halves(w.at(at)) }, None);
small!(Q5_1, 24, Offset, |w, at| unsafe { halves(w.at(at)) }, Some(unsafe { halves(w.at(at + 2)) }));
small!(Iq4Nl, 18, Scaled, |w, at| unsafe { halves(w.at(at)) }, None);
small!(Mxfp4, 17, Scaled, |w, at| unsafe { parts::<1, R>(w.at(at)) }.map(|byte| half_of_e8m0(byte[0])), None);

/// The scales of Q4_K and Q5_K, and of their minima: the first 16 bytes of a block.
#[inline(always)]
unsafe fn header<L: Lanes<R>, const R: usize>(w: Bytes, panel: &mut Panel<R>) {
    // SAFETY: as the caller promises; 16 bytes are there.
    unsafe {
        let [halves, a, b, c] = L::sixteen(w.at(0));
        let mut both = [0u32; R];
        L::store(halves, &mut both);
        for r in 0..R {
            panel.scales[0][r] = widen_f16((both[r] as u16).to_le_bytes());
            panel.offsets[0][r] = widen_f16(((both[r] >> 16) as u16).to_le_bytes());
        }
        let (six, four, two) = (L::same(all(0x3f)), L::same(all(0x0f)), L::same(all(0x30)));
        let upper = |low, high| L::or(L::and(low, four), L::and(L::shift::<0, 2>(high), two));
        let scales = [L::and(a, six), upper(c, a)];
        let minima = [L::and(b, six), upper(L::shift::<0, 4>(c), b)];
        let byte = L::same(0xff);
        let pair = |low, high| L::or(low, L::shift::<16, 0>(high));
        for half in 0..2 {
            let (s, m) = (scales[half], minima[half]);
            let s = [s, L::shift::<0, 8>(s), L::shift::<0, 16>(s), L::shift::<0, 24>(s)];
            for i in 0..4 {
                let one = L::and(s[i], byte);
                L::store(pair(one, one), &mut panel.small[4 * half + i]);
            }
            let m = [m, L::shift::<0, 8>(m), L::shift::<0, 16>(m), L::shift::<0, 24>(m)].map(|m| L::and(m, byte));
            L::store(pair(m[0], m[1]), &mut panel.minima[2 * half]);
            L::store(pair(m[2], m[3]), &mut panel.minima[2 * half + 1]);
        }
    }
}

impl<L: Lanes<R>, const R: usize> Fill<L, R> for Q4K {
    const BYTES: usize = 144;
    const TERM: Option<Term> = None;
    const MINIMA: bool = true;

    #[inline(always)]
    unsafe fn fill(w: Bytes, panel: &mut Panel<R>) {
        // SAFETY: as the caller promises; 32 bytes are there.
        unsafe {
            header::<L, R>(w, panel);
            let low = L::same(all(0x0f));
            for pair in 0..4 {
                let q = L::spread(w.at(16 + 32 * pair));
                for i in 0..8 {
                    L::store(L::and(q[i], low), &mut panel.fours[16 * pair + i]);
                    L::store(L::and(L::shift::<0, 4>(q[i]), low), &mut panel.fours[16 * pair + 8 + i]);
                }
            }
        }
    }
}

/// Two parts of Q5_K, whose fifth bits are the lowest two of each byte of `high`.
#[inline(always)]
unsafe fn fives<L: Lanes<R>, const R: usize>(q: [L::V; 8], high: &[L::V; 8], out: &mut [[u32; R]]) {
    // SAFETY: as the caller promises.
    unsafe {
        let (low, fifth) = (L::same(all(0x0f)), L::same(all(0x10)));
        for i in 0..8 {
            let first = L::and(L::shift::<4, 0>(high[i]), fifth);
            let second = L::and(L::shift::<3, 0>(high[i]), fifth);
            L::store(L::or(L::and(q[i], low), first), &mut out[i]);
            L::store(L::or(L::and(L::shift::<0, 4>(q[i]), low), second), &mut out[8 + i]);
        }
    }
}

impl<L: Lanes<R>, const R: usize> Fill<L, R> for Q5K {
    const BYTES: usize = 176;
    const TERM: Option<Term> = None;
    const MINIMA: bool = true;

    #[inline(always)]
    unsafe fn fill(w: Bytes, panel: &mut Panel<R>) {
        // SAFETY: as the caller promises; 32 bytes are there.
        unsafe {
            header::<L, R>(w, panel);
            let mut high = L::spread(w.at(16));
            for pair in 0..4 {
                let q = L::spread(w.at(48 + 32 * pair));
                fives::<L, R>(q, &high, &mut panel.fours[16 * pair..][..16]);
                for i in 0..8 {
                    high[i] = L::shift::<0, 2>(high[i]);
                }
            }
        }
    }
}

/// The small scales of halves of parts, one signed byte each; the first of each row's `bytes`.
#[inline(always)]
unsafe fn signed_scales<L: Lanes<R>, const R: usize>(scales: [[i8; GROUPS]; R], panel: &mut Panel<R>) {
    for part in 0..PARTS {
        for r in 0..R {
            let [low, high] = [0, 1].map(|half| u32::from(i16::from(scales[r][2 * part + half]).cast_unsigned()));
            panel.small[part][r] = low | high << 16;
        }
    }
}

impl<L: Lanes<R>, const R: usize> Fill<L, R> for Q6K {
    const BYTES: usize = 210;
    const TERM: Option<Term> = None;
    const SIGNED: bool = true;

    #[inline(always)]
    unsafe fn fill(w: Bytes, panel: &mut Panel<R>) {
        panel.scales[0] = unsafe { halves(w.at(208)) };
        // SAFETY: as the caller promises; 32 bytes are there, or 16.
        unsafe {
            let scales = L::sixteen(w.at(192));
            for i in 0..4 {
                let s = scales[i];
                L::store(L::two_signed(s), &mut panel.small[2 * i]);
                L::store(L::two_signed(L::shift::<0, 16>(s)), &mut panel.small[2 * i + 1]);
            }
            let (low, two) = (L::same(all(0x0f)), L::same(all(0x30)));
            for n in 0..2 {
                let a = L::spread(w.at(64 * n));
                let b = L::spread(w.at(64 * n + 32));
                let high = L::spread(w.at(128 + 32 * n));
                for i in 0..8 {
                    let out = &mut panel.fours[32 * n..][..32];
                    let h = high[i];
                    L::store(L::or(L::and(a[i], low), L::and(L::shift::<4, 0>(h), two)), &mut out[i]);
                    L::store(L::or(L::and(b[i], low), L::and(L::shift::<2, 0>(h), two)), &mut out[8 + i]);
                    L::store(L::or(L::and(L::shift::<0, 4>(a[i]), low), L::and(h, two)), &mut out[16 + i]);
                    let h = L::and(L::shift::<0, 2>(h), two);
                    L::store(L::or(L::and(L::shift::<0, 4>(b[i]), low), h), &mut out[24 + i]);
                }
            }
        }
    }
}

impl<L: Lanes<R>, const R: usize> Fill<L, R> for Q3K {
    const BYTES: usize = 110;
    const TERM: Option<Term> = None;
    const SIGNED: bool = true;

    #[inline(always)]
    unsafe fn fill(w: Bytes, panel: &mut Panel<R>) {
        let (mut decoded, mut scales) = ([[0u8; LARGE]; R], [[0; GROUPS]; R]);
        // SAFETY: as the caller promises.
        for (r, block) in unsafe { parts::<110, R>(w) }.iter().enumerate() {
            let weights = <Q3K as InLanes<110>>::integers(block);
            for i in 0..LARGE {
                decoded[r][i] = (weights[i] + LESS as i8) as u8;
            }
            scales[r] = <Q3K as InLanes<110>>::scales(block);
        }
        panel.scales[0] = unsafe { halves(w.at(108)) };
        // SAFETY: as the caller promises; 32 bytes are there.
        unsafe {
            signed_scales::<L, R>(scales, panel);
            for part in 0..PARTS {
                let four = L::spread(Bytes::new(decoded.as_ptr().cast(), LARGE).at(32 * part));
                for i in 0..8 {
                    L::store(four[i], &mut panel.fours[8 * part + i]);
                }
            }
        }
    }
}
