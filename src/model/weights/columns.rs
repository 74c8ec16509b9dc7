//! Experts whose matrices are stored as columns, made rows: products read rows.

use super::map::Bytes;
use super::{Entry, Store, Stored};
use crate::model::arch::{Arch, GateUp};
use crate::trace::{Level, Report, size};
use anyhow::{Result, ensure};

impl Store {
    /// Turns each expert's matrices `[in, out]` into rows, in memory, where the family stores them so. `report` says how
    /// much memory that takes.
    ///
    /// # Errors
    /// If a tensor has another shape than the config says, or numbers in blocks.
    pub fn columns_to_rows(&mut self, arch: &Arch, report: &mut Report) -> Result<()> {
        if arch.names.gate_up != GateUp::Columns {
            return Ok(());
        }
        let (d, [gate_up, down]) = (arch.dims, arch.names.fused);
        let mut bytes = 0;
        // No more layers than tensors: a config can claim any number.
        for layer in d.routed().take(self.tensors().len()) {
            for (name, inner, outer) in [(gate_up, d.d_model, 2 * d.d_ff), (down, d.d_ff, d.d_model)] {
                let name = format!("model.layers.{layer}.{}.{name}", arch.names.fused_block);
                let Some(entry) = self.tensors().get(&name).cloned() else { continue };
                // MXFP4 is stored as rows.
                if entry.stored == Some(Stored::Mxfp4) {
                    continue;
                }
                let expected = [d.experts, inner, outer];
                ensure!(
                    entry.shape == expected,
                    "tensor `{name}`: expected {expected:?}, found {:?}; config and weights disagree",
                    entry.shape
                );
                let Some(width) = entry.stored.and_then(Stored::dtype).map(|dtype| dtype.size()) else { continue };
                let rows = turned(self.bytes_of(&entry), [inner, outer], width);
                bytes += rows.len() as u64;
                let (len, shard) = (rows.len(), self.add_shard(Bytes::Owned(rows.into())));
                self.replace(name, Entry { shard, start: 0, len, shape: vec![d.experts, outer, inner], ..entry });
            }
        }
        if bytes > 0 {
            let found = format!("{} of columns, turned into rows in memory", size(bytes));
            report.add(Level::Note, "experts' tensors", "", found, "products read rows");
        }
        Ok(())
    }
}

/// Matrices `[rows, cols]` of numbers of `width` bytes, one after the other, each as `[cols, rows]`.
fn turned(bytes: &[u8], [rows, cols]: [usize; 2], width: usize) -> Vec<u8> {
    let mut out = vec![0; bytes.len()];
    let size = rows * cols * width;
    for (matrix, out) in bytes.chunks_exact(size).zip(out.chunks_exact_mut(size)) {
        for (row, numbers) in matrix.chunks_exact(cols * width).enumerate() {
            for (col, number) in numbers.chunks_exact(width).enumerate() {
                out[(col * rows + row) * width..][..width].copy_from_slice(number);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::turned;

    #[test]
    fn each_matrix_is_turned_alone() {
        let bytes = [1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 11, 11, 12, 12, 13, 13, 14, 14, 15, 15, 16, 16];
        let turned = turned(&bytes, [2, 3], 2);
        assert_eq!(
            turned.chunks(2).map(|pair| pair[0]).collect::<Vec<_>>(),
            [1, 4, 2, 5, 3, 6, 11, 14, 12, 15, 13, 16]
        );
    }
}
