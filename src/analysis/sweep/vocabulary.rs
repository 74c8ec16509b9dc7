use super::reading::{LayerReading, Reading};
use super::shape::Shape;
use serde::{Deserialize, Serialize};

/// Which token of a position is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenKind {
    /// The token that is read.
    Input,
    /// The token that follows in the text.
    Next,
    /// The token that the model predicts.
    Predicted,
}

impl TokenKind {
    /// All of them.
    pub const ALL: [TokenKind; 3] = [TokenKind::Input, TokenKind::Next, TokenKind::Predicted];

    /// The word in options and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Next => "next",
            Self::Predicted => "predicted",
        }
    }

    /// The token of this kind at a position.
    fn of(self, reading: &Reading, pos: usize) -> Option<u32> {
        match self {
            Self::Input => reading.ids.get(pos),
            Self::Next => reading.ids.get(pos + 1),
            Self::Predicted => reading.predicted.get(pos),
        }
        .copied()
    }
}

/// How often tokens of each kind went to each expert, over all groups.
#[derive(Clone, Debug, PartialEq)]
pub struct Vocabulary {
    shape: Shape,
    kinds: Vec<TokenKind>,
    /// By kind and layer `[kinds × layers]`, by token up to the last that occurred: first choices `[experts]`, then choices
    /// `[experts]`.
    rows: Vec<Vec<Option<Box<[u64]>>>>,
}

impl Vocabulary {
    /// Nothing yet, of these kinds of tokens.
    pub fn new(shape: Shape, kinds: &[TokenKind]) -> Self {
        let rows = vec![Vec::new(); kinds.len() * shape.layers];
        Self { shape, kinds: kinds.to_vec(), rows }
    }

    /// Bytes if every token of the vocabulary occurs.
    pub fn most_bytes(shape: Shape, kinds: usize) -> u64 {
        let row = 2 * shape.experts * size_of::<u64>() + size_of::<Option<Box<[u64]>>>();
        [shape.layers, shape.vocab, row].into_iter().fold(kinds as u64, |all, n| all.saturating_mul(n as u64))
    }

    /// The kinds of tokens that are counted.
    pub fn kinds(&self) -> &[TokenKind] {
        &self.kinds
    }

    fn index(&self, kind: TokenKind, layer: usize) -> Option<usize> {
        Some(self.kinds.iter().position(|other| *other == kind)? * self.shape.layers + layer)
    }

    /// The counts of a token; `None` if it is outside the vocabulary.
    fn row(&mut self, index: usize, token: u32) -> Option<&mut [u64]> {
        let token = usize::try_from(token).ok().filter(|token| *token < self.shape.vocab)?;
        let rows = self.rows.get_mut(index)?;
        if rows.len() <= token {
            rows.resize(token + 1, None);
        }
        Some(rows[token].get_or_insert_with(|| vec![0; 2 * self.shape.experts].into_boxed_slice()))
    }

    /// Counts a window.
    pub fn add(&mut self, reading: &Reading) {
        let Shape { layers, experts, top_k, .. } = self.shape;
        for (of_kind, kind) in self.kinds.clone().into_iter().enumerate() {
            for layer in 0..layers {
                for pos in reading.from..reading.ids.len() {
                    let chosen = LayerReading::row(&reading.layers[layer].chosen, pos, top_k);
                    let Some(token) = kind.of(reading, pos) else { continue };
                    let Some(row) = self.row(of_kind * layers + layer, token) else { continue };
                    chosen.iter().take(1).for_each(|expert| row[*expert as usize] += 1);
                    chosen.iter().for_each(|expert| row[experts + *expert as usize] += 1);
                }
            }
        }
    }

    /// Adds the counts of another part of the corpus, which have the same sizes and kinds.
    pub fn merge(&mut self, other: &Self) {
        for (index, tokens) in other.rows.iter().enumerate() {
            for (token, theirs) in tokens.iter().enumerate() {
                let Some(theirs) = theirs else { continue };
                if let Some(mine) = self.row(index, token as u32) {
                    mine.iter_mut().zip(theirs).for_each(|(mine, theirs)| *mine = mine.saturating_add(*theirs));
                }
            }
        }
    }

    /// The tokens that occurred, ascending, each with its first choices and its choices `[experts]`.
    pub fn tokens(&self, kind: TokenKind, layer: usize) -> impl Iterator<Item = (u32, &[u64], &[u64])> {
        let rows = self.index(kind, layer).and_then(|index| self.rows.get(index)).into_iter().flatten();
        rows.zip(0..).filter_map(|(row, token)| {
            let (first, chosen) = row.as_ref()?.split_at(self.shape.experts);
            Some((token, first, chosen))
        })
    }

    /// Sets the counts of a token, as read from a file; false if it is outside the sizes.
    pub(super) fn set(&mut self, kind: TokenKind, layer: usize, token: u32, counts: &[u64]) -> bool {
        let row = self.index(kind, layer).and_then(|index| self.row(index, token));
        row.filter(|row| row.len() == counts.len()).map(|row| row.copy_from_slice(counts)).is_some()
    }
}
