//! Tokens that the model chooses, one after another.

use super::Core;
use super::request::Request;
use crate::engine::Emit;
use crate::engine::interrupts::Interrupts;
use crate::protocol::{Outcome, RequestId};
use crate::trace::Sampling;
use anyhow::Result;
use std::time::Instant;

/// A generation under way.
pub struct Generation {
    pub id: RequestId,
    /// Tokens still to generate; `None` = until something ends the generation.
    pub left: Option<usize>,
    pub sampling: Sampling,
}

impl Core {
    /// Reads one more token.
    pub(super) fn generate(&mut self, mut generation: Generation, interrupts: &Interrupts, emit: Emit) -> Result<()> {
        let request = Request { id: generation.id, interrupts, emit };
        if cfg!(debug_assertions) && std::env::var_os("MIXSCOPE_FAULT").is_some_and(|fault| fault == "engine") {
            panic!("fault requested by MIXSCOPE_FAULT");
        }
        let live = self.run.need_live_mut()?;
        if live.is_full() {
            request.finish(Outcome::ContextFull);
            return Ok(());
        }
        if generation.left == Some(0) {
            request.finish(Outcome::Done);
            return Ok(());
        }
        let (started, before) = (Instant::now(), live.tokens().len());
        let token = request.control(|control| live.step(&generation.sampling, control));
        if token.is_ok() {
            request.emit_tokens(before, &live.tokens()[before..], started.elapsed().as_secs_f64() * 1e3);
        }
        let is_end = token.as_ref().is_ok_and(|token| live.is_end(*token));
        self.report_memory(&request);
        token?;
        self.owed = self.owed.saturating_sub(started.elapsed());
        generation.left = generation.left.map(|left| left - 1);
        match generation.left {
            Some(0) => request.finish(Outcome::Done),
            _ if is_end => request.finish(Outcome::EndOfText),
            _ => self.generation = Some(generation),
        }
        Ok(())
    }
}
