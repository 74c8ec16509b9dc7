use super::names::{Part, Place, place};
use super::{Bytes, Matrix, Residency, Stored};
use crate::model::config::Config;
use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeMap;

/// Where one tensor is stored.
#[derive(Clone)]
pub struct Entry {
    pub(super) shard: usize,
    /// How its numbers are stored; `None` if that can't be read.
    pub stored: Option<Stored>,
    /// The file's own name of the type.
    pub type_name: String,
    /// Row-major shape.
    pub shape: Vec<usize>,
    pub(super) start: usize,
    pub(super) len: usize,
}

impl Entry {
    /// Bytes it takes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// What the tensors are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// As in the official checkpoints and what transformers writes.
    Official,
    /// As transformers 5 holds them in memory: all experts of a layer in two tensors.
    Fused,
    /// As llama.cpp calls them.
    Gguf {
        /// Every expert in tensors of its own (files from before 2024-04).
        split: bool,
    },
}

/// All tensors of a model, by name, in files that stay mapped.
pub struct Store {
    shards: Vec<Bytes>,
    tensors: BTreeMap<String, Entry>,
    is_gguf: bool,
}

impl Store {
    /// No tensors yet.
    pub(super) fn new(is_gguf: bool) -> Self {
        Self { shards: Vec::new(), tensors: BTreeMap::new(), is_gguf }
    }

    /// Adds a file; the entries of its tensors follow.
    pub(super) fn add_shard(&mut self, bytes: Bytes) -> usize {
        self.shards.push(bytes);
        self.shards.len() - 1
    }

    /// Adds a tensor.
    pub(super) fn add(&mut self, name: String, entry: Entry) -> Result<()> {
        if let Some(other) = self.tensors.get(&name) {
            bail!("tensor `{name}` is in {}", if other.shard == entry.shard { "it twice" } else { "two shards" });
        }
        self.tensors.insert(name, entry);
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

    /// What the tensors are called.
    pub fn naming(&self) -> Naming {
        let has = |name: &str| self.tensors.contains_key(name);
        if self.is_gguf {
            Naming::Gguf { split: !has("blk.0.ffn_gate_exps.weight") && has("blk.0.ffn_gate.0.weight") }
        } else if has("model.layers.0.mlp.experts.gate_up_proj") {
            Naming::Fused
        } else {
            Naming::Official
        }
    }

    /// How much of all weights is in memory, from a few pages of every tensor.
    pub fn residency(&self) -> Residency {
        let of = |entry: &Entry| self.shards[entry.shard].residency(entry.start, entry.len);
        self.tensors.values().map(of).fold(Residency::default(), Residency::and)
    }

    /// The part as a matrix (a vector has one row).
    ///
    /// # Errors
    /// If it is missing, has another shape, or a type that can't be read.
    pub fn matrix(&self, part: Part, config: &Config) -> Result<Matrix> {
        let Place { name, shape, first, rows, cols, paired } = place(part, config, self.naming());
        let entry = self.tensors.get(&name).with_context(|| format!("missing tensor `{name}` (expected {shape:?})"))?;
        ensure!(entry.shape == shape, "tensor `{name}`: expected {shape:?}, found {:?}", entry.shape);
        let stored = entry.stored.with_context(|| format!("tensor `{name}` has type {}", entry.type_name))?;
        let width =
            stored.bytes(cols).with_context(|| format!("tensor `{name}`: rows of {cols} are not whole blocks"))?;
        ensure!(
            (first + rows).checked_mul(width).is_some_and(|end| end <= entry.len),
            "tensor `{name}` holds {} bytes, too few for {shape:?}",
            entry.len
        );
        let start = entry.start + first * width;
        Ok(Matrix { bytes: self.shards[entry.shard].clone(), start, rows, cols, width, stored, paired })
    }
}
