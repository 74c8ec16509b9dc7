//! Rows of bf16 weights times activations, in the order in which `vdpbf16ps` adds.
//!
//! Every result has one sum. It goes through the row pair by pair, and adds the product of a pair's second number
//! before that of the first, each by one fma. A row of odd length ends in a zero. The matrix product that transformers
//! runs on a CPU with that instruction adds in the same order. Products of two bf16 numbers are exact, so with bf16
//! activations the instruction and the fma give the same bits. Numbers below 2⁻¹²⁶ are the exception: the instruction
//! treats them as zero.

#[cfg(target_arch = "x86_64")]
use super::dpbf16::{self, DotBf16};
#[cfg(target_arch = "x86_64")]
use super::fma_avx2::{self, FmaAvx2};
#[cfg(target_arch = "x86_64")]
use super::fma_avx512::{self, FmaAvx512};
#[cfg(target_arch = "aarch64")]
use super::fma_neon::{self, EIGHT, FmaNeon};
#[cfg(target_arch = "x86_64")]
use super::interleave::TILE_ROWS;
use super::interleave::{ROWS, fetch_piece, interleave};
use super::isa::Isa;
use super::tiles::{self, Tile};

/// Columns below which a row is too short for the processor to read ahead in it.
const SHORT: usize = 512;

/// Sums of sixteen rows of weights.
pub(super) type Sums = [f32; ROWS];

/// Tiles of safe code.
pub(super) struct Portable;

impl Tile<ROWS> for Portable {
    type Pair = [f32; 2];
    type Panel = [u32; ROWS];
    const ZERO: Self::Panel = [0; ROWS];
    const TOGETHER: usize = 4;

    fn pair(first: f32, second: f32) -> [f32; 2] {
        [first, second]
    }

    unsafe fn fill(w: &[&[u8]; ROWS], from: usize, panel: &mut [Self::Panel]) {
        interleave(Isa::Portable, w, from, panel);
    }

    unsafe fn add(panel: &[Self::Panel], x: &[[f32; 2]], rows: usize, sums: &mut [Sums]) {
        for (w, x) in panel.iter().zip(x.chunks_exact(rows)) {
            for (sums, [first, second]) in sums.iter_mut().zip(x) {
                for i in 0..ROWS {
                    sums[i] = f32::from_bits(w[i] & 0xffff_0000).mul_add(*second, sums[i]);
                }
                for i in 0..ROWS {
                    sums[i] = f32::from_bits(w[i] << 16).mul_add(*first, sums[i]);
                }
            }
        }
    }
}

/// Rows of activations, in the form that the tiles of an instruction set read.
pub(super) enum Packed {
    Portable(tiles::Packed<Portable, ROWS>),
    #[cfg(target_arch = "x86_64")]
    Avx2(tiles::Packed<FmaAvx2, ROWS>),
    #[cfg(target_arch = "x86_64")]
    Avx512(tiles::Packed<FmaAvx512, TILE_ROWS>),
    #[cfg(target_arch = "x86_64")]
    Bf16(tiles::Packed<DotBf16, TILE_ROWS>),
    #[cfg(target_arch = "aarch64")]
    Neon(tiles::Packed<FmaNeon, EIGHT>),
}

/// Memory that a thread keeps from task to task.
#[derive(Default)]
pub(super) struct Scratch {
    portable: tiles::Scratch<Portable, ROWS>,
    #[cfg(target_arch = "x86_64")]
    avx2: tiles::Scratch<FmaAvx2, ROWS>,
    #[cfg(target_arch = "x86_64")]
    avx512: tiles::Scratch<FmaAvx512, TILE_ROWS>,
    #[cfg(target_arch = "x86_64")]
    bf16: tiles::Scratch<DotBf16, TILE_ROWS>,
    #[cfg(target_arch = "aarch64")]
    neon: tiles::Scratch<FmaNeon, EIGHT>,
}

