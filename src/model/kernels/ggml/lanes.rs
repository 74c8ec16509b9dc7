//! What the fast products need of an instruction set: registers that hold the same four bytes of several rows of weights.

use super::super::interleave::LINE;
use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};

/// Rows of bytes at equal distances. Of these, few registers of the processor are enough to address all.
#[derive(Clone, Copy)]
pub(super) struct Bytes {
    start: *const u8,
    stride: usize,
}

impl Bytes {
    /// Rows from `start` on, `stride` apart.
    #[inline(always)]
    pub fn new(start: *const u8, stride: usize) -> Self {
        Self { start, stride }
    }

    /// The same rows from byte `at` on.
    #[inline(always)]
    pub fn at(self, at: usize) -> Self {
        Self { start: self.start.wrapping_add(at), ..self }
    }

    /// The start of a row.
    #[inline(always)]
    pub fn row(self, row: usize) -> *const u8 {
        self.start.wrapping_add(self.stride.wrapping_mul(row))
    }

    /// The same, with a stride that the compiler takes for another one: otherwise it keeps one address per row, and moves
    /// them to memory.
    #[inline(always)]
    pub fn hidden(self) -> Self {
        let mut stride = self.stride;
        // SAFETY: this does nothing.
        unsafe { std::arch::asm!("/* {0} */", inout(reg) stride, options(pure, nomem, nostack, preserves_flags)) };
        Self { stride, ..self }
    }
}

/// Asks the second cache to fetch bytes.
#[inline(always)]
pub(super) fn fetch(start: *const u8, bytes: usize) {
    for at in (0..bytes).step_by(LINE) {
        // SAFETY: a prefetch reads nothing, wherever it points.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(start.wrapping_add(at).cast()) }
    }
}

/// Registers of `R` times four bytes.
pub(super) trait Lanes<const R: usize> {
    /// Four bytes, two integers of 16 bits or one of 32 bits of each row.
    type V: Copy;
    /// A number of each row.
    type F: Copy;

    /// What is added to weights from −128 to 127 before they are multiplied.
    const EXCESS: u8;

    /// The 16 bytes at each place: four of each row to a register.
    ///
    /// # Safety
    /// The machine has the instructions, and 16 bytes can be read at each place.
    unsafe fn sixteen(rows: Bytes) -> [Self::V; 4];

    /// The 32 bytes at each place: bytes `i`, `i + 8`, `i + 16` and `i + 24` of each row to register `i`.
    ///
    /// # Safety
    /// The machine has the instructions, and 32 bytes can be read at each place.
    unsafe fn spread(rows: Bytes) -> [Self::V; 8];

    /// # Safety
    /// The machine has the instructions; so with all that follow.
    unsafe fn load(from: &[u32; R]) -> Self::V;
    /// # Safety
    /// See [`Lanes::load`].
    unsafe fn store(v: Self::V, to: &mut [u32; R]);
    /// The same four bytes for all rows.
    ///
    /// # Safety
    /// See [`Lanes::load`].
    unsafe fn same(four: u32) -> Self::V;
    /// # Safety
    /// See [`Lanes::load`].
    unsafe fn and(a: Self::V, b: Self::V) -> Self::V;
    /// # Safety
    /// See [`Lanes::load`].
    unsafe fn or(a: Self::V, b: Self::V) -> Self::V;
    /// Adds [`Lanes::EXCESS`] to every byte.
    ///
    /// # Safety
    /// See [`Lanes::load`].
    unsafe fn raised(v: Self::V) -> Self::V;
    /// Integers of 32 bits shifted to the left, or to the right if that is not 0.
    ///
    /// # Safety
    /// See [`Lanes::load`].
    unsafe fn shift<const LEFT: u32, const RIGHT: u32>(v: Self::V) -> Self::V;
    /// The lowest two bytes, with signs, as integers of 16 bits.
    ///
    /// # Safety
    /// See [`Lanes::load`].
    unsafe fn two_signed(v: Self::V) -> Self::V;
    /// Sums of two neighbouring products of bytes, `w` without and `x` with signs; the sums fit 16 bits.
    ///
    /// # Safety
    /// See [`Lanes::load`].
    unsafe fn pairs(w: Self::V, x: Self::V) -> Self::V;
    /// Differences of integers of 16 bits.
    ///
    /// # Safety
    /// See [`Lanes::load`].
    unsafe fn less(a: Self::V, b: Self::V) -> Self::V;
    /// `sum` and the products of both integers of 16 bits.
    ///
    /// # Safety
    /// See [`Lanes::load`].
    unsafe fn add_pairs(sum: Self::V, a: Self::V, b: Self::V) -> Self::V;
    /// `sum` and the products of all four bytes, `w` with [`Lanes::EXCESS`] added.
    ///
    /// # Safety
    /// See [`Lanes::load`].
    unsafe fn add_fours(sum: Self::V, w: Self::V, x: Self::V) -> Self::V;

    /// # Safety
    /// See [`Lanes::load`].
    unsafe fn floats(v: Self::V) -> Self::F;
    /// # Safety
    /// See [`Lanes::load`].
    unsafe fn load_f(from: &[f32; R]) -> Self::F;
    /// # Safety
    /// See [`Lanes::load`].
    unsafe fn store_f(v: Self::F, to: &mut [f32; R]);
    /// # Safety
    /// See [`Lanes::load`].
    unsafe fn same_f(x: f32) -> Self::F;
    /// # Safety
    /// See [`Lanes::load`].
    unsafe fn add_f(a: Self::F, b: Self::F) -> Self::F;
    /// # Safety
    /// See [`Lanes::load`].
    unsafe fn less_f(a: Self::F, b: Self::F) -> Self::F;
    /// # Safety
    /// See [`Lanes::load`].
    unsafe fn times_f(a: Self::F, b: Self::F) -> Self::F;
}
