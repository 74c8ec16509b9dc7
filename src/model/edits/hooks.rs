//! The hooks that carry out edits in one pass.

use super::choice::Choice;
use super::cuts::Cuts;
use super::values::{RowAt, changes};
use super::{Data, PromptEdits};
use crate::model::pass::{Hooks, attention};
use crate::model::precision::Precision;
use crate::trace::{Change, Dims, Edit, Hook, HookKind as K, NO_EXPERT, Site};
use anyhow::Result;
use std::ops::Range;

/// Carries out the edits of a run in a pass over some of its positions, and counts their sites.
pub struct EditHooks<'a> {
    of: &'a PromptEdits,
    precision: Precision,
    positions: Range<usize>,
    /// The edits with a position in the pass.
    active: Vec<usize>,
    /// Whether an active edit changes something, by layer.
    layers: Vec<bool>,
    /// How many experts each token of the current layer goes through.
    counts: Vec<usize>,
    /// The experts of each token of the current layer `[rows, k]`.
    chosen: Vec<u32>,
    cuts: Option<Cuts>,
    sites: Vec<Vec<Site>>,
}

impl<'a> EditHooks<'a> {
    /// Hooks for a pass over `positions`; `precision` is the rounding of the pass.
    pub fn new(of: &'a PromptEdits, precision: Precision, positions: Range<usize>) -> Self {
        let overlaps = |edit: &usize| {
            let range = of.range(*edit);
            range.start < positions.end && positions.start < range.end
        };
        let active: Vec<usize> = (0..of.edits.list.len()).filter(overlaps).collect();
        let dims = of.edits.dims;
        let layers = (0..dims.layers).map(|l| active.iter().any(|e| of.edits.list[*e].0.layers.has(l))).collect();
        Self {
            of,
            precision,
            active,
            layers,
            counts: Vec::new(),
            chosen: Vec::new(),
            cuts: None,
            sites: vec![Vec::new(); positions.len()],
            positions,
        }
    }

    /// The sites at each position of the pass, ascending.
    pub fn into_sites(mut self) -> Vec<Vec<Site>> {
        for sites in &mut self.sites {
            sites.sort_unstable();
            sites.dedup();
        }
        self.sites
    }

    fn dims(&self) -> Dims {
        self.of.edits.dims
    }

    fn edit(&self, index: usize) -> &'a (Edit, Data) {
        &self.of.edits.list[index]
    }

    /// The active edits of a layer.
    fn edits_of(&self, layer: usize) -> impl Iterator<Item = usize> {
        self.active.iter().copied().filter(move |edit| self.edit(*edit).0.layers.has(layer))
    }

    fn changes_choice(&self, layer: usize) -> bool {
        self.edits_of(layer).any(|edit| is_of_choice(&self.edit(edit).0.change))
    }

    fn note(&mut self, row: usize, edit: usize, layer: usize) {
        self.sites[row].push(Site { edit: edit as u16, layer: layer as u16 });
    }

    /// The rows of the pass in the scope of an edit.
    fn rows(&self, edit: usize) -> Range<usize> {
        let range = self.of.range(edit);
        let row = |position: usize| position.saturating_sub(self.positions.start).min(self.positions.len());
        row(range.start)..row(range.end)
    }

    /// Carries out an edit of what the experts of each row are chosen by; `own` are the scores before all edits.
    fn choose(&mut self, (edit, layer): (usize, usize), own: &[f32], value: &mut [f32]) {
        let experts = self.dims().experts;
        let (of, data) = self.edit(edit);
        for row in self.rows(edit) {
            let scores = &mut value[row * experts..][..experts];
            let own = &own[row * experts..][..experts];
            let mut choice = Choice { own, scores, count: self.counts[row] };
            let changed = choice.edit(&of.change, data, (self.positions.start + row, layer));
            self.counts[row] = choice.count;
            if changed {
                self.note(row, edit, layer);
            }
        }
    }
}

fn is_of_choice(change: &Change) -> bool {
    matches!(change, Change::Ban(_) | Change::Force(_) | Change::TopK(_) | Change::Replay { .. })
}

impl Hooks for EditHooks<'_> {
    fn wants(&self, hook: Hook) -> bool {
        let layer = hook.layer as usize;
        if hook.kind.is_global() || !self.layers.get(layer).copied().unwrap_or(false) {
            return false;
        }
        match hook.kind {
            K::ChoiceScores if self.changes_choice(layer) => true,
            // Edits of experts' weights and outputs need to know whose they are.
            K::ExpertIndices => self.edits_of(layer).any(|edit| {
                [K::MixingWeights, K::ExpertOut].into_iter().any(|kind| changes(&self.edit(edit).0.change, kind))
            }),
            kind => self.edits_of(layer).any(|edit| changes(&self.edit(edit).0.change, kind)),
        }
    }

    fn at(&mut self, hook: Hook, value: &mut [f32], _: Range<usize>) -> Result<()> {
        let (kind, layer, rows) = (hook.kind, hook.layer as usize, self.positions.len());
        let width = value.len() / rows;
        let mut own = Vec::new();
        if kind == K::ChoiceScores {
            self.counts = vec![self.dims().top_k; rows];
            own = value.to_vec();
        }
        for edit in self.edits_of(layer).collect::<Vec<_>>() {
            let (of, data) = self.edit(edit);
            if kind == K::ChoiceScores && is_of_choice(&of.change) {
                self.choose((edit, layer), &own, value);
            }
            if !changes(&of.change, kind) {
                continue;
            }
            let k = self.chosen.len() / rows;
            for row in self.rows(edit) {
                let chosen = self.chosen.get(row * k..(row + 1) * k).unwrap_or_default();
                let filled = chosen.iter().position(|expert| *expert == NO_EXPERT).unwrap_or(k);
                let at = RowAt {
                    kind,
                    layer,
                    first: self.of.range(edit).start,
                    position: self.positions.start + row,
                    chosen: &chosen[..filled],
                    dims: self.dims(),
                    precision: self.precision,
                };
                // Empty slots have no values of their own.
                let has_slots = matches!(kind, K::MixingWeights | K::ExpertOut) && k > 0;
                let width_of = if has_slots { width / k * filled } else { width };
                let values = &mut value[row * width..][..width_of];
                let before = values.to_vec();
                at.edit(of, (data, &self.of.means), values)?;
                if before.iter().zip(&*values).any(|(a, b)| a.to_bits() != b.to_bits()) {
                    self.note(row, edit, layer);
                }
            }
        }
        Ok(())
    }

    fn at_ids(&mut self, _: Hook, ids: &mut [u32], _: Range<usize>) -> Result<()> {
        self.chosen.clear();
        self.chosen.extend_from_slice(ids);
        Ok(())
    }

    fn counts(&mut self, layer: usize) -> Option<Vec<usize>> {
        self.changes_choice(layer).then(|| std::mem::take(&mut self.counts))
    }

    fn cuts(&mut self, layer: usize) -> Option<&Cuts> {
        self.cuts = if self.layers[layer] { self.of.cuts(layer) } else { None };
        let cuts = self.cuts.clone()?;
        for row in 0..self.positions.len() {
            let query = self.positions.start + row;
            for edit in cuts.edits(query, attention::visible(query, self.dims().window)) {
                self.note(row, edit, layer);
            }
        }
        self.cuts.as_ref()
    }
}
