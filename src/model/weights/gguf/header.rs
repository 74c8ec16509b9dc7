//! Reading a GGUF header without trusting it (format: ggml's `docs/gguf.md`, versions 2 and 3).

use super::value::{Reader, Value};
use crate::model::kernels::Block;
use crate::model::stand_in::stand_in_of_binary;
use crate::model::weights::Stored;
use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeMap;

/// Metadata entries and tensors of a file; real files have tens and a few thousand.
const MAX_ENTRIES: u64 = 1 << 16;
const MAX_TENSORS: u64 = 1 << 18;
/// Alignment of the data where the file does not say.
const ALIGNMENT: u64 = 32;

/// A tensor as the header describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Its name.
    pub name: String,
    /// Row-major shape (the file lists the fastest dimension first).
    pub shape: Vec<usize>,
    /// ggml's number of the type.
    pub kind: u32,
    /// Start within the file, bytes.
    pub start: usize,
    /// Bytes; 0 if the type is unknown.
    pub len: usize,
}

/// The header of a GGUF file.
#[derive(Clone, Debug, PartialEq)]
pub struct Header<'a> {
    /// Metadata by key.
    pub metadata: BTreeMap<&'a str, Value<'a>>,
    /// The tensors, all of them within the file.
    pub tensors: Vec<Tensor>,
    /// Where the file should end, its last tensor padded; `None` if a type is unknown.
    pub end: Option<u64>,
}

/// The floating-point or block type of ggml's number `kind`.
pub fn stored(kind: u32) -> Option<Stored> {
    match kind {
        0 => Some(Stored::F32),
        1 => Some(Stored::F16),
        30 => Some(Stored::Bf16),
        other => Block::from_ggml(other).map(Stored::Blocks),
    }
}

impl<'a> Header<'a> {
    /// Reads the header at the start of `bytes`, a file of `file_len` bytes (which `bytes` may be only the start of).
    ///
    /// # Errors
    /// If it is not a GGUF file, its version can't be read, or a count, a length or an offset is impossible.
    pub fn read(bytes: &'a [u8], file_len: u64) -> Result<Self> {
        let mut reader = Reader { bytes, at: 0 };
        if !reader.take(4).is_ok_and(|magic| magic == b"GGUF") {
            match stand_in_of_binary(bytes) {
                Some(other) => bail!("not a GGUF file: {other}"),
                None => bail!("it does not begin with `GGUF`: not a GGUF file"),
            }
        }
        let version = reader.u32()?;
        match version {
            2 | 3 => {}
            1 => bail!("it is GGUF version 1, which is obsolete; convert the model again"),
            v if (1..=3).contains(&v.swap_bytes()) => bail!(
                "it is a big-endian GGUF, for other machines: convert it (llama.cpp's gguf_convert_endian.py), or take \
                 the little-endian file"
            ),
            v => bail!("it is GGUF version {v}; versions 2 and 3 can be read"),
        }
        let tensors = reader.u64()?;
        let entries = reader.u64()?;
        ensure!(tensors <= MAX_TENSORS, "its header claims {tensors} tensors, which no model has; it is damaged");
        ensure!(
            entries <= MAX_ENTRIES,
            "its header claims {entries} metadata entries, which no model has; it is damaged"
        );
        let mut metadata = BTreeMap::new();
        for i in 0..entries {
            let (key, value) =
                reader.entry().with_context(|| format!("its metadata entry {i} of {entries} is damaged"))?;
            ensure!(metadata.insert(key, value).is_none(), "its metadata holds `{}` twice", key.escape_default());
        }
        let alignment = match metadata.get("general.alignment") {
            None => ALIGNMENT,
            Some(value) => {
                let given = value.unsigned().filter(|n| n.is_power_of_two() && (8..=1 << 20).contains(n));
                given.with_context(|| format!("general.alignment is {value}, expected a power of two from 8 on"))?
            }
        };
        let mut described = Vec::new();
        for i in 0..tensors {
            described.push(tensor(&mut reader).with_context(|| format!("its tensor {i} of {tensors} is damaged"))?);
        }
        let data = (reader.at as u64).next_multiple_of(alignment);
        let tensors = placed(described, data, alignment, file_len)?;
        let all_known = tensors.iter().all(|tensor| stored(tensor.kind).is_some());
        let last = tensors.iter().map(|tensor| tensor.start as u64 + tensor.len as u64).max().unwrap_or(data);
        let end = all_known.then(|| last.next_multiple_of(alignment));
        Ok(Self { metadata, tensors, end })
    }

    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<Value<'a>> {
        self.metadata.get(key).copied()
    }

    /// The whole number of `key`; `None` if the key is missing.
    ///
    /// # Errors
    /// If it has another type or is negative.
    pub fn number(&self, key: &str) -> Result<Option<u64>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let number = value.unsigned();
        Ok(Some(number.with_context(|| format!("{key} is {value}, expected a whole number"))?))
    }

    /// The positive, finite number of `key`; `None` if the key is missing.
    ///
    /// # Errors
    /// If it has another type or is not positive.
    pub fn positive(&self, key: &str) -> Result<Option<f64>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let number = value.number().filter(|number| number.is_finite() && *number > 0.0);
        Ok(Some(number.with_context(|| format!("{key} is {value}, expected a positive number"))?))
    }

    /// The text of `key`; `None` if the key is missing.
    ///
    /// # Errors
    /// If it has another type.
    pub fn text(&self, key: &str) -> Result<Option<&'a str>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        Ok(Some(value.text().with_context(|| format!("{key} is {value}, expected text"))?))
    }
}

