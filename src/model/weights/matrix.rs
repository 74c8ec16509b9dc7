//! One matrix of a model.

use super::e2m1;
use super::map::{Bytes, Residency};
use super::stored::{Stored, widen};
use crate::model::precision::Rounding;
use std::sync::Arc;

/// Identifies weights, and the order in which their rows are read, as long as they stay mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WeightsId {
    address: usize,
    rows: usize,
    paired: Option<usize>,
}

/// What is added to a product.
#[derive(Debug)]
pub struct Bias {
    /// One number for each row of the matrix.
    pub values: Vec<f32>,
    /// Whether the product is rounded before (HF's experts), or only the sum.
    pub after_rounding: bool,
}

/// A matrix `[rows, cols]` read in place at any alignment, and the bias of products with it.
#[derive(Clone)]
pub struct Matrix {
    pub(super) bytes: Bytes,
    pub(super) start: usize,
    pub(super) rows: usize,
    pub(super) cols: usize,
    /// Bytes of a row.
    pub(super) width: usize,
    /// Bytes from the start of a row to that of the next.
    pub(super) stride: usize,
    pub(super) stored: Stored,
    /// Head width, if each head's rows are stored as adjacent pairs (GGUF) instead of halves.
    pub(super) paired: Option<usize>,
    /// Scales of groups of numbers, where these are apart.
    pub(super) scales: Option<Scales>,
    pub(super) bias: Option<Arc<Bias>>,
}

/// The scales of a matrix's numbers.
#[derive(Clone)]
pub(super) struct Scales {
    pub bytes: Bytes,
    pub start: usize,
    /// Bytes of a row.
    pub width: usize,
    /// Bytes from the start of a row to that of the next.
    pub stride: usize,
}

impl Matrix {
    /// A matrix of `values` `[rows × cols]`, kept in f32.
    pub fn of(values: &[f32], rows: usize, cols: usize) -> Self {
        debug_assert_eq!(values.len(), rows * cols);
        let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        Self {
            bytes: Bytes::Owned(bytes.into()),
            start: 0,
            rows,
            cols,
            width: cols * 4,
            stride: cols * 4,
            stored: Stored::F32,
            paired: None,
            scales: None,
            bias: None,
        }
    }

    /// A matrix of `bytes` as a file would store them: `rows` rows of equal length with `cols` numbers each.
    pub fn stored_as(stored: Stored, bytes: Vec<u8>, rows: usize, cols: usize) -> Self {
        let width = bytes.len() / rows.max(1);
        let bytes = Bytes::Owned(bytes.into());
        Self { bytes, start: 0, rows, cols, width, stride: width, stored, paired: None, scales: None, bias: None }
    }

    /// The same matrix, with a bias of its products: one number for each row.
    #[must_use]
    pub fn with_bias(self, bias: Option<Bias>) -> Self {
        debug_assert!(bias.as_ref().is_none_or(|bias| bias.values.len() == self.rows));
        Self { bias: bias.map(Arc::new), ..self }
    }

    /// The same matrix, with the bias of another.
    #[must_use]
    pub fn with_bias_of(self, other: &Self) -> Self {
        Self { bias: other.bias.clone(), ..self }
    }

    /// What is added to products with it.
    pub fn bias(&self) -> Option<&Bias> {
        self.bias.as_deref()
    }

    /// Rounds results of rows from `first` on, and adds their bias.
    pub fn finish(&self, first: usize, out: &mut [f32], round: Rounding) {
        if let Some(bias) = self.bias() {
            if bias.after_rounding {
                round.slice(out);
            }
            let values = bias.values[first..].iter();
            out.iter_mut().zip(values).for_each(|(out, bias)| *out += round.one(*bias));
        }
        round.slice(out);
    }

    /// Rows (output features).
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Columns (input features).
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// The type of the stored numbers.
    pub fn stored(&self) -> Stored {
        self.stored
    }

    /// Bytes of all rows.
    pub fn len(&self) -> usize {
        self.rows * (self.width + self.scales.as_ref().map_or(0, |scales| scales.width))
    }

    /// Bytes from the first row to the end of the last, rows of another matrix between them included.
    fn span(&self) -> usize {
        self.rows.saturating_sub(1) * self.stride + self.width
    }

    /// Whether it has no numbers.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// An id that differs from those of all other weights of the model.
    pub(in crate::model) fn id(&self) -> WeightsId {
        let address = self.bytes.as_slice().as_ptr().addr() + self.start;
        WeightsId { address, rows: self.rows, paired: self.paired }
    }

    /// Reads each head's rows as adjacent pairs if they were read as halves, and the other way round.
    pub fn toggle_pairs(&mut self, d_head: usize) {
        self.paired = if self.paired.is_some() { None } else { Some(d_head) };
    }

    /// The start of row `row` in the file, rows counted in the order of components that transformers uses.
    fn row_start(&self, row: usize) -> usize {
        // REFERENCE: GGUF row `head·h + 2j + s` is HF row `head·h + s·h/2 + j`.
        let row = self.paired.map_or(row, |h| {
            let (head, i) = (row / h, row % h);
            head * h + if i < h / 2 { 2 * i } else { 2 * (i - h / 2) + 1 }
        });
        self.start + row * self.stride
    }

    /// The stored bytes of row `row`, in the order of components that transformers uses.
    pub fn row_bytes(&self, row: usize) -> &[u8] {
        &self.bytes.as_slice()[self.row_start(row)..][..self.width]
    }

    /// Row `row` as a matrix of its own, in place.
    pub fn row(&self, row: usize) -> Self {
        let scales = self.scales.clone();
        let scales = scales.map(|scales| Scales { start: scales.start + row * scales.stride, ..scales });
        Self { start: self.row_start(row), rows: 1, paired: None, scales, bias: None, ..self.clone() }
    }

    /// Whether reading under `round` changes the stored numbers.
    pub fn is_narrowed_by(&self, round: Rounding) -> bool {
        !round.keeps_f32() && self.stored.dtype().is_none_or(|dtype| round != Rounding::to(dtype))
    }

    /// Replaces `out` with row `row` as f32 `[cols]`, rounded as `from_pretrained(dtype=…)` would have cast it.
    pub fn widen_row(&self, row: usize, round: Rounding, out: &mut Vec<f32>) {
        match &self.scales {
            Some(scales) => {
                let of_row = &scales.bytes.as_slice()[scales.start + row * scales.stride..][..scales.width];
                e2m1::widen(self.row_bytes(row), of_row, out);
            }
            None => widen(self.row_bytes(row), self.stored, out),
        }
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

    /// The share of the matrix that is in memory, from a few samples.
    pub fn residency(&self) -> Residency {
        self.bytes.residency(self.start, self.span())
    }

    /// Asks the system to read it into memory before it is used.
    pub fn prefetch(&self) {
        self.bytes.prefetch(self.start, self.span());
    }
}
