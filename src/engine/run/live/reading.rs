//! How a run reads tokens: a prompt in chunks, and one token after another.

use super::Live;
use crate::control::Control;
use crate::engine::run::capture::{Collector, FindNonFinite};
use crate::model::{Distribution, NoHooks, Outputs, sampling};
use crate::trace::{HookValues, Prediction, Sampling, Score, Source, TokenRecord};
use anyhow::{Context, Result, anyhow};
use rayon::prelude::*;
use std::sync::Arc;

/// Positions of a chunk whose logits are in memory together.
const LOGITS: usize = 64;

/// Receives a run's tokens as they are read: how many of its first tokens are still valid, and the tokens after them.
pub type OnTokens<'a> = &'a mut dyn FnMut(usize, &[Arc<TokenRecord>]);

impl Live {
    /// Makes `ids` the prompt: keeps the tokens that the run begins with already, and reads the others. Tokens that
    /// were read before an error or a stop stay.
    ///
    /// # Errors
    /// As [`Live::extend`].
    pub fn set_prompt(&mut self, ids: &[u32], control: &Control, arrived: OnTokens) -> Result<()> {
        let shared = self.tokens.iter().zip(ids).take_while(|(token, id)| token.id == **id).count();
        self.truncate(shared);
        let valid = self.tokens.iter().take_while(|token| token.source == Source::Prompt).count();
        for token in &mut self.tokens[valid..] {
            Arc::make_mut(token).source = Source::Prompt;
        }
        arrived(valid, &self.tokens[valid..]);
        self.extend_reporting(&ids[shared..], Source::Prompt, control, arrived)
    }

    /// Reads `ids` after the run, in chunks. Tokens that were read before an error or a stop stay. A stop between two
    /// experts loses the chunk; a stop between two groups of results keeps the groups before it.
    ///
    /// # Errors
    /// [`Stopped`](crate::control::Stopped) if `control` is cancelled; if an id is outside the vocabulary or an
    /// activation is not finite.
    pub fn extend(&mut self, ids: &[u32], source: Source, control: &Control) -> Result<()> {
        self.extend_reporting(ids, source, control, &mut |_, _| {})
    }

    /// As [`Live::extend`]; `arrived` receives the tokens as they are read.
    ///
    /// # Errors
    /// As [`Live::extend`].
    pub fn extend_reporting(
        &mut self,
        ids: &[u32],
        source: Source,
        control: &Control,
        arrived: OnTokens,
    ) -> Result<()> {
        let layers = self.meta.dims.layers;
        let total = ids.len() * layers;
        for (i, chunk) in ids.chunks(self.chunk).enumerate() {
            self.last_logits_if_any(control)?;
            let start = self.tokens.len();
            let (rows, part) = (chunk.len(), control.part(i * self.chunk * layers, total));
            let mut hooks = Collector::new(&self.capture, rows);
            let loaded = self.loaded.clone();
            let (pass, mut resid) = loaded.model.begin(chunk, &self.cache, self.precision, &mut hooks)?;
            for l in 0..layers {
                resid = pass.layer(l, resid, &mut self.cache, &mut hooks, &part)?;
            }
            let outputs = pass.outputs(&resid, &mut hooks, &part)?;
            let values = hooks.into_tokens();
            pass.end(&mut self.cache);
            let kept = self.keep(chunk, source, &outputs, values, control, arrived);
            let read = self.tokens.len() - start;
            self.cache.truncate(start + read);
            kept?;
            if read < rows {
                return Err(self.name_non_finite(chunk[read], start + read));
            }
        }
        Ok(())
    }

    /// As [`Live::extend_reporting`], for tokens with their own sources.
    ///
    /// # Errors
    /// As [`Live::extend`].
    pub fn extend_from(&mut self, tokens: &[(u32, Source)], control: &Control, arrived: OnTokens) -> Result<()> {
        let (layers, mut read) = (self.meta.dims.layers, 0);
        for same in tokens.chunk_by(|a, b| a.1 == b.1) {
            let ids: Vec<u32> = same.iter().map(|(id, _)| *id).collect();
            self.extend_reporting(&ids, same[0].1, &control.part(read * layers, tokens.len() * layers), arrived)?;
            read += ids.len();
        }
        Ok(())
    }

