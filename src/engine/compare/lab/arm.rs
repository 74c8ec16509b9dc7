//! An arm of the lab: the pass under one policy.

use super::Work;
use super::watch::{Seen, Watch};
use crate::analysis::diff::{Comparer, Comparison, Mode};
use crate::control::Control;
use crate::model::{Distribution, EditHooks, Edits, KvCache, Loaded, NoHooks, Pass, Precision, PromptEdits, sampling};
use crate::trace::{HookKind, Meta, Policy, Sampling};
use anyhow::{Result, ensure};
use std::mem::take;
use std::ops::Range;

/// Positions whose logits are in memory at a time.
const CHUNK: usize = 64;

/// A policy's pass over the prompt, with the state that generation starts from.
pub struct Arm<'m> {
    meta: Meta,
    precision: Precision,
    edits: Option<PromptEdits>,
    /// The rounding of the pass that the edits apply to.
    rounding: Precision,
    pass: Pass<'m>,
    /// The residual stream that the next layer reads `[pos × d_model]`.
    resid: Vec<f32>,
    cache: KvCache,
    tokens: usize,
}

impl<'m> Arm<'m> {
    /// An arm before the first layer. The means that the edits use are computed here.
    pub fn begin(
        loaded: &'m Loaded,
        policy: Policy,
        ids: &[u32],
        edits: Option<(&Edits, usize)>,
        control: &Control,
    ) -> Result<Self> {
        let meta = Meta { policy, ..(*loaded.meta).clone() };
        let precision = Precision::new(policy, meta.compute_dtype);
        let rounding = loaded.model.arch().rounding(precision);
        let edits = edits
            .map(|(edits, prompt)| edits.of_prompt(&ids[..prompt.min(ids.len())], &loaded.model, precision, control));
        let edits = edits.transpose()?;
        let cache = loaded.model.new_cache();
        let (pass, resid) = loaded.model.begin(ids, &cache, precision, &mut NoHooks)?;
        Ok(Self { meta, precision, edits, rounding, pass, resid, cache, tokens: ids.len() })
    }

    /// The model under this policy.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// One layer of the baseline; returns its input `[pos × d_model]` and its values.
    pub fn read(&mut self, layer: usize, work: &mut Work) -> Result<(Vec<f32>, Seen)> {
        let input = self.resid.clone();
        let edits = edit_hooks(self.edits.as_ref(), self.rounding, 0..self.tokens);
        let mut hooks = (edits, Watch::keeping(&self.meta));
        let control = work.layer(layer, self.tokens);
        self.resid = self.pass.layer(layer, take(&mut self.resid), &mut self.cache, &mut hooks, &control)?;
        Ok((input, hooks.1.seen))
    }

    /// After the last layer: the loss of each token but the first, nats `[pos - 1]`, and the greedy continuation of at
    /// most `steps` tokens.
    pub fn finish(self, loaded: &Loaded, ids: &[u32], steps: usize, work: &mut Work) -> Result<(Vec<f32>, Vec<u32>)> {
        let Self { precision, edits, rounding, pass, resid, mut cache, .. } = self;
        pass.end(&mut cache);
        let vocab = loaded.meta.dims.vocab;
        let (mut nll, mut last) = (Vec::with_capacity(ids.len()), Vec::new());
        for start in (0..ids.len()).step_by(CHUNK) {
            work.control.check()?;
            let (end, width) = (ids.len().min(start + CHUNK), loaded.meta.dims.d_model);
            let logits = loaded.model.lens(&resid[start * width..end * width], precision)?;
            let bad = logits.iter().position(|x| !x.is_finite());
            let at = start + bad.unwrap_or(0) / vocab;
            ensure!(bad.is_none(), "NaN or infinity in `{}` at position {at}", HookKind::Logits.at(0));
            // The last position has no next token, so it has no loss.
            let next = ids[start + 1..].iter().zip(logits.chunks_exact(vocab));
            nll.extend(next.map(|(id, row)| -Distribution::of(row).log_prob(*id as usize) as f32));
            last = logits[logits.len() - vocab..].to_vec();
        }
        let done = work.done + steps.saturating_sub(1) * loaded.meta.dims.layers;
        let mut generated = Vec::with_capacity(steps);
        while generated.len() < steps {
            let id = sampling::sample(&last, &Sampling::default(), ids.len() + generated.len() - 1)?;
            generated.push(id);
            if generated.len() == steps || loaded.meta.eos.contains(&id) {
                break;
            }
            let control = work.control.part(work.done, work.all);
            let at = cache.len();
            let mut hooks = edit_hooks(edits.as_ref(), rounding, at..at + 1);
            last = loaded.model.forward(&[id], &mut cache, precision, &mut hooks, &control)?;
            work.done += loaded.meta.dims.layers;
        }
        work.done = done;
        Ok((nll, generated))
    }
}

fn edit_hooks(edits: Option<&PromptEdits>, rounding: Precision, positions: Range<usize>) -> Option<EditHooks<'_>> {
    edits.map(|edits| EditHooks::new(edits, rounding, positions))
}

/// An arm that is compared with the base.
pub struct Variant<'m> {
    arm: Arm<'m>,
    end_to_end: Comparer,
    isolated: Comparer,
}

impl<'m> Variant<'m> {
    /// An arm before the first layer.
    pub fn begin(
        loaded: &'m Loaded,
        policy: Policy,
        ids: &[u32],
        edits: Option<(&Edits, usize)>,
        (base, control): (&Meta, &Control),
    ) -> Result<Self> {
        let arm = Arm::begin(loaded, policy, ids, edits, control)?;
        let dtypes = [base.activation_dtype(), arm.meta.activation_dtype()];
        let comparer = |mode| Comparer::new(mode, None, dtypes, ids.to_vec(), base.dims.top_k, false);
        let (end_to_end, isolated) = (comparer(Mode::EndToEnd), comparer(Mode::Isolated));
        Ok(Self { arm, end_to_end, isolated })
    }

    /// Computes one layer twice: on this policy's own residual stream, and on the base's `input` `[pos × d_model]`. The
    /// second time, keys and values go to `scratch`, which must be empty.
    pub fn read(
        &mut self,
        layer: usize,
        input: &[f32],
        seen: &Seen,
        scratch: &mut KvCache,
        work: &mut Work,
    ) -> Result<()> {
        let arm = &mut self.arm;
        let (pass, control) = (&arm.pass, work.layer(layer, arm.tokens));
        let edits = || edit_hooks(arm.edits.as_ref(), arm.rounding, 0..arm.tokens);
        let mut hooks = (edits(), Watch::comparing(&arm.meta, seen, &mut self.end_to_end));
        arm.resid = pass.layer(layer, take(&mut arm.resid), &mut arm.cache, &mut hooks, &control)?;
        self.isolated.fed(HookKind::ResidPre.at(layer));
        let control = work.layer(layer, arm.tokens);
        let mut hooks = (edits(), Watch::comparing(&arm.meta, seen, &mut self.isolated));
        pass.layer(layer, input.to_vec(), scratch, &mut hooks, &control)?;
        Ok(())
    }

    /// The arm, and its comparisons with the base: end to end, and each layer alone.
    pub fn into_parts(self) -> (Arm<'m>, [Comparison; 2]) {
        (self.arm, [self.end_to_end.finish(), self.isolated.finish()])
    }
}
