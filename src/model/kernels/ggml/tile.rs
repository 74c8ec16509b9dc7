//! All rows of activations times several rows of weights at once.

use super::super::blocks::Block;
use super::super::isa::Isa;
use super::super::k_blocks::{Q3K, Q4K, Q5K, Q6K};
use super::super::plain_blocks::{Q4_0, Q4_1, Q5_0, Q5_1, Q8_0};
use super::super::table_blocks::{Iq4Nl, Mxfp4};
use super::activations::{Large, Operands};
use super::avx2::{self, Avx2};
use super::lanes::{Bytes, Lanes, fetch};
use super::one::{self, One};
use super::panel::{Fill, PARTS, Panel, Sums, add_large, add_small, folded};
use super::vnni::{self, Vnni};
use std::marker::PhantomData;

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
        // SAFETY: callers pass an `Isa` that `isa()` or `supported()` found on this machine, and each of the others has AVX2 and F16C.
        _ if x.rows() == 1 && matches!(block, Block::Q4K | Block::Q6K) => {
            in_tiles((w, n), &mut scratch.avx2, put, |w, memory| unsafe { with_one(block, w, x, memory) })
        }
        // SAFETY: as above.
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

/// What is done with each piece of rows of weights.
trait Pieces<const R: usize> {
    /// Bytes of a piece.
    const BYTES: usize;

    /// Adds the products with a piece, and fetches as many bytes from `ahead` on.
    ///
    /// # Safety
    /// The machine has the instructions, and `BYTES` bytes of each row can be read.
    unsafe fn add(&mut self, w: Bytes, piece: usize, ahead: *const u8);
}

/// Pieces that are decoded into a panel, which is multiplied by all rows of activations.
struct InPanel<'a, L, F, const R: usize> {
    x: &'a Operands,
    panel: &'a mut Panel<R>,
    sums: &'a mut [Sums<R>],
    of: PhantomData<(L, F)>,
}

impl<L: Lanes<R>, F: Fill<L, R>, const R: usize> Pieces<R> for InPanel<'_, L, F, R> {
    const BYTES: usize = F::BYTES;

    #[inline(always)]
    unsafe fn add(&mut self, w: Bytes, piece: usize, ahead: *const u8) {
        // Half of it now and half later, as few lines can be on their way at a time.
        let half = R * F::BYTES / 2;
        fetch(ahead, half);
        // SAFETY: as the caller promises.
        unsafe { F::fill(w, self.panel) }
        fetch(ahead.wrapping_add(half), half);
        for (row, sums) in self.sums.iter_mut().enumerate() {
            // SAFETY: as above.
            unsafe {
                if F::TERM.is_some() {
                    add_small::<L, F, R>(self.panel, &self.x.small(row)[PARTS * piece..], sums);
                } else {
                    add_large::<L, F, R>(self.panel, &self.x.large(row)[piece], sums);
                }
            }
        }
    }
}

/// Pieces that are multiplied by the only row of activations.
struct ByOne<'a, F> {
    x: &'a [Large],
    sums: one::Sums,
    of: PhantomData<F>,
}

impl<F: One> Pieces<{ avx2::ROWS }> for ByOne<'_, F> {
    const BYTES: usize = F::BYTES;

    #[inline(always)]
    unsafe fn add(&mut self, w: Bytes, piece: usize, ahead: *const u8) {
        // SAFETY: as the caller promises.
        unsafe { F::add(w, &self.x[piece], &mut self.sums, ahead) }
    }
}

/// Adds the products with all pieces of rows of weights.
///
/// # Safety
/// The machine has the instructions.
#[inline(always)]
unsafe fn each_piece<P: Pieces<R>, const R: usize>([w, after]: &Rows<R>, pieces: &mut P) {
    let bytes = w[0].len();
    let distance = |from: &[u8], to: &[u8]| to.as_ptr().addr().wrapping_sub(from.as_ptr().addr());
    let stride = distance(w[0], w[1]);
    let stride = w.windows(2).all(|two| distance(two[0], two[1]) == stride && two[1].len() == bytes).then_some(stride);
    for (piece, at) in (0..bytes).step_by(P::BYTES).enumerate() {
        let end = (at + P::BYTES).min(bytes);
        // In the order of the file: that is how memory is fastest.
        let ahead = after[0].as_ptr().wrapping_add(R * at);
        // SAFETY: as the caller promises; the bytes of a piece are there.
        unsafe {
            match stride.filter(|_| end - at == P::BYTES) {
                // Rows may be parts of one mapping, but no slice spans them.
                Some(stride) => {
                    for row in w {
                        let _ = row.as_ptr().expose_provenance();
                    }
                    let start = std::ptr::with_exposed_provenance(w[0][at..end].as_ptr().addr());
                    pieces.add(Bytes::new(start, stride), piece, ahead);
                }
                None => {
                    let mut filled = [[0u8; 34 * PARTS]; R];
                    for r in 0..R {
                        filled[r][..end - at].copy_from_slice(&w[r][at..end]);
                    }
                    pieces.add(Bytes::new(filled.as_ptr().cast(), 34 * PARTS), piece, ahead);
                }
            }
        }
    }
}

/// Rows of weights times all rows of activations; whether in blocks of 256.
///
/// # Safety
/// The machine has the instructions.
#[inline(always)]
unsafe fn tile<L: Lanes<R>, F: Fill<L, R>, const R: usize>(
    w: &Rows<R>,
    x: &Operands,
    Memory { panel, sums }: &mut Memory<R>,
) -> bool {
    sums.clear();
    sums.resize(x.rows(), [[0.0; R]; 9]);
    let mut pieces = InPanel::<L, F, R> { x, panel, sums, of: PhantomData };
    // SAFETY: as the caller promises.
    unsafe { each_piece(w, &mut pieces) }
    F::TERM.is_none()
}

/// [`tile`] for one row of activations. The sums are finished, as those of blocks of 32 are.
#[inline(never)]
#[target_feature(enable = "avx2,f16c")]
fn one_of<F: One>(w: &Rows<{ avx2::ROWS }>, x: &Operands, sums: &mut Vec<Sums<{ avx2::ROWS }>>) -> bool {
    let mut pieces = ByOne::<F> { x: x.large(0), sums: one::Sums::ZERO, of: PhantomData };
    // SAFETY: this function has the instructions.
    unsafe { each_piece(w, &mut pieces) }
    sums.clear();
    sums.resize(1, [[0.0; avx2::ROWS]; 9]);
    sums[0][8] = pieces.sums.folded();
    false
}

#[target_feature(enable = "avx2,f16c")]
fn with_one(
    block: Block,
    w: &Rows<{ avx2::ROWS }>,
    x: &Operands,
    Memory { sums, .. }: &mut Memory<{ avx2::ROWS }>,
) -> bool {
    if block == Block::Q4K { one_of::<Q4K>(w, x, sums) } else { one_of::<Q6K>(w, x, sums) }
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
