//! Reading the safetensors container.

use super::tensor::{TraceFile, TraceTensor, Values};
use crate::trace::{Dtype, HookKind, NO_EXPERT};
use anyhow::{Context, Result, bail, ensure};
use half::{bf16, f16};
use safetensors::tensor::{Dtype as StDtype, SafeTensors};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// The trace version that is written, and the largest that is read.
pub(super) const VERSION: u32 = 1;
/// The value of the metadata key `format`.
pub const FORMAT: &str = "mixscope-trace";
/// The largest header that safetensors allows, bytes.
pub const LARGEST_HEADER: u64 = 100_000_000;

impl TraceFile {
    /// Reads `path`.
    ///
    /// # Errors
    /// If it can't be read, is not safetensors, or is a trace of a newer version.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&bytes).with_context(|| format!("{} is not a readable trace", path.display()))
    }

    /// Reads the bytes of a trace file, or of any safetensors file with tensors of floating-point numbers or integers.
    ///
    /// # Errors
    /// As [`TraceFile::read`].
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let file = SafeTensors::deserialize(bytes)?;
        let (_, header) = SafeTensors::read_metadata(bytes)?;
        let metadata = header.metadata().clone().unwrap_or_default();
        check_version(&metadata)?;
        let mut tensors = BTreeMap::new();
        for (name, view) in file.iter() {
            let tensor = decode(name, view.dtype(), view.shape().to_vec(), view.data())?;
            tensors.insert(name.to_owned(), tensor);
        }
        Ok(Self { metadata, tensors })
    }

    /// Checks that the metadata are those of a trace.
    ///
    /// # Errors
    /// If they are not.
    pub fn check_format(&self) -> Result<()> {
        check_format(&self.metadata)
    }
}

/// Checks that this program can read the version, if the metadata name one.
pub(super) fn check_version(metadata: &HashMap<String, String>) -> Result<()> {
    if let Some(version) = metadata.get("version") {
        let newer = version.parse::<u32>().map_or(true, |version| version > VERSION);
        ensure!(!newer, "it has version {version}, this program reads version {VERSION}: update mixscope");
    }
    Ok(())
}

/// Checks that the metadata are those of a trace.
pub(super) fn check_format(metadata: &HashMap<String, String>) -> Result<()> {
    let found = metadata.get("format").map_or("none", String::as_str);
    ensure!(found == FORMAT, "metadata `format`: expected `{FORMAT}`, found {found:?}; this is not a mixscope trace");
    ensure!(metadata.contains_key("version"), "metadata `version`: expected {VERSION}, found none");
    Ok(())
}

/// Decodes one tensor from its stored bytes.
pub(super) fn decode(name: &str, stored: StDtype, shape: Vec<usize>, data: &[u8]) -> Result<TraceTensor> {
    let (dtype, values) = match stored {
        StDtype::F32 => (Dtype::F32, Values::F32(words(data, f32::from_le_bytes))),
        StDtype::BF16 => (Dtype::Bf16, Values::F32(words(data, |b| bf16::from_le_bytes(b).to_f32()))),
        StDtype::F16 => (Dtype::F16, Values::F32(words(data, |b| f16::from_le_bytes(b).to_f32()))),
        StDtype::U32 => (Dtype::F32, Values::U32(words(data, u32::from_le_bytes))),
        StDtype::I64 => integers(name, words(data, i64::from_le_bytes))?,
        StDtype::I32 => integers(name, words(data, i32::from_le_bytes))?,
        StDtype::I16 => integers(name, words(data, i16::from_le_bytes))?,
        StDtype::U64 => integers(name, words(data, u64::from_le_bytes))?,
        StDtype::U16 => integers(name, words(data, u16::from_le_bytes))?,
        StDtype::U8 => integers(name, words(data, u8::from_le_bytes))?,
        StDtype::F64 => (Dtype::F32, Values::F32(words(data, |bytes| f64::from_le_bytes(bytes) as f32))),
        other => bail!("its dtype is {other:?}; expected F32, F16, BF16, F64 or integers"),
    };
    Ok(TraceTensor { shape, dtype, values })
}

/// Ids and indices.
fn integers<T: TryInto<u32> + Copy + std::fmt::Display>(name: &str, wide: Vec<T>) -> Result<(Dtype, Values)> {
    let narrow = wide.into_iter().enumerate().map(|(i, id)| {
        let is_empty_slot = || name.ends_with(HookKind::ExpertIndices.suffix()) && id.to_string() == "-1";
        let id_or_slot = id.try_into().ok().or_else(|| is_empty_slot().then_some(NO_EXPERT));
        id_or_slot.with_context(|| format!("`{name}`: number {i} is {id}, expected an id or an index"))
    });
    Ok((Dtype::F32, Values::U32(narrow.collect::<Result<_>>()?)))
}

fn words<const N: usize, T>(data: &[u8], read: impl Fn([u8; N]) -> T) -> Vec<T> {
    data.as_chunks::<N>().0.iter().map(|bytes| read(*bytes)).collect()
}
