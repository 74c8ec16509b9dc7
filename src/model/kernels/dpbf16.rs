//! Products of bf16 weights and bf16 activations by AVX512-BF16's `vdpbf16ps`, in the order of [`super::pairs`].

use super::interleave::{LINE, LONG, PAIRS, ROWS, fetch_line, interleave_avx512, lead, padded, sum_pairs};
use rayon::prelude::*;
use std::arch::x86_64::*;

/// Rows of weights of a tile.
pub(super) const TILE_ROWS: usize = 2 * ROWS;
/// Rows of activations of a tile: its sums fill the registers.
pub(super) const TILE_X: usize = 12;
/// Pairs of a row that are multiplied before the next: 32 KB of a tile's weights, which stay in the nearest caches.
const PIECE: usize = 256;

/// Whether this machine has the instruction `vdpbf16ps`.
pub(super) fn is_here() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512bf16")
}

/// Activations that are bf16 numbers, as pairs in the order in which tiles read them:
/// `[piece][group of up to 12 rows][pair of the piece][row of the group]`.
pub(super) struct Packed {
    pairs: Vec<u32>,
    rows: usize,
}

/// Sums of a tile `[row of activations][row of weights]`.
type TileSums = [[f32; TILE_ROWS]; TILE_X];
/// Pairs of a tile's rows of weights, interleaved.
type Panel = [[u32; TILE_ROWS]; PIECE];

/// Memory that a thread keeps from task to task.
#[derive(Default)]
pub(super) struct Scratch {
    panel: Vec<Panel>,
    sums: Vec<TileSums>,
}

impl Packed {
    /// Packs `x` `[rows, k]`; `None` if a value is not a bf16 number, or if this machine lacks the instruction.
    pub fn of(x: &[f32], k: usize) -> Option<Self> {
        if !is_here() || k == 0 || x.iter().fold(0, |low, x| low | x.to_bits()) & 0xffff != 0 {
            return None;
        }
        let rows = x.len() / k;
        let mut pairs = vec![0; rows * k.div_ceil(2)];
        let pack = |(piece, pairs): (usize, &mut [u32])| {
            let length = pairs.len() / rows;
            for (group, pairs) in pairs.chunks_mut(TILE_X * length).enumerate() {
                let size = pairs.len() / length;
                for (row, x) in x.chunks_exact(k).skip(group * TILE_X).take(size).enumerate() {
                    let x = &x[2 * piece * PIECE..][..(2 * length).min(k - 2 * piece * PIECE)];
                    for (x, pair) in x.chunks(2).zip(pairs.iter_mut().skip(row).step_by(size)) {
                        let second = x.get(1).map_or(0, |x| x.to_bits());
                        *pair = x[0].to_bits() >> 16 | second;
                    }
                }
            }
        };
        if rows > TILE_X {
            pairs.par_chunks_mut(PIECE * rows).enumerate().for_each(pack);
        } else {
            pairs.chunks_mut(PIECE * rows.max(1)).enumerate().for_each(pack);
        }
        Some(Self { pairs, rows })
    }

    /// Sixteen rows of weights times the only row of activations.
    pub fn row(&self, w: &[&[u8]; ROWS]) -> [f32; ROWS] {
        debug_assert_eq!(self.rows, 1);
        // SAFETY: `of` makes none where `is_here` says no.
        unsafe { row(w, &self.pairs) }
    }

    /// A tile's rows of weights times all rows of activations. `put` gets the number of each row of activations and its
    /// results. Meanwhile the next piece of the rows is fetched, and with their last piece the first of `after`.
    pub fn multiply(
        &self,
        w: &[&[u8]; TILE_ROWS],
        after: &[&[u8]; TILE_ROWS],
        scratch: &mut Scratch,
        mut put: impl FnMut(usize, &[f32; TILE_ROWS]),
    ) {
        let groups = self.rows.div_ceil(TILE_X);
        scratch.panel.resize(1, [[0; TILE_ROWS]; PIECE]);
        scratch.sums.clear();
        scratch.sums.resize(groups, TileSums::default());
        let Scratch { panel, sums } = scratch;
        let Some(panel) = panel.first_mut() else { return };
        for (piece, x) in self.pairs.chunks(PIECE * self.rows).enumerate() {
            let length = x.len() / self.rows;
            // SAFETY: as above.
            unsafe { fill_panel(w, piece * PIECE, &mut panel[..length]) };
            let last = (piece + 1) * PIECE * self.rows >= self.pairs.len();
            let (next, from) = if last { (after, 0) } else { (w, (piece + 1) * PIECE * 4) };
            let mut next = next.chunks(TILE_ROWS.div_ceil(groups));
            for (x, sums) in x.chunks(TILE_X * length).zip(sums.iter_mut()) {
                next.next().into_iter().flatten().for_each(|row| fetch(row.get(from..).unwrap_or_default()));
                // SAFETY: as above.
                unsafe { tile_of(x.len() / length, &panel[..length], x, sums) };
            }
        }
        for (row, sums) in sums.as_flattened()[..self.rows].iter().enumerate() {
            put(row, sums);
        }
    }
}

