//! Formats of blocks of 256 in panels.

use super::super::format::widen_f16;
use super::super::k_blocks::{Q3K, Q4K, Q5K, Q6K};
use super::activations::{LARGE, LESS};
use super::fill::{halves, parts};
use super::lanes::{Bytes, Lanes};
use super::large::{GROUPS, InLanes};
use super::panel::{Fill, PARTS, Panel};
use super::small::Term;

/// The bits of a byte, for all bytes.
const fn all(bits: u8) -> u32 {
    u32::from_ne_bytes([bits; 4])
}

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

/// Puts the small scales of halves of parts, one signed byte each, side by side.
#[inline(always)]
fn signed_scales<const R: usize>(scales: [[i8; GROUPS]; R], panel: &mut Panel<R>) {
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
        // SAFETY: as the caller promises; 32 bytes are there, or 16, or 2.
        unsafe {
            panel.scales[0] = halves(w.at(208));
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
        // SAFETY: as the caller promises; 32 bytes are there, or 2.
        unsafe {
            panel.scales[0] = halves(w.at(108));
            signed_scales(scales, panel);
            for part in 0..PARTS {
                let four = L::spread(Bytes::new(decoded.as_ptr().cast(), LARGE).at(32 * part));
                for i in 0..8 {
                    L::store(four[i], &mut panel.fours[8 * part + i]);
                }
            }
        }
    }
}
