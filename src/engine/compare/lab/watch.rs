//! The values of one layer that the lab compares.

use crate::analysis::Lab;
use crate::analysis::diff::Comparer;
use crate::engine::compare::values::own;
use crate::model::Hooks;
use crate::trace::{Hook, HookKind, Meta, TraceTensor, Values};
use anyhow::{Result, ensure};
use std::ops::Range;

/// The values of a layer, in the order of the forward pass.
pub type Seen = Vec<(Hook, TraceTensor)>;

/// Keeps the values of a layer of the baseline, or compares a variant's values with them.
pub struct Watch<'a> {
    meta: &'a Meta,
    baseline: Option<(&'a Seen, &'a mut Comparer)>,
    /// The values that were kept.
    pub seen: Seen,
}

impl<'a> Watch<'a> {
    /// Keeps values; `meta` is the model under the baseline's policy.
    pub fn keeping(meta: &'a Meta) -> Self {
        Self { meta, baseline: None, seen: Vec::new() }
    }

    /// Compares values with those of the baseline; `meta` is the model under the variant's policy.
    pub fn comparing(meta: &'a Meta, baseline: &'a Seen, comparer: &'a mut Comparer) -> Self {
        Self { meta, baseline: Some((baseline, comparer)), seen: Vec::new() }
    }

    fn take(&mut self, hook: Hook, value: TraceTensor) -> Result<()> {
        match &mut self.baseline {
            None => self.seen.push((hook, value)),
            Some((baseline, comparer)) => {
                let theirs = baseline.iter().find(|(there, _)| *there == hook).map(|(_, value)| value.clone());
                comparer.add(hook, theirs, Some(value))?;
            }
        }
        Ok(())
    }
}

impl Hooks for Watch<'_> {
    fn wants(&self, hook: Hook) -> bool {
        hook.kind == HookKind::ExpertIndices || Lab::COMPONENTS.contains(&hook.kind)
    }

    fn at(&mut self, hook: Hook, value: &mut [f32], positions: Range<usize>) -> Result<()> {
        let bad = value.iter().position(|x| !x.is_finite());
        let at = bad.unwrap_or(0) / (value.len() / positions.len().max(1)).max(1);
        ensure!(bad.is_none(), "NaN or infinity in `{hook}` at position {at}");
        self.take(hook, own(self.meta, hook, Values::F32(value.to_vec()), positions))
    }

    fn at_ids(&mut self, hook: Hook, ids: &mut [u32], positions: Range<usize>) -> Result<()> {
        self.take(hook, own(self.meta, hook, Values::U32(ids.to_vec()), positions))
    }
}
