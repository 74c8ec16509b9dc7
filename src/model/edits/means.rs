//! Means of outputs over the positions of a prompt.

use crate::control::Control;
use crate::model::pass::{Hooks, Model};
use crate::model::precision::Precision;
use crate::trace::{Change, Dims, Edit, Hook, HookKind as K, Part};
use anyhow::Result;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Tokens of one pass.
const CHUNK: usize = 64;

/// The mean output of heads, experts and blocks over a prompt that is read without edits. The mean of an expert is over the
/// tokens that chose it; there is none if no token did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Means {
    /// By layer, hook and index in the layer.
    found: BTreeMap<(usize, K, usize), Vec<f32>>,
    /// The hooks whose means were taken.
    of: BTreeSet<Hook>,
}

impl Means {
    /// The means that these edits use.
    pub fn over<'a>(
        ids: &[u32],
        edits: impl Iterator<Item = &'a Edit>,
        model: &Model,
        precision: Precision,
        control: &Control,
    ) -> Result<Self> {
        let dims = model.dims();
        let wanted = edits.flat_map(|edit| hooks(edit, dims)).collect();
        let mut sums = Sums { dims, wanted, chosen: Vec::new(), sums: BTreeMap::new() };
        if sums.wanted.is_empty() {
            return Ok(Self::default());
        }
        let mut cache = model.new_cache();
        for chunk in ids.chunks(CHUNK) {
            model.forward(chunk, &mut cache, precision, &mut sums, &control.quiet())?;
        }
        let mean = |(sum, count): (Vec<f64>, usize)| sum.into_iter().map(|x| (x / count as f64) as f32).collect();
        Ok(Self { found: sums.sums.into_iter().map(|(key, sum)| (key, mean(sum))).collect(), of: sums.wanted })
    }

    /// Whether they are all that these edits use.
    pub fn cover<'a>(&self, mut edits: impl Iterator<Item = &'a Edit>, dims: Dims) -> bool {
        edits.all(|edit| hooks(edit, dims).iter().all(|hook| self.of.contains(hook)))
    }

    /// The mean output of a part; `index` is that of the head or expert.
    pub fn of(&self, layer: usize, part: &Part, index: usize) -> Option<&[f32]> {
        self.found.get(&(layer, hook(part), index)).map(Vec::as_slice)
    }
}

/// The hooks whose means an edit uses.
fn hooks(edit: &Edit, dims: Dims) -> Vec<Hook> {
    match &edit.change {
        Change::Mean(part) => edit.layers.below(dims.layers).into_iter().map(|layer| hook(part).at(layer)).collect(),
        _ => Vec::new(),
    }
}

fn hook(part: &Part) -> K {
    match part {
        Part::Experts(_) => K::ExpertOut,
        Part::Shared => K::SharedOut,
        Part::Heads(_) => K::Z,
        Part::Attn => K::AttnOut,
        Part::Mlp => K::MlpOut,
    }
}

/// Adds up outputs.
struct Sums {
    dims: Dims,
    wanted: BTreeSet<Hook>,
    /// The experts of the current layer `[rows, k]`.
    chosen: Vec<u32>,
    sums: BTreeMap<(usize, K, usize), (Vec<f64>, usize)>,
}

impl Hooks for Sums {
    fn wants(&self, hook: Hook) -> bool {
        let is_for_experts =
            hook.kind == K::ExpertIndices && self.wanted.contains(&Hook { kind: K::ExpertOut, ..hook });
        is_for_experts || self.wanted.contains(&hook)
    }

    fn at(&mut self, hook: Hook, value: &mut [f32], _: Range<usize>) -> Result<()> {
        let (pieces, width) = match hook.kind {
            K::Z => (self.dims.heads, self.dims.d_head),
            K::ExpertOut => (0, self.dims.d_model),
            _ => (1, self.dims.d_model),
        };
        for (piece, values) in value.chunks_exact(width).enumerate() {
            let index = if pieces == 0 { self.chosen[piece] as usize } else { piece % pieces };
            let sum = self.sums.entry((hook.layer as usize, hook.kind, index));
            let (sum, count) = sum.or_insert_with(|| (vec![0.0; width], 0));
            sum.iter_mut().zip(values).for_each(|(sum, x)| *sum += f64::from(*x));
            *count += 1;
        }
        Ok(())
    }

    fn at_ids(&mut self, _: Hook, ids: &mut [u32], _: Range<usize>) -> Result<()> {
        self.chosen = ids.to_vec();
        Ok(())
    }
}
