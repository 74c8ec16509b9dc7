//! What every step of a layer needs: the roundings, the positions, the hooks and the control.

use super::hooks::Hooks;
use super::norm::{rms_divisors, rms_norm, rms_norm_by};
use super::rope::RopeTable;
use super::router;
use crate::control::Control;
use crate::model::precision::{Precision, Rounding};
use crate::trace::{Dims, HookKind, NO_EXPERT};
use anyhow::{Result, bail};
use std::borrow::Cow;
use std::ops::Range;

/// The state of a pass while it computes one layer.
pub struct Context<'a> {
    pub dims: Dims,
    pub eps: f64,
    pub precision: Precision,
    pub rope: &'a RopeTable,
    /// The positions that the pass reads.
    pub positions: Range<usize>,
    pub layer: usize,
    pub hooks: &'a mut dyn Hooks,
    pub control: &'a Control<'a>,
}

impl Context<'_> {
    /// The rounding of every module's output.
    pub fn round(&self) -> Rounding {
        self.precision.module
    }

    /// Whether the hooks observe or edit `kind` in this layer.
    pub fn wants(&self, kind: HookKind) -> bool {
        self.hooks.wants(kind.at(self.layer))
    }

    /// Shows `value` to the hooks, which may change it.
    pub fn hook(&mut self, kind: HookKind, mut value: Vec<f32>) -> Result<Vec<f32>> {
        debug_assert_eq!(value.len(), kind.shape_at(self.dims, self.positions.clone()).iter().product::<usize>());
        if self.wants(kind) {
            self.hooks.at(kind.at(self.layer), &mut value, self.positions.clone())?;
        }
        Ok(value)
    }

    /// Shows a copy of `value` to the hooks, so that changes do not reach `value`; without hooks nothing is copied.
    pub fn hook_copy<'v>(&mut self, kind: HookKind, value: &'v [f32]) -> Result<Cow<'v, [f32]>> {
        match self.wants(kind) {
            true => Ok(self.hook(kind, value.to_vec())?.into()),
            false => Ok(value.into()),
        }
    }

    /// Shows the chosen experts to the hooks, which may choose others that the model has.
    pub fn hook_ids(&mut self, kind: HookKind, mut ids: Vec<u32>) -> Result<Vec<u32>> {
        if self.wants(kind) {
            let hook = kind.at(self.layer);
            self.hooks.at_ids(hook, &mut ids, self.positions.clone())?;
            if let Some(bad) = ids.iter().find(|e| **e as usize >= self.dims.experts && **e != NO_EXPERT) {
                bail!("the hook at `{hook}` chose expert {bad} of {}", self.dims.experts);
            }
        }
        Ok(ids)
    }

    /// The best experts of each row by `scores` `[pos, experts]`, best first: as many as the model takes, unless the hooks
    /// say another number. From here on the layer has as many slots a row as its longest choice; shorter ones end with
    /// [`NO_EXPERT`].
    pub fn choose(&mut self, scores: &[f32]) -> Vec<u32> {
        let Dims { experts, top_k, .. } = self.dims;
        let Some(counts) = self.hooks.counts(self.layer) else { return router::top_k(scores, experts, top_k) };
        self.dims.top_k = counts.iter().copied().max().unwrap_or(top_k);
        let mut chosen = Vec::with_capacity(counts.len() * self.dims.top_k);
        for (row, count) in scores.chunks_exact(experts).zip(counts) {
            chosen.extend(router::top_k(row, experts, count));
            chosen.resize(chosen.len() + self.dims.top_k - count, NO_EXPERT);
        }
        chosen
    }

    /// RMSNorm of every row of `x` `[pos, d_model]`. `scale` is the hook of what each row is divided by.
    pub fn norm(&mut self, scale: HookKind, x: &[f32], gain: &[f32]) -> Result<Vec<f32>> {
        if !self.wants(scale) {
            return Ok(rms_norm(x, gain, self.eps, self.precision));
        }
        let by = self.hook(scale, rms_divisors(x, gain.len(), self.eps))?;
        Ok(rms_norm_by(x, gain, &by, self.precision))
    }

    /// `x` `[pos, heads, d_head]` rotated to its positions.
    pub fn rotate(&self, x: Vec<f32>, heads: usize) -> Vec<f32> {
        self.rope.rotate(x, heads, self.round())
    }

    /// Reports that `done` of `total` parts of the layer are computed; an error if the pass is cancelled. Progress is
    /// in token-layers, because one layer of a long prompt takes seconds.
    pub fn advance(&self, done: usize, total: usize) -> Result<()> {
        self.control.check()?;
        let rows = self.positions.len();
        self.control.progress(self.layer * rows + rows * done / total, self.dims.layers * rows);
        Ok(())
    }
}
