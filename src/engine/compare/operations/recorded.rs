//! What a recording holds, and from what each of its values follows.

use crate::model::Edits;
use crate::trace::{Dims, Dtype, Hook, HookKind as K, Policy, TraceReader, TraceTensor};
use anyhow::{Result, ensure};
use std::collections::BTreeSet;

/// Sums of numbers that were rounded are off by an ulp more often than this share; sums that were rounded never are.
const OTHER_SUMS: f64 = 0.05;

/// A recording, seen as inputs and outputs of operations.
#[derive(Clone, Copy)]
pub struct Recorded<'a> {
    pub trace: &'a TraceReader,
    pub dims: Dims,
    pub tokens: usize,
    /// The factor of what is added to the residual stream.
    pub added: f32,
    /// The edits under which the model is run.
    pub edits: Option<&'a Edits>,
}

/// Where the input of an operation comes from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sources {
    /// The recorded hooks.
    pub hooks: BTreeSet<(u64, Hook)>,
    /// Whether nothing but look-ups, additions and the choice of experts lies between them and the operation.
    pub direct: bool,
    /// Whether another layer's operations lie between.
    pub crosses_layers: bool,
}

/// The values that an operation reads, in its own layer. The first layer's residual stream is read from the embedding.
pub fn inputs(kind: K, d: Dims, layer: usize) -> &'static [K] {
    match kind {
        K::RotQ if d.qk_norm => &[K::QNorm],
        K::RotK if d.qk_norm => &[K::KNorm],
        K::MlpOut if !d.has_router(layer) => &[K::Ln2],
        K::MlpOut if d.d_shared > 0 => &[K::ExpertOut, K::MixingWeights, K::ExpertIndices, K::SharedOut, K::SharedGate],
        K::QNorm => &[K::Q],
        K::KNorm => &[K::K],
        K::SharedOut | K::SharedGate => &[K::Ln2],
        K::Embed | K::ResidPre => &[],
        K::Ln1 | K::Ln1Scale => &[K::ResidPre],
        K::Q | K::K | K::V => &[K::Ln1],
        K::RotQ => &[K::Q],
        K::RotK => &[K::K],
        K::Pattern => &[K::RotQ, K::RotK],
        K::Z => &[K::Pattern, K::V],
        K::AttnOut => &[K::Z],
        K::ResidMid => &[K::ResidPre, K::AttnOut],
        K::Ln2 | K::Ln2Scale => &[K::ResidMid],
        K::RouterLogits => &[K::Ln2],
        K::ExpertWeights => &[K::RouterLogits],
        K::ChoiceScores | K::ExpertIndices => &[K::ExpertWeights],
        K::MixingWeights => &[K::ExpertWeights, K::ExpertIndices],
        K::ExpertOut => &[K::Ln2, K::ExpertIndices],
        K::MlpOut => &[K::ExpertOut, K::MixingWeights, K::ExpertIndices],
        K::ResidPost => &[K::ResidMid, K::MlpOut],
        K::LnFinal | K::LnFinalScale => &[K::ResidPost],
        K::Logits => &[K::LnFinal],
    }
}

/// Whether a value that is not recorded follows from its inputs without rounding that programs do otherwise.
fn is_plain(kind: K) -> bool {
    matches!(kind, K::Embed | K::ResidPre | K::ResidMid | K::ResidPost)
        || matches!(kind, K::ExpertWeights | K::ChoiceScores | K::ExpertIndices | K::MixingWeights)
}

impl<'a> Recorded<'a> {
    /// The hook of the recording that holds the value at `hook`.
    pub fn holds(&self, hook: Hook) -> Option<Hook> {
        let has = |hook: Hook| self.trace.has(&hook.to_string()).then_some(hook);
        let layer = hook.layer as usize;
        let is_same = |layer: usize| !self.edits.is_some_and(|edits| edits.change(K::ResidPre.at(layer)));
        has(hook).or_else(|| match hook.kind {
            // Where an edit changes it, it is another than the stream before.
            K::ResidPre if !is_same(layer) => None,
            K::ResidPre if layer == 0 => has(K::Embed.at(0)),
            K::ResidPre => has(K::ResidPost.at(layer - 1)),
            K::ResidPost if layer + 1 < self.dims.layers && is_same(layer + 1) => has(K::ResidPre.at(layer + 1)),
            _ => None,
        })
    }

