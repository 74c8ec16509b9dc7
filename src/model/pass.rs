//! A forward pass that its caller drives layer by layer, e.g. beside others of the same model.

use super::cache::KvCache;
use super::forward::Mixtral;
use super::ops::RopeTable;
use super::precision::Precision;
use super::taps::{Taps, tap, tensor};
use crate::trace::HookKind as K;
use anyhow::{Result, ensure};
use candle_core::Tensor;
use std::ops::Range;

/// A pass over some tokens. Layers are to be run in their order, each with the cache that the pass began with; what
/// they write there counts once [`Pass::end`] was called.
pub struct Pass<'m> {
    model: &'m Mixtral,
    rope: RopeTable,
    precision: Precision,
    rows: usize,
}

impl Mixtral {
    /// Begins a pass over `ids` behind the positions in `cache`; with it the embeddings `[ids, d_model]`.
    ///
    /// # Errors
    /// If there is no id or one is outside the vocabulary, or a tap fails.
    pub fn begin(
        &self,
        ids: &[u32],
        cache: &KvCache,
        precision: Precision,
        taps: &mut dyn Taps,
    ) -> Result<(Pass<'_>, Tensor)> {
        let (d, rows) = (self.dims(), ids.len());
        ensure!(rows > 0, "there is no token to read");
        let mut embedded = Vec::with_capacity(rows * d.d_model);
        let mut row = Vec::new();
        for id in ids {
            ensure!((*id as usize) < d.vocab, "token id {id} is outside the vocabulary of {} tokens", d.vocab);
            self.embed.widen_row(*id as usize, precision.module, &mut row);
            embedded.extend_from_slice(&row);
        }
        let (resid, _) = tap(taps, K::Embed, 0, tensor(embedded, &[rows, d.d_model])?)?;
        let start = cache.len();
        let rope = RopeTable::new(start..start + rows, d.d_head, self.config().rope_theta, precision);
        Ok((Pass { model: self, rope, precision, rows }, resid))
    }
}

impl<'m> Pass<'m> {
    /// One decoder layer: `resid` and the result are `[ids, d_model]`.
    ///
    /// # Errors
    /// If a tap fails, returns another shape, or stops the pass.
    pub fn layer(&self, l: usize, resid: Tensor, cache: &mut KvCache, taps: &mut dyn Taps) -> Result<Tensor> {
        taps.enter_layer(l)?;
        self.model.block(l, resid, &self.rope, cache, self.precision, taps)
    }

    /// What comes of the last layer's output `resid` `[ids, d_model]`: the final norm, and the logits if a tap wants them.
    ///
    /// # Errors
    /// If a tap fails or returns another shape.
    pub fn outputs(&self, resid: &Tensor, taps: &mut dyn Taps) -> Result<Outputs<'m>> {
        let Self { model, precision, .. } = *self;
        let (normed, _) = tap(taps, K::LnFinal, 0, model.final_norm(resid, precision)?)?;
        let logits = match taps.wants(K::Logits.at(0)) {
            true => Some(tap(taps, K::Logits, 0, model.unembed(&normed, precision)?)?.0),
            false => None,
        };
        Ok(Outputs { model, precision, normed, logits })
    }

    /// Counts what the layers wrote into `cache` in.
    pub fn end(self, cache: &mut KvCache) {
        cache.advance(self.rows);
    }
}

/// The end of a pass, whose logits are computed some rows at a time: all of a long prompt's would be large.
pub struct Outputs<'m> {
    model: &'m Mixtral,
    precision: Precision,
    /// `[ids, d_model]`.
    normed: Tensor,
    logits: Option<Tensor>,
}

impl Outputs<'_> {
    /// All logits `[ids, vocab]`.
    pub(super) fn all_logits(self, taps: &mut dyn Taps) -> Result<Tensor> {
        match self.logits {
            Some(logits) => Ok(logits),
            None => Ok(tap(taps, K::Logits, 0, self.model.unembed(&self.normed, self.precision)?)?.0),
        }
    }

    /// Logits of these rows, `[rows × vocab]`.
    ///
    /// # Errors
    /// If there are not as many rows.
    pub fn logits(&self, rows: Range<usize>) -> Result<Vec<f32>> {
        let part = |all: &Tensor| all.narrow(0, rows.start, rows.len());
        let logits = match &self.logits {
            Some(all) => part(all)?,
            None => self.model.unembed(&part(&self.normed)?, self.precision)?,
        };
        Ok(logits.flatten_all()?.to_vec1()?)
    }
}
