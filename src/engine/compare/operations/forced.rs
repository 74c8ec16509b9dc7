//! A pass that reads the recording's value at every hook, so that each operation is compared on its own input.

use super::compared::{Compared, Scores};
use super::recorded::{Recorded, Sources};
use crate::analysis::diff::{Gap, Operation, WITHIN_ROUNDING, same_set};
use crate::analysis::routing::ranked;
use crate::engine::compare::exact_in;
use crate::model::Hooks;
use crate::trace::{Dtype, Hook, HookKind as K, Meta, NO_EXPERT, TraceTensor, Values};
use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use std::ops::Range;

/// Compares what a pass computes with the recording, and goes on with the recorded values.
pub struct Forced<'a> {
    recorded: Recorded<'a>,
    meta: &'a Meta,
    /// The operations that were compared.
    pub found: Vec<Operation>,
    /// Values of operations that are not direct, by another policy's pass, which went before.
    pub other: BTreeMap<Hook, Vec<f32>>,
    /// Only keeps the values of operations that are not direct, for the other pass.
    keeps: bool,
    /// Rotated queries, and the scores of attention that they give.
    queries: Vec<f32>,
    scores: Scores,
    /// The scores from which the experts are chosen `[pos, experts]`, and their dtype if the recording holds them.
    choice: (Vec<f32>, Option<Dtype>),
    /// The experts that are in force, `[pos, k]`.
    chosen: Vec<u32>,
    /// Tokens of the layer whose choice of experts is not recorded, and which rounding could turn.
    open: Vec<bool>,
}

impl<'a> Forced<'a> {
    /// Compares with `recorded`; with `keeps`, only values for another pass are kept.
    pub fn new(recorded: Recorded<'a>, meta: &'a Meta, keeps: bool) -> Self {
        Self {
            recorded,
            meta,
            found: Vec::new(),
            other: BTreeMap::new(),
            keeps,
            queries: Vec::new(),
            scores: Scores::default(),
            choice: (Vec::new(), None),
            chosen: Vec::new(),
            open: vec![false; recorded.tokens],
        }
    }

    fn is_edited(&self, hook: Hook) -> bool {
        self.recorded.edits.is_some_and(|edits| edits.change(hook))
    }

    /// Checks that a recorded value has as many numbers as the pass, which under edits depends on the number of experts.
    fn check_len(&self, hook: Hook, recorded: &TraceTensor, own: usize) -> Result<()> {
        let expected = hook.kind.shape_of(self.meta.dims, 0..self.recorded.tokens, own);
        ensure!(
            recorded.shape == expected,
            "{}: `{hook}`: expected shape {expected:?} as in the model under the edits, found {:?}",
            self.recorded.trace.name(),
            recorded.shape
        );
        Ok(())
    }

    fn is_choice_recorded(&self, layer: usize) -> bool {
        let kinds = [K::RouterLogits, K::ExpertWeights, K::ExpertIndices];
        kinds.into_iter().any(|kind| self.recorded.holds(kind.at(layer)).is_some())
    }

    /// Whether the value is compared here: the stream between two layers has two names, and is compared under the first.
    fn compares(&self, hook: Hook) -> bool {
        let has = |hook: Hook| self.recorded.trace.has(&hook.to_string());
        match (hook.kind, hook.layer as usize) {
            (K::ResidPost, _) => true,
            (K::ResidPre, layer) if layer > 0 => has(hook) && (has(K::ResidPost.at(layer - 1)) || self.is_edited(hook)),
            _ => has(hook),
        }
    }

