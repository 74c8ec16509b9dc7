//! The next token's distribution after temperature, top-k and top-p.

use super::captured::residual;
use crate::analysis::Tempered;
use crate::engine::run::{Live, Run};
use crate::model::sampling;
use crate::protocol::Derived;
use crate::trace::{LensSite, Sampling};
use anyhow::Result;
use std::sync::Arc;

pub fn derive(run: &Run, pos: usize, how: &Sampling) -> Result<Derived> {
    Ok(Derived::Tempered(tempered(run.need_live()?, pos, how)?.map(Arc::new)))
}

/// The distribution after position `pos` as it is sampled from; `None` after the end of the run.
///
/// # Errors
/// If residuals were not captured or the sampling is out of range.
pub fn tempered(live: &Live, pos: usize, how: &Sampling) -> Result<Option<Tempered>> {
    let Some(token) = live.tokens().get(pos) else { return Ok(None) };
    let last = residual(token, live.meta().dims.layers - 1, LensSite::ResidPost)?;
    // The lens of the last residual is the model's own output, bit for bit.
    let logits = live.loaded().model.lens(last, live.precision())?;
    let heated = sampling::heat(&logits, how)?;
    Ok(Some(Tempered {
        pos,
        sampling: *how,
        heated: heated.entropy(),
        entropy: heated.kept_entropy(),
        kept: heated.kept.len(),
        probs: heated.drawn(token.next.top.iter().map(|candidate| candidate.id as usize)),
    }))
}
