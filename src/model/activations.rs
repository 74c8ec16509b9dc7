//! The activations of one forward pass, by the names of their hooks.

use super::pass::Hooks;
use crate::trace::{Dims, Hook};
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::ops::Range;

/// One value of the pass.
#[derive(Clone, Debug, PartialEq)]
pub struct Activation<T> {
    /// Row-major shape.
    pub shape: Vec<usize>,
    /// The numbers.
    pub values: Vec<T>,
}

impl<T> Activation<T> {
    /// The values at index `i` of the first dimension: a position, or a head of a pattern.
    ///
    /// # Panics
    /// If `i` is outside the first dimension.
    pub fn row(&self, i: usize) -> &[T] {
        let width = self.shape.iter().skip(1).product::<usize>();
        &self.values[i * width..][..width]
    }
}

/// Keeps activations of a pass: all of them, or those of some hooks. A second pass replaces what the first one left.
pub struct Activations {
    dims: Dims,
    /// `None` keeps all.
    only: Option<Vec<Hook>>,
    values: BTreeMap<Hook, Activation<f32>>,
    ids: BTreeMap<Hook, Activation<u32>>,
}

impl Activations {
    /// Keeps every activation.
    pub fn all(dims: Dims) -> Self {
        Self { dims, only: None, values: BTreeMap::new(), ids: BTreeMap::new() }
    }

    /// Keeps the activations at these hooks.
    pub fn only(dims: Dims, hooks: impl IntoIterator<Item = Hook>) -> Self {
        Self { only: Some(hooks.into_iter().collect()), ..Self::all(dims) }
    }

    /// The shape of `len` values: an edited layer may take another number of experts.
    fn shape(&self, hook: Hook, positions: Range<usize>, len: usize) -> Vec<usize> {
        let mut shape = hook.kind.shape_at(self.dims, positions);
        if shape.iter().product::<usize>() != len && shape.len() > 1 {
            shape[1] = len / (shape[0] * shape[2..].iter().product::<usize>()).max(1);
        }
        shape
    }

    /// The hooks whose activations were kept, in the order of the pass.
    pub fn hooks(&self) -> Vec<Hook> {
        let mut hooks: Vec<Hook> = self.values.keys().chain(self.ids.keys()).copied().collect();
        hooks.sort_by_key(|hook| hook.order());
        hooks
    }

    /// The activation with this name, such as `blocks.0.attn.hook_pattern`.
    ///
    /// # Errors
    /// If there is no such hook, it was not kept, or it holds expert indices.
    pub fn get(&self, name: &str) -> Result<&Activation<f32>> {
        let hook: Hook = name.parse()?;
        if self.ids.contains_key(&hook) {
            bail!("`{name}` holds expert indices: read it with `ids`");
        }
        self.values.get(&hook).with_context(|| not_kept(name))
    }

    /// The expert indices with this name, such as `blocks.0.mlp.hook_expert_indices`.
    ///
    /// # Errors
    /// If there is no such hook, it was not kept, or it holds no indices.
    pub fn ids(&self, name: &str) -> Result<&Activation<u32>> {
        let hook: Hook = name.parse()?;
        if self.values.contains_key(&hook) {
            bail!("`{name}` holds no indices: read it with `get`");
        }
        self.ids.get(&hook).with_context(|| not_kept(name))
    }
}

fn not_kept(name: &str) -> String {
    format!("the activations at `{name}` were not kept")
}

impl Hooks for Activations {
    fn wants(&self, hook: Hook) -> bool {
        self.only.as_ref().is_none_or(|only| only.contains(&hook))
    }

    fn at(&mut self, hook: Hook, value: &mut [f32], positions: Range<usize>) -> Result<()> {
        let shape = self.shape(hook, positions, value.len());
        self.values.insert(hook, Activation { shape, values: value.to_vec() });
        Ok(())
    }

    fn at_ids(&mut self, hook: Hook, ids: &mut [u32], positions: Range<usize>) -> Result<()> {
        let shape = self.shape(hook, positions, ids.len());
        self.ids.insert(hook, Activation { shape, values: ids.to_vec() });
        Ok(())
    }
}
