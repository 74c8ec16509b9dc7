//! Layers, experts, heads and positions that an edit names.

use std::ops::Range;

/// Some indices: all of them, or those listed, ascending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Picks {
    /// Every index that there is.
    All,
    /// These.
    These(Vec<usize>),
}

impl Picks {
    /// One index.
    pub fn one(index: usize) -> Self {
        Self::These(vec![index])
    }

    /// These indices.
    pub fn these(indices: impl IntoIterator<Item = usize>) -> Self {
        let mut these: Vec<usize> = indices.into_iter().collect();
        these.sort_unstable();
        these.dedup();
        Self::These(these)
    }

    /// Whether `index` is one of them.
    pub fn has(&self, index: usize) -> bool {
        match self {
            Self::All => true,
            Self::These(these) => these.binary_search(&index).is_ok(),
        }
    }

    /// Those below `count`.
    pub fn below(&self, count: usize) -> Vec<usize> {
        (0..count).filter(|index| self.has(*index)).collect()
    }

    /// The largest index that is listed.
    pub fn last(&self) -> Option<usize> {
        match self {
            Self::All => None,
            Self::These(these) => these.last().copied(),
        }
    }
}

/// Positions: all, or a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Span {
    /// Every position.
    All,
    /// These positions; both ends count.
    These(usize, usize),
}

impl Span {
    /// The last position that it names.
    pub fn last(&self) -> Option<usize> {
        match self {
            Self::All => None,
            Self::These(_, last) => Some(*last),
        }
    }

    /// Whether `position` is in it.
    pub fn has(&self, position: usize) -> bool {
        match self {
            Self::All => true,
            Self::These(first, last) => (*first..=*last).contains(&position),
        }
    }
}

/// The positions that an edit applies to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// Every position.
    #[default]
    Everywhere,
    /// These positions; both ends count.
    Positions(usize, usize),
    /// From this position on.
    From(usize),
    /// The last position of the prompt.
    Last,
    /// The positions of the prompt.
    Prompt,
    /// The positions after the prompt.
    Generated,
}

impl Scope {
    /// The positions in a run whose prompt has `prompt` tokens.
    pub fn range(&self, prompt: usize) -> Range<usize> {
        match *self {
            Self::Everywhere => 0..usize::MAX,
            Self::Positions(first, last) => first..last.saturating_add(1),
            Self::From(first) => first..usize::MAX,
            Self::Last => prompt.saturating_sub(1)..prompt,
            Self::Prompt => 0..prompt,
            Self::Generated => prompt..usize::MAX,
        }
    }
}
