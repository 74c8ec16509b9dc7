//! MXFP4 as safetensors of gpt-oss hold it: 4-bit numbers in one tensor, and a scale for every 32 of them in another (OCP
//! Microscaling Formats 1.0). Both are read in place.

use super::{Entry, Store, Stored};
use crate::model::arch::Arch;
use crate::trace::{Level, Report};
use anyhow::{Result, bail, ensure};

/// Numbers that share a scale, and their bytes.
pub const GROUP: usize = 32;
const BYTES: usize = 16;
/// Values of an E2M1 number.
const E2M1: [f32; 16] = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, -0.0, -0.5, -1.0, -1.5, -2.0, -3.0, -4.0, -6.0];

/// The power of two that an E8M0 scale says, 2^(e − 127); 255 is NaN.
fn power(e: u8) -> f32 {
    match e {
        0 => f32::from_bits(0x0040_0000),
        255 => f32::NAN,
        _ => f32::from_bits(u32::from(e) << 23),
    }
}

/// Replaces `out` with the numbers of one row: two in each byte, the lower half first.
pub fn widen(numbers: &[u8], scales: &[u8], out: &mut Vec<f32>) {
    out.clear();
    for (bytes, scale) in numbers.chunks_exact(BYTES).zip(scales) {
        let scale = power(*scale);
        out.extend(bytes.iter().flat_map(|byte| [byte & 15, byte >> 4]).map(|code| E2M1[usize::from(code)] * scale));
    }
}

impl Store {
    /// Makes each pair of tensors `NAME_blocks` and `NAME_scales` of the experts one tensor `NAME`, in place.
    ///
    /// # Errors
    /// If one of a pair is missing, or a shape is not what the config says.
    pub fn join_mxfp4(&mut self, arch: &Arch, report: &mut Report) -> Result<()> {
        let (d, [gate_up, down]) = (arch.dims, arch.names.fused);
        let mut joined = 0;
        for layer in d.routed() {
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

#[cfg(test)]
mod tests {
    use super::widen;

    #[test]
    fn the_lower_half_of_a_byte_comes_first_and_scales_are_powers_of_two() {
        let mut bytes = [0u8; 32];
        (bytes[0], bytes[1], bytes[16], bytes[31]) = (0x21, 0xf7, 0x0a, 0x90);
        let mut out = Vec::new();
        widen(&bytes, &[127, 128], &mut out);
        assert_eq!(out.len(), 64);
        assert_eq!((out[..4].to_vec(), out[32], out[63]), (vec![0.5, 1.0, 6.0, -6.0], -2.0, -1.0));
        widen(&bytes[..16], &[255], &mut out);
        assert!(out.iter().all(|x| x.is_nan()));
        widen(&bytes[..16], &[0], &mut out);
        assert_eq!(out[1], 2f32.powi(-127));
    }
}
