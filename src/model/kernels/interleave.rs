//! Rows of bf16 weights, interleaved so that a register holds the same pair of sixteen rows.

use super::dot::Isa;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

/// Rows that are interleaved together.
pub(super) const ROWS: usize = 16;
/// Pairs of neighbouring numbers of a row that are interleaved together.
pub(super) const PAIRS: usize = 16;
/// Bytes of those pairs.
pub(super) const LINE: usize = 4 * PAIRS;

/// Pairs of a long row.
#[cfg(target_arch = "x86_64")]
pub(super) const LONG: usize = 16 * PAIRS;

/// `[pair][row]`, the first number of a pair in the low half.
pub(super) type Interleaved = [[u32; ROWS]; PAIRS];

/// The line of each row that begins with pair `at`, padded with zeros.
pub(super) fn padded(rows: &[&[u8]; ROWS], at: usize) -> [[u8; LINE]; ROWS] {
    let mut filled = [[0; LINE]; ROWS];
    for (row, line) in rows.iter().zip(&mut filled) {
        let rest = row.get(at * 4..).unwrap_or_default();
        let rest = &rest[..rest.len().min(LINE)];
        line[..rest.len()].copy_from_slice(rest);
    }
    filled
}

/// The number of pairs before the first that begins a line of the cache; 0 if it differs from row to row.
#[cfg(target_arch = "x86_64")]
pub(super) fn lead(rows: &[&[u8]; ROWS]) -> usize {
    let bytes = rows[0].as_ptr().align_offset(LINE);
    let alike = rows.iter().all(|row| row.as_ptr().align_offset(LINE) == bytes);
    if alike && bytes.is_multiple_of(4) { bytes / 4 } else { 0 }
}

/// Interleaves lines of each row from line `from` on, as many as `out` holds.
pub(super) fn interleave(isa: Isa, rows: &[&[u8]; ROWS], from: usize, out: &mut [Interleaved]) {
    for (at, out) in (from..).zip(out) {
        if rows.iter().all(|row| row.len() >= (at + 1) * LINE) {
            interleave_line(isa, rows, at, out);
        } else {
            interleave_line(isa, &padded(rows, at * PAIRS).each_ref().map(<[u8; LINE]>::as_slice), 0, out);
        }
    }
}

fn interleave_line(isa: Isa, rows: &[&[u8]; ROWS], at: usize, out: &mut Interleaved) {
    let lines: [&[u8]; ROWS] = rows.map(|row| &row[at * LINE..][..LINE]);
    match isa {
        // SAFETY: `isa()` names an instruction set only after detecting it on this machine; lines are whole, and 64 bytes
        // are written to 16 numbers.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => unsafe {
            for (out, pair) in out.iter_mut().zip(interleave_avx512(&lines, 0)) {
                _mm512_storeu_si512(out.as_mut_ptr().cast(), pair);
            }
        },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => unsafe { interleave_avx2(&lines, out) },
        Isa::Portable => {
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
                sums = add(sums, w, *x);
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
                sums = add(sums, w[i], x[i]);
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

/// Asks the second cache to fetch the line that is `ahead` bytes after the start of `row`, if there is one.
#[cfg(target_arch = "x86_64")]
#[inline]
pub(super) fn fetch_line(row: &[u8], ahead: usize) {
    // SAFETY: a prefetch reads nothing, wherever it points.
    unsafe { _mm_prefetch::<_MM_HINT_T1>(row.as_ptr().wrapping_add(ahead).cast()) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn interleave_avx2(lines: &[&[u8]; ROWS], out: &mut Interleaved) {
    for (rows, side) in [(0, 0), (0, 8), (8, 0), (8, 8)] {
        // SAFETY: 32 bytes are read from pair 0 or 8 of a line of 16 on; the slice is checked.
        let line = |row: usize| unsafe { _mm256_loadu_si256(lines[rows + row][4 * side..][..32].as_ptr().cast()) };
        // In half `h` of `four[g + 2·i]`, pair `4h + i` of rows `4g` to `4g + 3`.
        let mut four = [_mm256_setzero_si256(); 8];
        for g in 0..2 {
            let (a, b, c, d) = (line(4 * g), line(4 * g + 1), line(4 * g + 2), line(4 * g + 3));
            let (ab, ab_high) = (_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b));
            let (cd, cd_high) = (_mm256_unpacklo_epi32(c, d), _mm256_unpackhi_epi32(c, d));
            four[g] = _mm256_unpacklo_epi64(ab, cd);
            four[2 + g] = _mm256_unpackhi_epi64(ab, cd);
            four[4 + g] = _mm256_unpacklo_epi64(ab_high, cd_high);
            four[6 + g] = _mm256_unpackhi_epi64(ab_high, cd_high);
        }
        for i in 0..4 {
            let low = _mm256_permute2x128_si256::<0x20>(four[2 * i], four[2 * i + 1]);
            let high = _mm256_permute2x128_si256::<0x31>(four[2 * i], four[2 * i + 1]);
            for (pair, eight) in [(i, low), (4 + i, high)] {
                // SAFETY: 32 bytes are written to rows 0 or 8 of 16 on.
                unsafe { _mm256_storeu_si256(out[side + pair][rows..].as_mut_ptr().cast(), eight) };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::dot::tests::supported;
    use super::*;

    #[test]
    fn every_instruction_set_interleaves_alike_and_short_lines_end_in_zeros() {
        let bytes: Vec<u8> = (0..ROWS * 90).map(|i| (i * 7 % 251) as u8).collect();
        let rows: [&[u8]; ROWS] = std::array::from_fn(|row| &bytes[row * 90..][..90]);
        for at in 0..2 {
            for isa in supported() {
                let mut out = Interleaved::default();
                interleave(isa, &rows, at, std::slice::from_mut(&mut out));
                for (pair, out) in out.iter().enumerate() {
                    for (row, out) in out.iter().enumerate() {
                        let byte = |i: usize| rows[row].get(at * LINE + 4 * pair + i).copied().unwrap_or(0);
                        assert_eq!(*out, u32::from_le_bytes([byte(0), byte(1), byte(2), byte(3)]), "{isa:?}");
                    }
                }
            }
        }
    }
}
