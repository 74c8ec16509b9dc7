use super::pattern::Pattern;
use super::stats::HeadStats;
use crate::analysis::distribution::entropy;
use std::collections::HashMap;

/// The most queries that a head is scored on. Of longer runs, only every second, fourth, … query is scored.
const MOST_QUERIES: usize = 512;

impl HeadStats {
    /// Scores a whole pattern over the tokens `ids`.
    pub fn of(pattern: &Pattern, ids: &[u32]) -> Self {
        let (earlier, mut scorer) = (Earlier::of(ids), HeadScorer::default());
        while scorer.next() < pattern.n {
            scorer.push(pattern.row(scorer.next()), &earlier);
        }
        scorer.stats(pattern.n)
    }
}

/// For every position of a text, the last earlier position with the same token.
#[derive(Clone, Debug, Default)]
pub struct Earlier(Vec<Option<usize>>);

impl Earlier {
    /// The earlier positions in a text of these tokens.
    pub fn of(ids: &[u32]) -> Self {
        let mut last = HashMap::new();
        Self(ids.iter().enumerate().map(|(pos, id)| last.insert(*id, pos)).collect())
    }

    /// All positions before `pos` with the same token, last first.
    pub fn occurrences(&self, pos: usize) -> impl Iterator<Item = usize> {
        let before = |pos: &usize| self.0.get(*pos).copied().flatten();
        std::iter::successors(before(&pos), before)
    }
}

/// The scores of one query; NaN where it has no such key.
#[derive(Clone, Copy, Debug)]
struct QueryScore {
    entropy: f32,
    previous: f32,
    first: f32,
    induction: f32,
    duplicate: f32,
}

/// Scores a head row by row, on the queries `0, stride, 2·stride, …`. The stride is 1 up to 512 queries, and doubles
/// whenever there would be more.
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
    /// The query whose row must be added next.
    pub fn next(&self) -> usize {
        self.queries.len() * self.stride
    }

    /// Adds the weights of the query [`HeadScorer::next`] over the keys up to itself.
    pub fn push(&mut self, row: &[f32], earlier: &Earlier) {
        let query = self.next();
        let at = |key: Option<usize>| key.and_then(|key| row.get(key)).copied();
        let repeats = earlier.occurrences(query).next().is_some();
        let sum = |shift: usize| {
            let keys = earlier.occurrences(query).map(|pos| pos + shift);
            if repeats { keys.filter_map(|key| at(Some(key))).sum() } else { f32::NAN }
        };
        self.queries.push(QueryScore {
            entropy: entropy(row),
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
            // The same run read from its start would be scored more densely.
            if self.stride > 1 && len <= self.stride / 2 * MOST_QUERIES {
                *self = Self::default();
            } else {
                self.queries.truncate(len.div_ceil(self.stride));
            }
        }
    }

    /// The scores over the first `n` tokens, whose rows must have been added.
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

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
