//! Keys that queries can't see.

use crate::trace::{Change, Edit, Picks, Span};
use std::ops::Range;
use std::sync::Arc;

/// The cuts of attention in one layer. Clones share them.
#[derive(Clone, Debug, PartialEq)]
pub struct Cuts(Arc<[Cut]>);

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

    /// Those of `keys` that it hides.
    fn hidden(&self, keys: Range<usize>) -> Range<usize> {
        match self.key {
            Span::All => keys,
            Span::These(first, last) => {
                let start = first.clamp(keys.start, keys.end);
                start..last.saturating_add(1).clamp(start, keys.end)
            }
        }
    }
}

impl Cuts {
    /// Those among the edits of a run whose prompt has `prompt` tokens; `None` if there is none.
    pub fn of<'a>(edits: impl Iterator<Item = &'a Edit>, layer: usize, prompt: usize) -> Option<Self> {
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
        (!cuts.is_empty()).then(|| Self(cuts.into()))
    }

    /// Hides keys of a query: their scores become −∞. `scores` are those of the keys from `first` on.
    pub fn hide(&self, head: usize, query: usize, first: usize, scores: &mut [f32]) {
        let end = first + scores.len();
        for cut in self.0.iter().filter(|cut| cut.heads.has(head) && cut.has(query)) {
            let Range { start, end } = cut.hidden(first..end);
            scores[start - first..end - first].fill(f32::NEG_INFINITY);
        }
    }

    /// Whether a key is hidden from a query.
    pub fn hides(&self, head: usize, query: usize, key: usize) -> bool {
        self.0.iter().any(|cut| cut.heads.has(head) && cut.has(query) && cut.key.has(key))
    }

    /// The edits that hide one of these keys from `query`.
    pub(super) fn edits(&self, query: usize, keys: Range<usize>) -> impl Iterator<Item = usize> {
        let hides = move |cut: &&Cut| cut.has(query) && !cut.hidden(keys.clone()).is_empty();
        self.0.iter().filter(hides).map(|cut| cut.edit)
    }
}
