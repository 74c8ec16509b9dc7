//! Products with the weights: by this program's kernels, or by candle on a device.
//!
//! Everything else of the forward pass stays on the CPU, so that one pass with all its hooks serves all devices. A few
//! vectors per token move to the device and back. Weights are copied to it when they are first used, once for each
//! dtype to which they are rounded.

mod on_device;

use super::kernels;
use super::precision::Rounding;
use super::weights::Matrix;
use crate::trace::{Device as Place, Policy};
use anyhow::{Result, anyhow, bail};
use candle_core::Device;
use on_device::OnDevice;
use std::panic::catch_unwind;

/// The place where products are computed.
#[derive(Default)]
pub struct Products {
    on_device: Option<OnDevice>,
}

impl Products {
    /// Products on `place`.
    ///
    /// # Errors
    /// If this build or this machine has no such device.
    pub fn on(place: Place) -> Result<Self> {
        let device = match place.in_this_build()? {
            Place::Cpu => return Ok(Self::default()),
            Place::Candle => Device::Cpu,
            Place::Cuda(number) => Device::new_cuda(number)?,
            // candle panics if the list of devices is shorter.
            Place::Metal(number) => catch_unwind(|| Device::new_metal(number))
                .map_err(|_| anyhow!("this machine has no Metal device {number}"))??,
        };
        Ok(Self { on_device: Some(OnDevice::new(device)) })
    }

    /// Whether weights are copied to a device instead of being read in place.
    pub fn are_on_device(&self) -> bool {
        self.on_device.is_some()
    }

    /// Whether weights in blocks can be used. For Metal, candle would decode them on the CPU again for every product.
    pub fn decode_blocks(&self) -> bool {
        self.on_device.as_ref().is_none_or(|on_device| !on_device.is_metal())
    }

    /// `x · wᵀ`, see [`kernels::linear`].
    ///
    /// # Errors
    /// If the device fails.
    pub fn linear(&self, x: &[f32], w: &Matrix, round: Rounding) -> Result<Vec<f32>> {
        Ok(self.linears(&[x], &[(0, w)], round)?.pop().unwrap_or_default())
    }

    /// `x` times each of `w`, in one parallel job.
    ///
    /// # Errors
    /// If the device fails.
    pub fn linears_of<const N: usize>(&self, x: &[f32], w: [&Matrix; N], round: Rounding) -> Result<[Vec<f32>; N]> {
        let mut results = self.linears(&[x], &w.map(|w| (0, w)), round)?.into_iter();
        Ok(std::array::from_fn(|_| results.next().unwrap_or_default()))
    }

    /// Several products, see [`kernels::linears`].
    ///
    /// # Errors
    /// If the device fails.
    pub fn linears(&self, xs: &[&[f32]], jobs: &[(usize, &Matrix)], round: Rounding) -> Result<Vec<Vec<f32>>> {
        match &self.on_device {
            None => Ok(kernels::linears(xs, jobs, round)),
            Some(_) if round == Rounding::Operands => bail!("candle can't round operands as {} does", Policy::Ggml),
            Some(on_device) => on_device.linears(xs, jobs, round),
        }
    }
}
