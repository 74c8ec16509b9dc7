//! A run of one model: tokens read so far, their records and their KV cache.

use super::capture::{Capture, Collector, FindNonFinite};
use crate::control::Control;
use crate::model::{Distribution, KvCache, Loaded, NoHooks, Outputs, Precision, sampling};
use crate::trace::Prompt;
use crate::trace::{
    Candidate, HookKind, HookValues, Meta, Policy, Prediction, Records, Sampling, Score, Source, TokenRecord,
};
use anyhow::{Context, Result, ensure};
use rayon::prelude::*;
use std::sync::Arc;

/// Tokens read in one pass of a prefill.
const CHUNK: usize = 64;
/// The same of a large model: a pass over a few tokens would mostly wait for its weights.
const LONG_CHUNK: usize = 512;
/// Bytes of weights that a token touches, above which a model is large: they don't stay in a cache from pass to pass.
const LARGE: u64 = 64 << 20;
/// Positions of a chunk whose logits are in memory together.
const LOGITS: usize = 64;

/// Receives a run's tokens as they arrive: how many of its first tokens are still the same, and those after them.
pub type OnTokens<'a> = &'a mut dyn FnMut(usize, &[Arc<TokenRecord>]);

/// A run. Cloning it is a branch: records and KV pages are shared.
#[derive(Clone)]
pub struct Live {
    loaded: Arc<Loaded>,
    meta: Arc<Meta>,
    precision: Precision,
    capture: Capture,
    candidates: usize,
    /// Tokens read in one pass of a prefill.
    chunk: usize,
    cache: KvCache,
    tokens: Vec<Arc<TokenRecord>>,
    /// Logits after the last token `[vocab]`.
    last: Option<Arc<[f32]>>,
}

impl Live {
    /// An empty run; `candidates` next tokens are kept for every position.
    pub fn new(loaded: Arc<Loaded>, capture: Capture, candidates: usize) -> Self {
        let meta = loaded.meta.clone();
        let precision = Precision::new(meta.policy, meta.compute_dtype);
        let cache = loaded.model.new_cache();
        // Quantised weights gain nothing by it, and of a long chunk patterns would be large.
        let is_large = meta.touched_bytes > LARGE && !loaded.model.decodes_each_token();
        let is_long = is_large && !capture.has(HookKind::Pattern);
        let chunk = if is_long { LONG_CHUNK } else { CHUNK };
        Self { loaded, meta, precision, capture, candidates, chunk, cache, tokens: Vec::new(), last: None }
    }

    /// The same run, whose prompts are read `chunk` tokens (at least one) at a time: the results are the same.
    pub fn in_chunks_of(self, chunk: usize) -> Self {
        Self { chunk: chunk.max(1), ..self }
    }

    /// An empty run of the same model under the same policy that keeps only `capture`.
    pub fn fresh(&self, capture: Capture) -> Self {
        let cache = self.loaded.model.new_cache();
        Self { capture, candidates: 1, cache, tokens: Vec::new(), last: None, ..self.clone() }
    }

    /// An empty run of the same model under another policy that keeps as much.
    pub fn under(&self, policy: Policy) -> Self {
        let mut other = self.clone();
        other.switch(policy);
        other
    }

    /// Whether both are runs of one opened model.
    pub(in crate::engine) fn is_of_the_model_of(&self, other: &Live) -> bool {
        Arc::ptr_eq(&self.loaded, &other.loaded)
    }

    /// The model and how it is run.
    pub fn meta(&self) -> &Arc<Meta> {
        &self.meta
    }

    /// The opened model.
    pub fn loaded(&self) -> &Loaded {
        &self.loaded
    }

    /// The active rounding.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// The records so far.
    pub fn tokens(&self) -> &[Arc<TokenRecord>] {
        &self.tokens
    }

    /// Keys and values of the positions read.
    pub fn cache(&self) -> &KvCache {
        &self.cache
    }

    /// The run as a trace that shares its records.
    pub fn records(&self) -> Records {
        Records { meta: self.meta.clone(), tokens: self.tokens.clone() }
    }

    /// The tokenizer's spelling of a token.
    pub fn piece(&self, id: u32) -> Arc<str> {
        self.loaded.piece(id)
    }