    /// Records a chunk up to the first position with logits that are not finite. The positions before it don't depend
    /// on it.
    fn keep(
        &mut self,
        chunk: &[u32],
        source: Source,
        outputs: &Outputs,
        values: Vec<HookValues>,
        control: &Control,
        arrived: OnTokens,
    ) -> Result<()> {
        let vocab = self.meta.dims.vocab;
        let mut values = values.into_iter();
        for (ids, from) in chunk.chunks(LOGITS).zip((0..).step_by(LOGITS)) {
            if from > 0 {
                control.check()?;
            }
            let start = self.tokens.len();
            let logits = outputs.logits(from..from + ids.len())?;
            let sound = logits.iter().position(|x| !x.is_finite()).map_or(ids.len(), |at| at / vocab);
            self.record(&ids[..sound], source, &logits[..sound * vocab], values.by_ref().take(sound));
            arrived(start, &self.tokens[start..]);
            if sound < ids.len() {
                break;
            }
        }
        Ok(())
    }

    /// Records tokens; `logits` is `[ids, vocab]`.
    fn record(&mut self, ids: &[u32], source: Source, logits: &[f32], values: impl Iterator<Item = HookValues>) {
        let before = self.last.clone();
        let mut predicted = before.as_deref().map(Distribution::of);
        let mut entropy = self.tokens.last().map(|token| token.next.entropy);
        let rows = logits.chunks_exact(self.meta.dims.vocab);
        let predict = |row| {
            let next = Distribution::of(row);
            let top = next.top(self.candidates).into_iter().map(|id| self.candidate(&next, id)).collect();
            let entropy = next.entropy();
            (next, Prediction { top, entropy })
        };
        let predictions: Vec<(Distribution, Prediction)> = match ids.len() {
            ..=1 => rows.map(predict).collect(),
            _ => rows.collect::<Vec<_>>().into_par_iter().map(predict).collect(),
        };
        for ((id, (next, prediction)), values) in ids.iter().zip(predictions).zip(values) {
            let id_at = *id as usize;
            let score = predicted.as_ref().zip(entropy).map(|(predicted, entropy)| Score {
                nll: -predicted.log_prob(id_at) as f32,
                entropy,
                rank: predicted.rank(id_at),
            });
            (predicted, entropy) = (Some(next), Some(prediction.entropy));
            self.tokens.push(Arc::new(TokenRecord {
                id: *id,
                piece: self.piece(*id),
                source,
                score,
                next: Arc::new(prediction),
                values: Arc::new(values),
            }));
        }
        if let Some(last) = logits.chunks_exact(self.meta.dims.vocab).last() {
            self.last = Some(last.into());
        }
    }

    /// The logits after the last token, `None` if there is no token. After stepping back, the last token is read again,
    /// with the same result.
    fn last_logits_if_any(&mut self, control: &Control) -> Result<Option<Arc<[f32]>>> {
        if self.last.is_none()
            && let Some(token) = self.tokens.last()
        {
            // On a copy: after an error or a stop the cache holds every token as before.
            let mut cache = self.cache.clone();
            cache.truncate(self.tokens.len() - 1);
            let (model, control) = (&self.loaded.model, control.quiet());
            let logits = model.forward(&[token.id], &mut cache, self.precision, &mut NoHooks, &control)?;
            self.cache = cache;
            self.last = Some(logits.into());
        }
        Ok(self.last.clone())
    }

    /// The logits `[vocab]` after `id`, if it were read after the first `len` tokens. The run does not change.
    ///
    /// # Errors
    /// [`Stopped`](crate::control::Stopped) if `control` is cancelled; if `id` is outside the vocabulary.
    pub(in crate::engine) fn peek(&self, len: usize, id: u32, control: &Control) -> Result<Vec<f32>> {
        let mut branch = self.cache.clone();
        branch.truncate(len);
        self.loaded.model.forward(&[id], &mut branch, self.precision, &mut NoHooks, control)
    }

    /// Samples the next token and reads it; returns its id.
    ///
    /// # Errors
    /// As [`Live::extend`]; if there is no token yet or the sampling is out of range.
    pub fn step(&mut self, sampling: &Sampling, control: &Control) -> Result<u32> {
        let logits = self.last_logits_if_any(control)?.context("there is no prompt yet: type one first")?;
        let id = sampling::sample(&logits, sampling, self.tokens.len() - 1)?;
        self.extend(&[id], Source::Generated, control)?;
        Ok(id)
    }

    /// The error that names the first hook with a value that is not finite when `id` is read at position `start`.
    fn name_non_finite(&mut self, id: u32, start: usize) -> anyhow::Error {
        let (model, control) = (&self.loaded.model, Control::none());
        let found = model.forward(&[id], &mut self.cache, self.precision, &mut FindNonFinite, &control);
        self.cache.truncate(start);
        found.err().unwrap_or_else(|| anyhow!("the logits are not finite (NaN or infinity)"))
    }
}
