//! How a run reads tokens: a prompt in chunks, and one token after another.

use super::Live;
use super::edits::Again;
use crate::control::Control;
use crate::engine::run::capture::{Collector, FindNonFinite};
use crate::model::{Distribution, EditHooks, Outputs, sampling};
use crate::trace::{HookKind, HookValues, Prediction, Sampling, Score, Site, Source, TokenRecord};
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
        // If this is stopped, the run stays as it was.
        self.fit_edits(ids, control)?;
        let shared = self.tokens.iter().zip(ids).take_while(|(token, id)| token.id == **id).count();
        self.truncate(shared);
        let valid = self.tokens.iter().take_while(|token| token.source == Source::Prompt).count();
        for token in &mut self.tokens[valid..] {
            Arc::make_mut(token).source = Source::Prompt;
        }
        arrived(valid, &self.tokens[valid..]);
        self.extend_reporting(&ids[shared..], Source::Prompt, control, arrived)
    }

    /// Makes `tokens` the run: keeps those that the run begins with already, and reads the others.
    ///
    /// # Errors
    /// As [`Live::extend`].
    pub fn become_run(&mut self, tokens: &[(u32, Source)], control: &Control) -> Result<()> {
        let prompt = tokens.iter().take_while(|(_, source)| *source == Source::Prompt);
        self.fit_edits(&prompt.map(|(id, _)| *id).collect::<Vec<_>>(), control)?;
        let shared = self.tokens.iter().zip(tokens).take_while(|(token, (id, _))| token.id == *id).count();
        self.truncate(shared);
        for (token, (_, source)) in self.tokens.iter_mut().zip(tokens) {
            if token.source != *source {
                Arc::make_mut(token).source = *source;
            }
        }
        self.extend_from(&tokens[shared..], control, &mut |_, _| {})
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
        self.refresh_edits(control)?;
        for (i, chunk) in ids.chunks(self.chunk).enumerate() {
            self.last_logits_if_any(control)?;
            let part = control.part(i * self.chunk * layers, total);
            self.read_chunk(chunk, source, None, &part, arrived)?;
        }
        Ok(())
    }

    /// Reads a chunk in one pass. `again`: the records of these tokens in a run that agrees below a layer, at which the
    /// pass begins.
    pub(super) fn read_chunk(
        &mut self,
        chunk: &[u32],
        source: Source,
        again: Option<Again>,
        control: &Control,
        arrived: OnTokens,
    ) -> Result<()> {
        let (start, rows) = (self.tokens.len(), chunk.len());
        let loaded = self.loaded.clone();
        let precision = loaded.model.arch().rounding(self.precision);
        let edit_hooks = self.edits.as_ref().map(|edits| EditHooks::new(edits, precision, start..start + rows));
        let from = again.as_ref().map_or(0, |again| again.layer);
        let collector = match &again {
            Some(again) => Collector::from_layer(&self.capture, from, again.records),
            None => Collector::new(&self.capture, rows),
        };
        let mut hooks = (edit_hooks, collector);
        let (pass, mut resid) = loaded.model.begin(chunk, &self.cache, self.precision, &mut hooks)?;
        if let Some(again) = again.as_ref().filter(|_| from > 0) {
            let before = again.records.iter().filter_map(|token| token.row(HookKind::ResidPost, from - 1));
            resid = before.flatten().copied().collect();
        }
        for l in from..self.meta.dims.layers {
            resid = pass.layer(l, resid, &mut self.cache, &mut hooks, control)?;
        }
        let outputs = pass.outputs(&resid, &mut hooks, control)?;
        let (edit_hooks, collector) = hooks;
        let mut sites = edit_hooks.map_or_else(|| vec![Vec::new(); rows], EditHooks::into_sites);
        for (sites, token) in sites.iter_mut().zip(again.iter().flat_map(|again| again.records)) {
            sites.extend(token.sites.iter().filter(|site| usize::from(site.layer) < from));
            sites.sort_unstable();
        }
        let values = collector.into_tokens().into_iter().zip(sites).collect();
        pass.end(&mut self.cache);
        let kept = self.keep(chunk, source, &outputs, values, control, arrived);
        let read = self.tokens.len() - start;
        // Layers that are not read again have the later positions, too.
        self.cache.rewind(start + read, from);
        kept?;
        if read < rows {
            return Err(self.name_non_finite(chunk[read], start + read));
        }
        // The first token was predicted by one before the pass.
        if let (Some(again), Some(token)) = (again, self.tokens.get_mut(start))
            && token.score.is_none()
        {
            Arc::make_mut(token).score = again.records[0].score;
        }
        Ok(())
    }

    /// As [`Live::extend_reporting`], for tokens with their own sources.
    ///
    /// # Errors
    /// As [`Live::extend`].
    pub fn extend_from(&mut self, tokens: &[(u32, Source)], control: &Control, arrived: OnTokens) -> Result<()> {
        if self.tokens.is_empty() {
            let prompt = tokens.iter().take_while(|(_, source)| *source == Source::Prompt);
            self.fit_edits(&prompt.map(|(id, _)| *id).collect::<Vec<_>>(), control)?;
        }
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
        values: Vec<(HookValues, Vec<Site>)>,
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
    fn record(
        &mut self,
        ids: &[u32],
        source: Source,
        logits: &[f32],
        values: impl Iterator<Item = (HookValues, Vec<Site>)>,
    ) {
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
        for ((id, (next, prediction)), (values, sites)) in ids.iter().zip(predictions).zip(values) {
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
                sites,
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
            let (model, control, at) = (&self.loaded.model, control.quiet(), cache.len());
            let mut hooks = self.edit_hooks(at..at + 1);
            let logits = model.forward(&[token.id], &mut cache, self.precision, &mut hooks, &control)?;
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
        let mut hooks = self.edit_hooks(len..len + 1);
        self.loaded.model.forward(&[id], &mut branch, self.precision, &mut hooks, control)
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
    fn name_non_finite(&self, id: u32, start: usize) -> anyhow::Error {
        let (model, control) = (&self.loaded.model, Control::none());
        let mut cache = self.cache.clone();
        cache.truncate(start);
        let mut hooks = (self.edit_hooks(start..start + 1), FindNonFinite);
        let found = model.forward(&[id], &mut cache, self.precision, &mut hooks, &control);
        found.err().unwrap_or_else(|| anyhow!("the logits are not finite (NaN or infinity)"))
    }
}
