//! The effect of a list of edits on one run.

use super::measure::{Baseline, Found, Target, compare};
use super::null;
use crate::analysis::{Effect, FirstDifference};
use crate::control::Control;
use crate::engine::run::Live;
use crate::model::Edits;
use crate::trace::{Edit, Sampling};
use anyhow::Result;

/// What is computed.
pub struct EffectPlan<'a> {
    /// The edits.
    pub edits: &'a Edits,
    /// The token that is watched.
    pub target: Target,
    /// How many tokens both runs generate.
    pub steps: usize,
    /// How they are chosen.
    pub sampling: Sampling,
    /// How many random edits are drawn, and their seed.
    pub null: (usize, u64),
}

/// The effect of edits on `a`, a run without edits. Progress is in runs.
///
/// # Errors
/// [`Stopped`](crate::control::Stopped) if `control` is cancelled; if an edit has no random counterpart; as
/// [`Live::extend`].
pub fn effect(a: &Live, plan: &EffectPlan, control: &Control) -> Result<Effect> {
    let (quiet, all) = (control.quiet(), 2 + plan.null.0);
    let draws = null::draws(a, &plan.edits.list().collect::<Vec<_>>(), plan.null)?;
    control.progress(0, all);
    let a = &a.with_means(plan.edits.list().chain(draws.iter().flatten()), &quiet)?;
    let mut baseline = Baseline::new(a);
    let b = a.edited(Some(plan.edits), &quiet)?;
    let Found { measures, losses, target, foil, positions, layers } =
        compare(&mut baseline, &b, plan.target, true, &quiet)?;
    control.progress(1, all);
    let (first_difference, generated) = first_difference(a, &b, plan, &quiet)?;
    control.progress(2, all);
    let mut null = crate::analysis::Null { seed: plan.null.1, draws: Vec::with_capacity(draws.len()) };
    for (done, draw) in draws.into_iter().enumerate() {
        // What is drawn so far is a result, too.
        if control.is_cancelled() {
            break;
        }
        let texts = draw.iter().map(Edit::to_string).collect();
        let edited = a.edited(Some(&Edits::new(draw, a.meta().dims)?), &quiet)?;
        null.draws.push((texts, baseline.measure(&edited, plan.target, &quiet)?));
        control.progress(3 + done, all);
    }
    Ok(Effect {
        edits: generated.records().edit_notes(),
        measures,
        losses,
        position: plan.target.position,
        target,
        foil,
        positions,
        layers,
        steps: plan.steps,
        first_difference,
        null: (plan.null.0 > 0).then_some(null),
    })
}

/// Both runs generate until they differ; returns the edited run, too.
fn first_difference(
    a: &Live,
    b: &Live,
    plan: &EffectPlan,
    control: &Control,
) -> Result<(Option<FirstDifference>, Live)> {
    let (mut a, mut b) = (a.clone(), b.clone());
    for _ in 0..plan.steps {
        if a.is_full() {
            break;
        }
        let tokens = [a.step(&plan.sampling, control)?, b.step(&plan.sampling, control)?];
        if tokens[0] != tokens[1] {
            let tokens = tokens.map(|id| (id, a.piece(id)));
            return Ok((Some(FirstDifference { position: a.tokens().len() - 1, tokens }), b));
        }
        if a.is_end(tokens[0]) {
            break;
        }
    }
    Ok((None, b))
}
