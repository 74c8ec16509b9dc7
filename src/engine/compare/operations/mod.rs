//! The verdict on a recording, operation by operation: each is computed from the recording's own input of it, so that
//! rounding stays far smaller than any other difference, and what differs is explained by suspects that are tested.

mod by_size;
mod candidates;
mod compared;
mod definition;
mod fit;
mod forced;
mod held;
mod recorded;
mod search;
mod suspect;
mod verdict;

pub use search::Fit;
pub use suspect::Suspect;
pub use verdict::{Guilt, Verdict};

use crate::analysis::diff::{ConfigDiff, Limit, Operation};
use crate::control::Control;
use crate::engine::compare::edited::Edited;
use crate::model::{EditHooks, Loaded, Precision, PromptEdits};
use crate::trace::{Dtype, HookKind as K, Policy, TraceReader};
use anyhow::Result;
use forced::Forced;
use recorded::Recorded;
use search::Case;
use serde::Serialize;
use std::collections::BTreeSet;
use verdict::{Tested, guilt};

/// Faults that are named beside the first.
const MOST_OTHERS: usize = 3;

/// What the operations of a recording showed.
#[derive(Clone, Debug, Serialize)]
pub struct Operations {
    /// The verdict.
    pub verdict: Verdict,
    /// Kinds of rounding that make the recording's program differ.
    pub kinds: Vec<Fit>,
    /// The first operation that differs by more than rounding.
    pub guilty: Option<Guilt>,
    /// The first operation of each other kind that differs, and that neither they nor the cause of the guilty one explain.
    pub also: Vec<Guilt>,
    /// Hooks, without their layer, whose recording would tell rounding from other differences where now it can't be told.
    pub record: Vec<&'static str>,
    /// Every operation whose output is recorded, in the order of the forward pass.
    pub all: Vec<Operation>,
}

/// Compares every operation of `reference` with the model's under `edits`, and explains what differs.
///
/// # Errors
/// If the recording can't be read or does not fit the model, or `control` stops the work.
pub fn operations(
    loaded: &Loaded,
    reference: &TraceReader,
    edits: Option<&PromptEdits>,
    configs: &[ConfigDiff],
    control: &Control,
) -> Result<Operations> {
    let tokens = reference.tokens()?;
    let recorded = Recorded {
        trace: reference,
        dims: loaded.meta.dims,
        tokens: tokens.len(),
        added: loaded.config.arch.multipliers.residual,
        edits: edits.map(PromptEdits::edits),
    };
    let precision = Precision::new(loaded.meta.policy, loaded.meta.compute_dtype);
    let mut all = compared(loaded, &recorded, (&tokens, edits), precision, control)?;
    let mut kinds: Vec<Fit> = Vec::new();
    let (mut guilty, mut guilty_at) = (None, 0);
    for i in 0..all.len() {
        if all[i].ok {
            continue;
        }
        control.check()?;
        let operation = &all[i];
        let case = match operation.hook.kind {
            K::ExpertIndices => None,
            _ if recorded.is_edited(operation.hook) => None,
            _ => Case::of(loaded, &recorded, operation, precision)?,
        };
        let tested = match &case {
            Some(_) => Tested::Yes,
            None if recorded.is_edited(operation.hook) => Tested::Edited,
            None => Tested::NotRecorded,
        };
        let fit = match &case {
            None => None,
            Some(case) if case.agrees_in_f64()? => {
                (all[i].ok, all[i].position) = (true, None);
                all[i].parts.clear();
                continue;
            }
            Some(case) if is_explained(case, &kinds)? => {
                all[i].explained = true;
                continue;
            }
            Some(case) => {
                let in_force: Vec<Suspect> = kinds.iter().map(|fit| fit.suspect.clone()).collect();
                case.search(&in_force, control)?
            }
        };
        match fit {
            Some(fit) if fit.rounding => {
                kinds.push(fit);
                all[i].explained = true;
            }
            fit => {
                guilty = Some(guilt(operation, fit, tested, configs, &all));
                guilty_at = i;
                break;
            }
        }
    }
    let also = match &guilty {
        Some(guilty) => others(loaded, &recorded, precision, (&all, guilty_at), (guilty, &kinds), configs, control)?,
        None => Vec::new(),
    };
    let verdict = match (&guilty, kinds.is_empty()) {
        (Some(_), _) => Verdict::Differs,
        (None, true) => Verdict::Agrees,
        (None, false) => Verdict::AgreesUpToRounding,
    };
    Ok(Operations { verdict, kinds, guilty, also, record: to_record(&recorded, &all), all })
}

