//! A model against a recording of the same tokens: end to end, and each layer alone.

use super::edited::{Edited, edits_over};
use super::operations::{Fit, Guilt, Operations, Verdict, operations};
use super::values::own;
use crate::analysis::diff::{
    Comparer, Comparison, ConfigDiff, Facts, Mode, Operation, config_differences, recorded_predictions,
};
use crate::control::Control;
use crate::model::{EditHooks, Edits, Hooks, Loaded, Precision, PromptEdits};
use crate::trace::{Hook, HookKind as K, Meta, TraceReader, TraceTensor, Values};
use anyhow::{Context, Result, ensure};
use serde::Serialize;
use std::ops::Range;

/// What a model's run over a recording's tokens showed. A is the recording, B the model.
#[derive(Clone, Debug, Serialize)]
pub struct Fidelity {
    /// Whether the model computes what was recorded, up to rounding; with a tolerance of the user's, whether all is within it.
    pub ok: bool,
    /// The verdict, from the operations.
    pub verdict: Verdict,
    /// Kinds of rounding that make the recording's program differ.
    pub kinds: Vec<Fit>,
    /// The first operation that differs by more than rounding.
    pub guilty: Option<Guilt>,
    /// The first operation of each other kind that differs, each from its own input, and that their causes don't explain.
    pub also: Vec<Guilt>,
    /// Hooks, without their layer, whose recording would tell rounding from other differences where now it can't be told.
    pub record: Vec<&'static str>,
    /// Every operation whose output is recorded, computed from the recording's own input of it.
    pub operations: Vec<Operation>,
    /// Each layer reads what the one before it gave.
    pub end_to_end: Comparison,
    /// Each layer reads the recording's input of that layer, so that differences don't accumulate.
    pub isolated: Comparison,
    /// Where the configs differ in what changes the numbers.
    pub configs: Vec<ConfigDiff>,
}

/// Reads the tokens of `reference` three times and compares every hook that the reference holds, one at a time, so that only
/// one is in memory. `tolerance` replaces the default of the dtypes. The model is run under `edits`, if there are any.
///
/// # Errors
/// If the recording can't be read or does not fit the model (the tensor is named), names other edits than `edits`, or
/// [`Stopped`](crate::control::Stopped) on cancellation.
pub fn check_against(
    loaded: &Loaded,
    reference: &TraceReader,
    tolerance: Option<f32>,
    edits: Option<&Edits>,
    control: &Control,
) -> Result<Fidelity> {
    let layers = loaded.meta.dims.layers;
    let hooks = reference.hooks();
    ensure!(
        !hooks.is_empty(),
        "{}: it holds no hook of the trace format, so there is nothing to compare",
        reference.name()
    );
    if let Some(hook) = hooks.iter().find(|hook| hook.layer as usize >= layers) {
        anyhow::bail!("{}: `{hook}`: expected a layer below {layers}, as the model has {layers}", reference.name());
    }
    let precision = Precision::new(loaded.meta.policy, loaded.meta.compute_dtype);
    let edits = edits_over(loaded, reference, edits, precision, control)?;
    let edits = edits.as_ref();
    let configs = config_differences(&reference.json("config").unwrap_or_default(), &loaded.meta.config);
    let run = |mode| -> Result<Comparison> {
        let said: Vec<String> = configs.iter().map(ToString::to_string).collect();
        let said = if said.is_empty() { String::new() } else { format!(" ({})", said.join("; ")) };
        let context = || format!("{} does not fit the model{said}", reference.name());
        let tokens = reference.tokens()?;
        let facts = Facts {
            dtype: loaded.meta.activation_dtype(),
            top_k: Some(loaded.meta.dims.top_k),
            config: loaded.meta.config.clone(),
            rounds_shares: false,
        };
        let mut comparer = Facts::of(reference).comparer(&facts, mode, tolerance, tokens.clone());
        comparer.predictions(0, recorded_predictions(reference, tokens.len())?);
        let then = Against { reference, meta: &loaded.meta, comparer, mode, edits };
        let rounding = loaded.model.arch().rounding(precision);
        let edits = edits.map(|edits| EditHooks::new(edits, rounding, 0..tokens.len()));
        let mut hooks = Edited { edits, then };
        let (model, all) = (&loaded.model, layers * tokens.len());
        let control = control.part(if mode == Mode::Isolated { all } else { 0 }, 3 * all);
        let mut cache = model.new_cache();
        model.forward(&tokens, &mut cache, precision, &mut hooks, &control).with_context(context)?;
        let mut found = hooks.then.comparer.finish();
        // A model holds every hook; what the recording lacks is not a finding.
        found.only_in[1].clear();
        Ok(found)
    };
    let (end_to_end, isolated) = (run(Mode::EndToEnd)?, run(Mode::Isolated)?);
    let all = layers * reference.tokens()?.len();
    let Operations { mut verdict, kinds, guilty, also, record, all: operations } =
        operations(loaded, reference, edits, &configs, &control.part(2 * all, 3 * all))?;
    if tolerance.is_some() {
        verdict = if end_to_end.ok && isolated.ok { Verdict::Agrees } else { Verdict::Differs };
    }
    let ok = verdict != Verdict::Differs;
    Ok(Fidelity { ok, verdict, kinds, guilty, also, record, operations, end_to_end, isolated, configs })
}

