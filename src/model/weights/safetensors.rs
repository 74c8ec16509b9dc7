//! Model directories of safetensors files.

use super::folder::{INDEX, choose};
use super::{Bytes, Entry, Store, Stored, safetensors_header as header};
use crate::model::stand_in::stand_in;
use crate::trace::{Level, Report};
use anyhow::{Context, Result, anyhow, ensure};
use safetensors::tensor::Dtype as StDtype;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path};

/// Larger indices than any model has are not read, bytes.
const MAX_INDEX: u64 = 64 << 20;

/// Tensors that were in an earlier file already, by whether their numbers are the same.
#[derive(Default)]
struct Copies {
    equal: Vec<String>,
    other: Vec<String>,
}

/// The names in a folder.
///
/// # Errors
/// If it can't be read.
pub fn names(dir: &Path) -> Result<BTreeSet<String>> {
    let read = || -> std::io::Result<BTreeSet<String>> {
        std::fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    };
    read().with_context(|| format!("cannot read the folder {}", dir.display()))
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl Store {
    /// The tensors of a safetensors file that is part of the program.
    ///
    /// # Errors
    /// If it is damaged.
    pub fn embedded(bytes: &'static [u8]) -> Result<Self> {
        let mut store = Self::new(false);
        store.add_safetensors(Bytes::Static(bytes))?;
        Ok(store)
    }

    /// Maps the safetensors files of `dir`, as [`choose`] chooses them. Equal copies of a tensor count as one; of others the
    /// last counts, as in transformers.
    ///
    /// # Errors
    /// If there is none, one can't be read or is damaged, or the index names a file that is missing or outside `dir`.
    pub fn open(dir: &Path, report: &mut Report) -> Result<Self> {
        let mut store = Self::new(false);
        let names = names(dir)?;
        let index = || read_index(&dir.join(INDEX));
        let chosen = choose(dir, &names, index, report)?;
        let mut holders: Vec<&String> = Vec::new();
        for file in &chosen.files {
            let first = store.tensors().len();
            store.add_file(&dir.join(file), report)?;
            holders.push(file);
            let added = store.tensors().len() - first;
            if chosen.files.len() > 1 {
                report.add(Level::Ok, file, "a shard inside the folder", format!("{added} tensors"), "");
            }
        }
        if chosen.by_index {
            store.check_index(&index()?, &holders, report);
        }
        Ok(store)
    }

    /// Notes where the index is wrong about the shards, which say themselves what they hold.
    fn check_index(&self, index: &BTreeMap<String, String>, holders: &[&String], report: &mut Report) {
        let mut wrong = Vec::new();
        for (name, said) in index {
            match self.tensors().get(name).and_then(|entry| holders.get(entry.shard)) {
                None => wrong.push(format!("`{name}` is not in {said}")),
                Some(holder) if *holder != said => wrong.push(format!("`{name}` is in {holder}, not in {said}")),
                Some(_) => {}
            }
        }
        if let Some(first) = wrong.first() {
            let more = if wrong.len() > 1 { format!(", and {} more", wrong.len() - 1) } else { String::new() };
            let advice = "the shards are the truth: what they hold is used";
            report.add(Level::Warn, INDEX, "the shard of each tensor", format!("{first}{more}"), advice);
        }
    }

    fn add_file(&mut self, path: &Path, report: &mut Report) -> Result<()> {
        let copies =
            self.add_safetensors(Bytes::map(path)?).with_context(|| format!("cannot use {}", path.display()))?;
        let file = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if let Some(first) = copies.equal.first() {
            let found = format!("{} again, `{first}` first", copies.equal.len());
            report.add(Level::Note, &file, "each tensor once", found, "the numbers are the same");
        }
        if let Some(first) = copies.other.first() {
            let found = format!("{} again with other numbers, `{first}` first", copies.other.len());
            report.add(Level::Warn, &file, "each tensor once", found, "the last file's are used, as in transformers");
        }
        Ok(())
    }

    fn add_safetensors(&mut self, bytes: Bytes) -> Result<Copies> {
        let described = header::read(bytes.as_slice())?;
        let shard = self.add_shard(bytes);
        let mut copies = Copies::default();
        for tensor in described {
            let stored = match tensor.dtype {
                StDtype::F32 => Some(Stored::F32),
                StDtype::F16 => Some(Stored::F16),
                StDtype::BF16 => Some(Stored::Bf16),
                _ => None,
            };
            let type_name = format!("{:?}", tensor.dtype);
            let (shape, start, len) = (tensor.shape, tensor.start, tensor.len);
            let entry = Entry { shard, stored, type_name, shape, start, len, scales: None };
            match self.replace(tensor.name.clone(), entry) {
                None => {}
                Some(true) => copies.equal.push(tensor.name),
                Some(false) => copies.other.push(tensor.name),
            }
        }
        Ok(copies)
    }
}

/// Tensor → shard, every shard a file name inside the folder.
fn read_index(path: &Path) -> Result<BTreeMap<String, String>> {
    let name = path.display();
    let len = path.metadata().with_context(|| format!("cannot read {name}"))?.len();
    ensure!(len <= MAX_INDEX, "{name} has {len} bytes, which no index has");
    let text = std::fs::read(path).with_context(|| format!("cannot read {name}"))?;
    parse_index(&text).with_context(|| format!("cannot use {name}"))
}

/// The `weight_map` of an index file: tensor → shard.
///
/// # Errors
/// If it is not an index, or a shard's name leaves the model's folder.
pub fn parse_index(text: &[u8]) -> Result<BTreeMap<String, String>> {
    let index: Index = serde_json::from_slice(text).map_err(|error| match stand_in(text) {
        Some(other) => anyhow!("{other}"),
        None => anyhow!("it is not a safetensors index with a weight_map: {error}"),
    })?;
    for shard in index.weight_map.values() {
        let inside = Path::new(shard).components().all(|part| matches!(part, Component::Normal(_)));
        ensure!(
            inside && !shard.is_empty() && !shard.contains('\\'),
            "{INDEX} names the shard `{shard}`, which leaves the model directory; refused, the file was not opened"
        );
    }
    Ok(index.weight_map)
}