/// Other faults than the guilty operation's: the first of each other kind of operation, fed its own recorded input, that its
/// cause does not explain.
fn others(
    loaded: &Loaded,
    recorded: &Recorded,
    precision: Precision,
    (all, guilty_at): (&[Operation], usize),
    (guilty, kinds): (&Guilt, &[Fit]),
    configs: &[ConfigDiff],
    control: &Control,
) -> Result<Vec<Guilt>> {
    let mut seen = vec![all[guilty_at].hook.kind];
    let mut found: Vec<Guilt> = Vec::new();
    for operation in all[guilty_at + 1..].iter().filter(|operation| !operation.ok && operation.direct) {
        if seen.contains(&operation.hook.kind) || found.len() == MOST_OTHERS {
            continue;
        }
        seen.push(operation.hook.kind);
        control.check()?;
        if operation.hook.kind == K::ExpertIndices {
            found.push(guilt(operation, None, Tested::Yes, configs, all));
            continue;
        }
        if recorded.is_edited(operation.hook) {
            found.push(guilt(operation, None, Tested::Edited, configs, all));
            continue;
        }
        let Some(case) = Case::of(loaded, recorded, operation, precision)? else { continue };
        let mut known: Vec<Fit> = kinds.to_vec();
        known.extend(std::iter::once(guilty).chain(&found).filter_map(|guilt| guilt.fit.clone()));
        if case.agrees_in_f64()? || is_explained(&case, &known)? {
            continue;
        }
        let in_force: Vec<Suspect> = kinds.iter().map(|fit| fit.suspect.clone()).collect();
        let fit = case.search(&in_force, control)?;
        if fit.as_ref().is_none_or(|fit| !fit.rounding) {
            found.push(guilt(operation, fit, Tested::Yes, configs, all));
        }
    }
    Ok(found)
}

/// Whether the kinds of rounding that were found give the recorded values, together or one alone.
fn is_explained(case: &Case, kinds: &[Fit]) -> Result<bool> {
    let together: Vec<Suspect> = kinds.iter().map(|fit| fit.suspect.clone()).collect();
    let alone = together.iter().map(|suspect| vec![suspect.clone()]);
    for suspects in std::iter::once(together.clone()).chain(alone.filter(|_| kinds.len() > 1)) {
        if case.explains(&suspects)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Every operation compared. Where an operation's own input is not recorded, another policy's pass goes before, layer by
/// layer, to tell how far rounding alone moves it.
fn compared(
    loaded: &Loaded,
    recorded: &Recorded,
    (tokens, edits): (&[u32], Option<&PromptEdits>),
    precision: Precision,
    control: &Control,
) -> Result<Vec<Operation>> {
    let (model, layers) = (&loaded.model, loaded.meta.dims.layers);
    let is_indirect = recorded.trace.hooks().into_iter().any(|hook| !recorded.sources(hook).direct);
    let other = match loaded.meta.policy {
        Policy::F32 => Precision::new(Policy::Hf, recorded.trace.activation_dtype().coarser(Dtype::Bf16)),
        _ => Precision::new(Policy::F32, loaded.meta.compute_dtype),
    };
    let under_edits = |then, precision| {
        let rounding = model.arch().rounding(precision);
        Edited { edits: edits.map(|edits| EditHooks::new(edits, rounding, 0..tokens.len())), then }
    };
    let mut forced = under_edits(Forced::new(*recorded, &loaded.meta, false), precision);
    let mut before = under_edits(Forced::new(*recorded, &loaded.meta, true), other);
    let (mut cache, mut other_cache) = (model.new_cache(), model.new_cache());
    let mut other_pass = match is_indirect {
        true => Some(model.begin(tokens, &other_cache, other, &mut before)?),
        false => None,
    };
    let quiet = control.quiet();
    let (pass, mut x) = model.begin(tokens, &cache, precision, &mut forced)?;
    for l in 0..layers {
        if let Some((pass, x)) = other_pass.take() {
            let x = pass.layer(l, x, &mut other_cache, &mut before, &quiet)?;
            forced.then.other.append(&mut before.then.other);
            other_pass = Some((pass, x));
        }
        x = pass.layer(l, x, &mut cache, &mut forced, control)?;
    }
    if let Some((pass, x)) = other_pass {
        pass.outputs(&x, &mut before, &quiet)?;
        forced.then.other.append(&mut before.then.other);
    }
    pass.outputs(&x, &mut forced, control)?;
    Ok(forced.then.found)
}

/// What to record so that all can be told: the inputs of operations that agree only as far as rounding would hide more.
fn to_record(recorded: &Recorded, all: &[Operation]) -> Vec<&'static str> {
    let mut missing = BTreeSet::new();
    for operation in all.iter().filter(|operation| operation.ok && !operation.direct) {
        let is_judged = operation.gap.values > 0;
        if is_judged && Limit::of(operation.hook.kind, operation.dtype).allows(&operation.gap) {
            continue;
        }
        missing.extend(recorded.missing_inputs(operation.hook));
    }
    let mut missing: Vec<K> = missing.into_iter().collect();
    missing.sort_unstable();
    missing.into_iter().map(K::suffix).collect()
}
