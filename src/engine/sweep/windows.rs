//! Texts as windows of tokens.

use super::corpus::Corpus;
use super::parts::{Part, Parts};
use crate::analysis::sweep::{CorpusAbout, Cursor, Place, Shard};
use crate::model::Loaded;
use anyhow::{Context, Result, ensure};
use rayon::prelude::*;
use std::collections::VecDeque;

/// Tokens that the model reads in one context.
pub struct Window {
    /// The group of its text.
    pub group: String,
    /// Where it is.
    pub place: Place,
    /// Whether its part is the first of its text.
    pub is_first_part: bool,
    /// Its tokens.
    pub ids: Vec<u32>,
}

/// The windows of a corpus, in order.
pub struct Windows<'a> {
    loaded: &'a Loaded,
    parts: Parts<'a>,
    total: Option<u64>,
    window: usize,
    shard: Option<Shard>,
    /// What each window begins with: a beginning-of-text token, if the tokenizer adds one.
    prefix: Vec<u32>,
    /// Windows that are not given out yet, each with the hash of the parts up to its own.
    ready: VecDeque<(Window, String)>,
    /// The place after the last window that was given out.
    cursor: Cursor,
    skip: Option<Cursor>,
}

impl<'a> Windows<'a> {
    /// The windows of `window` tokens from `from` on, of a shard or all.
    ///
    /// # Errors
    /// If there is no tokenizer.
    pub fn new(
        loaded: &'a Loaded,
        corpus: &'a Corpus,
        window: usize,
        shard: Option<Shard>,
        from: Option<&Cursor>,
    ) -> Result<Self> {
        Ok(Self {
            loaded,
            parts: Parts::new(corpus),
            total: corpus.bytes(),
            window,
            shard,
            prefix: prefix(loaded)?,
            ready: VecDeque::new(),
            cursor: from.cloned().unwrap_or_default(),
            skip: from.cloned(),
        })
    }

    /// The next windows, at most `most`; none at the end.
    ///
    /// # Errors
    /// If a text can't be read, or the texts before the place where the sweep continues are not those of the first time.
    pub fn batch(&mut self, most: usize) -> Result<Vec<Window>> {
        while self.ready.len() < most {
            if !self.more()? {
                break;
            }
        }
        let batch: Vec<(Window, String)> = self.ready.drain(..most.min(self.ready.len())).collect();
        if let Some((last, hash)) = batch.last() {
            self.cursor = Cursor { part: last.place.part, windows: last.place.window + 1, hash: hash.clone() };
        }
        Ok(batch.into_iter().map(|(window, _)| window).collect())
    }

    /// The place after the last window that was given out.
    pub fn cursor(&self) -> Cursor {
        self.cursor.clone()
    }

    /// What the corpus is, once all of it was read.
    pub fn about(&self) -> CorpusAbout {
        self.parts.about()
    }

    /// Bytes that were read, and of all files.
    pub fn bytes(&self) -> (u64, Option<u64>) {
        (self.parts.bytes(), self.total)
    }

    /// Reads some parts and makes windows of them; false at the end.
    fn more(&mut self) -> Result<bool> {
        let at_once = rayon::current_num_threads().max(1);
        let mut taken: Vec<(Part, String)> = Vec::with_capacity(at_once);
        let mut is_open = true;
        while taken.len() < at_once && is_open {
            let Some(part) = self.parts.next()? else {
                is_open = false;
                let (found, skip) = (self.parts.about().parts, self.skip.as_ref().map_or(0, |skip| skip.part + 1));
                ensure!(
                    found >= skip,
                    "the texts are not those of the interrupted sweep: they have {found} parts, and it had read {skip}; start \
                     again with --force"
                );
                continue;
            };
            if self.is_done(&part)? || self.shard.is_some_and(|shard| !shard.has(part.number)) {
                continue;
            }
            let hash = self.parts.hash();
            taken.push((part, hash));
        }
        let (window, prefix, loaded) = (self.window, &self.prefix, self.loaded);
        let tokenized: Vec<Vec<Window>> =
            taken.par_iter().map(|(part, _)| windows_of(loaded, part, prefix, window)).collect::<Result<_>>()?;
        for ((part, hash), windows) in taken.into_iter().zip(tokenized) {
            let done = self.skip.as_ref().filter(|skip| skip.part == part.number).map_or(0, |skip| skip.windows);
            self.ready.extend(windows.into_iter().skip(done as usize).map(|window| (window, hash.clone())));
        }
        Ok(is_open)
    }

    /// Whether a part was counted before the sweep stopped.
    fn is_done(&self, part: &Part) -> Result<bool> {
        let Some(skip) = &self.skip else { return Ok(false) };
        if part.number == skip.part {
            ensure!(
                self.parts.hash() == skip.hash,
                "the texts are not those of the interrupted sweep: part {} or one before it has changed; \
                 start again with --force",
                part.number
            );
        }
        Ok(part.number < skip.part)
    }
}

/// The special tokens that the tokenizer puts before a text.
fn prefix(loaded: &Loaded) -> Result<Vec<u32>> {
    // Which text does not matter.
    let (bare, whole) = (loaded.tokenize("a", false)?, loaded.tokenize("a", true)?);
    let at = whole.windows(bare.len().max(1)).position(|part| part == bare).unwrap_or(0);
    Ok(whole[..at].to_vec())
}

fn windows_of(loaded: &Loaded, part: &Part, prefix: &[u32], window: usize) -> Result<Vec<Window>> {
    let named = || format!("part {} of the corpus", part.number);
    let ids = loaded.tokenize(&part.text, false).with_context(named)?;
    let vocab = loaded.meta.dims.vocab;
    if let Some(bad) = ids.iter().find(|id| **id as usize >= vocab) {
        anyhow::bail!("{}: token id {bad} is outside the model's vocabulary of {vocab} tokens", named());
    }
    let room = window.saturating_sub(prefix.len()).max(1);
    let make = |(index, ids): (usize, &[u32])| Window {
        group: part.group.clone(),
        place: Place { part: part.number, window: index as u64 },
        is_first_part: part.is_first,
        ids: prefix.iter().chain(ids).copied().collect(),
    };
    Ok(ids.chunks(room).enumerate().map(make).collect())
}
