//! The precision lab: one prompt under several precision policies.
//!
//! All policies compute a layer before any of them computes the next. So every weight is read once for all policies,
//! and only one layer's values of the base are in memory.

mod arm;
mod found;
mod policies;
mod watch;

pub use policies::lab_policies;

use crate::analysis::{Lab, LabRow, LabToken};
use crate::control::Control;
use crate::model::{Edits, Loaded, bare_piece};
use crate::trace::Policy;
use anyhow::{Context, Result, ensure};
use arm::{Arm, Variant};

/// Runs `ids` under `base` and each of `policies`, end to end and each layer alone. Then each of them generates `steps`
/// greedy tokens, or fewer if its text or the context ends. A policy counts once. The policy under which the model was
/// opened does not matter. All of them are computed under `edits`, if there are any, of a prompt of so many tokens. Progress
/// is in token-layers.
///
/// # Errors
/// [`Stopped`](crate::control::Stopped) on cancellation; if there is no token, one is outside the vocabulary, there are
/// more than the model's context, a policy can't be computed, or an activation is not finite (policy and hook are
/// named).
pub fn lab(
    loaded: &Loaded,
    ids: &[u32],
    steps: usize,
    base: Policy,
    policies: &[Policy],
    edits: Option<(&Edits, usize)>,
    control: &Control,
) -> Result<Lab> {
    let (dims, n) = (loaded.meta.dims, ids.len());
    ensure!(n > 0, "the prompt is empty: give at least one token");
    let context = dims.context;
    ensure!(
        n <= context,
        "the prompt has {n} tokens, but the model's context is {context} (max_position_embeddings); shorten it"
    );
    let steps = steps.min(context - n);
    let mut others: Vec<Policy> = Vec::new();
    for policy in policies.iter().filter(|policy| **policy != base) {
        if !others.contains(policy) {
            others.push(*policy);
        }
    }
    let read = n * (1 + 2 * others.len()) + steps.saturating_sub(1) * (1 + others.len());
    let mut work = Work { control, done: 0, all: read * dims.layers };

    let quiet = control.quiet();
    let mut first = Arm::begin(loaded, base, ids, edits, &quiet)?;
    let begin = |policy: &Policy| Variant::begin(loaded, *policy, ids, edits, (first.meta(), &quiet));
    let mut variants = others.iter().map(begin).collect::<Result<Vec<Variant>>>()?;
    // A layer alone needs no keys and values but its own.
    let mut scratch = loaded.model.new_cache();
    for layer in 0..dims.layers {
        let (input, seen) = first.read(layer, &mut work).with_context(|| under(base))?;
        for (policy, variant) in others.iter().zip(&mut variants) {
            variant.read(layer, &input, &seen, &mut scratch, &mut work).with_context(|| under(*policy))?;
            scratch.truncate(0);
        }
    }

    let finish = |policy: Policy, arm: Arm, work: &mut Work| -> Result<LabRow> {
        let (nll, generated) = arm.finish(loaded, ids, steps, work).with_context(|| under(policy))?;
        Ok(LabRow {
            policy,
            mean_loss: mean(&nll),
            nll,
            end_to_end: found::same(dims, n),
            isolated: found::same(dims, n),
            flips: Vec::new(),
            generated: tokens(loaded, &generated),
            differs_at: None,
        })
    };
    let mut rows = vec![finish(base, first, &mut work)?];
    for (policy, variant) in others.into_iter().zip(variants) {
        let (arm, [end_to_end, isolated]) = variant.into_parts();
        let row = finish(policy, arm, &mut work)?;
        rows.push(LabRow {
            end_to_end: found::layers(&end_to_end, dims.layers),
            isolated: found::layers(&isolated, dims.layers),
            flips: found::flips(&end_to_end),
            differs_at: found::first_difference(&rows[0].generated, &row.generated),
            ..row
        });
    }
    let (model, dtype) = (loaded.meta.title.clone(), loaded.meta.compute_dtype);
    Ok(Lab { model, base, dtype, tokens: tokens(loaded, ids), steps, rows })
}

/// The progress of the lab, in token-layers.
struct Work<'a> {
    control: &'a Control<'a>,
    done: usize,
    all: usize,
}

impl<'a> Work<'a> {
    /// The control of a layer that reads this many tokens.
    fn layer(&mut self, layer: usize, tokens: usize) -> Control<'a> {
        // A pass counts its own layers before this one.
        let control = self.control.part(self.done.saturating_sub(layer * tokens), self.all);
        self.done += tokens;
        control
    }
}

fn under(policy: Policy) -> String {
    format!("under the policy {policy}")
}

fn mean(nll: &[f32]) -> Option<f64> {
    (!nll.is_empty()).then(|| nll.iter().map(|nll| f64::from(*nll)).sum::<f64>() / nll.len() as f64)
}

fn tokens(loaded: &Loaded, ids: &[u32]) -> Vec<LabToken> {
    let piece = |id: u32| loaded.tokenizer.as_ref().map_or_else(|| bare_piece(id), |tokenizer| tokenizer.piece(id));
    ids.iter().map(|id| LabToken { id: *id, piece: piece(*id) }).collect()
}