    /// The ids of a prompt.
    ///
    /// # Errors
    /// If it is empty, an id is outside the vocabulary, or there is no tokenizer for a text.
    pub fn prompt_ids(&self, prompt: &Prompt) -> Result<Vec<u32>> {
        self.loaded.tokens(prompt.clone())
    }

    /// Refuses runs that are longer than the model's context, before any work.
    ///
    /// # Errors
    /// If `len` exceeds it.
    pub fn check_context(&self, len: usize, what: &str) -> Result<()> {
        let context = self.meta.dims.context;
        ensure!(
            len <= context,
            "{what} {len} tokens, but the model's context is {context} (max_position_embeddings); shorten it"
        );
        Ok(())
    }

    /// Whether the run is as long as the model's context.
    pub fn is_full(&self) -> bool {
        self.tokens.len() >= self.meta.dims.context
    }

    /// The ids of a text; `special` adds BOS as the tokenizer's template says.
    ///
    /// # Errors
    /// If there is no tokenizer.
    pub fn tokenize(&self, text: &str, special: bool) -> Result<Vec<u32>> {
        self.loaded.tokenize(text, special)
    }

    /// The ids of a text that goes on where the run ends. Tokenizers put a space before a text of its own; here a new
    /// word begins only where the text begins with a space.
    ///
    /// # Errors
    /// If there is no tokenizer.
    pub fn tokenize_on(&self, text: &str) -> Result<Vec<u32>> {
        // A line end is never joined with what follows it, so the ids behind it are those of `text` alone.
        let (anchor, joined) = (self.tokenize("\n", false)?, self.tokenize(&format!("\n{text}"), false)?);
        match joined.strip_prefix(anchor.as_slice()) {
            Some(ids) if !ids.is_empty() => Ok(ids.to_vec()),
            _ => self.tokenize(text, false),
        }
    }

    /// Tokens at the start that both runs share, not only in what they say.
    pub(in crate::engine) fn shared_with(&self, other: &Live) -> usize {
        self.tokens.iter().zip(&other.tokens).take_while(|(a, b)| Arc::ptr_eq(a, b)).count()
    }

    /// Whether `other` begins with this run.
    pub(in crate::engine) fn is_start_of(&self, other: &Live) -> bool {
        self.meta.policy == other.meta.policy && self.shared_with(other) == self.tokens.len()
    }

    /// Whether both are one run.
    pub(in crate::engine) fn is_same_as(&self, other: &Live) -> bool {
        self.is_start_of(other) && self.tokens.len() == other.tokens.len()
    }

    /// Bytes that this run takes beyond what it shares with `other`.
    pub(in crate::engine) fn bytes_beyond(&self, other: &Live) -> usize {
        let is_shared = |(a, b): &(&Arc<TokenRecord>, &Arc<TokenRecord>)| Arc::ptr_eq(&a.values, &b.values);
        let own = self.tokens.len() - self.tokens.iter().zip(&other.tokens).filter(is_shared).count();
        let pointers = self.tokens.len() * size_of::<Arc<TokenRecord>>();
        own * self.meta.dims.kept_bytes_per_token() + pointers + self.cache.bytes_beyond(&other.cache)
    }

    /// Forgets everything from position `len` on.
    pub fn truncate(&mut self, len: usize) {
        if len < self.tokens.len() {
            self.tokens.truncate(len);
            self.cache.truncate(len);
            self.last = None;
        }
    }

    /// Makes `ids` the prompt: keeps what they share with the run, reads the rest. What was read before an error or a
    /// stop stays.
    ///
    /// # Errors
    /// As [`Live::extend`].
    pub fn set_prompt(&mut self, ids: &[u32], control: &Control, arrived: OnTokens) -> Result<()> {
        let shared = self.tokens.iter().zip(ids).take_while(|(token, id)| token.id == **id).count();
        self.truncate(shared);
        let stands = self.tokens.iter().take_while(|token| token.source == Source::Prompt).count();
        for token in &mut self.tokens[stands..] {
            Arc::make_mut(token).source = Source::Prompt;
        }
        arrived(stands, &self.tokens[stands..]);
        self.extend_reporting(&ids[shared..], Source::Prompt, control, arrived)
    }

    /// Reads `ids` behind the run, in chunks. What was read before an error or a stop stays; a stop comes between two experts
    /// of a chunk, which is then lost, or while its results are told.
    ///
    /// # Errors
    /// [`Stopped`](crate::control::Stopped) if cancelled; if an id is outside the vocabulary or an activation is not finite.
    pub fn extend(&mut self, ids: &[u32], source: Source, control: &Control) -> Result<()> {
        self.extend_reporting(ids, source, control, &mut |_, _| {})
    }