    /// Notes what later comparisons need.
    fn settle(&mut self, hook: Hook, value: &[f32]) {
        match hook.kind {
            K::RotQ => self.queries = value.to_vec(),
            K::RotK => {
                let queries = std::mem::take(&mut self.queries);
                let scale = self.meta.scores.scale.unwrap_or(1.0 / (self.meta.dims.d_head as f32).sqrt());
                let at = (hook.layer as usize, scale);
                let is_needed = !self.keeps && self.recorded.holds(K::Pattern.at(hook.layer as usize)).is_some();
                self.scores =
                    if is_needed { Scores::of(&queries, value, self.meta.dims, at) } else { Scores::default() };
            }
            K::RouterLogits => {
                self.choice.0 = value.to_vec();
                let (layer, d) = (hook.layer as usize, self.meta.dims);
                let is_recorded = self.is_choice_recorded(layer);
                let dtype = self.meta.activation_dtype();
                let is_open = |row: &[f32]| {
                    let order = ranked(row);
                    let (Some(last), Some(first_out)) = (order.get(d.top_k - 1), order.get(d.top_k)) else {
                        return false;
                    };
                    let (a, b) = (row[*last], row[*first_out]);
                    let room = match dtype {
                        Dtype::F32 => 1e-4 * a.abs().max(1.0),
                        dtype => WITHIN_ROUNDING * dtype.ulp(a.abs().max(b.abs())),
                    };
                    a - b <= room
                };
                let open = value.chunks_exact(d.experts).map(|row| !is_recorded && is_open(row));
                self.open.iter_mut().zip(open).for_each(|(open, now)| *open |= now);
            }
            _ => {}
        }
    }

    /// The choice of experts: A's may differ from that by the scores where these are equal, or, if they are not recorded,
    /// where rounding could turn it.
    fn choice(&self, hook: Hook, own: &[u32], recorded: &[u32]) -> Operation {
        let d = self.meta.dims;
        let (scores, held) = &self.choice;
        let mut gap = Gap::default();
        let (mut ties, mut first) = ([0, 0], None);
        let slots = (own.len() / self.recorded.tokens.max(1)).max(1);
        let rows = own.chunks_exact(slots).zip(recorded.chunks_exact(slots)).zip(scores.chunks_exact(d.experts));
        for (pos, ((own, recorded), scores)) in rows.enumerate() {
            let [own, recorded] = [own, recorded].map(filled);
            let score = |expert: &u32| scores.get(*expert as usize).copied().unwrap_or(f32::NAN);
            let lowest = recorded.iter().map(score).fold(f32::INFINITY, f32::min);
            let left_out = (0..d.experts as u32).filter(|expert| !recorded.contains(expert));
            let highest = left_out.map(|expert| score(&expert)).fold(f32::NEG_INFINITY, f32::max);
            let room = match (held, self.meta.activation_dtype()) {
                // Scores that are stored in 16 bits may have been compared in f32.
                (Some(dtype), computed) if *dtype != Dtype::F32 && *dtype != computed => {
                    dtype.ulp(highest.abs().max(lowest.abs()))
                }
                (Some(_), _) => 0.0,
                (None, Dtype::F32) => 1e-4 * highest.abs().max(1.0),
                (None, dtype) => WITHIN_ROUNDING * dtype.ulp(highest),
            };
            let is_same = same_set(own, recorded);
            let repeats = recorded.iter().enumerate().any(|(i, expert)| recorded[..i].contains(expert));
            let is_settled = is_same || repeats || own.len() != recorded.len();
            let is_tie = !is_settled && highest == lowest;
            // Probabilities that were rounded when they were saved can be equal where the logits are not.
            let is_near = !is_settled && !is_tie && highest - lowest <= room;
            ties[0] += usize::from(is_tie);
            ties[1] += usize::from(is_near);
            let agrees = is_same || is_tie || is_near;
            gap.add(0.0, if agrees { 0.0 } else { 1.0 }, agrees, 1.0);
            if !agrees && first.is_none() {
                first = Some(pos);
            }
        }
        let sources = self.recorded.sources(hook);
        Operation {
            hook,
            layer: hook.decoder_layer(),
            inputs: sources.hooks.iter().map(|(_, hook)| *hook).collect(),
            direct: sources.direct,
            dtype: Dtype::F32,
            gap: gap.done(),
            ties,
            parts: Vec::new(),
            position: first,
            rounding: None,
            ok: first.is_none(),
            explained: false,
            worst: Vec::new(),
            chosen: Vec::new(),
        }
    }

