//! All rows of activations times several rows of weights at once.

use super::super::blocks::Block;
use super::super::interleave::LINE;
use super::super::isa::Isa;
use super::super::k_blocks::{Q3K, Q4K, Q5K, Q6K};
use super::super::plain_blocks::{Q4_0, Q4_1, Q5_0, Q5_1, Q8_0};
use super::super::table_blocks::{Iq4Nl, Mxfp4};
use super::activations::Operands;
use super::avx2::{self, Avx2};
use super::lanes::Lanes;
use super::panel::{Fill, PARTS, Panel, Sums, add_large, add_small, folded};
use super::vnni::{self, Vnni};
use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

/// Memory that a thread keeps from task to task.
#[derive(Default)]
pub(in super::super) struct Scratch {
    avx2: Memory<{ avx2::ROWS }>,
    vnni: Memory<{ vnni::ROWS }>,
}

struct Memory<const R: usize> {
    panel: Box<Panel<R>>,
    /// Of each row of activations.
    sums: Vec<Sums<R>>,
}

impl<const R: usize> Default for Memory<R> {
    fn default() -> Self {
        Self { panel: Box::new(Panel::ZERO), sums: Vec::new() }
    }
}

/// Rows of weights, and those that come after them.
type Rows<'w, const R: usize> = [[&'w [u8]; R]; 2];

/// `n` rows of weights from `first` on times all rows of activations. `w` gives the rows from 0 on, also some after the last.
/// `put` gets the number of a row of activations, that of a row of weights, and results from there on. False if this is
/// not for the format or the instruction set.
pub(in super::super) fn multiply<'w>(
    isa: Isa,
    block: Block,
    (w, n): (impl Fn(usize) -> &'w [u8], usize),
    x: &Operands,
    scratch: &mut Scratch,
    put: impl FnMut(usize, usize, &[f32]),
) -> bool {
    match isa {
        Isa::Portable => return false,
        _ if matches!(block, Block::Q2K | Block::Iq4Xs | Block::Q8_1 | Block::Q8K) => return false,
        // SAFETY: an `Isa` other than `Portable` is made only after detecting it on this machine.
        Isa::Avx2 | Isa::Avx512 => {
            in_tiles((w, n), &mut scratch.avx2, put, |w, memory| unsafe { with_avx2(block, w, x, memory) })
        }
        // SAFETY: as above.
        Isa::Avx512Vnni | Isa::Avx512Bf16 => {
            in_tiles((w, n), &mut scratch.vnni, put, |w, memory| unsafe { with_vnni(block, w, x, memory) })
        }
    }
    true
}

fn in_tiles<'w, const R: usize>(
    (w, n): (impl Fn(usize) -> &'w [u8], usize),
    memory: &mut Memory<R>,
    mut put: impl FnMut(usize, usize, &[f32]),
    tile: impl Fn(&Rows<'w, R>, &mut Memory<R>) -> bool,
) {
    for at in (0..n).step_by(R) {
        let rows = |at: usize| std::array::from_fn(|r| w(at + r));
        let is_large = tile(&[rows(at), rows(at + R)], memory);
        for (row, sums) in memory.sums.iter().enumerate() {
            put(row, at, &folded(sums, is_large)[..R.min(n - at)]);
        }
    }
}

/// Asks the nearest cache to fetch bytes.
#[inline(always)]
fn fetch(bytes: &[u8]) {
    for at in (0..bytes.len()).step_by(LINE) {
        // SAFETY: a prefetch reads nothing, wherever it points.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(bytes.as_ptr().wrapping_add(at).cast()) }
    }
}

/// Rows of weights times all rows of activations; whether in blocks of 256.
///
/// # Safety
/// The machine has the instructions.
#[inline(always)]
unsafe fn tile<L: Lanes<R>, F: Fill<L, R>, const R: usize>(
    [w, after]: &Rows<R>,
    x: &Operands,
    Memory { panel, sums }: &mut Memory<R>,
) -> bool {
    sums.clear();
    sums.resize(x.rows(), [[0.0; R]; 9]);
    let bytes = w[0].len();
    for (piece, at) in (0..bytes).step_by(F::BYTES).enumerate() {
        let end = (at + F::BYTES).min(bytes);
        after.iter().for_each(|row| fetch(row.get(at..end).unwrap_or_default()));
        // SAFETY: as the caller promises.
        unsafe {
            if end - at == F::BYTES {
                F::fill(w.map(|row| &row[at..end]), panel);
            } else {
                let mut filled = [[0; 34 * PARTS]; R];
                for r in 0..R {
                    filled[r][..end - at].copy_from_slice(&w[r][at..end]);
                }
                F::fill(filled.each_ref().map(|row| &row[..F::BYTES]), panel);
            }
            for (row, sums) in sums.iter_mut().enumerate() {
                if F::TERM.is_some() {
                    add_small::<L, F, R>(panel, &x.small(row)[PARTS * piece..], sums);
                } else {
                    add_large::<L, F, R>(panel, &x.large(row)[piece], sums);
                }
            }
        }
    }
    F::TERM.is_none()
}

macro_rules! with {
    ($name:ident, $of:ident, $features:literal, $lanes:ident, $rows:expr) => {
        #[inline(never)]
        #[target_feature(enable = $features)]
        fn $of<F: Fill<$lanes, { $rows }>>(w: &Rows<{ $rows }>, x: &Operands, memory: &mut Memory<{ $rows }>) -> bool {
            // SAFETY: this function has the instructions.
            unsafe { tile::<$lanes, F, { $rows }>(w, x, memory) }
        }

        #[target_feature(enable = $features)]
        fn $name(block: Block, w: &Rows<{ $rows }>, x: &Operands, memory: &mut Memory<{ $rows }>) -> bool {
            match block {
                Block::Q4_0 => $of::<Q4_0>(w, x, memory),
                Block::Q4_1 => $of::<Q4_1>(w, x, memory),
                Block::Q5_0 => $of::<Q5_0>(w, x, memory),
                Block::Q5_1 => $of::<Q5_1>(w, x, memory),
                Block::Iq4Nl => $of::<Iq4Nl>(w, x, memory),
                Block::Mxfp4 => $of::<Mxfp4>(w, x, memory),
                Block::Q3K => $of::<Q3K>(w, x, memory),
                Block::Q4K => $of::<Q4K>(w, x, memory),
                Block::Q5K => $of::<Q5K>(w, x, memory),
                Block::Q6K => $of::<Q6K>(w, x, memory),
                _ => $of::<Q8_0>(w, x, memory),
            }
        }
    };
}

with!(with_avx2, of_avx2, "avx2", Avx2, avx2::ROWS);
with!(with_vnni, of_vnni, "avx512f,avx512bw,avx512dq,avx512vnni", Vnni, vnni::ROWS);
