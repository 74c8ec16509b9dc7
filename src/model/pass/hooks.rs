//! Hooks: code that sees every named value of the forward pass and may change it.

use crate::model::edits::Cuts;
use crate::trace::Hook;
use anyhow::{Result, bail};
use std::ops::Range;

/// Observes and edits the values of a forward pass, in place.
pub trait Hooks {
    /// Whether the pass calls [`Hooks::at`] at `hook` ([`Hooks::at_ids`] at the expert indices). Where it does not, it
    /// does no extra work.
    fn wants(&self, hook: Hook) -> bool;

    /// Sees the value at `hook`, and may change it: the pass continues with what `value` then holds. `positions` are
    /// those that the pass reads; [`HookKind::shape_at`](crate::trace::HookKind::shape_at) gives the shape.
    ///
    /// # Errors
    /// Any error stops the pass.
    fn at(&mut self, hook: Hook, value: &mut [f32], positions: Range<usize>) -> Result<()>;

    /// The same for the chosen experts `[pos, k]`, best first.
    ///
    /// # Errors
    /// Any error stops the pass. The pass itself fails on an expert that the model lacks.
    fn at_ids(&mut self, _hook: Hook, _ids: &mut [u32], _positions: Range<usize>) -> Result<()> {
        Ok(())
    }

    /// How many experts each token that the pass reads goes through in `layer`, from 1 to all; `None`: the model's number.
    /// Called between the choice scores and the choice.
    fn counts(&mut self, _layer: usize) -> Option<Vec<usize>> {
        None
    }

    /// The keys that queries can't see in `layer`, besides the future and the window.
    fn cuts(&mut self, _layer: usize) -> Option<Cuts> {
        None
    }
}

/// Observes nothing.
pub struct NoHooks;

impl Hooks for NoHooks {
    fn wants(&self, _: Hook) -> bool {
        false
    }

    fn at(&mut self, _: Hook, _: &mut [f32], _: Range<usize>) -> Result<()> {
        Ok(())
    }
}

/// A closure at one hook.
pub struct At<F> {
    hook: Hook,
    change: F,
}

/// Hooks that call `change` at `hook` with the value and the positions that the pass reads. The pass fails at a hook that
/// holds expert indices: those are for [`at_ids`]. A hook of a layer that the model lacks is never reached.
pub fn at<F: FnMut(&mut [f32], Range<usize>)>(hook: Hook, change: F) -> At<F> {
    At { hook, change }
}

impl<F: FnMut(&mut [f32], Range<usize>)> Hooks for At<F> {
    fn wants(&self, hook: Hook) -> bool {
        hook == self.hook
    }

    fn at(&mut self, _: Hook, value: &mut [f32], positions: Range<usize>) -> Result<()> {
        (self.change)(value, positions);
        Ok(())
    }

    fn at_ids(&mut self, hook: Hook, _: &mut [u32], _: Range<usize>) -> Result<()> {
        bail!("`{hook}` holds expert indices: use `at_ids` in place of `at`")
    }
}

/// A closure at one hook of expert indices.
pub struct AtIds<F> {
    hook: Hook,
    change: F,
}

/// Hooks that call `change` at `hook` with the chosen experts `[pos, k]` and the positions that the pass reads. The
/// pass fails at a hook that holds activations: those are for [`at`].
pub fn at_ids<F: FnMut(&mut [u32], Range<usize>)>(hook: Hook, change: F) -> AtIds<F> {
    AtIds { hook, change }
}

impl<F: FnMut(&mut [u32], Range<usize>)> Hooks for AtIds<F> {
    fn wants(&self, hook: Hook) -> bool {
        hook == self.hook
    }

    fn at(&mut self, hook: Hook, _: &mut [f32], _: Range<usize>) -> Result<()> {
        bail!("`{hook}` holds activations: use `at` in place of `at_ids`")
    }

    fn at_ids(&mut self, _: Hook, ids: &mut [u32], positions: Range<usize>) -> Result<()> {
        (self.change)(ids, positions);
        Ok(())
    }
}

/// Both hooks: the second sees what the first left.
impl<A: Hooks, B: Hooks> Hooks for (A, B) {
    fn wants(&self, hook: Hook) -> bool {
        self.0.wants(hook) || self.1.wants(hook)
    }

    fn at(&mut self, hook: Hook, value: &mut [f32], positions: Range<usize>) -> Result<()> {
        if self.0.wants(hook) {
            self.0.at(hook, value, positions.clone())?;
        }
        if self.1.wants(hook) {
            self.1.at(hook, value, positions)?;
        }
        Ok(())
    }

    fn at_ids(&mut self, hook: Hook, ids: &mut [u32], positions: Range<usize>) -> Result<()> {
        if self.0.wants(hook) {
            self.0.at_ids(hook, ids, positions.clone())?;
        }
        if self.1.wants(hook) {
            self.1.at_ids(hook, ids, positions)?;
        }
        Ok(())
    }

    fn counts(&mut self, layer: usize) -> Option<Vec<usize>> {
        let first = self.0.counts(layer);
        self.1.counts(layer).or(first)
    }

    fn cuts(&mut self, layer: usize) -> Option<Cuts> {
        self.0.cuts(layer).or_else(|| self.1.cuts(layer))
    }
}

/// The hooks, if there are any.
impl<H: Hooks> Hooks for Option<H> {
    fn wants(&self, hook: Hook) -> bool {
        self.as_ref().is_some_and(|hooks| hooks.wants(hook))
    }

    fn at(&mut self, hook: Hook, value: &mut [f32], positions: Range<usize>) -> Result<()> {
        self.as_mut().map_or(Ok(()), |hooks| hooks.at(hook, value, positions))
    }

    fn at_ids(&mut self, hook: Hook, ids: &mut [u32], positions: Range<usize>) -> Result<()> {
        self.as_mut().map_or(Ok(()), |hooks| hooks.at_ids(hook, ids, positions))
    }

    fn counts(&mut self, layer: usize) -> Option<Vec<usize>> {
        self.as_mut()?.counts(layer)
    }

    fn cuts(&mut self, layer: usize) -> Option<Cuts> {
        self.as_mut()?.cuts(layer)
    }
}

impl<H: Hooks + ?Sized> Hooks for &mut H {
    fn wants(&self, hook: Hook) -> bool {
        (**self).wants(hook)
    }

    fn at(&mut self, hook: Hook, value: &mut [f32], positions: Range<usize>) -> Result<()> {
        (**self).at(hook, value, positions)
    }

    fn at_ids(&mut self, hook: Hook, ids: &mut [u32], positions: Range<usize>) -> Result<()> {
        (**self).at_ids(hook, ids, positions)
    }

    fn counts(&mut self, layer: usize) -> Option<Vec<usize>> {
        (**self).counts(layer)
    }

    fn cuts(&mut self, layer: usize) -> Option<Cuts> {
        (**self).cuts(layer)
    }
}
