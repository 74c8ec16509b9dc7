use super::{Bytes, Matrix, header};
use crate::trace::{Dtype, Level, Report};
use anyhow::{Context, Result, bail, ensure};
use memmap2::Mmap;
use safetensors::tensor::Dtype as StDtype;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Component, Path};
use std::sync::Arc;

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// Where one tensor is stored.
#[derive(Clone)]
pub struct Entry {
    shard: usize,
    /// Type in the file; `None` if it is not a floating-point type that can be read.
    pub dtype: Option<Dtype>,
    /// The file's own name of the type.
    pub dtype_name: String,
    /// Row-major shape.
    pub shape: Vec<usize>,
    start: usize,
    len: usize,
}

/// All tensors of a model, by name, in files that stay mapped.
pub struct Store {
    shards: Vec<Bytes>,
    tensors: BTreeMap<String, Entry>,
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
        let mut store = Self { shards: Vec::new(), tensors: BTreeMap::new() };
        store.add_shard(Bytes::Static(bytes))?;
        Ok(store)
    }

    /// Maps the safetensors files of `dir`: `model.safetensors`, or the shards that its index names.
    ///
    /// # Errors
    /// If there is none, one can't be read or is damaged, or the index names a file that is missing or outside `dir`.
    pub fn open(dir: &Path, report: &mut Report) -> Result<Self> {
        let mut store = Self { shards: Vec::new(), tensors: BTreeMap::new() };
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
        let text = std::fs::read(&index_path).with_context(|| format!("cannot read {}", index_path.display()))?;
        let index: Index = serde_json::from_slice(&text)
            .with_context(|| format!("{} is not a safetensors index (no weight_map)", index_path.display()))?;
        let shards: BTreeSet<&str> = index.weight_map.values().map(String::as_str).collect();
        for &shard in &shards {
            let inside = Path::new(shard).components().all(|part| matches!(part, Component::Normal(_)));
            ensure!(
                inside && !shard.is_empty() && !shard.contains('\\'),
                "{INDEX} names the shard `{shard}`, which leaves the model directory; refused, the file was not opened"
            );
        }
        for &shard in &shards {
            let path = dir.join(shard);
            let needed = index.weight_map.values().filter(|name| *name == shard).count();
            ensure!(
                path.exists(),
                "shard {shard} named by {INDEX} does not exist in {} (needed for {needed} tensors); download it",
                dir.display()
            );
            let first = store.tensors.len();
            store.add_file(&path)?;
            let added = store.tensors.len() - first;
            report.add(Level::Ok, shard, "", format!("{added} tensors"), "");
        }
        for (name, shard) in &index.weight_map {
            ensure!(store.tensors.contains_key(name), "{INDEX} says that `{name}` is in {shard}, but it is not there");
        }
        Ok(store)
    }

    fn add_file(&mut self, path: &Path) -> Result<()> {
        let name = path.display();
        let file = File::open(path).with_context(|| format!("cannot open {name}"))?;
        let len = file.metadata().with_context(|| format!("cannot read {name}"))?.len();
        if len == 0 {
            bail!("{name} is empty; download it again");
        }
        // SAFETY: the map is only read. Another process that cuts the file short while it is mapped would
        // raise SIGBUS, as for every program that maps model files; the README says not to do that.
        let map = unsafe { Mmap::map(&file) }.with_context(|| format!("cannot map {name}"))?;
        self.add_shard(Bytes::Mapped(Arc::new(map))).with_context(|| format!("cannot use {name}"))
    }

    fn add_shard(&mut self, bytes: Bytes) -> Result<()> {
        let shard = self.shards.len();
        for tensor in header::read(bytes.as_slice())? {
            let dtype = match tensor.dtype {
                StDtype::F32 => Some(Dtype::F32),
                StDtype::F16 => Some(Dtype::F16),
                StDtype::BF16 => Some(Dtype::Bf16),
                _ => None,
            };
            let dtype_name = format!("{:?}", tensor.dtype);
            let entry = Entry { shard, dtype, dtype_name, shape: tensor.shape, start: tensor.start, len: tensor.len };
            if self.tensors.insert(tensor.name.clone(), entry).is_some() {
                bail!("tensor `{}` is in two shards", tensor.name);
            }
        }
        self.shards.push(bytes);
        Ok(())
    }

    /// Every tensor by name.
    pub fn tensors(&self) -> &BTreeMap<String, Entry> {
        &self.tensors
    }

    /// Bytes of all tensors.
    pub fn total_bytes(&self) -> u64 {
        self.tensors.values().map(|entry| entry.len as u64).sum()
    }

    /// The stored bytes of one tensor.
    pub fn bytes_of(&self, entry: &Entry) -> &[u8] {
        &self.shards[entry.shard].as_slice()[entry.start..entry.start + entry.len]
    }

    /// The tensor `name` as a matrix (a vector has one row).
    ///
    /// # Errors
    /// If it is missing, has another shape than `shape`, or a type that can't be read.
    pub fn matrix(&self, name: &str, shape: &[usize]) -> Result<Matrix> {
        let entry = self.tensors.get(name).with_context(|| format!("missing tensor `{name}` (expected {shape:?})"))?;
        ensure!(entry.shape == shape, "tensor `{name}`: expected {shape:?}, found {:?}", entry.shape);
        let dtype = entry.dtype.with_context(|| format!("tensor `{name}` has dtype {}", entry.dtype_name))?;
        let (rows, cols) = match shape {
            [cols] => (1, *cols),
            [rows, cols] => (*rows, *cols),
            _ => bail!("tensor `{name}`: expected one or two dimensions, found {shape:?}"),
        };
        Ok(Matrix { bytes: self.shards[entry.shard].clone(), start: entry.start, rows, cols, dtype })
    }
}
