//! Weights used where they are stored: a mapped file or the program itself.

pub mod gguf;
mod header;
mod map;
mod names;
mod safetensors;
mod store;
mod tally;

pub use map::{Bytes, Residency};
pub use names::{Part, Place, Which};
pub(super) use names::{parts, place};
pub use safetensors::parse_index;
pub use store::{Entry, Naming, Store};
pub(super) use tally::{Tally, tally};

use super::kernels::Block;
use super::precision::Rounding;
use crate::trace::Dtype;
use half::f16;
use half::slice::HalfFloatSliceExt;
use std::fmt;

/// How the numbers of a tensor are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stored {
    /// One floating-point number after the other.
    F32,
    /// The same in half precision.
    F16,
    /// The same in bfloat16.
    Bf16,
    /// Quantised in blocks along a row.
    Blocks(Block),
}

impl Stored {
    /// Bytes of `n` numbers of one row; `None` if they don't fill whole blocks, or if that overflows.
    pub fn bytes(self, n: usize) -> Option<usize> {
        match self {
            Self::F32 => n.checked_mul(4),
            Self::F16 | Self::Bf16 => n.checked_mul(2),
            Self::Blocks(block) => {
                n.is_multiple_of(block.width()).then(|| (n / block.width()).checked_mul(block.bytes()))?
            }
        }
    }

    /// What file formats call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::Bf16 => "BF16",
            Self::Blocks(block) => block.name(),
        }
    }

    /// The floating-point type, if it is one.
    pub fn dtype(self) -> Option<Dtype> {
        match self {
            Self::F32 => Some(Dtype::F32),
            Self::F16 => Some(Dtype::F16),
            Self::Bf16 => Some(Dtype::Bf16),
            Self::Blocks(_) => None,
        }
    }
}

impl From<Dtype> for Stored {
    fn from(dtype: Dtype) -> Self {
        match dtype {
            Dtype::F32 => Self::F32,
            Dtype::F16 => Self::F16,
            Dtype::Bf16 => Self::Bf16,
        }
    }
}

impl fmt::Display for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blocks(block) => f.pad(block.name()),
            plain => match plain.dtype() {
                Some(dtype) => dtype.fmt(f),
                None => Ok(()),
            },
        }
    }
}

/// Tells weights apart, and the orders in which they are read, as long as they stay mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WeightsId {
    address: usize,
    rows: usize,
    paired: Option<usize>,
}

/// A matrix `[rows, cols]` read in place at any alignment.
#[derive(Clone)]
pub struct Matrix {
    bytes: Bytes,
    start: usize,
    rows: usize,
    cols: usize,
    /// Bytes of a row.
    width: usize,
    stored: Stored,
    /// Head width, if each head's rows are stored as adjacent pairs (GGUF) instead of halves.
    paired: Option<usize>,
}

impl Matrix {
    /// One of these numbers, `[rows × cols]`, which it keeps in f32.
    pub fn of(values: &[f32], rows: usize, cols: usize) -> Self {
        debug_assert_eq!(values.len(), rows * cols);
        let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        Self {
            bytes: Bytes::Owned(bytes.into()),
            start: 0,
            rows,
            cols,
            width: cols * 4,
            stored: Stored::F32,
            paired: None,
        }
    }

    /// One of these `bytes`: `rows` rows of equal length, `cols` numbers each, as a file would store them.
    pub fn stored_as(stored: Stored, bytes: Vec<u8>, rows: usize, cols: usize) -> Self {
        let width = bytes.len() / rows.max(1);
        Self { bytes: Bytes::Owned(bytes.into()), start: 0, rows, cols, width, stored, paired: None }
    }

    /// Rows (output features).
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Columns (input features).
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// How the numbers are stored.
    pub fn stored(&self) -> Stored {
        self.stored
    }

    /// Bytes of all rows.
    pub fn len(&self) -> usize {
        self.rows * self.width
    }

    /// Whether it has no numbers.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What tells these weights from others of the model.
    pub(super) fn id(&self) -> WeightsId {
        let address = self.bytes.as_slice().as_ptr().addr() + self.start;
        WeightsId { address, rows: self.rows, paired: self.paired }
    }

    /// Takes each head's rows as adjacent pairs if they were taken as halves, and the other way round.
    pub(super) fn toggle_pairs(&mut self, d_head: usize) {
        self.paired = if self.paired.is_some() { None } else { Some(d_head) };
    }

    /// Where row `row` is stored, in the order of components that transformers uses.
    fn row_start(&self, row: usize) -> usize {
        // REFERENCE: GGUF row `head·h + 2j + s` is HF row `head·h + s·h/2 + j`.
        let row = self.paired.map_or(row, |h| {
            let (head, i) = (row / h, row % h);
            head * h + if i < h / 2 { 2 * i } else { 2 * (i - h / 2) + 1 }
        });
        self.start + row * self.width
    }

    /// The stored bytes of row `row`, in the order of components that transformers uses.
    pub fn row_bytes(&self, row: usize) -> &[u8] {
        &self.bytes.as_slice()[self.row_start(row)..][..self.width]
    }

    /// Row `row` as a matrix of its own, in place.
    pub fn row(&self, row: usize) -> Self {
        Self { start: self.row_start(row), rows: 1, paired: None, ..self.clone() }
    }

    /// Whether reading under `round` changes the stored numbers.
    pub fn is_narrowed_by(&self, round: Rounding) -> bool {
        round != Rounding::None && self.stored.dtype().is_none_or(|dtype| round != Rounding::to(dtype))
    }

    /// Replaces `out` by row `row` as f32 `[cols]`, rounded as `from_pretrained(dtype=…)` would have cast it.
    pub fn widen_row(&self, row: usize, round: Rounding, out: &mut Vec<f32>) {
        widen(self.row_bytes(row), self.stored, out);
        if self.is_narrowed_by(round) {
            round.slice(out);
        }
    }

    /// The stored numbers as f32 `[rows × cols]`.
    pub fn to_f32(&self) -> Vec<f32> {
        let mut all = Vec::with_capacity(self.rows * self.cols);
        let mut line = Vec::new();
        for row in 0..self.rows {
            self.widen_row(row, Rounding::None, &mut line);
            all.extend_from_slice(&line);
        }
        all
    }

    /// How much of it is in memory, from a few samples.
    pub fn residency(&self) -> Residency {
        self.bytes.residency(self.start, self.len())
    }

    /// Asks the system to read it into memory ahead of its use.
    pub fn prefetch(&self) {
        self.bytes.prefetch(self.start, self.len());
    }
}

/// Replaces `out` by the numbers stored in `bytes`.
pub(super) fn widen(bytes: &[u8], stored: Stored, out: &mut Vec<f32>) {
    out.clear();
    match stored {
        Stored::F32 => out.extend(bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b))),
        Stored::Bf16 => out.extend(bytes.as_chunks().0.iter().map(|b| super::kernels::widen_bf16(*b))),
        Stored::F16 => {
            let half: Vec<f16> = bytes.as_chunks().0.iter().map(|b| f16::from_le_bytes(*b)).collect();
            out.resize(half.len(), 0.0);
            half.convert_to_f32_slice(out);
        }
        Stored::Blocks(block) => {
            out.resize(bytes.len() / block.bytes() * block.width(), 0.0);
            block.dequantize(bytes, out);
        }
    }
}
