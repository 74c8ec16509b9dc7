use super::Pattern;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fmt;

/// Queries that a head is measured on, at most; of longer runs every second, fourth, … is taken.
const MOST_QUERIES: usize = 512;

/// What heads are measured by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// Mean entropy of the rows, nats.
    Entropy,
    /// Mean weight on the token just before.
    Previous,
    /// Mean weight on the first token.
    First,
    /// Mean weight on the tokens after earlier occurrences of the query's token.
    Induction,
    /// Mean weight on earlier occurrences of the query's token.
    Duplicate,
}

impl Measure {
    /// All of them, in the order of their key.
    pub const ALL: [Measure; 5] = [Self::Entropy, Self::Previous, Self::First, Self::Induction, Self::Duplicate];

    /// Its name on the command line and in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Entropy => "entropy",
            Self::Previous => "previous",
            Self::First => "first",
            Self::Induction => "induction",
            Self::Duplicate => "duplicate",
        }
    }

    /// What it is, for the screen.
    pub fn explain(self) -> &'static str {
        match self {
            Self::Entropy => "mean over rows, nats; lowest is best",
            Self::Previous => "mean weight on the token just before",
            Self::First => "mean weight on the first token",
            Self::Induction => "mean weight on what followed this token",
            Self::Duplicate => "mean weight on this token earlier",
        }
    }

    /// The figure of a head; `None` if the text has no query it could be measured on.
    pub fn of(self, stats: &HeadStats) -> Option<f32> {
        match self {
            Self::Entropy => Some(stats.entropy),
            Self::Previous => stats.previous,
            Self::First => stats.first,
            Self::Induction => stats.induction,
            Self::Duplicate => stats.duplicate,
        }
    }

    /// Which of two figures is better comes first: the higher one; of entropies the lower one.
    pub fn order(self, a: f32, b: f32) -> std::cmp::Ordering {
        if self == Self::Entropy { a.total_cmp(&b) } else { b.total_cmp(&a) }
    }

    /// Puts the heads with the best figures first, those without one last; of equals the earlier stays before.
    pub fn sort<T>(self, heads: &mut [T], value: impl Fn(&T) -> Option<f32>) {
        heads.sort_by(|a, b| match (value(a), value(b)) {
            (Some(a), Some(b)) => self.order(a, b),
            (a, b) => b.is_some().cmp(&a.is_some()),
        });
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Entropy => "entropy",
            Self::Previous => "previous token",
            Self::First => "first token",
            Self::Induction => "induction",
            Self::Duplicate => "duplicate token",
        })
    }
}

/// What a head does on a text.
///
/// Previous, duplicate and induction score the weight on the keys that TransformerLens' `head_detector` names so: the
/// key before the query; earlier keys of the query's own token; the keys right after those. The last is the prefix
/// matching score of Olsson et al., "In-context Learning and Induction Heads" (2022). All are means over the queries
/// that have such a key.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HeadStats {
    /// Tokens of the run when it was measured.
    pub n: usize,
    /// Every how many queries one was measured; 1 = all.
    pub stride: usize,
    /// Mean entropy of the rows, nats.
    pub entropy: f32,
    /// Mean weight on the token just before (queries from 1 on); `None` if the run has one token only.
    pub previous: Option<f32>,
    /// Mean weight on the first token (queries from 1 on); `None` as above.
    pub first: Option<f32>,
    /// Mean weight on positions `p + 1` where token `p` is the query's; `None` if no token of the text occurs twice.
    pub induction: Option<f32>,
    /// Mean weight on positions `p` before the query where token `p` is the query's; `None` as for induction.
    pub duplicate: Option<f32>,
}

impl HeadStats {
    /// Measures a whole pattern over the tokens `ids`.
    pub fn of(pattern: &Pattern, ids: &[u32]) -> Self {
        let (earlier, mut scorer) = (Earlier::of(ids), HeadScorer::default());
        while scorer.next() < pattern.n {
            scorer.push(pattern.row(scorer.next()), &earlier);
        }
        scorer.stats(pattern.n)
    }
}

/// For every position of a text, the last one before it that holds the same token.
#[derive(Clone, Debug, Default)]
pub struct Earlier(Vec<Option<usize>>);

