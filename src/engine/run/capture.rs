//! What is kept of a forward pass.

use crate::control::Control;
use crate::model::Taps;
use crate::trace::{Hook, HookKind, HookValues, Row};
use anyhow::{Context, Result};
use candle_core::{DType, Tensor};
use std::ops::Range;

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

    fn wants(&self, hook: Hook) -> bool {
        self.wanted.get(hook.index()).copied().unwrap_or(false)
    }
}

/// Collects one pass over a chunk of tokens.
pub(super) struct Collector<'a> {
    pub capture: &'a Capture,
    /// Of this chunk, in token-layers.
    pub control: &'a Control<'a>,
    pub rows: usize,
    /// The layer at work.
    pub layer: usize,
    pub values: Vec<(Hook, Tensor)>,
}

impl Taps for Collector<'_> {
    fn wants(&self, hook: Hook) -> bool {
        self.capture.wants(hook)
    }

    fn tap(&mut self, hook: Hook, value: &Tensor) -> Result<Option<Tensor>> {
        self.values.push((hook, value.clone()));
        Ok(None)
    }

    fn enter_layer(&mut self, layer: usize) -> Result<()> {
        self.layer = layer;
        self.between_experts(0, 1)
    }

    fn between_experts(&mut self, done: usize, all: usize) -> Result<()> {
        self.control.check()?;
        self.control.progress(self.layer * self.rows + self.rows * done / all, self.capture.layers * self.rows);
        Ok(())
    }
}

impl Collector<'_> {
    /// One set of values a token; `start` is the position of the first.
    pub fn split(self, start: usize) -> Result<Vec<HookValues>> {
        let mut tokens = vec![HookValues::new(self.capture.layers); self.rows];
        for (hook, tensor) in self.values {
            if tensor.dtype() == DType::U32 {
                for (token, row) in tokens.iter_mut().zip(tensor.to_vec2::<u32>()?) {
                    token.insert(hook, Row::U32(row.into()));
                }
                continue;
            }
            let values = tensor.flatten_all()?.to_vec1::<f32>()?;
            if hook.kind == HookKind::Pattern {
                // [heads, rows, keys] → per token [heads, pos + 1]
                let keys = start + self.rows;
                let heads = values.len() / (self.rows * keys);
                for (row, token) in tokens.iter_mut().enumerate() {
                    let of_head = |head: usize| &values[(head * self.rows + row) * keys..][..=start + row];
                    let mine: Vec<f32> = (0..heads).flat_map(|head| of_head(head).iter().copied()).collect();
                    token.insert(hook, Row::F32(mine.into()));
                }
                continue;
            }
            let width = values.len() / self.rows;
            for (token, row) in tokens.iter_mut().zip(values.chunks_exact(width.max(1))) {
                token.insert(hook, Row::F32(row.into()));
            }
        }
        Ok(tokens)
    }
}

/// Stops at the first hook whose value is not finite, and names it.
pub(super) struct FindNonFinite {
    pub start: usize,
}

impl Taps for FindNonFinite {
    fn wants(&self, hook: Hook) -> bool {
        // Rows of every other hook are positions.
        hook.kind != HookKind::Pattern
    }

    fn tap(&mut self, hook: Hook, value: &Tensor) -> Result<Option<Tensor>> {
        if value.dtype() != DType::F32 {
            return Ok(None);
        }
        let rows = value.dim(0)?;
        let values = value.flatten_all()?.to_vec1::<f32>()?;
        let Some(at) = values.iter().position(|x| !x.is_finite()) else { return Ok(None) };
        let pos = self.start + at / (values.len() / rows);
        let kind = if values[at].is_nan() { "NaN" } else { "infinite" };
        Err(anyhow::anyhow!("the activations first became {kind} at `{hook}`, position {pos}"))
            .context("the model's outputs are not finite (NaN or infinity); see what was validated at load")
    }
}
