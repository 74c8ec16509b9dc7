//! A run of an open model: the tokens read so far, their records and their KV cache.

mod edits;
mod reading;

pub use reading::OnTokens;

use super::capture::Capture;
use crate::model::{Distribution, KvCache, Loaded, Precision, PromptEdits};
use crate::trace::{Candidate, HookKind, Meta, Piece, Policy, Prompt, Records, Source, TokenRecord};
use anyhow::{Context, Result, ensure};
use std::ops::Range;
use std::sync::Arc;

/// Tokens of a prompt that are read in one pass.
const CHUNK: usize = 64;
/// As `CHUNK`, for a large model: a pass over fewer tokens would mostly wait for the weights.
const LONG_CHUNK: usize = 512;
/// A model is large if a token touches more bytes of weights than this: they don't stay in a processor's cache between
/// passes.
const LARGE: u64 = 64 << 20;

/// A run that an open model continues. Clones are branches: they share records and KV pages.
#[derive(Clone)]
pub struct Live {
    loaded: Arc<Loaded>,
    meta: Arc<Meta>,
    precision: Precision,
    edits: Option<Box<PromptEdits>>,
    /// Edits whose means are known, for experiments that edit one part after the other.
    means: Option<Arc<PromptEdits>>,
    /// What is kept of each token.
    capture: Capture,
    /// The same without what is kept because of edits.
    requested: Capture,
    candidates: usize,
    /// Tokens of a prompt that are read in one pass.
    chunk: usize,
    cache: KvCache,
    tokens: Vec<Arc<TokenRecord>>,
    /// Logits after the last token `[vocab]`.
    last: Option<Arc<[f32]>>,
}

impl Live {
    /// An empty run that keeps the `candidates` most probable next tokens of every position.
    pub fn new(loaded: Arc<Loaded>, capture: Capture, candidates: usize) -> Self {
        let meta = loaded.meta.clone();
        let precision = Precision::new(meta.policy, meta.compute_dtype);
        let cache = loaded.model.new_cache();
        // Quantised weights gain nothing from long chunks, and the patterns of a long chunk are large.
        let is_large = meta.touched_bytes > LARGE && !loaded.model.decodes_each_token();
        let is_long = is_large && !capture.has(HookKind::Pattern);
        let chunk = if is_long { LONG_CHUNK } else { CHUNK };
        let (edits, tokens) = (None, Vec::new());
        Self {
            loaded,
            meta,
            precision,
            edits,
            means: None,
            requested: capture.clone(),
            capture,
            candidates,
            chunk,
            cache,
            tokens,
            last: None,
        }
    }

    /// The same run, which reads prompts `chunk` tokens (at least one) at a time. The results are the same.
    pub fn in_chunks_of(self, chunk: usize) -> Self {
        Self { chunk: chunk.max(1), ..self }
    }

    /// An empty run of the same model under the same policy, without edits, that keeps only `capture`.
    pub fn fresh(&self, capture: Capture) -> Self {
        let cache = self.loaded.model.new_cache();
        let (edits, tokens) = (None, Vec::new());
        Self { edits, requested: capture.clone(), capture, candidates: 1, cache, tokens, last: None, ..self.clone() }
    }

    /// An empty run of the same model under another policy that keeps as much.
    pub fn under(&self, policy: Policy) -> Self {
        let mut other = self.clone();
        other.switch(policy);
        other
    }

    /// Whether both are runs of the same opened model.
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

    /// The current rounding.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// The tokens read so far, with their records.
    pub fn tokens(&self) -> &[Arc<TokenRecord>] {
        &self.tokens
    }

    /// Keys and values of the positions so far.
    pub fn cache(&self) -> &KvCache {
        &self.cache
    }

    /// The run as data that shares its records.
    pub fn records(&self) -> Records {
        Records { meta: self.meta.clone(), tokens: self.tokens.clone() }
    }

    /// The tokenizer's spelling of a token.
    pub fn piece(&self, id: u32) -> Piece {
        self.loaded.piece(id)
    }

    /// An entry of a distribution, with its spelling.
    pub(in crate::engine) fn candidate(&self, distribution: &Distribution, id: usize) -> Candidate {
        let piece = self.piece(id as u32);
        Candidate { id: id as u32, piece, logit: distribution.logit(id), prob: distribution.prob(id) }
    }