impl Earlier {
    /// Of a text of these tokens.
    pub fn of(ids: &[u32]) -> Self {
        let mut last = HashMap::new();
        Self(ids.iter().enumerate().map(|(pos, id)| last.insert(*id, pos)).collect())
    }

    /// All positions before `pos` that hold its token, last first.
    pub fn occurrences(&self, pos: usize) -> impl Iterator<Item = usize> {
        let before = |pos: &usize| self.0.get(*pos).copied().flatten();
        std::iter::successors(before(&pos), before)
    }
}

/// One query's share of the figures; NaN where it has no such key.
#[derive(Clone, Copy, Debug)]
struct QueryScore {
    entropy: f32,
    previous: f32,
    first: f32,
    induction: f32,
    duplicate: f32,
}

/// Measures a head row by row. The queries `0, stride, 2·stride, …` are taken in; the stride is 1 up to 512 tokens and
/// doubles whenever there would be more queries than that.
#[derive(Clone, Debug)]
pub struct HeadScorer {
    stride: usize,
    queries: Vec<QueryScore>,
}

impl Default for HeadScorer {
    fn default() -> Self {
        Self { stride: 1, queries: Vec::new() }
    }
}

impl HeadScorer {
    /// The query whose row is to be taken in next.
    pub fn next(&self) -> usize {
        self.queries.len() * self.stride
    }

    /// Takes in the weights of the query [`HeadScorer::next`] over the keys up to itself.
    pub fn push(&mut self, row: &[f32], earlier: &Earlier) {
        let query = self.next();
        let at = |key: Option<usize>| key.and_then(|key| row.get(key)).copied();
        let repeats = earlier.occurrences(query).next().is_some();
        let sum = |shift: usize| {
            let keys = earlier.occurrences(query).map(|pos| pos + shift);
            if repeats { keys.filter_map(|key| at(Some(key))).sum() } else { f32::NAN }
        };
        self.queries.push(QueryScore {
            entropy: super::routing::entropy(row),
            previous: at(query.checked_sub(1)).unwrap_or(f32::NAN),
            first: if query > 0 { row[0] } else { f32::NAN },
            induction: sum(1),
            duplicate: sum(0),
        });
        if self.queries.len() > MOST_QUERIES {
            let mut i = 0;
            self.queries.retain(|_| {
                i += 1;
                i % 2 == 1
            });
            self.stride *= 2;
        }
    }

    /// Forgets queries from position `len` on.
    pub fn truncate(&mut self, len: usize) {
        if len < self.next() {
            // The same run read from its start would be measured more densely.
            if self.stride > 1 && len <= self.stride / 2 * MOST_QUERIES {
                *self = Self::default();
            } else {
                self.queries.truncate(len.div_ceil(self.stride));
            }
        }
    }

    /// The figures of the first `n` tokens, which must have been taken in.
    pub fn stats(&self, n: usize) -> HeadStats {
        let mean = |part: fn(&QueryScore) -> f32| {
            let there = self.queries.iter().map(part).filter(|x| !x.is_nan());
            let (sum, count) = there.fold((0.0, 0usize), |(sum, count), x| (sum + f64::from(x), count + 1));
            (count > 0).then(|| (sum / count as f64) as f32)
        };
        HeadStats {
            n,
            stride: self.stride,
            entropy: mean(|q| q.entropy).unwrap_or(0.0),
            previous: mean(|q| q.previous),
            first: mean(|q| q.first),
            induction: mean(|q| q.induction),
            duplicate: mean(|q| q.duplicate),
        }
    }
}

/// Every head of a model on a text of random tokens given twice.
#[derive(Clone, Debug, PartialEq)]
pub struct HeadScores {
    /// Random tokens, before they are repeated.
    pub repeated: usize,
    /// Query heads of a layer.
    pub heads: usize,
    /// `[layers, heads]`.
    pub stats: Vec<HeadStats>,
}

impl HeadScores {
    /// The figures of one head.
    pub fn get(&self, layer: usize, head: usize) -> Option<&HeadStats> {
        self.stats.get(layer * self.heads + head)
    }
}

#[cfg(test)]
#[path = "head_stats/tests.rs"]
mod tests;
