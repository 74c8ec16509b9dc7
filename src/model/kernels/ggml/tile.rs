//! All rows of activations times several rows of weights at once.

use super::super::blocks::Block;
use super::super::interleave::LINE;
use super::super::isa::Isa;
use super::super::k_blocks::{Q3K, Q4K, Q5K, Q6K};
use super::super::plain_blocks::{Q4_0, Q4_1, Q5_0, Q5_1, Q8_0};
use super::super::table_blocks::{Iq4Nl, Mxfp4};
use super::activations::Operands;
use super::avx2::{self, Avx2};
use super::lanes::{Bytes, Lanes};
use super::panel::{Fill, PARTS, Panel, Sums, add_large, add_small, folded};
use super::vnni::{self, Vnni};
use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};

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
        // SAFETY: callers pass an `Isa` that `isa()` or `supported()` found on this machine.
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

/// Asks the second cache to fetch bytes.
#[inline(always)]
fn fetch(start: *const u8, bytes: usize) {
    for at in (0..bytes).step_by(LINE) {
        // SAFETY: a prefetch reads nothing, wherever it points.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(start.wrapping_add(at).cast()) }
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
    let distance = |from: &[u8], to: &[u8]| to.as_ptr().addr().wrapping_sub(from.as_ptr().addr());
    let stride = distance(w[0], w[1]);
    let stride = w.windows(2).all(|two| distance(two[0], two[1]) == stride && two[1].len() == bytes).then_some(stride);
    for (piece, at) in (0..bytes).step_by(F::BYTES).enumerate() {
        let end = (at + F::BYTES).min(bytes);
        // In the order of the file: that is how memory is fastest. Half of it now and half later, as few lines can be on
        // their way at a time.
        let half = R * (end - at) / 2;
        let ahead = after[0].as_ptr().wrapping_add(R * at);
        fetch(ahead, half);
        // SAFETY: as the caller promises; the bytes of a piece are there.
        unsafe {
            match stride.filter(|_| end - at == F::BYTES) {
                // Rows may be parts of one mapping, but no slice spans them.
                Some(stride) => {
                    for row in w {
                        let _ = row.as_ptr().expose_provenance();
                    }
                    let start = std::ptr::with_exposed_provenance(w[0][at..end].as_ptr().addr());
                    F::fill(Bytes::new(start, stride), panel);
                }
                None => {
                    let mut filled = [[0u8; 34 * PARTS]; R];
                    for r in 0..R {
                        filled[r][..end - at].copy_from_slice(&w[r][at..end]);
                    }
                    F::fill(Bytes::new(filled.as_ptr().cast(), 34 * PARTS), panel);
                }
            }
            fetch(ahead.wrapping_add(half), half);
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
