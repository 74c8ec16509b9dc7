//! The tensors of a model, by name.

use super::map::{Bytes, Residency};
use super::matrix::{Bias, Matrix, Scales};
use super::names::{Naming, Part, Place, place};
use super::stored::Stored;
use crate::model::arch::Arch;
use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeMap;
use std::sync::OnceLock;

/// Ends of the names of tensors that hold a matrix of all experts.
const FUSED: [&str; 2] = [".experts.gate_up_proj", ".input_linear.weight"];

/// One tensor in a file.
#[derive(Clone)]
pub struct Entry {
    pub(super) shard: usize,
    /// The type of its numbers; `None` if it can't be read.
    pub stored: Option<Stored>,
    /// The file's own name of the type.
    pub type_name: String,
    /// Row-major shape.
    pub shape: Vec<usize>,
    pub(super) start: usize,
    pub(super) len: usize,
    /// Shard and start of the scales, where these are apart: a byte for every 32 numbers.
    pub(super) scales: Option<(usize, usize)>,
}

impl Entry {
    /// Bytes it takes, without scales that are apart.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Bytes of scales that are apart.
    fn scales_len(&self) -> usize {
        self.scales.map_or(0, |_| self.len / 16)
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// All tensors of a model, by name, in files that stay mapped.
pub struct Store {
    shards: Vec<Bytes>,
    tensors: BTreeMap<String, Entry>,
    is_gguf: bool,
    /// Found when it is first asked for.
    naming: OnceLock<Naming>,
}

impl Store {
    /// No tensors yet.
    pub(super) fn new(is_gguf: bool) -> Self {
        Self { shards: Vec::new(), tensors: BTreeMap::new(), is_gguf, naming: OnceLock::new() }
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
        self.insert(name, entry);
        Ok(())
    }

    /// Adds a tensor in place of one of the same name. `None` if there was none, else whether it was the same.
    pub(super) fn replace(&mut self, name: String, entry: Entry) -> Option<bool> {
        let same = self.tensors.get(&name).map(|other| self.are_equal(other, &entry));
        self.insert(name, entry);
        same
    }

    /// Takes a tensor out.
    pub(super) fn remove(&mut self, name: &str) -> Option<Entry> {
        self.naming = OnceLock::new();
        self.tensors.remove(name)
    }

    fn insert(&mut self, name: String, entry: Entry) {
        self.naming = OnceLock::new();
        self.tensors.insert(name, entry);
    }

    /// Whether two tensors hold the same numbers in the same form.
    pub fn are_equal(&self, a: &Entry, b: &Entry) -> bool {
        a.type_name == b.type_name && a.shape == b.shape && self.bytes_of(a) == self.bytes_of(b)
    }

    /// Gives every tensor another name. Equal tensors may get the same one.
    ///
    /// # Errors
    /// If tensors with other numbers get the same name.
    pub(super) fn rename(&mut self, new: impl Fn(&str) -> String) -> Result<()> {
        let mut renamed: BTreeMap<String, (String, Entry)> = BTreeMap::new();
        for (name, entry) in std::mem::take(&mut self.tensors) {
            let to = new(&name);
            if let Some((other, first)) = renamed.get(&to)
                && !self.are_equal(first, &entry)
            {
                bail!(
                    "tensors `{other}` and `{name}` hold other numbers, and both are read as `{to}`; remove the wrong one"
                );
            }
            renamed.insert(to, (name, entry));
        }
        self.naming = OnceLock::new();
        self.tensors = renamed.into_iter().map(|(name, (_, entry))| (name, entry)).collect();
        Ok(())
    }

    /// Makes `name` another name of the tensor `of`.
    pub fn alias(&mut self, of: &str, name: &str) {
        if let Some(entry) = self.tensors.get(of).cloned() {
            self.insert(name.to_owned(), entry);
        }
    }

    /// Every tensor by name.
    pub fn tensors(&self) -> &BTreeMap<String, Entry> {
        &self.tensors
    }

    /// Bytes of all tensors.
    pub fn total_bytes(&self) -> u64 {
        self.tensors.values().map(|entry| (entry.len + entry.scales_len()) as u64).sum()
    }

    /// The bytes of the scales of one tensor, where these are apart.
    pub fn scales_of(&self, entry: &Entry) -> &[u8] {
        entry.scales.map_or(&[], |(shard, start)| &self.shards[shard].as_slice()[start..start + entry.scales_len()])
    }

    /// The stored bytes of one tensor.
    pub fn bytes_of(&self, entry: &Entry) -> &[u8] {
        &self.shards[entry.shard].as_slice()[entry.start..entry.start + entry.len]
    }

    /// The scheme of the tensors' names.
    pub fn naming(&self) -> Naming {
        *self.naming.get_or_init(|| {
            let has = |part: &str| self.tensors.keys().any(|name| name.contains(part));
            if self.is_gguf {
                Naming::Gguf { split: !has(".ffn_gate_exps.") && has(".ffn_gate.0.") }
            } else if FUSED.iter().any(|end| self.tensors.keys().any(|name| name.ends_with(end))) {
                Naming::Fused
            } else {
                Naming::Official
            }
        })
    }

    /// The share of all weights that is in memory, from a few pages of every tensor.
    pub fn residency(&self) -> Residency {
        let of = |entry: &Entry| self.shards[entry.shard].residency(entry.start, entry.len);
        self.tensors.values().map(of).fold(Residency::default(), Residency::and)
    }

    /// The part as a matrix (a vector has one row).
    ///
    /// # Errors
    /// If it is missing, has another shape, or a type that can't be read.
    pub fn matrix(&self, part: Part, arch: &Arch) -> Result<Matrix> {
        let Place { name, shape, first, rows, cols, step, paired } = place(part, arch, self.naming());
        let entry = self.tensors.get(&name).with_context(|| format!("missing tensor `{name}` (expected {shape:?})"))?;
        ensure!(entry.shape == shape, "tensor `{name}`: expected {shape:?}, found {:?}", entry.shape);
        let stored = entry.stored.with_context(|| format!("tensor `{name}` has type {}", entry.type_name))?;
        let width =
            stored.bytes(cols).with_context(|| format!("tensor `{name}`: rows of {cols} are not whole blocks"))?;
        ensure!(
            (first + 1 + (rows - 1) * step).checked_mul(width).is_some_and(|end| end <= entry.len),
            "tensor `{name}` holds {} bytes, too few for {shape:?}",
            entry.len
        );
        let start = entry.start + first * width;
        let (bytes, stride) = (self.shards[entry.shard].clone(), step * width);
        let scales = entry.scales.map(|(shard, start)| {
            let width = cols / 32;
            Scales { bytes: self.shards[shard].clone(), start: start + first * width, width, stride: step * width }
        });
        Ok(Matrix { bytes, start, rows, cols, width, stride, stored, paired, scales, bias: None })
    }

    /// The part with the bias of its products, if the model has one.
    ///
    /// # Errors
    /// As [`Store::matrix`].
    pub fn with_bias(&self, part: Part, arch: &Arch) -> Result<Matrix> {
        let (attn, moe) = (arch.attn, arch.moe);
        let bias = match part {
            Part::Q(l) if attn.qkv_bias => Part::QBias(l),
            Part::K(l) if attn.qkv_bias => Part::KBias(l),
            Part::V(l) if attn.qkv_bias => Part::VBias(l),
            Part::O(l) if attn.o_bias => Part::OBias(l),
            Part::Gate(l) if moe.bias => Part::GateBias(l),
            Part::Expert(l, e, which) if moe.bias => Part::ExpertBias(l, e, which),
            _ => return self.matrix(part, arch),
        };
        let after_rounding = matches!(part, Part::Expert(..));
        let mut values = self.matrix(bias, arch)?.to_f32();
        let matrix = self.matrix(part, arch)?;
        if let Some(d_head) = matrix.paired {
            values = unpaired(&values, d_head);
        }
        Ok(matrix.with_bias(Some(Bias { values, after_rounding })))
    }
}

/// The numbers of a vector whose heads are stored as adjacent pairs, in the order of components that transformers uses.
fn unpaired(values: &[f32], d_head: usize) -> Vec<f32> {
    let half = d_head / 2;
    let of_head = |head: &[f32]| (0..d_head).map(|i| head[2 * (i % half) + i / half]).collect::<Vec<_>>();
    values.chunks_exact(d_head).flat_map(of_head).collect()
}
