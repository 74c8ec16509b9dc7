//! Rows of bf16 weights, interleaved so that a register holds the same pair of sixteen rows.

use super::isa::Isa;
#[cfg(target_arch = "x86_64")]
use super::quads::quads_avx2;
#[cfg(target_arch = "aarch64")]
use std::arch::aarch64::*;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

/// Rows that are interleaved together.
pub(super) const ROWS: usize = 16;
/// Rows of a tile of AVX-512.
#[cfg(target_arch = "x86_64")]
pub(super) const TILE_ROWS: usize = 2 * ROWS;
/// Pairs of neighbouring numbers of a row that are interleaved together.
pub(super) const PAIRS: usize = 16;
/// Bytes of those pairs.
pub(super) const LINE: usize = 4 * PAIRS;

/// Pairs of a row that tiles multiply before the next: a tile's weights of them stay in the nearest caches.
pub(super) const PIECE: usize = 256;

/// Pairs of a long row.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub(super) const LONG: usize = 16 * PAIRS;

/// `[pair][row]`, the first number of a pair in the low half.
pub(super) type Interleaved = [[u32; ROWS]; PAIRS];

/// The line of each row that begins with pair `at`, padded with zeros.
pub(super) fn padded<const N: usize>(rows: &[&[u8]; N], at: usize) -> [[u8; LINE]; N] {
    let mut filled = [[0; LINE]; N];
    for (row, line) in rows.iter().zip(&mut filled) {
        let rest = row.get(at * 4..).unwrap_or_default();
        let rest = &rest[..rest.len().min(LINE)];
        line[..rest.len()].copy_from_slice(rest);
    }
    filled
}

/// The number of pairs before the first that begins a line of the cache; 0 if it differs from row to row.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub(super) fn lead<const N: usize>(rows: &[&[u8]; N]) -> usize {
    let bytes = rows[0].as_ptr().align_offset(LINE);
    let alike = rows.iter().all(|row| row.as_ptr().align_offset(LINE) == bytes);
    if alike && bytes.is_multiple_of(4) { bytes / 4 } else { 0 }
}

/// Interleaves rows from pair `from` on into `out`, `[pair][row]`. What a row lacks is zero.
pub(super) fn interleave(isa: Isa, rows: &[&[u8]; ROWS], from: usize, out: &mut [[u32; ROWS]]) {
    let (lines, rest) = out.as_chunks_mut::<PAIRS>();
    let line = |at: usize, out: &mut Interleaved| {
        if rows.iter().all(|row| row.len() >= 4 * (at + PAIRS)) {
            interleave_line(isa, rows, at, out);
        } else {
            interleave_line(isa, &padded(rows, at).each_ref().map(<[u8; LINE]>::as_slice), 0, out);
        }
    };
    let end = from + lines.len() * PAIRS;
    for (at, out) in (from..).step_by(PAIRS).zip(lines) {
        line(at, out);
    }
    if !rest.is_empty() {
        let mut last = Interleaved::default();
        line(end, &mut last);
        rest.copy_from_slice(&last[..rest.len()]);
    }
}

fn interleave_line(isa: Isa, rows: &[&[u8]; ROWS], at: usize, out: &mut Interleaved) {
    let lines: [&[u8]; ROWS] = rows.map(|row| &row[at * 4..][..LINE]);
    match isa {
        // SAFETY: callers pass an `Isa` that `isa()` or `supported()` found on this machine; lines are whole, and 64
        // bytes are written to 16 numbers.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 | Isa::Avx512Vnni | Isa::Avx512Bf16 => unsafe {
            for (out, pair) in out.iter_mut().zip(interleave_avx512(&lines, 0)) {
                _mm512_storeu_si512(out.as_mut_ptr().cast(), pair);
            }
        },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => unsafe { interleave_avx2(&lines, out) },
        // Of all others, `Portable` alone interleaves into memory: NEON's tiles widen what they interleave.
        _ => {
            for (row, line) in lines.iter().enumerate() {
                for (out, pair) in out.iter_mut().zip(line.as_chunks().0) {
                    out[row] = u32::from_le_bytes(*pair);
                }
            }
        }
    }
}

