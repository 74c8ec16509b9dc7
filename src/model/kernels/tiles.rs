//! Products of many rows of bf16 weights and activations, in tiles whose sums stay in registers and in the order of
//! [`super::pairs`].

use super::interleave::{PIECE, fetch_piece};
use rayon::prelude::*;
use std::marker::PhantomData;

/// What a tile is made of: `ROWS` rows of weights times up to `Self::TOGETHER` rows of activations.
pub(super) trait Tile<const ROWS: usize> {
    /// Two neighbouring activations.
    type Pair: Copy + Default + Send + Sync;
    /// A pair of weights of each row.
    type Panel: Copy;

    /// A pair of weights that are zero.
    const ZERO: Self::Panel;
    /// Rows of activations of a tile: its sums fill the registers.
    const TOGETHER: usize;

    fn pair(first: f32, second: f32) -> Self::Pair;

    /// Interleaves rows from pair `from` on into `panel`. What a row lacks is zero.
    ///
    /// # Safety
    /// The machine has the instructions of the tile.
    unsafe fn fill(w: &[&[u8]; ROWS], from: usize, panel: &mut [Self::Panel]);

    /// Adds pairs of rows of weights times `rows` rows of activations `[pair][row]` to the first of `sums`.
    ///
    /// # Safety
    /// As above.
    unsafe fn add(panel: &[Self::Panel], x: &[Self::Pair], rows: usize, sums: &mut [[f32; ROWS]]);
}

/// Activations as pairs in the order in which tiles read them:
/// `[piece][group of up to TOGETHER rows][pair of the piece][row of the group]`.
pub(super) struct Packed<T: Tile<ROWS>, const ROWS: usize> {
    pairs: Vec<T::Pair>,
    rows: usize,
    tile: PhantomData<T>,
}

/// Memory that a thread keeps from task to task.
pub(super) struct Scratch<T: Tile<ROWS>, const ROWS: usize> {
    panel: Vec<T::Panel>,
    sums: Vec<[f32; ROWS]>,
}

impl<T: Tile<ROWS>, const ROWS: usize> Default for Scratch<T, ROWS> {
    fn default() -> Self {
        Self { panel: Vec::new(), sums: Vec::new() }
    }
}

impl<T: Tile<ROWS>, const ROWS: usize> Packed<T, ROWS> {
    /// Packs `x` `[rows, k]`.
    ///
    /// # Safety
    /// The machine has the instructions of the tile.
    pub unsafe fn of(x: &[f32], k: usize) -> Self {
        let rows = x.len() / k.max(1);
        let mut pairs = vec![T::Pair::default(); rows * k.div_ceil(2)];
        let pack = |(piece, pairs): (usize, &mut [T::Pair])| {
            let length = pairs.len() / rows;
            for (group, pairs) in pairs.chunks_mut(T::TOGETHER * length).enumerate() {
                let size = pairs.len() / length;
                for (row, x) in x.chunks_exact(k).skip(group * T::TOGETHER).take(size).enumerate() {
                    let x = &x[2 * piece * PIECE..][..(2 * length).min(k - 2 * piece * PIECE)];
                    for (x, pair) in x.chunks(2).zip(pairs.iter_mut().skip(row).step_by(size)) {
                        *pair = T::pair(x[0], x.get(1).copied().unwrap_or(0.0));
                    }
                }
            }
        };
        if rows > T::TOGETHER {
            pairs.par_chunks_mut(PIECE * rows).enumerate().for_each(pack);
        } else {
            pairs.chunks_mut(PIECE * rows.max(1)).enumerate().for_each(pack);
        }
        Self { pairs, rows, tile: PhantomData }
    }

    /// The pairs of the only row of activations.
    pub fn row(&self) -> Option<&[T::Pair]> {
        (self.rows == 1).then_some(&self.pairs)
    }