impl Packed {
    /// Packs `x` `[rows, k]`.
    pub fn of(isa: Isa, x: &[f32], k: usize) -> Self {
        // SAFETY: callers pass an `Isa` that `isa()` or `supported()` found on this machine.
        unsafe {
            match isa {
                Isa::Portable => Self::Portable(tiles::Packed::of(x, k)),
                #[cfg(target_arch = "x86_64")]
                Isa::Avx2 => Self::Avx2(tiles::Packed::of(x, k)),
                #[cfg(target_arch = "x86_64")]
                Isa::Avx512Bf16 if dpbf16::are_bf16(x) => Self::Bf16(tiles::Packed::of(x, k)),
                #[cfg(target_arch = "x86_64")]
                Isa::Avx512 | Isa::Avx512Vnni | Isa::Avx512Bf16 => Self::Avx512(tiles::Packed::of(x, k)),
                #[cfg(target_arch = "aarch64")]
                Isa::Neon | Isa::NeonDot => Self::Neon(tiles::Packed::of(x, k)),
            }
        }
    }

    /// Rows of weights times all rows of activations. `w` gives the rows from 0 on, also some after the last of `n`. `put`
    /// gets the number of a row of activations, that of a row of weights, and results from there on.
    pub fn multiply<'w>(
        &self,
        (w, n): (impl Fn(usize) -> &'w [u8], usize),
        scratch: &mut Scratch,
        put: impl FnMut(usize, usize, &[f32]),
    ) {
        // SAFETY: `of` found the instructions on this machine.
        unsafe {
            match self {
                Self::Portable(x) => in_tiles(x, (w, n), &mut scratch.portable, put),
                #[cfg(target_arch = "x86_64")]
                Self::Avx2(x) => match x.row() {
                    Some(x) => row_by_row((w, n), |w| fma_avx2::row(w, x), put),
                    None => in_tiles(x, (w, n), &mut scratch.avx2, put),
                },
                #[cfg(target_arch = "x86_64")]
                Self::Avx512(x) => match x.row() {
                    Some(x) => row_by_row((w, n), |w| fma_avx512::row(w, x), put),
                    None => in_tiles(x, (w, n), &mut scratch.avx512, put),
                },
                #[cfg(target_arch = "x86_64")]
                Self::Bf16(x) => match x.row() {
                    Some(x) => row_by_row((w, n), |w| dpbf16::row(w, x), put),
                    None => in_tiles(x, (w, n), &mut scratch.bf16, put),
                },
                #[cfg(target_arch = "aarch64")]
                Self::Neon(x) => match x.row() {
                    Some(x) => row_by_row((w, n), |w| fma_neon::row(w, x), put),
                    None => in_tiles(x, (w, n), &mut scratch.neon, put),
                },
            }
        }
    }
}

/// `N` rows of weights after the other, times one row of activations.
fn row_by_row<'w, const N: usize>(
    (w, n): (impl Fn(usize) -> &'w [u8], usize),
    row: impl Fn(&[&[u8]; N]) -> [f32; N],
    mut put: impl FnMut(usize, usize, &[f32]),
) {
    let rows = |at: usize| std::array::from_fn(|i| w(at + i));
    let mut now: [&[u8]; N] = rows(0);
    for at in (0..n).step_by(N) {
        let next: [&[u8]; N] = rows(at + N);
        if now[0].len() < 2 * SHORT {
            next.iter().for_each(|row| fetch_piece(row));
        }
        put(0, at, &row(&now)[..N.min(n - at)]);
        now = next;
    }
}

fn in_tiles<'w, T: Tile<N>, const N: usize>(
    x: &tiles::Packed<T, N>,
    (w, n): (impl Fn(usize) -> &'w [u8], usize),
    scratch: &mut tiles::Scratch<T, N>,
    mut put: impl FnMut(usize, usize, &[f32]),
) {
    for at in (0..n).step_by(N) {
        let rows = |at: usize| std::array::from_fn(|i| w(at + i));
        x.multiply(&rows(at), &rows(at + N), scratch, |row, results| put(row, at, &results[..N.min(n - at)]));
    }
}

