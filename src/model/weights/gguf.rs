//! Reading a GGUF header without trusting it (format: ggml's `docs/gguf.md`, versions 2 and 3).

use super::{Bytes, Entry, Store, Stored};
use crate::model::kernels::Block;
use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

/// Metadata entries and tensors of a file; real files have tens and a few thousand.
const MAX_ENTRIES: u64 = 1 << 16;
const MAX_TENSORS: u64 = 1 << 18;
/// Bytes of a key or a tensor's name (the format's own limit).
const MAX_NAME: u64 = 1 << 16;
/// Alignment of the data where the file does not say.
const ALIGNMENT: u64 = 32;

/// A metadata value; text and arrays stay where they are in the file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// Any unsigned integer.
    Unsigned(u64),
    /// Any signed integer.
    Signed(i64),
    /// Any float.
    Float(f64),
    /// A truth value.
    Bool(bool),
    /// Text as it is in the file, which may not be UTF-8.
    Text(&'a [u8]),
    /// Values of one type.
    Array(Array<'a>),
}

impl<'a> Value<'a> {
    /// A whole number that is not negative.
    pub fn unsigned(self) -> Option<u64> {
        match self {
            Self::Unsigned(n) => Some(n),
            Self::Signed(n) => u64::try_from(n).ok(),
            _ => None,
        }
    }

    /// A number.
    pub fn number(self) -> Option<f64> {
        match self {
            Self::Unsigned(n) => Some(n as f64),
            Self::Signed(n) => Some(n as f64),
            Self::Float(x) => Some(x),
            _ => None,
        }
    }

    /// Text.
    pub fn text(self) -> Option<&'a str> {
        match self {
            Self::Text(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    /// A truth value.
    pub fn bool(self) -> Option<bool> {
        match self {
            Self::Bool(is) => Some(is),
            _ => None,
        }
    }

    /// An array.
    pub fn array(self) -> Option<Array<'a>> {
        match self {
            Self::Array(array) => Some(array),
            _ => None,
        }
    }
}

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Array(array) => write!(f, "an array of {}", array.len()),
            Self::Text(bytes) => {
                write!(f, "`{}`", bytes.escape_ascii().to_string().chars().take(40).collect::<String>())
            }
            Self::Unsigned(n) => n.fmt(f),
            Self::Signed(n) => n.fmt(f),
            Self::Float(x) => x.fmt(f),
            Self::Bool(is) => is.fmt(f),
        }
    }
}

/// An array that was checked to lie within the file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Array<'a> {
    kind: u32,
    len: usize,
    bytes: &'a [u8],
}

impl<'a> Array<'a> {
    /// Number of values.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The values in order.
    pub fn iter(&self) -> impl Iterator<Item = Value<'a>> + use<'a> {
        let (kind, mut reader) = (self.kind, Reader { bytes: self.bytes, at: 0 });
        (0..self.len).map_while(move |_| reader.value(kind).ok())
    }
}

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

/// What a GGUF file says of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Header<'a> {
    /// Metadata by key.
    pub metadata: BTreeMap<&'a str, Value<'a>>,
    /// The tensors, all of them within the file.
    pub tensors: Vec<Tensor>,
}