    fn compare(&mut self, hook: Hook, own: &[f32], sources: &Sources, a: &TraceTensor) -> Result<()> {
        let a_values = a.f32().with_context(|| format!("`{hook}`"))?;
        let own_dtype =
            if hook.kind.is_scale() { self.meta.activation_dtype() } else { exact_in(self.meta, hook.kind) };
        let dtype = a.dtype.coarser(own_dtype);
        let after_choice = !hook.kind.is_global() && hook.kind > K::ExpertIndices;
        let compared = Compared {
            hook,
            dims: self.meta.dims,
            tokens: self.recorded.tokens,
            dtype,
            scores: &self.scores,
            chosen: &self.chosen,
            skip: (!sources.direct && after_choice || sources.crosses_layers).then_some(&self.open[..]),
        };
        let rounding = match sources.direct {
            true => None,
            false => Some(self.other.remove(&hook).map_or(0.0, |other| compared.gap(own, &other).relative_l2)),
        };
        let operation = compared.operation(a_values, own, sources, rounding);
        self.found.push(operation);
        Ok(())
    }
}

/// The slots of a row that hold an expert.
fn filled(row: &[u32]) -> &[u32] {
    &row[..row.iter().position(|expert| *expert == NO_EXPERT).unwrap_or(row.len())]
}

impl Hooks for Forced<'_> {
    fn wants(&self, hook: Hook) -> bool {
        let layer = hook.layer as usize;
        let is_held = self.recorded.holds(hook).is_some();
        match hook.kind {
            K::RotQ | K::RotK => is_held || self.recorded.holds(K::Pattern.at(layer)).is_some(),
            K::RouterLogits => true,
            K::ExpertIndices => true,
            // Without an edit these are the expert weights; a recording of both would feed the same twice.
            K::ChoiceScores => self.is_edited(hook),
            _ => is_held,
        }
    }

    fn at(&mut self, hook: Hook, value: &mut [f32], _: Range<usize>) -> Result<()> {
        if hook.kind == K::ChoiceScores {
            // The experts are chosen by what the edits made of the scores.
            self.choice.0 = value.to_vec();
            return Ok(());
        }
        if let Some(tensor) = self.recorded.tensor(hook)? {
            self.check_len(hook, &tensor, value.len())?;
            let sources = self.recorded.sources(hook);
            match (self.compares(hook), self.keeps) {
                (false, _) => {}
                (true, true) if sources.direct => {}
                (true, true) => drop(self.other.insert(hook, value.to_vec())),
                (true, false) => self.compare(hook, value, &sources, &tensor)?,
            }
            // What a norm divides by is compared, and the norm made of its own.
            if hook.kind.is_scale() {
                return Ok(());
            }
            value.copy_from_slice(tensor.f32().with_context(|| format!("`{hook}`"))?);
            if hook.kind == K::ExpertWeights && self.choice.1.is_none() {
                self.choice = (value.to_vec(), Some(tensor.dtype));
            }
            if hook.kind == K::RouterLogits {
                self.choice.1 = Some(tensor.dtype);
            }
        }
        self.settle(hook, value);
        Ok(())
    }

    fn at_ids(&mut self, hook: Hook, ids: &mut [u32], _: Range<usize>) -> Result<()> {
        if let Some(tensor) = self.recorded.tensor(hook)? {
            let Values::U32(recorded) = &tensor.values else {
                anyhow::bail!("`{hook}`: expected expert indices, found floating-point values")
            };
            self.check_len(hook, &tensor, ids.len())?;
            if !self.keeps {
                let operation = self.choice(hook, ids, recorded);
                self.found.push(operation);
            }
            ids.copy_from_slice(recorded);
        }
        self.choice.1 = None;
        self.chosen = ids.to_vec();
        Ok(())
    }
}
