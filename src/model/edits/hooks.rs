//! The hooks that carry out edits in one pass.

use super::choice::Choice;
use super::cuts::Cuts;
use super::values::{RowAt, changes};
use super::{Data, Edits, PromptEdits};
use crate::analysis::diff::same_set;
use crate::model::pass::{Hooks, attention, router};
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
    /// A layer whose choice is edited, and the experts that each token would choose there without these edits
    /// `[rows, top_k]`.
    unedited: Option<(usize, Vec<u32>)>,
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
            unedited: None,
            sites: vec![Vec::new(); positions.len()],
            positions,
        }
    }

    /// The sites at each position of the pass, ascending.
    pub fn into_sites(mut self) -> Vec<Vec<Site>> {
        for sites in &mut self.sites {
            sites.sort_unstable_by_key(|site| (site.edit, site.layer, !site.chose));
            sites.dedup_by_key(|site| (site.edit, site.layer));
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
        self.sites[row].push(Site { edit: edit as u16, layer: layer as u16, chose: false });
    }

    /// Keeps what would be chosen without the edits; `value` is what the first of them changes.
    fn keep_unedited(&mut self, kind: K, layer: usize, value: &[f32]) {
        if self.unedited.as_ref().is_some_and(|(kept, _)| *kept == layer) {
            return;
        }
        let Dims { experts, top_k, .. } = self.dims();
        let chosen = match kind {
            K::RouterLogits => {
                let scores = router::probabilities(value.to_vec(), experts, self.precision.choice);
                router::top_k(&scores, experts, top_k)
            }
            _ => router::top_k(value, experts, top_k),
        };
        self.unedited = Some((layer, chosen));
    }

    /// Compares the experts that are chosen with those that would be without the edits of the choice. Edits that only
    /// together leave the choice as it was have no site.
    fn settle_choice(&mut self, layer: usize, ids: &[u32]) {
        let Some((_, unedited)) = self.unedited.take_if(|(kept, _)| *kept == layer) else { return };
        let (own, k) = (self.dims().top_k, ids.len() / self.positions.len());
        for (row, (own, ids)) in unedited.chunks_exact(own).zip(ids.chunks_exact(k)).enumerate() {
            let filled = ids.iter().position(|expert| *expert == NO_EXPERT).unwrap_or(k);
            let (ids, list) = (&ids[..filled], &self.of.edits.list);
            let change = |site: &Site| &list[usize::from(site.edit)].0.change;
            let is_here = |site: &Site| usize::from(site.layer) == layer;
            let sites = &mut self.sites[row];
            if own == ids {
                sites.retain(|site| !is_here(site) || !is_of_choice(change(site)));
            }
            let chose = !same_set(own, ids);
            for site in sites.iter_mut().filter(|site| is_here(site) && decides(change(site))) {
                site.chose = chose;
            }
        }
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

/// What the choice follows from.
const DECIDING: [K; 3] = [K::RouterLogits, K::ExpertWeights, K::ChoiceScores];

/// Whether the choice of experts depends on what an edit changes in their layer.
fn decides(change: &Change) -> bool {
    is_of_choice(change) || DECIDING.into_iter().any(|kind| changes(change, kind))
}

impl Edits {
    /// Whether an edit changes the value at `hook` otherwise than through the values before it.
    pub fn change(&self, hook: Hook) -> bool {
        let layer = hook.layer as usize;
        !hook.kind.is_global()
            && self.list().filter(|edit| edit.layers.has(layer)).any(|edit| match (&edit.change, hook.kind) {
                (Change::Cut { .. }, K::Pattern) => true,
                // The number of experts is another.
                (Change::TopK(_) | Change::Replay { .. }, K::MixingWeights | K::ExpertOut | K::MlpOut) => true,
                (change, K::ChoiceScores | K::ExpertIndices) if is_of_choice(change) => true,
                (change, kind) => changes(change, kind),
            })
    }
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
                let change = &self.edit(edit).0.change;
                decides(change) || [K::MixingWeights, K::ExpertOut].into_iter().any(|kind| changes(change, kind))
            }),
            kind => self.edits_of(layer).any(|edit| changes(&self.edit(edit).0.change, kind)),
        }
    }

    fn at(&mut self, hook: Hook, value: &mut [f32], _: Range<usize>) -> Result<()> {
        let (kind, layer, rows) = (hook.kind, hook.layer as usize, self.positions.len());
        let width = value.len() / rows;
        let mut own = Vec::new();
        if DECIDING.contains(&kind) {
            self.keep_unedited(kind, layer, value);
        }
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

    fn at_ids(&mut self, hook: Hook, ids: &mut [u32], _: Range<usize>) -> Result<()> {
        self.settle_choice(hook.layer as usize, ids);
        self.chosen.clear();
        self.chosen.extend_from_slice(ids);
        Ok(())
    }

    fn counts(&mut self, layer: usize) -> Option<Vec<usize>> {
        self.changes_choice(layer).then(|| std::mem::take(&mut self.counts))
    }

    fn cuts(&mut self, layer: usize) -> Option<Cuts> {
        let cuts = if self.layers[layer] { self.of.cuts(layer) } else { None }?;
        for row in 0..self.positions.len() {
            let query = self.positions.start + row;
            for edit in cuts.edits(query, attention::visible(query, self.dims().window_at(layer))) {
                self.note(row, edit, layer);
            }
        }
        Some(cuts)
    }
}
