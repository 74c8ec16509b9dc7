//! What is looked at in a layer.

use super::Work;
use crate::analysis::Lab;
use crate::analysis::diff::Comparer;
use crate::engine::compare::values::{exact_in, own};
use crate::model::Taps;
use crate::trace::{Hook, HookKind, Meta, TraceTensor, Values};
use anyhow::{Result, ensure};
use candle_core::Tensor;

/// The values of a layer, in the order of the forward pass.
pub type Seen = Vec<(Hook, TraceTensor)>;

/// Keeps the values of a layer, or compares them with what the base had there.
pub struct Watch<'a, 'b> {
    meta: &'a Meta,
    tokens: usize,
    work: &'a mut Work<'b>,
    base: Option<(&'a Seen, &'a mut Comparer)>,
    /// What was kept.
    pub seen: Seen,
}

impl<'a, 'b> Watch<'a, 'b> {
    /// Of the base reading this many tokens; `meta` is the model under its policy.
    pub fn new(meta: &'a Meta, tokens: usize, work: &'a mut Work<'b>) -> Self {
        Self { meta, tokens, work, base: None, seen: Vec::new() }
    }

    /// Of another policy, compared with `base`.
    pub fn beside(self, base: &'a Seen, comparer: &'a mut Comparer) -> Self {
        Self { base: Some((base, comparer)), ..self }
    }
}

impl Taps for Watch<'_, '_> {
    fn wants(&self, hook: Hook) -> bool {
        hook.kind == HookKind::ExpertIndices || Lab::COMPONENTS.contains(&hook.kind)
    }

    fn tap(&mut self, hook: Hook, value: &Tensor) -> Result<Option<Tensor>> {
        let value = own(value, exact_in(self.meta, hook.kind))?;
        if let Values::F32(values) = &value.values {
            let bad = values.iter().position(|x| !x.is_finite());
            let at = bad.unwrap_or(0) / (values.len() / self.tokens.max(1)).max(1);
            ensure!(bad.is_none(), "NaN or infinity in `{hook}` at position {at}");
        }
        match &mut self.base {
            None => self.seen.push((hook, value)),
            Some((base, comparer)) => {
                let of_base = base.iter().find(|(there, _)| *there == hook).map(|(_, value)| value.clone());
                comparer.add(hook, of_base, Some(value))?;
            }
        }
        Ok(None)
    }

    fn enter_layer(&mut self, _: usize) -> Result<()> {
        self.work.enter(self.tokens)
    }
}
