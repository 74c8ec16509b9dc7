//! Arrays in NumPy's format: chosen experts as vLLM returns them (`RequestOutput.outputs[0].routed_experts`, saved with
//! `numpy.save`), integers `[positions, MoE layers, k]`; and vectors.

use super::format::NPY;
use super::{Chosen, ChosenLayer, check};
use crate::trace::{Dims, NO_EXPERT};
use anyhow::{Context, Result, bail, ensure};
use half::f16;
use std::collections::BTreeMap;
use std::path::Path;

/// An array file is no larger.
const MOST_BYTES: u64 = 1 << 32;

/// The chosen experts of these layers.
pub fn chosen(path: &Path, layers: &[usize], dims: Dims) -> Result<Chosen> {
    let name = path.display();
    let bytes = read(path)?;
    let read = Array::parse(&bytes).and_then(|array| Ok((array.integers()?, array.shape)));
    let (values, shape) = read.with_context(|| format!("{name} is no array of routed experts"))?;
    let [_, found, k] = shape[..] else {
        bail!("{name}: expected shape [positions, MoE layers, k], found {shape:?}");
    };
    ensure!(found == dims.layers, "{name}: expected {} MoE layers, found {found}", dims.layers);
    let mut all = BTreeMap::new();
    for layer in layers {
        let rows = values.chunks_exact(k.max(1)).skip(*layer).step_by(found);
        let experts: Vec<u32> = rows.flatten().copied().collect();
        check(&experts, k, dims).with_context(|| format!("{name}, layer {layer}"))?;
        all.insert(*layer, ChosenLayer { k, experts, weights: Vec::new() });
    }
    Ok(Chosen { layers: all, is_edited: false })
}

/// Shape and values of an array of floating-point numbers.
pub fn floats(path: &Path) -> Result<(Vec<usize>, Vec<f32>)> {
    let bytes = read(path)?;
    let read = Array::parse(&bytes).and_then(|array| Ok((array.floats()?, array.shape)));
    let (values, shape) = read.with_context(|| format!("{} is no vector", path.display()))?;
    Ok((shape, values))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let name = path.display();
    let length = std::fs::metadata(path).with_context(|| format!("cannot read {name}"))?.len();
    ensure!(length <= MOST_BYTES, "{name} has {length} bytes: an array of an edit takes less");
    std::fs::read(path).with_context(|| format!("cannot read {name}"))
}

/// A file in NumPy's format: magic, version, length of the header, a Python dictionary, the numbers.
struct Array<'a> {
    shape: Vec<usize>,
    /// Byte order and type, as `<f4`.
    descr: &'a str,
    numbers: &'a [u8],
}

impl<'a> Array<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self> {
        let rest = bytes.strip_prefix(NPY).context("it does not begin as a .npy file")?;
        let (version, rest) = rest.split_at_checked(2).context("it is cut off")?;
        let wide = if version[0] == 1 { 2 } else { 4 };
        let (length, rest) = rest.split_at_checked(wide).context("it is cut off")?;
        let length = length.iter().rev().fold(0usize, |sum, byte| sum << 8 | usize::from(*byte));
        let (header, numbers) = rest.split_at_checked(length).context("it is cut off")?;
        let header = std::str::from_utf8(header).context("its header is not text")?;
        let descr = entry(header, "descr").and_then(|text| text.trim_start().strip_prefix('\'')?.split('\'').next());
        let descr = descr.context("its header names no dtype")?;
        ensure!(
            entry(header, "fortran_order").is_some_and(|order| order.trim_start().starts_with("False")),
            "it is stored column by column: save it with `numpy.ascontiguousarray`"
        );
        let shape = entry(header, "shape").and_then(|text| text.split_once('(')?.1.split_once(')'));
        let sizes = shape.context("its header names no shape")?.0.split(',').map(str::trim);
        let size = |size: &str| size.parse().with_context(|| format!("`{size}` is no size"));
        let shape = sizes.filter(|text| !text.is_empty()).map(size).collect::<Result<_>>()?;
        Ok(Self { shape, descr, numbers })
    }

    /// The type without its byte order.
    fn kind(&self) -> Result<&'a str> {
        let (_, kind) = self.descr.split_at_checked(1).context("its dtype is empty")?;
        Ok(kind)
    }

    /// The numbers, each of so many bytes; `dtype` is one to save them in.
    fn words(&self, width: usize, dtype: &str) -> Result<std::slice::ChunksExact<'a, u8>> {
        ensure!(!self.descr.starts_with('>'), "its numbers are big-endian: save it with `.astype('{dtype}')`");
        let count = self.shape.iter().try_fold(1usize, |product, size| product.checked_mul(*size));
        let needed = count.and_then(|count| count.checked_mul(width));
        ensure!(
            needed == Some(self.numbers.len()),
            "expected {} bytes of numbers, found {}",
            needed.unwrap_or(0),
            self.numbers.len()
        );
        Ok(self.numbers.chunks_exact(width))
    }

    fn integers(&self) -> Result<Vec<u32>> {
        let kind = self.kind()?;
        let (width, signed) = match kind {
            "i1" | "u1" => (1, kind.starts_with('i')),
            "i2" | "u2" => (2, kind.starts_with('i')),
            "i4" | "u4" => (4, kind.starts_with('i')),
            "i8" | "u8" => (8, kind.starts_with('i')),
            _ => bail!("expected integers such as int16, found dtype `{}`", self.descr),
        };
        let value = |bytes: &[u8]| {
            let value = bytes.iter().rev().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
            // A negative number stands for no expert, as in padded slots.
            let is_negative = signed && bytes.last().is_some_and(|byte| byte & 0x80 != 0);
            if is_negative { NO_EXPERT } else { u32::try_from(value).unwrap_or(NO_EXPERT - 1) }
        };
        Ok(self.words(width, "int16")?.map(value).collect())
    }

    fn floats(&self) -> Result<Vec<f32>> {
        let width = match self.kind()? {
            "f2" => 2,
            "f4" => 4,
            "f8" => 8,
            _ => bail!("expected floating-point numbers such as float32, found dtype `{}`", self.descr),
        };
        let value = |bytes: &[u8]| match bytes {
            [a, b] => f16::from_le_bytes([*a, *b]).to_f32(),
            [a, b, c, d] => f32::from_le_bytes([*a, *b, *c, *d]),
            _ => bytes.as_chunks().0.first().map_or(f32::NAN, |bytes| f64::from_le_bytes(*bytes) as f32),
        };
        Ok(self.words(width, "float32")?.map(value).collect())
    }
}

/// What follows `'key':` in the header.
fn entry<'a>(header: &'a str, key: &str) -> Option<&'a str> {
    header.split_once(&format!("'{key}'"))?.1.trim_start().strip_prefix(':')
}
