//! Model directories: `model.safetensors`, or shards with an index.

use super::{Bytes, Entry, Store, Stored, safetensors_header as header};
use crate::trace::{Level, Report};
use anyhow::{Context, Result, ensure};
use safetensors::tensor::Dtype as StDtype;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path};

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
/// Larger indices than any model has are not read, bytes.
const MAX_INDEX: u64 = 64 << 20;

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

    /// Maps the safetensors files of `dir`: `model.safetensors`, or the shards that its index names.
    ///
    /// # Errors
    /// If there is none, one can't be read or is damaged, or the index names a file that is missing or outside `dir`.
    pub fn open(dir: &Path, report: &mut Report) -> Result<Self> {
        let mut store = Self::new(false);
        let index_path = dir.join(INDEX);
        if !index_path.exists() {
            let path = dir.join(SINGLE);
            ensure!(
                path.exists(),
                "no {SINGLE} and no {INDEX} in {}; a model directory holds config.json and safetensors files",
                dir.display()
            );
            store.add_file(&path)?;
            return Ok(store);
        }
        let index = read_index(&index_path)?;
        for shard in index.values().collect::<BTreeSet<_>>() {
            let path = dir.join(shard);
            let needed = index.values().filter(|name| *name == shard).count();
            ensure!(
                path.exists(),
                "shard {shard} named by {INDEX} does not exist in {} (needed for {needed} tensors); download it",
                dir.display()
            );
            let first = store.tensors().len();
            store.add_file(&path)?;
            let added = store.tensors().len() - first;
            report.add(Level::Ok, shard, "a shard inside the folder", format!("{added} tensors"), "");
        }
        for (name, shard) in &index {
            ensure!(
                store.tensors().contains_key(name),
                "{INDEX} says that `{name}` is in {shard}, but it is not there"
            );
        }
        Ok(store)
    }

    fn add_file(&mut self, path: &Path) -> Result<()> {
        self.add_safetensors(Bytes::map(path)?).with_context(|| format!("cannot use {}", path.display()))
    }

    fn add_safetensors(&mut self, bytes: Bytes) -> Result<()> {
        let described = header::read(bytes.as_slice())?;
        let shard = self.add_shard(bytes);
        for tensor in described {
            let stored = match tensor.dtype {
                StDtype::F32 => Some(Stored::F32),
                StDtype::F16 => Some(Stored::F16),
                StDtype::BF16 => Some(Stored::Bf16),
                _ => None,
            };
            let type_name = format!("{:?}", tensor.dtype);
            let entry = Entry { shard, stored, type_name, shape: tensor.shape, start: tensor.start, len: tensor.len };
            self.add(tensor.name, entry)?;
        }
        Ok(())
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
    let index: Index = serde_json::from_slice(text).context("it is not a safetensors index (no weight_map)")?;
    for shard in index.weight_map.values() {
        let inside = Path::new(shard).components().all(|part| matches!(part, Component::Normal(_)));
        ensure!(
            inside && !shard.is_empty() && !shard.contains('\\'),
            "{INDEX} names the shard `{shard}`, which leaves the model directory; refused, the file was not opened"
        );
    }
    Ok(index.weight_map)
}
