//! Keys that queries can't see.

use crate::trace::{Change, Edit, Picks, Span};
use std::ops::Range;

/// The cuts of attention in one layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Cuts(Vec<Cut>);

#[derive(Clone, Debug, PartialEq)]
struct Cut {
    /// The index of the edit.
    edit: usize,
    heads: Picks,
    scope: Range<usize>,
    query: Span,
    key: Span,
}

impl Cut {
    fn has(&self, query: usize) -> bool {
        self.scope.contains(&query) && self.query.has(query)
    }
}

impl Cuts {
    /// Those among the edits of a run whose prompt has `prompt` tokens; `None` if there is none.
    pub(super) fn of<'a>(edits: impl Iterator<Item = &'a Edit>, layer: usize, prompt: usize) -> Option<Self> {
        let in_layer = |(index, edit): (usize, &Edit)| match &edit.change {
            Change::Cut { heads, query, key } if edit.layers.has(layer) => Some(Cut {
                edit: index,
                heads: heads.clone(),
                scope: edit.scope.range(prompt),
                query: query.clone(),
                key: key.clone(),
            }),
            _ => None,
        };
        let cuts: Vec<Cut> = edits.enumerate().filter_map(in_layer).collect();
        (!cuts.is_empty()).then_some(Self(cuts))
    }

    /// Hides keys of a query: their scores become −∞. `scores` are those of the keys from `first` on.
    pub fn hide(&self, head: usize, query: usize, first: usize, scores: &mut [f32]) {
        for cut in self.0.iter().filter(|cut| cut.heads.has(head) && cut.has(query)) {
            for (key, score) in (first..).zip(scores.iter_mut()) {
                if cut.key.has(key) {
                    *score = f32::NEG_INFINITY;
                }
            }
        }
    }

    /// The edits that hide one of these keys from `query`.
    pub(super) fn edits(&self, query: usize, keys: Range<usize>) -> impl Iterator<Item = usize> {
        let hides = move |cut: &&Cut| match cut.key {
            _ if !cut.has(query) => false,
            Span::All => true,
            Span::These(first, last) => first < keys.end && last >= keys.start,
        };
        self.0.iter().filter(hides).map(|cut| cut.edit)
    }
}