    /// A tile's rows of weights times all rows of activations. `put` gets the number of each row of activations and its
    /// results. Meanwhile the next piece of the rows is fetched, and with their last piece the first of `after`.
    pub fn multiply(
        &self,
        w: &[&[u8]; ROWS],
        after: &[&[u8]; ROWS],
        scratch: &mut Scratch<T, ROWS>,
        mut put: impl FnMut(usize, &[f32; ROWS]),
    ) {
        let groups = self.rows.div_ceil(T::TOGETHER);
        let Scratch { panel, sums } = scratch;
        panel.resize(PIECE, T::ZERO);
        sums.clear();
        sums.resize(self.rows, [0.0; ROWS]);
        for (piece, x) in self.pairs.chunks(PIECE * self.rows.max(1)).enumerate() {
            let length = x.len() / self.rows;
            // SAFETY: `of` was called on a machine with the instructions.
            unsafe { T::fill(w, piece * PIECE, &mut panel[..length]) };
            let last = (piece + 1) * PIECE * self.rows >= self.pairs.len();
            let (next, from) = if last { (after, 0) } else { (w, (piece + 1) * PIECE * 4) };
            let mut next = next.chunks(ROWS.div_ceil(groups));
            for (x, sums) in x.chunks(T::TOGETHER * length).zip(sums.chunks_mut(T::TOGETHER)) {
                next.next().into_iter().flatten().for_each(|row| fetch_piece(row.get(from..).unwrap_or_default()));
                // SAFETY: as above.
                unsafe { T::add(&panel[..length], x, sums.len(), sums) };
            }
        }
        for (row, sums) in sums.iter().enumerate() {
            put(row, sums);
        }
    }
}

/// Defines `add` of a tile: pairs of rows of weights, which are two registers, times `T` rows of activations
/// `[pairs × T]`, added to the first `T` of `sums`. Each step adds products of a part of the pairs, and its part of the
/// activations. A separate function for each `T`, so that the sums stay in registers.
#[cfg(target_arch = "x86_64")]
macro_rules! add_tile {
    ($features:literal, $rows:expr, $pair:ty, $up_to:tt, $load:ident, $store:ident, $zero:ident, $read:ident,
     |$sum:ident, $w:ident, $x:ident| $add:expr, $($part:ident of $activation:ident),+) => {
        #[inline(never)]
        #[target_feature(enable = $features)]
        fn tile<const T: usize>(w: &[[u32; $rows]], x: &[$pair], sums: &mut [[f32; $rows]]) {
            const HALF: usize = $rows / 2;
            let (x, sums) = (&x.as_chunks::<T>().0[..w.len()], &mut sums[..T]);
            let (mut low, mut high) = ([$zero(); T], [$zero(); T]);
            for t in 0..T {
                // SAFETY: half of the sums of a row fill a register.
                unsafe {
                    low[t] = $load(sums[t].as_ptr());
                    high[t] = $load(sums[t][HALF..].as_ptr());
                }
            }
            let add = |$sum, $w, $x| $add;
            // Plain indices: with iterators the compiler would move registers to memory.
            for p in 0..w.len() {
                // SAFETY: half of the pairs fill a register.
                let (a, b) = unsafe { ($read(w[p].as_ptr().cast()), $read(w[p][HALF..].as_ptr().cast())) };
                $(
                    let (first, second) = ($part(a), $part(b));
                    for t in 0..T {
                        let x = $activation(&x[p][t]);
                        low[t] = add(low[t], first, x);
                        high[t] = add(high[t], second, x);
                    }
                )+
            }
            for t in 0..T {
                // SAFETY: as above.
                unsafe {
                    $store(sums[t].as_mut_ptr(), low[t]);
                    $store(sums[t][HALF..].as_mut_ptr(), high[t]);
                }
            }
        }

        super::tiles::by_rows!($features, [u32; $rows], $rows, $pair, $up_to);
    };
}

/// Defines the function that calls the `tile` for a number of rows of activations.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! by_rows {
    ($features:literal, $panel:ty, $rows:expr, $pair:ty, 6) => {
        super::tiles::by_rows!(@ $features, $panel, $rows, $pair, 1 2 3 4 5 6);
    };
    ($features:literal, $panel:ty, $rows:expr, $pair:ty, 12) => {
        super::tiles::by_rows!(@ $features, $panel, $rows, $pair, 1 2 3 4 5 6 7 8 9 10 11 12);
    };
    (@ $features:literal, $panel:ty, $rows:expr, $pair:ty, $($n:literal)+) => {
        #[target_feature(enable = $features)]
        fn tile_of(w: &[$panel], x: &[$pair], rows: usize, sums: &mut [[f32; $rows]]) {
            match rows {
                $($n => tile::<$n>(w, x, sums),)+
                _ => {}
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
pub(super) use add_tile;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub(super) use by_rows;
