//! GGUF files: one, or several parts of a model.

mod header;
mod value;

pub use header::{Header, Tensor, stored};
pub use value::{Array, Value};

use super::{Bytes, Entry, Store};
use crate::trace::{Level, Report};
use anyhow::{Context, Result, ensure};
use std::path::Path;

/// A GGUF file of one or several parts.
pub struct Opened {
    /// The first part, which holds the metadata.
    pub first: Bytes,
    /// The tensors of all parts.
    pub store: Store,
}

/// Maps a GGUF file, and the parts that belong to it if it is the first of several.
///
/// # Errors
/// If one can't be read or is damaged, or a part is missing.
pub fn open(path: &Path, report: &mut Report) -> Result<Opened> {
    let mut store = Store::new(true);
    let first = Bytes::map(path)?;
    let parts = add(&mut store, &first, path, report)?;
    for part in 1..parts {
        let path = sibling(path, part, parts)?;
        let bytes = Bytes::map(&path).context("a part of the model can't be read; download all parts")?;
        add(&mut store, &bytes, &path, report)?;
    }
    Ok(Opened { first, store })
}

/// Adds the tensors of one file; returns how many parts the model has.
fn add(store: &mut Store, bytes: &Bytes, path: &Path, report: &mut Report) -> Result<u64> {
    add_tensors(store, bytes, path, report).with_context(|| format!("cannot use {}", path.display()))
}

fn add_tensors(store: &mut Store, bytes: &Bytes, path: &Path, report: &mut Report) -> Result<u64> {
    let header = Header::read(bytes.as_slice(), bytes.as_slice().len() as u64)?;
    let number = |key: &str| header.get(key).and_then(Value::unsigned);
    let parts = number("split.count").unwrap_or(1).max(1);
    ensure!(parts < 10_000, "split.count is {parts}, which no model has");
    let rest = header.end.and_then(|end| bytes.as_slice().get(usize::try_from(end).ok()?..)).unwrap_or_default();
    ensure!(
        !rest.starts_with(b"GGUF"),
        "a second GGUF file begins after its last tensor: parts that end with .gguf are not joined with cat; open the first \
         of them, or join them with llama-gguf-split --merge"
    );
    if !rest.is_empty() {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let found = format!("{} bytes after it", rest.len());
        report.add(
            Level::Warn,
            name,
            "the last tensor at the end",
            found,
            "they are not read: was something appended?",
        );
    }
    let shard = store.add_shard(bytes.clone());
    for Tensor { name, shape, kind, start, len } in header.tensors {
        let stored = stored(kind);
        let type_name = stored.map_or_else(|| unreadable(kind), |stored| stored.name().to_owned());
        store.add(name, Entry { shard, stored, type_name, shape, start, len, scales: None })?;
    }
    Ok(parts)
}

/// The name that llama.cpp gives to part `part` (from 0): `NAME-00002-of-00005.gguf`.
fn sibling(first: &Path, part: u64, parts: u64) -> Result<std::path::PathBuf> {
    let name = first.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let stem = name.strip_suffix(&format!("-00001-of-{parts:05}.gguf"));
    let stem = stem.with_context(|| {
        format!(
            "{name} is one of {parts} parts; open the first, NAME-00001-of-{parts:05}.gguf, with the others in the same folder"
        )
    })?;
    Ok(first.with_file_name(format!("{stem}-{:05}-of-{parts:05}.gguf", part + 1)))
}

/// The name of a type that can't be read (ggml's `enum ggml_type`).
fn unreadable(kind: u32) -> String {
    let name = match kind {
        4 => "Q4_2, no longer used",
        5 => "Q4_3, no longer used",
        16 => "IQ2_XXS",
        17 => "IQ2_XS",
        18 => "IQ3_XXS",
        19 => "IQ1_S",
        21 => "IQ3_S",
        22 => "IQ2_S",
        24 => "I8",
        25 => "I16",
        26 => "I32",
        27 => "I64",
        28 => "F64",
        29 => "IQ1_M",
        31 => "Q4_0_4_4, no longer used",
        32 => "Q4_0_4_8, no longer used",
        33 => "Q4_0_8_8, no longer used",
        34 => "TQ1_0",
        35 => "TQ2_0",
        36 => "IQ4_NL_4_4, no longer used",
        37 => "IQ4_NL_4_8, no longer used",
        38 => "IQ4_NL_8_8, no longer used",
        40 => "NVFP4",
        other => return format!("ggml type {other}"),
    };
    format!("{name}, ggml type {kind}")
}
