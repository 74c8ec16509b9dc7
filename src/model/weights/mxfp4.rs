//! MXFP4 as safetensors of gpt-oss hold it: 4-bit numbers in one tensor, and a scale for every 32 of them in another (OCP
//! Microscaling Formats 1.0). Both are read in place.

use super::e2m1::{BYTES, GROUP};
use super::{Entry, Store, Stored};
use crate::model::arch::Arch;
use crate::trace::{Level, Report};
use anyhow::{Result, bail, ensure};

impl Store {
    /// Makes each pair of tensors `NAME_blocks` and `NAME_scales` of the experts one tensor `NAME`, in place.
    ///
    /// # Errors
    /// If one of a pair is missing, or a shape is not what the config says.
    pub fn join_mxfp4(&mut self, arch: &Arch, report: &mut Report) -> Result<()> {
        let (d, [gate_up, down]) = (arch.dims, arch.names.fused);
        let mut joined = 0;
        // No more layers than tensors: a config can claim any number.
        for layer in d.routed().take(self.tensors().len()) {
            for (name, rows, cols) in [(gate_up, 2 * d.d_ff, d.d_model), (down, d.d_model, d.d_ff)] {
                let name = format!("model.layers.{layer}.{}.{name}", arch.names.fused_block);
                let pair = [format!("{name}_blocks"), format!("{name}_scales")];
                let (blocks, scales) = match pair.each_ref().map(|name| self.tensors().get(name).cloned()) {
                    [None, None] => continue,
                    [Some(blocks), Some(scales)] => (blocks, scales),
                    [None, _] => bail!("missing tensor `{}`: `{}` holds its scales", pair[0], pair[1]),
                    [_, None] => bail!("missing tensor `{}`: it holds the scales of `{}`", pair[1], pair[0]),
                };
                let groups = cols.div_ceil(GROUP);
                let expected = [vec![d.experts, rows, groups, BYTES], vec![d.experts, rows, groups]];
                for ((name, entry), expected) in pair.iter().zip([&blocks, &scales]).zip(&expected) {
                    ensure!(
                        entry.shape == *expected && entry.type_name == "U8" && cols.is_multiple_of(GROUP),
                        "tensor `{name}`: expected {expected:?} of U8, found {:?} of {}",
                        entry.shape,
                        entry.type_name
                    );
                }
                pair.iter().for_each(|name| drop(self.remove(name)));
                let joined_entry = Entry {
                    shape: vec![d.experts, rows, cols],
                    stored: Some(Stored::Mxfp4),
                    type_name: Stored::Mxfp4.name().to_owned(),
                    scales: Some((scales.shard, scales.start)),
                    ..blocks
                };
                self.replace(name, joined_entry);
                joined += 1;
            }
        }
        if joined > 0 {
            let found = format!("{joined} tensors in MXFP4, numbers and scales apart");
            report.add(Level::Ok, "experts' tensors", "types that can be read", found, "");
        }
        Ok(())
    }
}
