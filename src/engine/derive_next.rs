//! What can be said of the next token beyond its candidates.

use super::derive::{not_captured, residual};
use super::session::Session;
use crate::analysis::{Tempered, WhatIf};
use crate::control::Control;
use crate::model::{Distribution, Taps, sampling};
use crate::protocol::Spelled;
use crate::trace::{Hook, LensSite, Sampling};
use anyhow::{Context, Result};
use candle_core::Tensor;

/// Tokens kept of what would follow a candidate.
const WHAT_IF_TOP: usize = 5;

/// The distribution after position `pos` as it is sampled from; `None` behind the end of the run.
///
/// # Errors
/// If residuals were not captured or the sampling is out of range.
pub fn tempered(session: &Session, pos: usize, how: &Sampling) -> Result<Option<Tempered>> {
    let Some(token) = session.tokens().get(pos) else { return Ok(None) };
    let last = session.meta().dims.layers - 1;
    let resid = residual(token, last, LensSite::ResidPost).with_context(not_captured)?;
    // Of the last residual the lens is the model's own output, bit for bit.
    let logits = session.loaded().model.lens(resid, session.precision())?;
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

/// What would follow token `id` if it were read after position `pos`; the run stays as it is. `None` if the position is
/// behind the end of the run or the context ends there.
///
/// # Errors
/// [`Stopped`](crate::control::Stopped) if `control` says so, which is looked at between layers; if the id is outside the vocabulary.
pub fn what_if(session: &Session, pos: usize, id: u32, control: &Control) -> Result<Option<WhatIf>> {
    if pos >= session.tokens().len() || pos + 1 >= session.meta().dims.context {
        return Ok(None);
    }
    let logits = session.peek(pos + 1, id, &mut Watch { control })?;
    let next = Distribution::of(&logits);
    let is_finite = logits.iter().all(|x| x.is_finite());
    let top = if is_finite { next.top(WHAT_IF_TOP) } else { Vec::new() };
    let top = top.into_iter().map(|id| session.candidate(&next, id)).collect();
    Ok(Some(WhatIf { pos, id, top, entropy: next.entropy() }))
}

/// The tokens of texts that go on where the run ends.
///
/// # Errors
/// If there is no tokenizer.
pub fn spell(session: &Session, texts: &[String]) -> Result<Vec<Spelled>> {
    let spell = |text: &String| {
        let ids = session.tokenize_on(text)?;
        let tokens = ids.into_iter().map(|id| (id, session.piece(id))).collect();
        Ok(Spelled { text: text.clone(), tokens })
    };
    texts.iter().map(spell).collect()
}

/// Sees nothing of a pass but whether it has to stop.
struct Watch<'a> {
    control: &'a Control<'a>,
}

impl Taps for Watch<'_> {
    fn wants(&self, _: Hook) -> bool {
        false
    }

    fn tap(&mut self, _: Hook, _: &Tensor) -> Result<Option<Tensor>> {
        Ok(None)
    }

    fn enter_layer(&mut self, _: usize) -> Result<()> {
        Ok(self.control.check()?)
    }
}