    /// The logits after these positions `[rows, vocab]`, from the residuals of the last layer: bit for bit those of the pass.
    ///
    /// # Errors
    /// If the run lacks a position or its residual, or the device fails.
    pub fn logits(&self, rows: Range<usize>) -> Result<Vec<f32>> {
        let last = self.meta.dims.layers - 1;
        let tokens =
            self.tokens.get(rows.clone()).with_context(|| format!("positions {rows:?} are outside the run"))?;
        let mut resid = Vec::with_capacity(tokens.len() * self.meta.dims.d_model);
        for token in tokens {
            resid.extend_from_slice(token.row(HookKind::ResidPost, last).context("the run keeps no residuals")?);
        }
        self.loaded.model.lens(&resid, self.precision)
    }

    /// The ids of a prompt.
    ///
    /// # Errors
    /// If it is empty, an id is outside the vocabulary, or there is no tokenizer for a text.
    pub fn prompt_ids(&self, prompt: &Prompt) -> Result<Vec<u32>> {
        self.loaded.tokens(prompt.clone())
    }

    /// Checks that a run of `len` tokens fits into the model's context.
    ///
    /// # Errors
    /// If it does not; `what` begins the message.
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

    /// The ids of a text that continues the run. Tokenizers put a space before a separate text; here a new word begins only
    /// if the text begins with a space.
    ///
    /// # Errors
    /// If there is no tokenizer.
    pub fn tokenize_on(&self, text: &str) -> Result<Vec<u32>> {
        // A line end is never joined with the text after it, so the ids after it are those of `text` alone.
        let (anchor, joined) = (self.tokenize("\n", false)?, self.tokenize(&format!("\n{text}"), false)?);
        match joined.strip_prefix(anchor.as_slice()) {
            Some(ids) if !ids.is_empty() => Ok(ids.to_vec()),
            _ => self.tokenize(text, false),
        }
    }

    /// How many records at the start both runs share (the same record, not an equal one).
    pub(in crate::engine) fn shared_with(&self, other: &Live) -> usize {
        self.tokens.iter().zip(&other.tokens).take_while(|(a, b)| Arc::ptr_eq(a, b)).count()
    }

    /// Whether `other` begins with this run.
    pub(in crate::engine) fn is_start_of(&self, other: &Live) -> bool {
        let fits = |live: &Live| live.edits.as_ref().map(|edits| edits.prompt().to_vec());
        let same = self.meta.policy == other.meta.policy && self.meta.edits == other.meta.edits;
        same && fits(self) == fits(other) && self.shared_with(other) == self.tokens.len()
    }

    /// Whether both are runs of the same opened model under the same policy and edits.
    pub(in crate::engine) fn is_computed_as(&self, other: &Live) -> bool {
        self.is_of_the_model_of(other) && self.meta.policy == other.meta.policy && self.meta.edits == other.meta.edits
    }

    /// Whether both are the same run.
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

    /// Forgets all tokens from position `len` on.
    pub fn truncate(&mut self, len: usize) {
        if len < self.tokens.len() {
            self.tokens.truncate(len);
            self.cache.truncate(len);
            self.last = None;
        }
    }

    /// Whether `id` ends a text.
    pub fn is_end(&self, id: u32) -> bool {
        self.meta.eos.contains(&id)
    }

    /// The ids and sources of the tokens, for reading them again.
    pub fn ids_and_sources(&self) -> Vec<(u32, Source)> {
        self.tokens.iter().map(|token| (token.id, token.source)).collect()
    }

    /// Forgets all tokens and continues under another policy.
    pub fn switch(&mut self, policy: Policy) {
        self.meta = Arc::new(Meta { policy, ..(*self.meta).clone() });
        self.precision = Precision::new(policy, self.meta.compute_dtype);
        self.truncate(0);
    }

    /// Forgets what was incomplete when a panic interrupted it.
    pub fn repair(&mut self) {
        let whole = self.tokens.len().min(self.cache.len());
        self.cache.truncate(whole);
        self.tokens.truncate(whole);
        self.last = None;
    }
}
