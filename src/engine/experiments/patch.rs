//! Activation patching: a corrupted run that gets one value of a clean run after the other.

use super::measure::Target;
use crate::control::Control;
use crate::engine::run::Live;
use crate::model::{Distribution, Edits, Rows};
use crate::trace::{Change, Edit, EditSource, HookKind, Patched, Picks, Scope};
use anyhow::{Context, Result, ensure};
use std::sync::Arc;

/// What is patched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PatchOver {
    /// The residual stream before each layer, position by position.
    ResidPre,
    /// The attention block's output, position by position.
    AttnOut,
    /// The MLP block's output, position by position.
    MlpOut,
    /// The output of each head, at all positions.
    Heads,
    /// The output of each expert, at the positions where both runs chose it.
    Experts,
}

impl PatchOver {
    /// The hook that is patched.
    pub fn hook(self) -> HookKind {
        match self {
            Self::ResidPre => HookKind::ResidPre,
            Self::AttnOut => HookKind::AttnOut,
            Self::MlpOut => HookKind::MlpOut,
            Self::Heads => HookKind::Z,
            Self::Experts => HookKind::ExpertOut,
        }
    }

    /// The name of a part in tables.
    pub fn part(self) -> &'static str {
        match self {
            Self::Heads => "head",
            Self::Experts => "expert",
            _ => self.hook().short_name(),
        }
    }

    /// Whether it is patched position by position.
    pub fn is_by_position(self) -> bool {
        !matches!(self, Self::Heads | Self::Experts)
    }
}

/// What is computed.
pub struct PatchPlan<'a> {
    /// The run whose values are taken. It holds the hook that is patched.
    pub clean: &'a Live,
    /// The run that gets them, over as many tokens.
    pub corrupted: &'a Live,
    /// What is patched.
    pub over: PatchOver,
    /// The measure is logit(target) − logit(foil) at a position; without a foil, the target's logit.
    pub target: Target,
}

/// The result of one patch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Patching {
    /// Decoder layer.
    pub layer: usize,
    /// The position that was patched; `None`: all.
    pub position: Option<usize>,
    /// Index of the head or expert.
    pub index: Option<usize>,
    /// The measure of the patched run.
    pub measure: f64,
    /// (measure − corrupted) / (clean − corrupted).
    pub recovery: f64,
}

/// Patches one site after the other and gives each result to `found`; returns the measures of the clean and the corrupted run.
/// Progress is in sites.
///
/// # Errors
/// [`Stopped`](crate::control::Stopped) if `control` is cancelled; if the runs have different lengths, or their measures are
/// too close to divide by; as [`Live::extend`].
pub fn patch(plan: &PatchPlan, control: &Control, found: &mut dyn FnMut(Patching)) -> Result<[f64; 2]> {
    let PatchPlan { clean, corrupted, over, target } = plan;
    let (n, dims) = (corrupted.tokens().len(), corrupted.meta().dims);
    ensure!(
        clean.tokens().len() == n,
        "the clean prompt has {} tokens and the corrupted one {n}: patching needs equal lengths; exchange a word for one of \
         as many tokens",
        clean.tokens().len()
    );
    let quiet = control.quiet();
    let baselines = [read(clean, target)?, read(corrupted, target)?];
    let [whole, none] = baselines;
    let ulp = f64::from(corrupted.meta().activation_dtype().ulp(whole.abs().max(none.abs()) as f32));
    let least = (4.0 * ulp).max(1e-3);
    ensure!(
        (whole - none).abs() > least,
        "the measure is {whole:.4} on the clean and {none:.4} on the corrupted prompt: too close to divide by (at least \
         {least:.4} apart is needed); choose a target and a foil that the prompts tell apart"
    );
    let sites = sites(plan, dims.layers, n);
    let mut rows: Option<(usize, Arc<Rows>)> = None;
    for (done, (layer, position, index)) in sites.iter().copied().enumerate() {
        control.check()?;
        let of_layer = match &rows {
            Some((at, rows)) if *at == layer => rows.clone(),
            _ => {
                let read = Arc::new(rows_of(clean, over.hook(), layer)?);
                rows = Some((layer, read.clone()));
                read
            }
        };
        let edits = Edits::patched(edit(*over, layer, position, index), of_layer, dims)?;
        let measure = read(&corrupted.edited(Some(&edits), &quiet)?, target)?;
        found(Patching { layer, position, index, measure, recovery: (measure - none) / (whole - none) });
        control.progress(done + 1, sites.len());
    }
    Ok(baselines)
}

type Place = (usize, Option<usize>, Option<usize>);

/// The sites in the order of the pass, the last layer first: its patches cost least.
fn sites(plan: &PatchPlan, layers: usize, positions: usize) -> Vec<Place> {
    let dims = plan.corrupted.meta().dims;
    // Before the first difference both runs are the same.
    let same = plan.clean.tokens().iter().zip(plan.corrupted.tokens()).take_while(|(a, b)| a.id == b.id).count();
    let of_layer = |layer: usize| -> Vec<Place> {
        match plan.over {
            PatchOver::Heads => (0..dims.heads).map(|head| (layer, None, Some(head))).collect(),
            PatchOver::Experts => (0..dims.experts).map(|expert| (layer, None, Some(expert))).collect(),
            _ => (same.min(positions)..positions).map(|position| (layer, Some(position), None)).collect(),
        }
    };
    (0..layers).rev().flat_map(of_layer).collect()
}

fn edit(over: PatchOver, layer: usize, position: Option<usize>, index: Option<usize>) -> Edit {
    let picks = Picks::one(index.unwrap_or(0));
    let what = match over {
        PatchOver::Heads => Patched::Heads(picks),
        PatchOver::Experts => Patched::Experts(picks),
        _ => Patched::Hook(over.hook()),
    };
    let source = EditSource { path: "clean".to_owned(), tensor: None };
    let scope = position.map_or(Scope::Everywhere, |position| Scope::Positions(position, position));
    Edit::new(Picks::one(layer), Change::Patch { what, source, from: None }).at(scope)
}

/// The rows of a hook of a run in one layer.
fn rows_of(run: &Live, hook: HookKind, layer: usize) -> Result<Rows> {
    let mut rows = Rows::default();
    let (mut values, mut chosen, mut width) = (Vec::new(), Vec::new(), 0);
    for token in run.tokens() {
        let row = token.row(hook, layer).with_context(|| format!("the clean run lacks {}", hook.at(layer)))?;
        values.extend_from_slice(row);
        width = row.len();
        if hook == HookKind::ExpertOut {
            chosen.extend_from_slice(token.experts(layer).unwrap_or_default());
        }
    }
    rows.insert(layer, values, width, chosen);
    Ok(rows)
}

fn read(run: &Live, target: &Target) -> Result<f64> {
    let logits = run.logits(target.position..target.position + 1)?;
    let all = Distribution::of(&logits);
    let logit = |id: u32| f64::from(all.logit(id as usize));
    Ok(logit(target.token) - target.foil.map_or(0.0, logit))
}
