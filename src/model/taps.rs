//! Hook points: every intermediate value of the forward pass can be seen and replaced.

use crate::trace::{Hook, HookKind};
use anyhow::{Result, ensure};
use candle_core::{Device, Storage, Tensor, WithDType};
use std::marker::PhantomData;
use std::ops::Deref;

/// Watches a forward pass.
pub trait Taps {
    /// Whether [`Taps::tap`] is to be called for `hook`. Where it is not, the pass does no extra work.
    fn wants(&self, hook: Hook) -> bool;

    /// Sees the value at `hook`, shaped as [`HookKind`] says (f32, or u32 for expert indices), and may return
    /// another of the same shape and dtype for the pass to go on with.
    ///
    /// # Errors
    /// Whatever it returns stops the pass.
    fn tap(&mut self, hook: Hook, value: &Tensor) -> Result<Option<Tensor>>;

    /// Called before each layer; an error stops the pass. This is where cancellation is seen.
    ///
    /// # Errors
    /// When the pass is to stop.
    fn enter_layer(&mut self, _layer: usize) -> Result<()> {
        Ok(())
    }

    /// Called between the experts of a layer, of which `done` of `all` have read their tokens; an error stops the pass. The
    /// layer of a long prompt takes seconds.
    ///
    /// # Errors
    /// When the pass is to stop.
    fn between_experts(&mut self, _done: usize, _all: usize) -> Result<()> {
        Ok(())
    }
}

/// Watches nothing.
pub struct NoTaps;

impl Taps for NoTaps {
    fn wants(&self, _: Hook) -> bool {
        false
    }

    fn tap(&mut self, _: Hook, _: &Tensor) -> Result<Option<Tensor>> {
        Ok(None)
    }
}

/// Shows `value` to the taps if they want it, and returns what the pass goes on with and whether it was replaced.
pub(super) fn tap(taps: &mut dyn Taps, kind: HookKind, layer: usize, value: Tensor) -> Result<(Tensor, bool)> {
    let hook = kind.at(layer);
    if !taps.wants(hook) {
        return Ok((value, false));
    }
    let Some(edited) = taps.tap(hook, &value)? else { return Ok((value, false)) };
    ensure!(
        edited.shape() == value.shape() && edited.dtype() == value.dtype(),
        "the tap at `{hook}` returned {:?} {:?}; expected {:?} {:?}",
        edited.dtype(),
        edited.shape(),
        value.dtype(),
        value.shape()
    );
    Ok((edited.to_device(&Device::Cpu)?.contiguous()?, true))
}

/// The numbers of a contiguous CPU tensor, without a copy.
struct Data<G, T> {
    storage: G,
    start: usize,
    end: usize,
    of: PhantomData<T>,
}

/// Borrows the numbers of `tensor`.
pub(super) fn data<T: WithDType>(tensor: &Tensor) -> Result<impl Deref<Target = [T]>> {
    let (storage, layout) = tensor.storage_and_layout();
    let Some((start, end)) = layout.contiguous_offsets() else { anyhow::bail!("a tensor is not contiguous") };
    match &*storage {
        Storage::Cpu(cpu) => {
            ensure!(cpu.as_slice::<T>().is_ok(), "expected {:?}, found {:?}", T::DTYPE, tensor.dtype())
        }
        _ => anyhow::bail!("a tensor is not in main memory"),
    }
    Ok(Data { storage, start, end, of: PhantomData })
}

impl<G: Deref<Target = Storage>, T: WithDType> Deref for Data<G, T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // `data` has checked both; an empty slice would only be seen if that check were lost.
        match &*self.storage {
            Storage::Cpu(cpu) => cpu.as_slice::<T>().map_or(&[], |all| &all[self.start..self.end]),
            _ => &[],
        }
    }
}

/// A tensor that takes over `values`.
pub(super) fn tensor<T: WithDType>(values: Vec<T>, shape: &[usize]) -> Result<Tensor> {
    Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
}