    /// Whether an edit changes the value at `hook`, or one between it and the recorded values that it follows from.
    pub fn is_edited(&self, hook: Hook) -> bool {
        let Some(edits) = self.edits else { return false };
        let mut open = vec![hook];
        while let Some(hook) = open.pop() {
            if edits.change(hook) {
                return true;
            }
            if hook.kind.is_global() {
                continue;
            }
            let before =
                inputs(hook.kind, self.dims, hook.layer as usize).iter().map(|kind| kind.at(hook.layer as usize));
            open.extend(before.filter(|input| self.holds(*input).is_none()));
        }
        false
    }

    /// The value at `hook`, if the recording holds it.
    ///
    /// # Errors
    /// If it can't be read, or its shape is not the model's.
    pub fn tensor(&self, hook: Hook) -> Result<Option<TraceTensor>> {
        let Some(held) = self.holds(hook) else { return Ok(None) };
        let tensor = self.trace.tensor(&held.to_string())?;
        // Edits change how many experts a token goes through; whether these are as many as in the pass is checked there.
        let slots = tensor.shape.get(1).copied().filter(|_| self.edits.is_some() && hook.kind.is_by_expert());
        let top_k = slots.unwrap_or(self.dims.top_k);
        let shape = hook.kind.shape(Dims { top_k, ..self.dims }, self.tokens);
        ensure!(
            tensor.shape == shape,
            "{}: `{held}`: expected shape {shape:?} as in the model, found {:?}",
            self.trace.name(),
            tensor.shape
        );
        Ok(Some(tensor))
    }

    /// Whether A's values were not rounded before they were saved: under `f32`, or if the sums in the residual stream, which
    /// nothing but rounding changes, are not those of the saved numbers.
    ///
    /// # Errors
    /// If they can't be read.
    pub fn is_rounded_late(&self, policy: Policy) -> Result<bool> {
        if policy.keeps_f32() {
            return Ok(true);
        }
        let sums = [[K::ResidPre, K::AttnOut, K::ResidMid], [K::ResidMid, K::MlpOut, K::ResidPost]];
        for kinds in sums {
            let mut read = Vec::new();
            for kind in kinds {
                read.extend(self.tensor(kind.at(0))?);
            }
            let [a, b, sum] = &read[..] else { continue };
            let dtype = sum.dtype;
            if dtype == Dtype::F32 || a.dtype != dtype || b.dtype != dtype {
                continue;
            }
            let (a, b, sum) = (a.f32()?, b.f32()?, sum.f32()?);
            let by = |b: f32| if self.added == 1.0 { b } else { dtype.round(b * self.added) };
            let other = a.iter().zip(b).zip(sum).filter(|((a, b), sum)| dtype.round(*a + by(**b)) != **sum).count();
            return Ok(other as f64 > OTHER_SUMS * sum.len() as f64);
        }
        Ok(false)
    }

    /// From what the value at `hook` follows.
    pub fn sources(&self, hook: Hook) -> Sources {
        let mut found = Sources { direct: true, ..Sources::default() };
        self.trace_back(hook, &mut found, &mut BTreeSet::new());
        found
    }

    fn trace_back(&self, hook: Hook, found: &mut Sources, seen: &mut BTreeSet<Hook>) {
        if !seen.insert(hook) {
            return;
        }
        let layer = hook.layer as usize;
        let before = match (hook.kind, layer) {
            (K::LnFinal | K::LnFinalScale, _) => vec![K::ResidPost.at(self.dims.layers - 1)],
            (K::ResidPre, 0) => vec![K::Embed.at(0)],
            (K::ResidPre, _) => vec![K::ResidPost.at(layer - 1)],
            (kind, _) => inputs(kind, self.dims, layer).iter().map(|kind| kind.at(layer)).collect(),
        };
        for input in before {
            // Held under the name of the very value that is looked at is no source.
            match self.holds(input).filter(|held| *held != hook) {
                Some(held) => drop(found.hooks.insert((held.order().0, held))),
                None => {
                    found.direct &= is_plain(input.kind);
                    found.crosses_layers |= input.kind == K::ResidPost && !hook.kind.is_global();
                    self.trace_back(input, found, seen);
                }
            }
        }
    }

    /// The inputs of an operation that are neither recorded nor follow plainly from what is.
    pub fn missing_inputs(&self, hook: Hook) -> Vec<K> {
        let layer = if hook.kind.is_global() { self.dims.layers - 1 } else { hook.layer as usize };
        let mut missing = Vec::new();
        let mut open: Vec<K> = inputs(hook.kind, self.dims, layer).to_vec();
        while let Some(kind) = open.pop() {
            if self.holds(kind.at(layer)).is_some() {
                continue;
            }
            if kind == K::ResidPre && layer > 0 {
                missing.push(kind);
            } else if is_plain(kind) {
                open.extend(inputs(kind, self.dims, layer));
            } else {
                missing.push(kind);
            }
        }
        missing
    }
}
