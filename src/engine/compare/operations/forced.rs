//! A pass that reads the recording's value at every hook, so that each operation is compared on its own input.

use super::compared::{Compared, Scores};
use super::recorded::{Recorded, Sources};
use crate::analysis::diff::{Operation, WITHIN_ROUNDING};
use crate::analysis::routing::ranked;
use crate::engine::compare::exact_in;
use crate::model::Hooks;
use crate::trace::{Dtype, Hook, HookKind as K, Meta, TraceTensor, Values};
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::ops::Range;

/// Compares what a pass computes with the recording, and goes on with the recorded values.
pub struct Forced<'a> {
    recorded: Recorded<'a>,
    meta: &'a Meta,
    /// The operations that were compared.
    pub found: Vec<Operation>,
    /// Values of operations that are not direct, by another policy's pass, which went before.
    pub other: BTreeMap<Hook, Vec<f32>>,
    /// Only keeps the values of operations that are not direct, for the other pass.
    keeps: bool,
    /// Rotated queries, and the scores of attention that they give.
    queries: Vec<f32>,
    scores: Scores,
    /// The experts that are in force, `[pos, k]`.
    chosen: Vec<u32>,
    /// Tokens of the layer whose choice of experts is not recorded, and which rounding could turn.
    open: Vec<bool>,
}

impl<'a> Forced<'a> {
    /// Compares with `recorded`; with `keeps`, only values for another pass are kept.
    pub fn new(recorded: Recorded<'a>, meta: &'a Meta, keeps: bool) -> Self {
        Self {
            recorded,
            meta,
            found: Vec::new(),
            other: BTreeMap::new(),
            keeps,
            queries: Vec::new(),
            scores: Scores::default(),
            chosen: Vec::new(),
            open: vec![false; recorded.tokens],
        }
    }

    fn is_choice_recorded(&self, layer: usize) -> bool {
        let kinds = [K::RouterLogits, K::ExpertWeights, K::ExpertIndices];
        kinds.into_iter().any(|kind| self.recorded.holds(kind.at(layer)).is_some())
    }

    /// Whether the value is compared here: the stream between two layers has two names, and is compared under the first.
    fn compares(&self, hook: Hook) -> bool {
        let has = |hook: Hook| self.recorded.trace.has(&hook.to_string());
        match (hook.kind, hook.layer as usize) {
            (K::ResidPost, _) => true,
            (K::ResidPre, layer) if layer > 0 => has(hook) && has(K::ResidPost.at(layer - 1)),
            _ => has(hook),
        }
    }

    /// Notes what later comparisons need.
    fn settle(&mut self, hook: Hook, value: &[f32]) {
        match hook.kind {
            K::RotQ => self.queries = value.to_vec(),
            K::RotK => self.scores = Scores::of(&self.queries, value, self.meta.dims),
            K::RouterLogits => {
                let (layer, d) = (hook.layer as usize, self.meta.dims);
                let is_recorded = self.is_choice_recorded(layer);
                let dtype = self.meta.activation_dtype();
                let is_open = |row: &[f32]| {
                    let order = ranked(row);
                    let (Some(last), Some(first_out)) = (order.get(d.top_k - 1), order.get(d.top_k)) else { return false };
                    let (a, b) = (row[*last], row[*first_out]);
                    let room = match dtype {
                        Dtype::F32 => 1e-4 * a.abs().max(1.0),
                        dtype => WITHIN_ROUNDING * dtype.ulp(a.abs().max(b.abs())),
                    };
                    a - b <= room
                };
                let open = value.chunks_exact(d.experts).map(|row| !is_recorded && is_open(row));
                self.open.iter_mut().zip(open).for_each(|(open, now)| *open |= now);
            }
            _ => {}
        }
    }

    fn compare(&mut self, hook: Hook, own: &[f32], sources: Sources, a: &TraceTensor) -> Result<()> {
        let a_values = a.f32().with_context(|| format!("`{hook}`"))?;
        let dtype = granularity(a_values, a.dtype).coarser(exact_in(self.meta, hook.kind));
        let after_choice = !hook.kind.is_global() && hook.kind > K::ExpertIndices;
        let compared = Compared {
            hook,
            dims: self.meta.dims,
            tokens: self.recorded.tokens,
            dtype,
            scores: &self.scores,
            chosen: &self.chosen,
            skip: (!sources.direct && after_choice || sources.crosses_layers).then_some(&self.open[..]),
        };
        let rounding = match sources.direct {
            true => None,
            false => Some(self.other.remove(&hook).map_or(0.0, |other| compared.gap(own, &other).relative_l2)),
        };
        let operation = compared.operation(a_values, own, &sources, rounding);
        self.found.push(operation);
        Ok(())
    }
}

/// The dtype in which values are exact: a tensor of f32 may hold 16-bit numbers only.
fn granularity(values: &[f32], stored: Dtype) -> Dtype {
    let exact = |dtype: Dtype| values.iter().all(|x| dtype.round(*x) == *x || x.is_nan());
    match stored {
        Dtype::F32 if values.is_empty() => stored,
        Dtype::F32 if exact(Dtype::Bf16) => Dtype::Bf16,
        Dtype::F32 if exact(Dtype::F16) => Dtype::F16,
        stored => stored,
    }
}

impl Hooks for Forced<'_> {
    fn wants(&self, hook: Hook) -> bool {
        let layer = hook.layer as usize;
        let is_held = self.recorded.holds(hook).is_some();
        match hook.kind {
            K::RotQ | K::RotK => is_held || self.recorded.holds(K::Pattern.at(layer)).is_some(),
            K::RouterLogits => is_held || !self.is_choice_recorded(layer),
            K::ExpertIndices => true,
            // Without an edit these are the expert weights; a recording of both would feed the same twice.
            K::ChoiceScores => false,
            _ => is_held,
        }
    }

    fn at(&mut self, hook: Hook, value: &mut [f32], _: Range<usize>) -> Result<()> {
        if let Some(tensor) = self.recorded.tensor(hook)? {
            let sources = self.recorded.sources(hook);
            match (self.compares(hook), self.keeps) {
                (false, _) => {}
                (true, true) if sources.direct => {}
                (true, true) => drop(self.other.insert(hook, value.to_vec())),
                (true, false) => self.compare(hook, value, sources, &tensor)?,
            }
            value.copy_from_slice(tensor.f32().with_context(|| format!("`{hook}`"))?);
        }
        self.settle(hook, value);
        Ok(())
    }

    fn at_ids(&mut self, hook: Hook, ids: &mut [u32], _: Range<usize>) -> Result<()> {
        if let Some(tensor) = self.recorded.tensor(hook)? {
            let Values::U32(recorded) = &tensor.values else {
                anyhow::bail!("`{hook}`: expected expert indices, found floating-point values")
            };
            ids.copy_from_slice(recorded);
        }
        self.chosen = ids.to_vec();
        Ok(())
    }
}