#[cfg(test)]
mod tests {
    use super::super::dot::tests::numbers;
    use super::super::isa::tests::supported;
    use super::*;
    use half::bf16;

    /// The order of additions as the head of this file states it.
    fn stated(w: &[bf16], x: &[f32]) -> f32 {
        w.chunks(2).zip(x.chunks(2)).fold(0.0, |sum, (w, x)| {
            let product = |i: usize| (w.get(i).map_or(0.0, |w| w.to_f32()), x.get(i).map_or(0.0, |x| *x));
            [product(1), product(0)].into_iter().fold(sum, |sum, (w, x): (f32, f32)| w.mul_add(x, sum))
        })
    }

    /// All NaN are one: which of them an instruction returns is not stated.
    fn bits(x: f32) -> u32 {
        if x.is_nan() { f32::NAN.to_bits() } else { x.to_bits() }
    }

    fn check(w: &[bf16], x: &[f32], k: usize, rows: usize) {
        // As in a file, where rows begin anywhere in a line of the cache.
        let mut bytes = vec![0u8; k % 64];
        bytes.extend(w.iter().flat_map(|w| w.to_le_bytes()));
        let n = w.len() / k;
        let line = |i: usize| &bytes[k % 64..][2 * k * i.min(n - 1)..][..2 * k];
        let want: Vec<Vec<u32>> =
            x.chunks_exact(k).map(|x| w.chunks_exact(k).map(|w| bits(stated(w, x))).collect()).collect();
        for isa in supported() {
            let mut got = vec![vec![0; n]; rows];
            Packed::of(isa, x, k).multiply((line, n), &mut Scratch::default(), |row, at, results| {
                for (got, result) in got[row][at..].iter_mut().zip(results) {
                    *got = bits(*result);
                }
            });
            assert_eq!(got, want, "{isa} {k} {rows}");
        }
    }

    #[test]
    fn every_instruction_set_adds_in_the_stated_order() {
        for k in [1, 2, 31, 32, 33, 63, 64, 96, 257, 512 + 72, 1056, 1100] {
            let w: Vec<bf16> = numbers(35 * k, 1).into_iter().map(bf16::from_f32).collect();
            for rows in (1..=7).chain([11, 12, 13, 26]) {
                let x = numbers(rows * k, 2);
                check(&w, &x, k, rows);
                let x: Vec<f32> = x.into_iter().map(|x| bf16::from_f32(x).to_f32()).collect();
                check(&w, &x, k, rows);
            }
        }
    }

    #[test]
    fn any_bits_give_the_stated_sums() {
        let k = 70;
        // Weights of all exponents; numbers below 2⁻¹²⁶ are left out, as the head of this file says.
        let normal = |bits: u16| if bits & 0x7f80 == 0 { bits & 0x8000 } else { bits };
        let w: Vec<bf16> = (0..20 * k).map(|i| bf16::from_bits(normal((i * 31_337 + 7) as u16))).collect();
        for rows in 1..=7 {
            let x: Vec<f32> = numbers(rows * k, 3).into_iter().map(|x| bf16::from_f32(x).to_f32()).collect();
            check(&w, &x, k, rows);
        }
        let w: Vec<bf16> = numbers(20 * k, 1).into_iter().map(bf16::from_f32).collect();
        for (at, odd) in [(0, f32::NAN), (k - 1, f32::INFINITY), (k / 2, f32::NEG_INFINITY), (3, -0.0)] {
            let mut x = numbers(3 * k, 3);
            x[k + at] = odd;
            check(&w, &x, k, 3);
            check(&w, &x[k..2 * k], k, 1);
        }
    }
}
