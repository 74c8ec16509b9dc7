//! Runs under edits: the same tokens, read again from the first place that differs.

use super::Live;
use crate::control::Control;
use crate::model::{EditHooks, Edits, PromptEdits};
use crate::trace::{Change, Edit, HookKind, Meta, Part, Policy, Scope, Source, TokenRecord};
use anyhow::Result;
use std::ops::Range;
use std::sync::Arc;

/// Where a run is read again, and its records from before.
pub(super) struct Again<'a> {
    /// The first layer that differs.
    pub layer: usize,
    /// The records of the tokens that are read, which are right below that layer.
    pub records: &'a [Arc<TokenRecord>],
}

/// Whether both are about the same kind of part.
fn is_like(change: &Change, part: &Part) -> bool {
    matches!(change, Change::Mean(other) if std::mem::discriminant(other) == std::mem::discriminant(part))
}

impl Live {
    /// The edits of the pass.
    pub fn edits(&self) -> Option<&PromptEdits> {
        self.edits.as_deref()
    }

    /// The same tokens under these edits in place of those of the run; `None` for no edit. Positions before the first that
    /// differs, and layers below the first that differs, are not computed again.
    ///
    /// # Errors
    /// As [`Live::extend`].
    pub fn edited(&self, edits: Option<&Edits>, control: &Control) -> Result<Self> {
        let mut next = self.clone();
        next.set_edits(edits, control)?;
        let before = self.edits().filter(|edits| edits.precision() == self.precision);
        let Some((position, layer)) = PromptEdits::first_difference(before, next.edits(), self.meta.dims) else {
            return Ok(next);
        };
        if position >= self.tokens.len() {
            return Ok(next);
        }
        let has_residual = |token: &Arc<TokenRecord>| token.row(HookKind::ResidPost, layer - 1).is_some();
        let layer = if layer > 0 && self.tokens[position..].iter().all(has_residual) { layer } else { 0 };
        next.tokens.truncate(position);
        next.cache.rewind(position, layer);
        next.last = None;
        let (mut read, all) = (position, self.tokens.len());
        while read < all {
            let source = self.tokens[read].source;
            let same = self.tokens[read..].iter().take(self.chunk).take_while(|token| token.source == source);
            let records = &self.tokens[read..read + same.count()];
            let ids: Vec<u32> = records.iter().map(|token| token.id).collect();
            let (layers, done) = (self.meta.dims.layers, read - position);
            let part = control.part(done * layers, (all - position) * layers);
            next.read_chunk(&ids, source, Some(Again { layer, records }), &part, &mut |_, _| {})?;
            read += ids.len();
        }
        Ok(next)
    }

    /// The same run, which takes the means that any of these edits use only once.
    ///
    /// # Errors
    /// [`Stopped`](crate::control::Stopped) if `control` is cancelled; if the pass over the prompt fails.
    pub fn with_means<'a>(&self, edits: impl Iterator<Item = &'a Edit>, control: &Control) -> Result<Self> {
        // The means of one part of a layer are taken with those of all others.
        let mut means: Vec<Edit> = Vec::new();
        for edit in edits {
            if let Change::Mean(part) = &edit.change
                && !means.iter().any(|other| other.layers == edit.layers && is_like(&other.change, part))
            {
                means.push(Edit { scope: Scope::Everywhere, ..edit.clone() });
            }
        }
        let mut next = self.clone();
        if !means.is_empty() {
            let prompt: Vec<u32> = self.prompt().map(|token| token.id).collect();
            let edits = Edits::new(means, self.meta.dims)?;
            next.means = Some(edits.of_prompt(&prompt, &self.loaded.model, self.precision, control)?.into());
        }
        Ok(next)
    }

    /// Puts these edits in place of those of the run. The tokens must then be read again.
    fn set_edits(&mut self, edits: Option<&Edits>, control: &Control) -> Result<()> {
        let edits = edits.filter(|edits| !edits.is_empty());
        let prompt: Vec<u32> = self.prompt().map(|token| token.id).collect();
        let (model, precision) = (&self.loaded.model, self.precision);
        let known = self.means.as_ref().filter(|known| known.prompt() == prompt && known.precision() == precision);
        let of_prompt = |edits: &Edits| match known.and_then(|known| known.with(edits)) {
            Some(found) => Ok(found),
            None => edits.of_prompt(&prompt, model, precision, control),
        };
        self.edits = edits.map(|edits| of_prompt(edits).map(Box::new)).transpose()?;
        self.capture = self.requested.clone();
        for (kind, layer) in self.edits.iter().flat_map(|of| of.edits().hides()) {
            self.capture.add(kind.at(layer));
        }
        let list = self.edits.iter().flat_map(|of| of.edits().list()).cloned().collect();
        self.meta = Arc::new(Meta { edits: list, ..(*self.meta).clone() });
        Ok(())
    }

    /// The tokens of the prompt.
    pub fn prompt(&self) -> impl Iterator<Item = &Arc<TokenRecord>> {
        self.tokens.iter().take_while(|token| token.source == Source::Prompt)
    }

    /// The same model under another policy and other edits, before its first token; the edits fit the prompt of this run.
    ///
    /// # Errors
    /// As [`Live::extend`].
    pub fn variant(&self, policy: Policy, edits: Option<&Edits>, control: &Control) -> Result<Self> {
        let mut other = self.clone();
        if edits.is_some() || self.edits.is_some() {
            other.set_edits(edits, control)?;
        }
        other.switch(policy);
        Ok(other)
    }

    /// Whether the edits fit the prompt that the tokens begin with.
    pub fn is_fit(&self) -> bool {
        let is_prompt = |of: &PromptEdits| {
            !of.edits().depend_on_prompt() || of.prompt().iter().eq(self.prompt().map(|token| &token.id))
        };
        self.edits().is_none_or(is_prompt)
    }

    /// Fits the edits to the prompt that the tokens begin with, after the tokens changed; what they change is read again.
    ///
    /// # Errors
    /// As [`Live::extend`].
    pub fn refit(&mut self, control: &Control) -> Result<()> {
        if let Some(edits) = self.edits.clone().filter(|_| !self.is_fit()) {
            *self = self.edited(Some(edits.edits()), control)?;
        }
        Ok(())
    }

    /// Fits the edits to the prompt `ids`, of which the run has read the beginning, and forgets the tokens whose values
    /// thereby change.
    pub(super) fn fit_edits(&mut self, ids: &[u32], control: &Control) -> Result<()> {
        let Some(before) = self.edits.clone() else { return Ok(()) };
        let after = before.edits().of_prompt(ids, &self.loaded.model, self.precision, control)?;
        if let Some((position, _)) = PromptEdits::first_difference(Some(&before), Some(&after), self.meta.dims) {
            self.truncate(position);
        }
        self.edits = Some(after.into());
        Ok(())
    }

    /// Fits the edits to the policy: means depend on it.
    pub(super) fn refresh_edits(&mut self, control: &Control) -> Result<()> {
        // If this is stopped, the edits stay: without them the run would be another than it says.
        if let Some(edits) = self.edits().filter(|edits| edits.precision() != self.precision) {
            let found = edits.edits().of_prompt(edits.prompt(), &self.loaded.model, self.precision, control)?;
            self.edits = Some(found.into());
        }
        Ok(())
    }

    /// The hooks of a pass over `positions`.
    pub(super) fn edit_hooks(&self, positions: Range<usize>) -> Option<EditHooks<'_>> {
        let precision = self.loaded.model.arch().rounding(self.precision);
        self.edits.as_ref().map(|edits| EditHooks::new(edits, precision, positions))
    }
}
