use super::stats::HeadStats;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::fmt;

/// A score of heads.
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
    /// All scores, in the order in which the key goes through them.
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

    /// Its meaning, for the screen.
    pub fn explain(self) -> &'static str {
        match self {
            Self::Entropy => "mean over rows, nats; lowest is best",
            Self::Previous => "mean weight on the token just before",
            Self::First => "mean weight on the first token",
            Self::Induction => "mean weight on what followed this token",
            Self::Duplicate => "mean weight on this token earlier",
        }
    }

    /// The score of a head; `None` if the text has no query that it could be scored on.
    pub fn of(self, stats: &HeadStats) -> Option<f32> {
        match self {
            Self::Entropy => Some(stats.entropy),
            Self::Previous => stats.previous,
            Self::First => stats.first,
            Self::Induction => stats.induction,
            Self::Duplicate => stats.duplicate,
        }
    }

    /// Orders the better of two scores first: the higher one, but the lower one of entropies.
    pub fn order(self, a: f32, b: f32) -> Ordering {
        if self == Self::Entropy { a.total_cmp(&b) } else { b.total_cmp(&a) }
    }

    /// Sorts heads stably by score: the best first, those without a score last.
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
