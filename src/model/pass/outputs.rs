//! The end of a pass: final norm, unembedding, and the lens, which is both of them on any residual.

use super::model::Model;
use super::norm::rms_norm;
use crate::model::precision::{Precision, Rounding};
use anyhow::{Result, ensure};
use std::borrow::Cow;
use std::ops::Range;

/// The end of a pass. Its logits are computed some rows at a time, because all of a long prompt's would be large.
pub struct Outputs<'m> {
    model: &'m Model,
    precision: Precision,
    /// `[ids × d_model]`.
    normed: Vec<f32>,
    /// `[ids × vocab]`, if a hook wanted them.
    logits: Option<Vec<f32>>,
}

impl<'m> Outputs<'m> {
    pub(super) fn new(model: &'m Model, precision: Precision, normed: Vec<f32>, logits: Option<Vec<f32>>) -> Self {
        Self { model, precision, normed, logits }
    }

    /// All logits `[ids × vocab]`.
    ///
    /// # Errors
    /// If the device fails.
    pub fn into_logits(self) -> Result<Vec<f32>> {
        match self.logits {
            Some(logits) => Ok(logits),
            None => self.model.unembed(&self.normed, self.precision),
        }
    }

    /// The logits of these rows `[rows × vocab]`.
    ///
    /// # Errors
    /// If there are not as many rows, or the device fails.
    pub fn logits(&self, rows: Range<usize>) -> Result<Cow<'_, [f32]>> {
        let d = self.model.dims();
        let of = |width: usize| rows.start * width..rows.end * width;
        ensure!(of(d.d_model).end <= self.normed.len(), "rows {rows:?} are outside the pass");
        match &self.logits {
            Some(all) => Ok(all[of(d.vocab)].into()),
            None => Ok(self.model.unembed(&self.normed[of(d.d_model)], self.precision)?.into()),
        }
    }
}

impl Model {
    pub(super) fn unembed(&self, normed: &[f32], precision: Precision) -> Result<Vec<f32>> {
        self.tally().count_logits(normed.len() / self.arch.dims.d_model);
        let mut logits = self.products.linear(normed, &self.unembed, precision.module)?;
        if self.arch.multipliers.logits != 1.0 {
            logits.iter_mut().for_each(|logit| *logit = self.scaled_logit(*logit, precision.module));
        }
        Ok(logits)
    }

    /// A logit divided by what the model divides its logits by, rounded.
    pub(in crate::model) fn scaled_logit(&self, logit: f32, round: Rounding) -> f32 {
        round.one(logit / self.arch.multipliers.logits)
    }

    /// The logit lens: final RMSNorm computed again for the residuals `resid` `[rows × d_model]`, then the unembedding;
    /// `[rows × vocab]`. For the last layer's `resid_post` these are the model's own logits, bit for bit.
    ///
    /// # Errors
    /// If `resid` is not whole rows, or the device fails.
    pub fn lens(&self, resid: &[f32], precision: Precision) -> Result<Vec<f32>> {
        ensure!(resid.len().is_multiple_of(self.arch.dims.d_model), "a residual has {} values", resid.len());
        let precision = self.arch.rounding(precision);
        let normed = rms_norm(resid, &self.norm, self.arch.eps, precision);
        self.unembed(&normed, precision)
    }
}