/// Interleaves sixteen pairs of each row from pair `at` on in registers: the result is `[pair]`, each with all rows.
///
/// # Safety
/// Every row has these pairs, and the machine AVX-512.
#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn interleave_avx512(rows: &[&[u8]; ROWS], at: usize) -> [__m512i; PAIRS] {
    // SAFETY: 64 bytes are read, at any alignment, that the caller knows to be there.
    let line = |row: usize| unsafe { _mm512_loadu_si512(rows[row].as_ptr().add(at * 4).cast()) };
    // Four rows at a time: in quarter `q` of `four[g + 4·i]`, pair `4q + i` of rows `4g` to `4g + 3`.
    let mut four = [_mm512_setzero_si512(); PAIRS];
    for g in 0..4 {
        let (a, b, c, d) = (line(4 * g), line(4 * g + 1), line(4 * g + 2), line(4 * g + 3));
        let (ab, ab_high) = (_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
        let (cd, cd_high) = (_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
        four[g] = _mm512_unpacklo_epi64(ab, cd);
        four[4 + g] = _mm512_unpackhi_epi64(ab, cd);
        four[8 + g] = _mm512_unpacklo_epi64(ab_high, cd_high);
        four[12 + g] = _mm512_unpackhi_epi64(ab_high, cd_high);
    }
    let mut out = [_mm512_setzero_si512(); PAIRS];
    for i in 0..4 {
        let (a, b, c, d) = (four[4 * i], four[4 * i + 1], four[4 * i + 2], four[4 * i + 3]);
        let (ab, ab_odd) = (_mm512_shuffle_i32x4::<0x88>(a, b), _mm512_shuffle_i32x4::<0xdd>(a, b));
        let (cd, cd_odd) = (_mm512_shuffle_i32x4::<0x88>(c, d), _mm512_shuffle_i32x4::<0xdd>(c, d));
        out[i] = _mm512_shuffle_i32x4::<0x88>(ab, cd);
        out[4 + i] = _mm512_shuffle_i32x4::<0x88>(ab_odd, cd_odd);
        out[8 + i] = _mm512_shuffle_i32x4::<0xdd>(ab, cd);
        out[12 + i] = _mm512_shuffle_i32x4::<0xdd>(ab_odd, cd_odd);
    }
    out
}

/// Adds up sixteen rows of weights pair by pair: `$add` gets the sums, a pair of all rows and the element of `$x` for it. A
/// macro, so that each function with AVX-512 compiles its own.
#[cfg(target_arch = "x86_64")]
macro_rules! sum_pairs {
    ($w:expr, $x:expr, |$sums:ident, $pair:ident, $one:ident: $of:ty| $add:expr) => {{
        let (w, x) = ($w, $x);
        let mut sums = _mm512_setzero_ps();
        let mut at = 0;
        let add = |$sums: __m512, $pair: __m512i, $one: $of| $add;
        let some = |at: usize, end: usize, mut sums: __m512| {
            let filled = padded(w, at);
            // SAFETY: each row is padded to sixteen pairs, and the function around has AVX-512.
            let w = unsafe { interleave_avx512(&filled.each_ref().map(<[u8; LINE]>::as_slice), 0) };
            for (w, x) in w.into_iter().zip(&x[at..end]) {
                sums = add(sums, w, x);
            }
            sums
        };
        // The first pairs alone, then each line of the cache as a whole: a load that straddles two lines takes twice as
        // long, which costs more than the first pairs if a row is long.
        let lead = if x.len() >= LONG { lead(w) } else { 0 };
        if lead > 0 {
            sums = some(0, lead, sums);
            at = lead;
        }
        let whole = w.iter().map(|row| row.len() / 4).min().unwrap_or(0).min(x.len());
        // The same place of the next sixteen rows: the processor does not read ahead past the end of a page.
        let ahead = ROWS * w[0].len();
        while at + PAIRS <= whole {
            w.iter().for_each(|row| fetch_line(row, 4 * at + ahead));
            // SAFETY: each row has `whole` pairs, and the function around has AVX-512.
            let w = unsafe { interleave_avx512(w, at) };
            let x = &x[at..at + PAIRS];
            for i in 0..PAIRS {
                sums = add(sums, w[i], &x[i]);
            }
            at += PAIRS;
        }
        if at < x.len() {
            sums = some(at, x.len(), sums);
        }
        let mut out = [0.0; ROWS];
        // SAFETY: 64 bytes are written to 16 numbers.
        unsafe { _mm512_storeu_ps(out.as_mut_ptr(), sums) };
        out
    }};
}

#[cfg(target_arch = "x86_64")]
pub(super) use sum_pairs;

/// Asks the second cache to fetch the line that is `ahead` bytes after the start of `row`, if there is one and this
/// architecture has an instruction for it.
#[inline]
pub(super) fn fetch_line(row: &[u8], ahead: usize) {
    let _at = row.as_ptr().wrapping_add(ahead);
    // SAFETY: a prefetch reads nothing, wherever it points.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        _mm_prefetch::<_MM_HINT_T1>(_at.cast());
    }
    // SAFETY: as above.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        std::arch::asm!("prfm pldl2keep, [{at}]", at = in(reg) _at, options(nomem, nostack, preserves_flags));
    }
}

/// Asks the second cache to fetch a piece of a row, if the row goes on.
pub(super) fn fetch_piece(row: &[u8]) {
    for at in (0..row.len().min(4 * PIECE)).step_by(LINE) {
        fetch_line(row, at);
    }
}