/// Asks the second cache to fetch a piece of a row.
pub(super) fn fetch(row: &[u8]) {
    for line in row[..row.len().min(4 * PIECE)].chunks(64) {
        // SAFETY: a prefetch reads nothing, wherever it points.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(line.as_ptr().cast()) }
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn numbers(pairs: __m512i) -> __m512bh {
    // SAFETY: both are 64 bytes, and any bits are 32 numbers.
    unsafe { std::mem::transmute(pairs) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn everywhere(pair: u32) -> __m512bh {
    numbers(_mm512_set1_epi32(pair.cast_signed()))
}

#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn row(w: &[&[u8]; ROWS], x: &[u32]) -> [f32; ROWS] {
    sum_pairs!(w, x, |sums, w, x: u32| _mm512_dpbf16_ps(sums, numbers(w), everywhere(x)))
}

/// Interleaves a tile's rows from pair `from` on into `panel`.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn fill_panel(w: &[&[u8]; TILE_ROWS], from: usize, panel: &mut [[u32; TILE_ROWS]]) {
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

#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn tile_of(rows: usize, w: &[[u32; TILE_ROWS]], x: &[u32], sums: &mut TileSums) {
    match rows {
        1 => tile::<1>(w, x, sums),
        2 => tile::<2>(w, x, sums),
        3 => tile::<3>(w, x, sums),
        4 => tile::<4>(w, x, sums),
        5 => tile::<5>(w, x, sums),
        6 => tile::<6>(w, x, sums),
        7 => tile::<7>(w, x, sums),
        8 => tile::<8>(w, x, sums),
        9 => tile::<9>(w, x, sums),
        10 => tile::<10>(w, x, sums),
        11 => tile::<11>(w, x, sums),
        _ => tile::<TILE_X>(w, x, sums),
    }
}

/// Adds pairs of 32 rows of weights times `T` rows of activations `[pairs × T]` to the first `T` of `sums`. A separate
/// function, so that the sums stay in registers.
#[inline(never)]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn tile<const T: usize>(w: &[[u32; TILE_ROWS]], x: &[u32], sums: &mut TileSums) {
    let x = &x.as_chunks::<T>().0[..w.len()];
    let (mut low, mut high) = ([_mm512_setzero_ps(); T], [_mm512_setzero_ps(); T]);
    for t in 0..T {
        // SAFETY: 64 bytes are read from each half of 32 numbers.
        unsafe {
            low[t] = _mm512_loadu_ps(sums[t].as_ptr());
            high[t] = _mm512_loadu_ps(sums[t][ROWS..].as_ptr());
        }
    }
    // Plain indices: with iterators the compiler would move registers to memory.
    for p in 0..w.len() {
        // SAFETY: as above.
        let (a, b) = unsafe {
            (
                numbers(_mm512_loadu_si512(w[p].as_ptr().cast())),
                numbers(_mm512_loadu_si512(w[p][ROWS..].as_ptr().cast())),
            )
        };
        for t in 0..T {
            let x = everywhere(x[p][t]);
            low[t] = _mm512_dpbf16_ps(low[t], a, x);
            high[t] = _mm512_dpbf16_ps(high[t], b, x);
        }
    }
    for t in 0..T {
        // SAFETY: 64 bytes are written to each half of 32 numbers.
        unsafe {
            _mm512_storeu_ps(sums[t].as_mut_ptr(), low[t]);
            _mm512_storeu_ps(sums[t][ROWS..].as_mut_ptr(), high[t]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::dot::tests::numbers;
    use super::super::pairs::tests::stated;
    use super::*;
    use half::bf16;

    fn rounded(n: usize, seed: u32) -> Vec<bf16> {
        numbers(n, seed).into_iter().map(bf16::from_f32).collect()
    }

    #[test]
    fn the_instruction_adds_in_the_stated_order() {
        if !is_here() {
            return;
        }
        for k in [1, 2, 31, 32, 33, 63, 64, 96, 257, 512 + 72, 1100, 1056] {
            let w = rounded(TILE_ROWS * k, 4);
            // As in a file, where rows begin anywhere in a line of the cache.
            let mut bytes = vec![0u8; k % 64];
            bytes.extend(w.iter().flat_map(|w| w.to_le_bytes()));
            let bytes = &bytes[k % 64..];
            let lines: [&[u8]; TILE_ROWS] = std::array::from_fn(|i| &bytes[2 * i * k..2 * (i + 1) * k]);
            let mut scratch = Scratch::default();
            for rows in 1..=26 {
                let x: Vec<f32> = rounded(rows * k, 3).into_iter().map(bf16::to_f32).collect();
                let packed = Packed::of(&x, k).unwrap();
                let want = |row: usize| {
                    let x = &x[row * k..(row + 1) * k];
                    w.chunks_exact(k).map(|w| stated(w, x).to_bits()).collect::<Vec<_>>()
                };
                let mut seen = 0;
                packed.multiply(&lines, &lines, &mut scratch, |row, got| {
                    assert_eq!(got.map(f32::to_bits)[..], want(row), "{k} {rows} {row}");
                    seen += 1;
                });
                assert_eq!(seen, rows);
                if rows == 1 {
                    let half = lines.first_chunk().unwrap();
                    assert_eq!(packed.row(half).map(f32::to_bits)[..], want(0)[..ROWS], "{k}");
                }
            }
        }
    }

    #[test]
    fn only_bf16_numbers_are_packed() {
        assert!(Packed::of(&[1.0, 0.5, -3.0], 3).is_some());
        assert!(Packed::of(&[1.0, 0.1, -3.0], 3).is_none());
    }
}
