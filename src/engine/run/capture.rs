//! What is kept of a forward pass.

use crate::model::Hooks;
use crate::trace::{Hook, HookKind, HookValues, NO_EXPERT, Row, TokenRecord};
use anyhow::{Context, Result};
use std::ops::Range;
use std::sync::Arc;

/// Which hooks are kept for each token.
#[derive(Clone, Debug)]
pub struct Capture {
    wanted: Vec<bool>,
    layers: usize,
}

impl Capture {
    /// Keeps these kinds in these layers (global hooks always).
    pub fn of(kinds: impl IntoIterator<Item = HookKind>, layers: Range<usize>, all_layers: usize) -> Self {
        let mut wanted = vec![false; Hook::count(all_layers)];
        for kind in kinds {
            let range = if kind.is_global() { 0..1 } else { layers.start..layers.end.min(all_layers) };
            range.for_each(|layer| wanted[kind.at(layer).index()] = true);
        }
        Self { wanted, layers: all_layers }
    }

    /// What every view of the screen is drawn or derived from: linear in tokens, no patterns.
    pub fn for_views(layers: usize) -> Self {
        Self::of(HookKind::FOR_VIEWS, 0..layers, layers)
    }

    /// Whether `kind` is kept of any layer.
    pub(super) fn has(&self, kind: HookKind) -> bool {
        (0..self.layers).any(|layer| self.wants(kind.at(layer)))
    }

    /// Keeps this hook, too.
    pub(super) fn add(&mut self, hook: Hook) {
        if let Some(wanted) = self.wanted.get_mut(hook.index()) {
            *wanted = true;
        }
    }

    fn wants(&self, hook: Hook) -> bool {
        self.wanted.get(hook.index()).copied().unwrap_or(false)
    }
}

/// Collects one pass over a chunk of tokens: one set of values per token.
pub(super) struct Collector<'a> {
    capture: &'a Capture,
    tokens: Vec<HookValues>,
    /// Slots of a row of expert indices in the current layer.
    slots: usize,
}

impl<'a> Collector<'a> {
    /// Collects a pass over `rows` tokens.
    pub fn new(capture: &'a Capture, rows: usize) -> Self {
        Self { capture, tokens: vec![HookValues::new(capture.layers); rows], slots: 0 }
    }

    /// Collects a pass over tokens whose values are known below `layer`.
    pub fn from_layer(capture: &'a Capture, layer: usize, known: &[Arc<TokenRecord>]) -> Self {
        Self { capture, tokens: known.iter().map(|token| token.values.below(layer)).collect(), slots: 0 }
    }

    /// The values of each token.
    pub fn into_tokens(self) -> Vec<HookValues> {
        self.tokens
    }
}

impl Hooks for Collector<'_> {
    fn wants(&self, hook: Hook) -> bool {
        self.capture.wants(hook)
    }

    fn at(&mut self, hook: Hook, value: &mut [f32], positions: Range<usize>) -> Result<()> {
        let rows = self.tokens.len();
        if hook.kind == HookKind::Pattern {
            // [heads, rows, keys] → per token [heads, pos + 1]
            let (keys, heads) = (positions.end, value.len() / (rows * positions.end));
            for (row, token) in self.tokens.iter_mut().enumerate() {
                let of_head = |head: usize| &value[(head * rows + row) * keys..][..=positions.start + row];
                let mine: Vec<f32> = (0..heads).flat_map(|head| of_head(head).iter().copied()).collect();
                token.insert(hook, Row::F32(mine.into()));
            }
            return Ok(());
        }
        let width = value.len() / rows;
        let is_by_expert = matches!(hook.kind, HookKind::MixingWeights | HookKind::ExpertOut);
        for (token, row) in self.tokens.iter_mut().zip(value.chunks_exact(width.max(1))) {
            let slots = if is_by_expert { token.get(HookKind::ExpertIndices.at(hook.layer as usize)) } else { None };
            let row = match slots {
                Some(Row::U32(chosen)) if self.slots > chosen.len() => &row[..width / self.slots * chosen.len()],
                _ => row,
            };
            token.insert(hook, Row::F32(row.into()));
        }
        Ok(())
    }

    fn at_ids(&mut self, hook: Hook, ids: &mut [u32], _: Range<usize>) -> Result<()> {
        self.slots = ids.len() / self.tokens.len();
        for (token, row) in self.tokens.iter_mut().zip(ids.chunks_exact(self.slots.max(1))) {
            let filled = row.iter().position(|expert| *expert == NO_EXPERT).unwrap_or(row.len());
            token.insert(hook, Row::U32(row[..filled].into()));
        }
        Ok(())
    }
}

/// Stops at the first hook whose value is not finite, and names it.
pub(super) struct FindNonFinite;

impl Hooks for FindNonFinite {
    fn wants(&self, hook: Hook) -> bool {
        // Rows of every other hook are positions.
        hook.kind != HookKind::Pattern
    }

    fn at(&mut self, hook: Hook, value: &mut [f32], positions: Range<usize>) -> Result<()> {
        let Some(at) = value.iter().position(|x| !x.is_finite()) else { return Ok(()) };
        let pos = positions.start + at / (value.len() / positions.len());
        let kind = if value[at].is_nan() { "NaN" } else { "infinite" };
        Err(anyhow::anyhow!("the activations first became {kind} at `{hook}`, position {pos}"))
            .context("the model's outputs are not finite (NaN or infinity); see what was validated at load")
    }
}