/// The floating-point or block type behind a number of ggml's.
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
    /// If it is no GGUF, of a version that can't be read, or lies about a count, a length or an offset.
    pub fn read(bytes: &'a [u8], file_len: u64) -> Result<Self> {
        let mut reader = Reader { bytes, at: 0 };
        ensure!(reader.take(4).is_ok_and(|magic| magic == b"GGUF"), "it does not begin with `GGUF`: not a GGUF file");
        let version = reader.u32()?;
        match version {
            2 | 3 => {}
            1 => bail!("it is GGUF version 1, of the format's first weeks; convert the model again"),
            v if (1..=3).contains(&v.swap_bytes()) => bail!("it is a big-endian GGUF, which is not supported"),
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
            described.push(reader.tensor().with_context(|| format!("its tensor {i} of {tensors} is damaged"))?);
        }
        let data = (reader.at as u64).next_multiple_of(alignment);
        let tensors = placed(described, data, alignment, file_len)?;
        Ok(Self { metadata, tensors })
    }

    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<Value<'a>> {
        self.metadata.get(key).copied()
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

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        let taken = self.at.checked_add(len).and_then(|end| self.bytes.get(self.at..end));
        let taken = taken.with_context(|| {
            format!("it says that {len} bytes follow at byte {}, but the file ends at {}", self.at, self.bytes.len())
        })?;
        self.at += len;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn text(&mut self) -> Result<&'a [u8]> {
        let len = self.u64()?;
        self.take(usize::try_from(len).with_context(|| format!("a text claims {len} bytes"))?)
    }

    fn name(&mut self) -> Result<&'a str> {
        let name = self.text()?;
        ensure!(name.len() as u64 <= MAX_NAME, "a name has {} bytes", name.len());
        std::str::from_utf8(name).context("a name is not UTF-8")
    }

    fn entry(&mut self) -> Result<(&'a str, Value<'a>)> {
        let key = self.name()?;
        let kind = self.u32()?;
        let value = self.value(kind).with_context(|| format!("the value of `{}`", key.escape_default()))?;
        Ok((key, value))
    }

    fn value(&mut self, kind: u32) -> Result<Value<'a>> {
        Ok(match kind {
            0 => Value::Unsigned(self.array::<1>()?[0].into()),
            1 => Value::Signed(i8::from_le_bytes(self.array()?).into()),
            2 => Value::Unsigned(u16::from_le_bytes(self.array()?).into()),
            3 => Value::Signed(i16::from_le_bytes(self.array()?).into()),
            4 => Value::Unsigned(self.u32()?.into()),
            5 => Value::Signed(i32::from_le_bytes(self.array()?).into()),
            6 => Value::Float(f32::from_le_bytes(self.array()?).into()),
            7 => Value::Bool(self.array::<1>()?[0] != 0),
            8 => Value::Text(self.text()?),
            9 => Value::Array(self.values()?),
            10 => Value::Unsigned(self.u64()?),
            11 => Value::Signed(i64::from_le_bytes(self.array()?)),
            12 => Value::Float(f64::from_le_bytes(self.array()?)),
            other => bail!("its type {other} is unknown"),
        })
    }

    /// An array; nothing is kept of it but where it is.
    fn values(&mut self) -> Result<Array<'a>> {
        let kind = self.u32()?;
        let claimed = self.u64()?;
        let len = usize::try_from(claimed).with_context(|| format!("an array claims {claimed} values"))?;
        let from = self.at;
        let size = match kind {
            0 | 1 | 7 => 1,
            2 | 3 => 2,
            4..=6 => 4,
            10..=12 => 8,
            8 => {
                for _ in 0..len {
                    self.text()?;
                }
                return Ok(Array { kind, len, bytes: &self.bytes[from..self.at] });
            }
            9 => bail!("an array of arrays, which no model file has"),
            other => bail!("an array of the unknown type {other}"),
        };
        let bytes = len.checked_mul(size).with_context(|| format!("an array claims {len} values"))?;
        Ok(Array { kind, len, bytes: self.take(bytes)? })
    }

    /// A tensor and its offset in the data.
    fn tensor(&mut self) -> Result<(Tensor, u64)> {
        let name = self.name()?.to_owned();
        let dims = self.u32()?;
        ensure!((1..=4).contains(&dims), "tensor `{}` has {dims} dimensions", name.escape_debug());
        let mut shape = Vec::new();
        for _ in 0..dims {
            let dim = self.u64()?;
            ensure!((1..1 << 40).contains(&dim), "tensor `{}` has a dimension of {dim}", name.escape_debug());
            shape.push(usize::try_from(dim)?);
        }
        shape.reverse();
        let count = shape.iter().try_fold(1usize, |n, dim| n.checked_mul(*dim));
        ensure!(count.is_some(), "tensor `{}` claims an impossible size", name.escape_debug());
        let kind = self.u32()?;
        let offset = self.u64()?;
        Ok((Tensor { name, shape, kind, start: 0, len: 0 }, offset))
    }
}

/// A GGUF file of one or several parts: the bytes of the first, which holds the metadata, and the tensors of all.
pub struct Opened {
    /// The first part.
    pub first: Bytes,
    /// All tensors.
    pub store: Store,
}

/// Maps a GGUF file, and the parts that belong to it if it is the first of several.
///
/// # Errors
/// If one can't be read or is damaged, or a part is missing.
pub fn open(path: &Path) -> Result<Opened> {
    let mut store = Store::new(true);
    let first = Bytes::map(path)?;
    let parts = add(&mut store, &first).with_context(|| format!("cannot use {}", path.display()))?;
    for part in 1..parts {
        let path = sibling(path, part, parts)?;
        let bytes = Bytes::map(&path).context("a part of the model can't be read; download all parts")?;
        add(&mut store, &bytes).with_context(|| format!("cannot use {}", path.display()))?;
    }
    Ok(Opened { first, store })
}

/// Adds the tensors of one file; returns how many parts the model has.
fn add(store: &mut Store, bytes: &Bytes) -> Result<u64> {
    let header = Header::read(bytes.as_slice(), bytes.as_slice().len() as u64)?;
    let number = |key: &str| header.get(key).and_then(Value::unsigned);
    let parts = number("split.count").unwrap_or(1).max(1);
    ensure!(parts < 10_000, "split.count is {parts}, which no model has");
    let shard = store.add_shard(bytes.clone());
    for Tensor { name, shape, kind, start, len } in header.tensors {
        let stored = stored(kind);
        let type_name = stored.map_or_else(|| format!("ggml type {kind}"), |stored| stored.name().to_owned());
        store.add(name, Entry { shard, stored, type_name, shape, start, len })?;
    }
    Ok(parts)
}

/// The name that llama.cpp gives to part `part` (from 0): `NAME-00002-of-00005.gguf`.
fn sibling(first: &Path, part: u64, parts: u64) -> Result<std::path::PathBuf> {
    let name = first.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let stem = name.strip_suffix(&format!("-00001-of-{parts:05}.gguf"));
    let stem = stem.with_context(|| {
        format!(
            "{name} is one of {parts} parts; open the first, NAME-00001-of-{parts:05}.gguf, with the others beside it"
        )
    })?;
    Ok(first.with_file_name(format!("{stem}-{:05}-of-{parts:05}.gguf", part + 1)))
}
