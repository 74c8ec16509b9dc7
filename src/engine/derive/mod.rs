//! Values derived from a run when a view wants them: one file each, and the queue in which requests wait.
//!
//! A new one is a variant of [`Derive`], one of [`Derived`], a file here and its line in [`derive`].

mod attribution;
mod captured;
mod count;
mod distance;
mod effects;
mod heads;
mod lens;
mod queue;
mod second;
mod shares;
mod spell;
mod tempered;
mod trajectories;
mod variant;
mod variant_lens;
mod what_if;

pub use attribution::attribution;
pub use distance::distance;
pub use effects::effect_map;
pub use heads::{HeadCache, head_rows, head_scores, pattern, pattern_of};
pub use lens::lens_cells;
pub(super) use queue::Queue;
pub use shares::model_shares;
pub use spell::spell;
pub use tempered::tempered;
pub use trajectories::trajectories;
pub use what_if::what_if;

use super::run::Run;
use crate::control::Control;
use crate::protocol::{Derive, Derived, OtherRun};
use anyhow::Result;
use std::sync::Arc;

/// What derivations keep from one request to the next.
#[derive(Default)]
pub struct Kept {
    heads: HeadCache,
    scores: heads::Scores,
    variant: variant::VariantRun,
    second: second::SecondRun,
    mapping: effects::Mapping,
}

impl Kept {
    /// The variant of `run` under other edits, if it is kept.
    pub(super) fn variant_like(
        &self,
        run: &super::run::Live,
        edits: &[crate::trace::Edit],
    ) -> Option<super::run::Live> {
        self.variant.like(run, edits)
    }

    /// The runs that are kept: the variant and the second prompt.
    pub(super) fn runs(&self) -> impl Iterator<Item = &super::run::Live> {
        self.variant.run().into_iter().chain(self.second.run())
    }

    /// Keeps a run that was left for another policy or other edits: it becomes the variant of the run that replaces it.
    pub(super) fn keep_variant(&mut self, left: super::run::Live) {
        self.variant.keep(left);
    }
}

/// What one piece of work on a request gave.
#[derive(Debug)]
pub enum Part {
    /// All of it.
    Whole(Derived),
    /// Some of it, and the request for the rest.
    Some(Derived, Derive),
    /// Nothing yet: the same request continues from what is kept.
    None,
}

/// Derives a value of `run`, or a part of it.
///
/// # Errors
/// [`Stopped`](crate::control::Stopped) if `control` is cancelled; if the run does not keep what the value is derived
/// from; if it needs a model and the run is a replay.
pub fn derive(run: &Run, kept: &mut Kept, what: &Derive, control: &Control) -> Result<Part> {
    let heads = &mut kept.heads;
    let whole = match what {
        Derive::Lens { cells } => lens::derive(run, cells, control)?,
        Derive::Trajectories { pos, targets } => trajectories::derive(run, *pos, targets, control)?,
        Derive::Tempered { pos, sampling } => tempered::derive(run, *pos, sampling)?,
        Derive::WhatIf { pos, ids } => what_if::derive(run, *pos, ids, control)?,
        Derive::Count { prompt } => count::derive(run, prompt)?,
        Derive::Spell { texts } => spell::derive(run, texts)?,
        Derive::Attribution(key) => attribution::derive(run, *key, control)?,
        Derive::HeadMaps { maps } => heads::maps::derive(run, heads, maps, control)?,
        Derive::HeadRows { layer, query } => heads::rows::derive(run, *layer, *query)?,
        Derive::HeadColumns { layer, pick, key } => heads::columns::derive(run, heads, (*layer, *pick), *key, control)?,
        Derive::HeadStats { heads: wanted } => heads::stats::derive(run, heads, wanted, control)?,
        Derive::HeadScores => return kept.scores.derive(run, control),
        Derive::Variant { variant, have, len } => return kept.variant.derive(run, (variant, *have, *len), control),
        Derive::Effects { request, done } => return kept.mapping.derive(run, request, *done, control),
        Derive::Second { prompt } => kept.second.derive(run, prompt, control)?,
        Derive::SecondLens { prompt, cells } => kept.second.lens(prompt, cells, control)?,
        Derive::Shares(watch) => Derived::Shares(Arc::new(shares::model_shares(run.need_live()?, *watch, control)?)),
        Derive::Distance(from) => {
            let run = run.need_live()?;
            let other = match from {
                OtherRun::Variant(variant) => kept.variant.of(variant)?,
                OtherRun::Second(prompt) => kept.second.of(prompt)?,
            };
            let found = match from {
                OtherRun::Variant(_) => distance::distance(other, run, control)?,
                OtherRun::Second(_) => distance::distance(run, other, control)?,
            };
            Derived::Distance(from.clone(), Arc::new(found))
        }
        Derive::VariantLens { variant, cells } => variant_lens::derive(&kept.variant, variant, cells, control)?,
    };
    Ok(Part::Whole(whole))
}