/// Compares each value with the recording's and, layer by layer alone, continues with the recording's.
struct Against<'a> {
    reference: &'a TraceReader,
    meta: &'a Meta,
    comparer: Comparer,
    mode: Mode,
    edits: Option<&'a PromptEdits>,
}

impl Against<'_> {
    fn has(&self, hook: Hook) -> bool {
        self.reference.has(&hook.to_string())
    }

    fn compare(&mut self, hook: Hook, own: TraceTensor) -> Result<()> {
        let reference = self.has(hook).then(|| self.reference.tensor(&hook.to_string())).transpose()?;
        self.comparer.add(hook, reference, Some(own))
    }

    /// The name in the recording of the value with which the pass continues at `hook`.
    fn feed(&self, hook: Hook) -> Option<String> {
        let layer = hook.layer as usize;
        let same = match (hook.kind, layer) {
            // Before the edit the stream is another.
            (K::ResidPre, _) if self.edits.is_some_and(|edits| edits.edits().change(hook)) => vec![hook],
            (K::ResidPre, 0) => vec![hook, K::Embed.at(0)],
            (K::ResidPre, _) => vec![hook, K::ResidPost.at(layer - 1)],
            (K::ResidPost, _) if layer + 1 == self.meta.dims.layers => vec![hook],
            _ => Vec::new(),
        };
        same.into_iter().find(|hook| self.has(*hook)).map(|hook| hook.to_string())
    }
}

impl Hooks for Against<'_> {
    fn wants(&self, hook: Hook) -> bool {
        let layer = hook.layer as usize;
        let is_last = layer + 1 == self.meta.dims.layers;
        match hook.kind {
            // The one follows from the other where the recording holds only one.
            K::RouterLogits | K::ExpertWeights | K::ExpertIndices => {
                [K::RouterLogits, K::ExpertWeights, K::ExpertIndices].into_iter().any(|kind| self.has(kind.at(layer)))
            }
            K::ResidPre if self.mode == Mode::Isolated => true,
            K::ResidPost if self.mode == Mode::Isolated && is_last => true,
            K::Logits => self.has(hook) || self.reference.has("mixscope.score.nll"),
            _ => self.has(hook),
        }
    }

    fn at(&mut self, hook: Hook, value: &mut [f32], positions: Range<usize>) -> Result<()> {
        let isolated = self.mode == Mode::Isolated;
        let layer = hook.layer as usize;
        let is_input = isolated && hook.kind == K::ResidPre;
        // What was fed into the layer before is not the model's own.
        if !is_input || layer == 0 && self.has(hook) {
            let own = own(self.meta, hook, Values::F32(value.to_vec()), positions.clone());
            self.compare(hook, own)?;
        }
        let is_final = hook.kind == K::ResidPost && layer + 1 == self.meta.dims.layers;
        if !isolated || !(is_input || is_final) {
            return Ok(());
        }
        let Some(name) = self.feed(hook) else {
            // The embedding is a look-up: the model's own is as good as the recording's.
            if is_final {
                self.comparer.final_not_fed();
            } else if layer > 0 {
                self.comparer.not_fed(layer);
            }
            return Ok(());
        };
        let (tensor, shape) = (self.reference.tensor(&name)?, hook.kind.shape_at(self.meta.dims, positions));
        ensure!(tensor.shape == shape, "`{name}`: expected shape {shape:?} as in the model, found {:?}", tensor.shape);
        value.copy_from_slice(tensor.f32().with_context(|| format!("`{name}`"))?);
        self.comparer.fed(hook);
        Ok(())
    }

    fn at_ids(&mut self, hook: Hook, ids: &mut [u32], positions: Range<usize>) -> Result<()> {
        let own = own(self.meta, hook, Values::U32(ids.to_vec()), positions);
        self.compare(hook, own)
    }
}