/// Interleaves four pairs from pair `at` on of eight lines from `first` on in registers: the result is `[pair]`.
#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn four_avx2<const N: usize>(lines: &[[u8; LINE]; N], first: usize, at: usize) -> [__m256i; 4] {
    let line = |row: usize| {
        let pairs = &lines[first + row].as_chunks::<16>().0[at / 4];
        // SAFETY: 16 bytes are read from 16, at any alignment.
        unsafe { _mm_loadu_si128(pairs.as_ptr().cast()) }
    };
    // Rows `i` and `4 + i`.
    let two = |i: usize| _mm256_set_m128i(line(4 + i), line(i));
    quads_avx2([two(0), two(1), two(2), two(3)])
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn interleave_avx2(rows: &[&[u8]; ROWS], out: &mut Interleaved) {
    let lines = padded(rows, 0);
    for (rows, from) in [0, 8].into_iter().flat_map(|rows| [0, 4, 8, 12].map(|from| (rows, from))) {
        for (pair, eight) in four_avx2(&lines, rows, from).into_iter().enumerate() {
            // SAFETY: 32 bytes are written to rows 0 or 8 of 16 on.
            unsafe { _mm256_storeu_si256(out[from + pair][rows..].as_mut_ptr().cast(), eight) };
        }
    }
}

/// Interleaves four pairs from pair `4 * quarter` on of four lines from `first` on in registers: the result is `[pair]`.
#[cfg(target_arch = "aarch64")]
#[inline]
#[target_feature(enable = "neon")]
pub(super) fn four_neon<const N: usize>(lines: &[[u8; LINE]; N], first: usize, quarter: usize) -> [uint32x4_t; 4] {
    let line = |row: usize| {
        let pairs = &lines[first + row].as_chunks::<16>().0[quarter];
        // SAFETY: 16 bytes are read from 16, at any alignment.
        unsafe { vreinterpretq_u32_u8(vld1q_u8(pairs.as_ptr())) }
    };
    let two = |a: uint32x4_t, b: uint32x4_t| {
        (vreinterpretq_u64_u32(vtrn1q_u32(a, b)), vreinterpretq_u64_u32(vtrn2q_u32(a, b)))
    };
    let ((ab, ab_odd), (cd, cd_odd)) = (two(line(0), line(1)), two(line(2), line(3)));
    [vtrn1q_u64(ab, cd), vtrn1q_u64(ab_odd, cd_odd), vtrn2q_u64(ab, cd), vtrn2q_u64(ab_odd, cd_odd)]
        .map(|pair| vreinterpretq_u32_u64(pair))
}

/// Interleaves a tile's rows from pair `from` on into `panel`.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
pub(super) fn fill_panel(w: &[&[u8]; TILE_ROWS], from: usize, panel: &mut [[u32; TILE_ROWS]]) {
    let to = from + panel.len();
    for (half, w) in w.as_chunks::<ROWS>().0.iter().enumerate() {
        let mut put = |at: usize, pairs: &[__m512i; PAIRS]| {
            for (panel, pair) in panel[at - from..].iter_mut().zip(pairs) {
                // SAFETY: 64 bytes are written to half of 32 numbers.
                unsafe { _mm512_storeu_si512(panel[half * ROWS..].as_mut_ptr().cast(), *pair) };
            }
        };
        let whole = w.iter().map(|row| row.len() / 4).min().unwrap_or(0).min(to);
        let (mut at, lead) = (from, lead(w));
        while at + PAIRS <= whole {
            // SAFETY: each row has `whole` pairs, and this function AVX-512.
            put(at, &unsafe { interleave_avx512(w, at) });
            // The next step begins at a line of the cache: some pairs are interleaved twice, but no line is read in halves.
            at += if at == from && lead > 0 { lead } else { PAIRS };
        }
        if at < whole && whole >= from + PAIRS {
            // SAFETY: as above.
            put(whole - PAIRS, &unsafe { interleave_avx512(w, whole - PAIRS) });
            at = whole;
        }
        if at < to {
            let filled = padded(w, at);
            // SAFETY: each row is padded to sixteen pairs, and this function has AVX-512.
            put(at, &unsafe { interleave_avx512(&filled.each_ref().map(<[u8; LINE]>::as_slice), 0) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::isa::tests::supported;
    use super::*;

    #[test]
    fn every_instruction_set_interleaves_alike_and_short_lines_end_in_zeros() {
        let bytes: Vec<u8> = (0..ROWS * 90).map(|i| (i * 7 % 251) as u8).collect();
        let rows: [&[u8]; ROWS] = std::array::from_fn(|row| &bytes[row * 90..][..90]);
        for (at, pairs) in [(0, 16), (16, 16), (3, 20), (5, 33)] {
            for isa in supported() {
                let mut out = vec![[0; ROWS]; pairs];
                interleave(isa, &rows, at, &mut out);
                for (pair, out) in out.iter().enumerate() {
                    for (row, out) in out.iter().enumerate() {
                        let byte = |i: usize| rows[row].get(4 * (at + pair) + i).copied().unwrap_or(0);
                        assert_eq!(*out, u32::from_le_bytes([byte(0), byte(1), byte(2), byte(3)]), "{isa:?}");
                    }
                }
            }
        }
    }
}