    /// As [`Live::extend`]; `arrived` gets the tokens of each part as soon as they are read.
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
            self.last_logits_if_any()?;
            let start = self.tokens.len();
            let (rows, part) = (chunk.len(), control.part(i * self.chunk * layers, total));
            let mut hooks = Collector::new(&self.capture, rows);
            let loaded = self.loaded.clone();
            let (pass, mut resid) = loaded.model.begin(chunk, &self.cache, self.precision, &mut hooks)?;
            for l in 0..layers {
                resid = pass.layer(l, resid, &mut self.cache, &mut hooks, &part)?;
            }
            let outputs = pass.outputs(&resid, &mut hooks)?;
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

    /// As [`Live::extend_reporting`], of tokens with sources of their own.
    ///
    /// # Errors
    /// As [`Live::extend`].
    pub fn extend_from(&mut self, tokens: &[(u32, Source)], control: &Control, arrived: OnTokens) -> Result<()> {
        for same in tokens.chunk_by(|a, b| a.1 == b.1) {
            let ids: Vec<u32> = same.iter().map(|(id, _)| *id).collect();
            self.extend_reporting(&ids, same[0].1, control, arrived)?;
        }
        Ok(())
    }

    /// Records a chunk that was read, up to the first position whose logits are not finite: those before it see nothing of
    /// it.
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

    /// Records tokens that were read: `logits` is `[ids, vocab]`.
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

    /// One entry of a distribution with its spelling.
    pub(in crate::engine) fn candidate(&self, distribution: &Distribution, id: usize) -> Candidate {
        let piece = self.piece(id as u32);
        Candidate { id: id as u32, piece, logit: distribution.logit(id), prob: distribution.prob(id) }
    }

    /// The logits after the last token; after stepping back that token is read once more, which gives the same bits.
    fn last_logits_if_any(&mut self) -> Result<Option<Arc<[f32]>>> {
        if self.last.is_none()
            && let Some(token) = self.tokens.last()
        {
            self.cache.truncate(self.tokens.len() - 1);
            let (model, control) = (&self.loaded.model, Control::none());
            let logits = model.forward(&[token.id], &mut self.cache, self.precision, &mut NoHooks, &control)?;
            self.last = Some(logits.into());
        }
        Ok(self.last.clone())
    }

    /// The logits `[vocab]` after `id`, read behind the first `len` tokens; the run stays as it is.
    ///
    /// # Errors
    /// [`Stopped`](crate::control::Stopped) if cancelled; if `id` is outside the vocabulary.
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
        let logits = self.last_logits_if_any()?.context("there is no prompt yet: type one first")?;
        let id = sampling::sample(&logits, sampling, self.tokens.len() - 1)?;
        self.extend(&[id], Source::Generated, control)?;
        Ok(id)
    }

    /// Whether `id` ends a text.
    pub fn is_end(&self, id: u32) -> bool {
        self.meta.eos.contains(&id)
    }

    /// The ids and sources of the tokens: what it takes to read them again.
    pub fn ids_and_sources(&self) -> Vec<(u32, Source)> {
        self.tokens.iter().map(|token| (token.id, token.source)).collect()
    }

    /// Forgets all tokens and goes on under another policy.
    pub fn switch(&mut self, policy: Policy) {
        self.meta = Arc::new(Meta { policy, ..(*self.meta).clone() });
        self.precision = Precision::new(policy, self.meta.compute_dtype);
        self.truncate(0);
    }

    /// After a panic: forgets what was half done.
    pub fn repair(&mut self) {
        let whole = self.tokens.len().min(self.cache.len());
        self.cache.truncate(whole);
        self.tokens.truncate(whole);
        self.last = None;
    }

    /// Names the first hook that is not finite when `id` is read at position `start`, behind sound ones.
    fn name_non_finite(&mut self, id: u32, start: usize) -> anyhow::Error {
        let (model, control) = (&self.loaded.model, Control::none());
        let found = model.forward(&[id], &mut self.cache, self.precision, &mut FindNonFinite, &control);
        self.cache.truncate(start);
        found.err().unwrap_or_else(|| anyhow::anyhow!("the logits are not finite (NaN or infinity)"))
    }
}
