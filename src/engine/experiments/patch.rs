//! Activation patching: a corrupted run that gets one value of a clean run after the other.

use super::measure::Target;
use crate::analysis::PatchOver;
use crate::control::Control;
use crate::engine::run::Live;
use crate::model::{Distribution, Edits, Rows};
use crate::trace::{Change, Edit, EditSource, HookKind, Patched, Picks, Scope};
use anyhow::{Context, Result, ensure};
use std::sync::Arc;

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
/// [`Stopped`](crate::control::Stopped) if `control` is cancelled; as `Patches::new`.
pub fn patch(plan: &PatchPlan, control: &Control, found: &mut dyn FnMut(Patching)) -> Result<[f64; 2]> {
    let mut patches = Patches::new(plan)?;
    for site in 0..patches.count() {
        control.check()?;
        found(patches.measure(site, control)?);
        control.progress(site + 1, patches.count());
    }
    Ok(patches.baselines)
}

type Place = (usize, Option<usize>, Option<usize>);

/// Two runs, and the sites at which values of one are put into the other.
pub struct Patches {
    clean: Live,
    corrupted: Live,
    over: PatchOver,
    target: Target,
    baselines: [f64; 2],
    sites: Vec<Place>,
    /// The rows of the clean run in the layer that was patched last.
    rows: Option<(usize, Arc<Rows>)>,
}

impl Patches {
    /// Measures both runs.
    ///
    /// # Errors
    /// If the runs have different lengths, or their measures are too close to divide by; if a run lacks the residuals of the
    /// last layer.
    pub fn new(plan: &PatchPlan) -> Result<Self> {
        let PatchPlan { clean, corrupted, over, target } = plan;
        let n = corrupted.tokens().len();
        ensure!(
            clean.tokens().len() == n,
            "the clean prompt has {} tokens and the corrupted one {n}: patching needs equal lengths; exchange a word for one of \
             as many tokens",
            clean.tokens().len()
        );
        let baselines = [read(clean, target)?, read(corrupted, target)?];
        let [whole, none] = baselines;
        let ulp = f64::from(corrupted.meta().activation_dtype().ulp(whole.abs().max(none.abs()) as f32));
        let least = (4.0 * ulp).max(1e-3);
        ensure!(
            (whole - none).abs() > least,
            "the measure is {whole:.4} on the clean and {none:.4} on the corrupted prompt: too close to divide by (at least \
             {least:.4} apart is needed); choose a target and a foil that the prompts tell apart"
        );
        let sites = sites(plan, corrupted.meta().dims.layers, n);
        let (clean, corrupted) = ((*clean).clone(), (*corrupted).clone());
        Ok(Self { clean, corrupted, over: *over, target: *target, baselines, sites, rows: None })
    }

    /// The measures of the clean and the corrupted run.
    pub fn baselines(&self) -> [f64; 2] {
        self.baselines
    }

    /// Positions at the beginning at which both runs are the same.
    pub fn same_positions(&self) -> usize {
        if self.over.is_by_position() { same_positions(&self.clean, &self.corrupted) } else { 0 }
    }

    /// The number of sites.
    pub fn count(&self) -> usize {
        self.sites.len()
    }

    /// The layer of a site, and its position, head or expert.
    pub fn place(&self, site: usize) -> (usize, usize) {
        let (layer, position, index) = self.sites[site];
        (layer, position.or(index).unwrap_or(0))
    }

    /// Patches one site.
    ///
    /// # Errors
    /// [`Stopped`](crate::control::Stopped) if `control` is cancelled; as [`Live::extend`].
    pub fn measure(&mut self, site: usize, control: &Control) -> Result<Patching> {
        let (layer, position, index) = self.sites[site];
        let rows = match &self.rows {
            Some((at, rows)) if *at == layer => rows.clone(),
            _ => {
                let read = Arc::new(rows_of(&self.clean, self.over.hook(), layer)?);
                self.rows = Some((layer, read.clone()));
                read
            }
        };
        let edits = Edits::patched(edit(self.over, layer, position, index), rows, self.corrupted.meta().dims)?;
        let measure = read(&self.corrupted.edited(Some(&edits), &control.quiet())?, &self.target)?;
        let [whole, none] = self.baselines;
        Ok(Patching { layer, position, index, measure, recovery: (measure - none) / (whole - none) })
    }
}

/// The sites in the order of the pass, the last layer first: its patches cost least.
fn sites(plan: &PatchPlan, layers: usize, positions: usize) -> Vec<Place> {
    let dims = plan.corrupted.meta().dims;
    let same = same_positions(plan.clean, plan.corrupted);
    let of_layer = |layer: usize| -> Vec<Place> {
        match plan.over {
            PatchOver::Heads => (0..dims.heads).map(|head| (layer, None, Some(head))).collect(),
            PatchOver::Experts => (0..dims.experts).map(|expert| (layer, None, Some(expert))).collect(),
            _ => (same.min(positions)..positions).map(|position| (layer, Some(position), None)).collect(),
        }
    };
    let has_hook = |layer: &usize| plan.over.hook().is_in(dims, *layer);
    (0..layers).rev().filter(has_hook).flat_map(of_layer).collect()
}

/// Before the first difference of their texts both runs are the same.
fn same_positions(clean: &Live, corrupted: &Live) -> usize {
    clean.tokens().iter().zip(corrupted.tokens()).take_while(|(a, b)| a.id == b.id).count()
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
