//! The pieces of a SentencePiece model, from a GGUF file's metadata or from `tokenizer.model`.

use super::leftmost::Leftmost;
use anyhow::{Result, bail, ensure};
use std::collections::HashMap;
use tokenizers::models::bpe::{Merges, Vocab};

/// Token types of SentencePiece, which ggml's `llama_token_type` repeats.
pub const NORMAL: u64 = 1;
/// The token of what has no other.
pub const UNKNOWN: u64 = 2;
/// Tokens that text never gives, such as BOS.
pub const CONTROL: u64 = 3;
/// Tokens that are found in a text before everything else.
pub const USER_DEFINED: u64 = 4;
/// Tokens of single bytes.
pub const BYTE: u64 = 6;

/// Bytes of a token; the time to find the merges of a piece grows with the square of its length.
const LONGEST: usize = 512;
/// The most tokens: four times those of the largest vocabularies.
const MOST: usize = 1 << 20;
/// Merges for every token; SentencePiece models have about two.
const MOST_MERGES: usize = 16;

/// The pieces by their ids.
pub struct Pieces {
    /// Their texts, `▁` for a space.
    pub texts: Vec<String>,
    /// The higher, the earlier two neighbours are joined.
    pub scores: Vec<f64>,
    /// Their types.
    pub kinds: Vec<u64>,
    ids: HashMap<String, u32>,
}

/// One way to make a piece of two.
struct Split<'a> {
    id: u32,
    score: f64,
    ids: (u32, u32),
    halves: (&'a str, &'a str),
}

impl Pieces {
    /// Checks the pieces. `names` are what messages call texts and scores.
    ///
    /// # Errors
    /// If there are none or too many, one is empty, too long or there twice, or a score is no number.
    pub fn new(texts: Vec<String>, scores: Vec<f64>, kinds: Vec<u64>, names: (&str, &str)) -> Result<Self> {
        ensure!(
            !texts.is_empty() && scores.len() == texts.len() && kinds.len() == texts.len(),
            "its tokenizer has {} tokens, {} scores and {} types; it is damaged",
            texts.len(),
            scores.len(),
            kinds.len()
        );
        ensure!(scores.iter().all(|score| !score.is_nan()), "{} holds NaN", names.1);
        ensure!(texts.len() <= MOST, "its tokenizer has {} tokens; at most {MOST} are read", texts.len());
        if let Some(text) = texts.iter().find(|text| text.len() > LONGEST) {
            bail!("{} holds a token of {} bytes; at most {LONGEST} are read", names.0, text.len());
        }
        let ids: HashMap<String, u32> = texts.iter().cloned().zip(0..).collect();
        ensure!(ids.len() == texts.len(), "its tokenizer holds {} tokens twice", texts.len() - ids.len());
        ensure!(!ids.contains_key(""), "its tokenizer holds an empty token");
        Ok(Self { texts, scores, kinds, ids })
    }

    /// The ids by their texts.
    pub fn vocab(&self) -> Vocab {
        self.ids.iter().map(|(text, id)| (text.clone(), *id)).collect()
    }

    /// The texts of some types.
    pub fn of_kinds<'a>(&'a self, wanted: &'a [u64]) -> impl Iterator<Item = &'a str> {
        let all = self.texts.iter().zip(&self.kinds).filter(|(_, kind)| wanted.contains(kind));
        all.map(|(text, _)| text.as_str())
    }

    /// The score of all tokens of more than one character, if there are several and they have the same.
    pub fn one_score(&self) -> Option<f64> {
        let all = self.texts.iter().zip(&self.scores).zip(&self.kinds);
        let long = all.filter(|((text, _), kind)| **kind == NORMAL && text.chars().nth(1).is_some());
        let mut scores = long.map(|((_, score), _)| *score);
        let (first, second) = (scores.next()?, scores.next()?);
        (first == second && scores.all(|score| score == first)).then_some(first)
    }

    /// The merges, none of which comes before another.
    pub fn leftmost(&self, merges: &Merges) -> Leftmost {
        // Text never gives a control or user-defined token by joining.
        let part = |text: &str| self.ids.get(text).copied().filter(|id| self.kinds[*id as usize] == NORMAL);
        Leftmost::new(merges.iter().filter_map(|(left, right)| {
            let one = *self.ids.get(&format!("{left}{right}"))?;
            Some(((part(left)?, part(right)?), one))
        }))
    }

    /// SentencePiece joins the neighbours whose joint piece has the best score; as merges, in the order in which
    /// transformers lists those of a GGUF file: by score, then by the lengths of the halves, longest first.
    ///
    /// # Errors
    /// If there are too many.
    pub fn merges(&self) -> Result<Merges> {
        let mut all = self.splits(|kind| !matches!(kind, UNKNOWN | CONTROL | BYTE), |_| true)?;
        all.sort_by_key(|split| (split.id, split.ids));
        let lengths = |(left, right): (&str, &str)| (left.chars().count(), right.chars().count());
        all.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| lengths(b.halves).cmp(&lengths(a.halves))));
        Ok(owned(all))
    }

    /// The merges of normal pieces, in the order in which transformers lists those of a `tokenizer.model`: by score, then
    /// by the id of the joint piece.
    ///
    /// # Errors
    /// If there are too many.
    pub fn merges_of_normal(&self) -> Result<Merges> {
        let mut all = self.splits(|kind| kind == NORMAL, |kind| kind == NORMAL)?;
        all.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| (a.id, a.halves).cmp(&(b.id, b.halves))));
        Ok(owned(all))
    }

    /// All ways to make a piece of two others.
    fn splits(&self, whole: impl Fn(u64) -> bool, half: impl Fn(u64) -> bool) -> Result<Vec<Split<'_>>> {
        let most = MOST_MERGES * self.texts.len().max(4096);
        let id_of = |text: &str| self.ids.get(text).copied().filter(|id| half(self.kinds[*id as usize]));
        let mut all = Vec::new();
        for (id, text) in (0..).zip(&self.texts) {
            if !whole(self.kinds[id as usize]) {
                continue;
            }
            for (at, _) in text.char_indices().skip(1) {
                let halves = text.split_at(at);
                if let (Some(left), Some(right)) = (id_of(halves.0), id_of(halves.1)) {
                    all.push(Split { id, score: self.scores[id as usize], ids: (left, right), halves });
                }
            }
            ensure!(all.len() <= most, "its tokens can be put together in more than {most} ways");
        }
        Ok(all)
    }
}

fn owned(all: Vec<Split>) -> Merges {
    all.into_iter().map(|Split { halves: (left, right), .. }| (left.to_owned(), right.to_owned())).collect()
}