/// Gives every tensor its place in the file, and checks it.
fn placed(described: Vec<(Tensor, u64)>, data: u64, alignment: u64, file_len: u64) -> Result<Vec<Tensor>> {
    let mut tensors = Vec::with_capacity(described.len());
    for (mut tensor, offset) in described {
        let name = tensor.name.escape_debug().to_string();
        ensure!(offset % alignment == 0, "tensor `{name}` lies at {offset}, which is not a multiple of {alignment}");
        let width = tensor.shape.last().copied().unwrap_or(1);
        let rows: usize = tensor.shape.iter().rev().skip(1).product();
        if let Some(stored) = stored(tensor.kind) {
            let bytes = stored.bytes(width);
            let bytes =
                bytes.with_context(|| format!("tensor `{name}`: rows of {width} are not whole {stored} blocks"))?;
            tensor.len =
                bytes.checked_mul(rows).with_context(|| format!("tensor `{name}` claims an impossible size"))?;
        }
        let start = data.checked_add(offset);
        let end = start.and_then(|start| start.checked_add(tensor.len as u64));
        match (start.map(usize::try_from), end) {
            (Some(Ok(start)), Some(end)) if end <= file_len => tensor.start = start,
            _ => {
                let end = end.map_or_else(|| "an impossible number of".to_owned(), |end| end.to_string());
                bail!(
                    "it is incomplete: tensor `{name}` ends at {end} bytes, the file has {file_len}; download it again"
                );
            }
        }
        tensors.push(tensor);
    }
    let mut order: Vec<&Tensor> = tensors.iter().filter(|tensor| tensor.len > 0).collect();
    order.sort_by_key(|tensor| tensor.start);
    for pair in order.windows(2) {
        ensure!(
            pair[0].start + pair[0].len <= pair[1].start,
            "tensors `{}` and `{}` overlap; it is damaged",
            pair[0].name.escape_debug(),
            pair[1].name.escape_debug()
        );
    }
    Ok(tensors)
}

/// A tensor and its offset in the data.
fn tensor(reader: &mut Reader) -> Result<(Tensor, u64)> {
    let name = reader.name()?.to_owned();
    let dims = reader.u32()?;
    ensure!((1..=4).contains(&dims), "tensor `{}` has {dims} dimensions", name.escape_debug());
    let mut shape = Vec::new();
    for _ in 0..dims {
        let dim = reader.u64()?;
        ensure!((1..1 << 40).contains(&dim), "tensor `{}` has a dimension of {dim}", name.escape_debug());
        shape.push(usize::try_from(dim)?);
    }
    shape.reverse();
    let count = shape.iter().try_fold(1usize, |n, dim| n.checked_mul(*dim));
    ensure!(count.is_some(), "tensor `{}` claims an impossible size", name.escape_debug());
    let kind = reader.u32()?;
    let offset = reader.u64()?;
    Ok((Tensor { name, shape, kind, start: 0, len: 0 }, offset))
}
